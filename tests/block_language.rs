//! The block prover on prefix languages: against all members of small ones, and the checker on what it proves.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use common::shared_models;
use llmprove::certify::{block_proof, settled};
use llmprove::limits::Limits;
use llmprove::model::{Evaluator, Model, ModelFolder, TokenId, rigorous};
use llmprove::num::Interval;
use llmprove::prove::block::ascent::Steps;
use llmprove::prove::block::functional::Query;
use llmprove::prove::block::{Block, Scope, tree};
use llmprove::spec::language::Automaton;
use llmprove::spec::{Language, Predicate, Statement, Threshold};
use llmprove_proofs::check;

const STEPS: Steps = Steps { most: 100, enough: -5e-5 };
/// Longest prefix of the languages below.
const LONGEST: usize = 12;

fn query(target: TokenId, p: f64) -> Query {
    Query::ceiling(target as usize, (1.0 / p - 1.0).ln() + 1e-12)
}

/// The greatest probability of each token after any member.
fn greatest(model: &Model, language: &Automaton) -> Vec<f64> {
    let mut best = vec![(f32::NEG_INFINITY, Vec::new()); model.head.vocab_size()];
    for length in language.lengths(LONGEST) {
        let members: Vec<Vec<TokenId>> = language.slice(length).unwrap().members().collect();
        for members in members.chunks(4096) {
            let log_p = Evaluator::new(model).log_probs(members).unwrap();
            for (member, row) in members.iter().zip(log_p.rows()) {
                for (best, &log_p) in best.iter_mut().zip(row) {
                    if log_p > best.0 {
                        *best = (log_p, member.clone());
                    }
                }
            }
        }
    }
    let exact = |(t, (_, member)): (usize, &(f32, Vec<TokenId>))| {
        rigorous::token_probability(model, member, t as TokenId, Interval::ONE).unwrap().lo()
    };
    best.iter().enumerate().map(exact).collect()
}

/// From just below the best member upward: what is proved lies above it, and for most tokens not far.
#[test]
fn bounds_lie_just_above_the_best_member() {
    let Some(models) = shared_models("bounds_lie_just_above_the_best_member") else { return };
    for (name, text) in [
        ("leangpt-d16-l1", "any{0,2} · \" th\""),
        ("leangpt-d16-l1", "[letter] · [space] | [digit]{2} · \"x\""),
        ("kjv-char-l1", "any{0,2} · \"the lord\""),
        // Here splits of the free tokens are what closes.
        ("kjv-char-l1", "any{0,1} · \"the \""),
    ] {
        let folder = ModelFolder::open(models.join(name)).unwrap();
        let model = folder.load().unwrap();
        let language = Language::parse(text, folder.vocab().unwrap()).unwrap();
        let automaton = Automaton::new(&language, model.head.vocab_size()).unwrap();
        let block = Block::within(&model, &automaton, LONGEST, &Limits::default()).unwrap();
        let greatest = greatest(&model, &automaton);
        let scope = Scope { shortest: 1, longest: LONGEST };
        let mut near = 0;
        let targets = (1..greatest.len()).step_by(greatest.len() / 6);
        let asked = targets.clone().count();
        for target in targets {
            let (best, target) = (greatest[target], target as TokenId);
            let below = best * (1.0 - 1e-6);
            let fixed = tree::prove(&block, &|_| query(target, below), &scope, STEPS, &Limits::default(), 30);
            assert!(fixed.proof.is_none(), "{name}, {text}: token {target} at {below}");
            let reached = std::cell::Cell::new(0.0);
            let rising = |spent: f64| {
                reached.set(below + (0.999 - below) * spent);
                query(target, reached.get())
            };
            let outcome = tree::prove(&block, &rising, &scope, STEPS, &Limits::default(), 400);
            let Some(root) = outcome.proof else { continue };
            assert!(
                outcome.query.is_easier_than(&query(target, best)),
                "{name}, {text}: token {target} at {best}"
            );
            near += usize::from(reached.get() < best + 0.1);
            // The checker finds the same prefixes in the statement, and more where it speaks of more.
            let threshold = Threshold::parse(&format!("{:.12}", reached.get() + 1e-9)).unwrap();
            let predicate = Predicate::Ceiling { token: target, threshold, temperature: None };
            let proof = block_proof(&block.proof(root));
            let check_of = |language: Language| {
                let statement = Statement { language, max_len: Some(LONGEST), predicate: predicate.clone() };
                let files = settled(folder.digest(), &statement, proof.clone()).unwrap();
                check(folder.dir(), &files.statement, &files.certificate)
            };
            check_of(language.clone()).unwrap();
            assert!(check_of(Language::Any).is_err(), "{name}, {text}: token {target} for all prefixes");
        }
        eprintln!("{name}, {text}: {near} of {asked} within 0.1");
        assert!(2 * near > asked, "{name}, {text}: {near} of {asked}");
    }
}

/// A language that is no product: what is proved holds for the product around it.
#[test]
fn of_a_union_the_product_counts() {
    let folder = ModelFolder::open(concat!(env!("CARGO_MANIFEST_DIR"), "/models/moby-l1")).unwrap();
    let model = folder.load().unwrap();
    let lengths = |text: &str| {
        let language = Language::parse(text, folder.vocab().unwrap()).unwrap();
        let automaton = Automaton::new(&language, model.head.vocab_size()).unwrap();
        let block = Block::within(&model, &automaton, LONGEST, &Limits::default()).unwrap();
        block.roots().map(|hull| (hull.length, hull.tokens.clone())).collect::<Vec<_>>()
    };
    assert_eq!(lengths("[id:1] · [id:2] | [id:3] · [id:4] | [id:5]"), [(1, vec![5]), (2, vec![2, 4])]);
    assert_eq!(lengths("any{2} · [id:7,9]"), [(3, vec![7, 9])]);
    assert_eq!(lengths("any{40}"), []);
}
