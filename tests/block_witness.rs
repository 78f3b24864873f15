//! The block prover on real models: thresholds just under a witness stay unproved, at once and where the threshold of a search
//! rises, and what it rises to is what the checker accepts.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use common::shared_models;
use llmprove::certify::{block_proof, settled};
use llmprove::limits::Limits;
use llmprove::model::{Evaluator, ModelFolder, TokenId, rigorous};
use llmprove::num::Interval;
use llmprove::prove::block::ascent::Steps;
use llmprove::prove::block::functional::Query;
use llmprove::prove::block::{Block, Scope, tree};
use llmprove::spec::{Language, Predicate, Statement, Threshold};
use llmprove_proofs::check;

/// Targets looked at, evenly spread over the vocabulary.
const TARGETS: usize = 4;

#[test]
fn never_closes_below_a_witness_of_two_tokens() {
    let Some(models) = shared_models("never_closes_below_a_witness_of_two_tokens") else { return };
    for name in ["leangpt-d16-l1", "kjv-char-l1"] {
        let model = ModelFolder::open(models.join(name)).unwrap().load().unwrap();
        let block = Block::new(&model).unwrap();
        let vocab = model.head.vocab_size() as TokenId;
        let mut best = vec![(f32::NEG_INFINITY, Vec::new()); vocab as usize];
        for a in 0..vocab {
            let prefixes: Vec<Vec<TokenId>> = (0..vocab).map(|b| vec![a, b]).collect();
            let log_p = Evaluator::new(&model).log_probs(&prefixes).unwrap();
            for (prefix, row) in prefixes.iter().zip(log_p.rows()) {
                for (best, &log_p) in best.iter_mut().zip(row) {
                    if log_p > best.0 {
                        *best = (log_p, prefix.clone());
                    }
                }
            }
        }
        let scope = Scope { shortest: 1, longest: 3 };
        let steps = Steps { most: 60, enough: -5e-5 };
        let query = |target: u32, p: f64| Query::ceiling(target as usize, (1.0 / p - 1.0).ln() + 1e-12);
        let mut proved = 0;
        for target in (1..vocab).step_by(vocab as usize / TARGETS) {
            let prefix = &best[target as usize].1;
            let witness = rigorous::token_probability(&model, prefix, target, Interval::ONE).unwrap().lo();
            let below = witness * (1.0 - 1e-6);
            let limits = Limits::default();
            let fixed = tree::prove(&block, &|_| query(target, below), &scope, steps, &limits, 30);
            assert!(fixed.proof.is_none(), "{name}: token {target} at {below}");
            // From below the witness up to nearly one: what is proved in the end lies above it.
            let rising = |spent: f64| query(target, below + (0.999 - below) * spent * spent);
            let outcome = tree::prove(&block, &rising, &scope, steps, &limits, 60);
            if outcome.proof.is_some() {
                proved += 1;
                assert!(
                    outcome.query.is_easier_than(&query(target, witness)),
                    "{name}: token {target} at {witness}"
                );
            }
        }
        assert!(name != "leangpt-d16-l1" || proved > 0, "{name}: nothing was proved at all");
    }
}

/// A threshold that rises while a proof is sought ends where the whole proof holds.
#[test]
fn a_proof_holds_at_the_threshold_that_it_ended_with() {
    let Some(models) = shared_models("a_proof_holds_at_the_threshold_that_it_ended_with") else { return };
    let folder = ModelFolder::open(models.join("leangpt-d16-l1")).unwrap();
    let block = Block::new(&folder.load().unwrap()).unwrap();
    let scope = Scope { shortest: 1, longest: 16 };
    let steps = Steps { most: 100, enough: -5e-5 };
    let (low, high) = (0.045, 0.2);
    let query = |p: f64| Query::ceiling(71, (1.0 / p - 1.0).ln() + 1e-12);
    let asked = std::cell::Cell::new(0.0);
    let goal = |spent: f64| {
        asked.set(low + (high - low) * spent);
        query(asked.get())
    };
    let outcome = tree::prove(&block, &goal, &scope, steps, &Limits::default(), 300);
    let root = outcome.proof.unwrap();
    assert!(asked.get() > low + 1e-3, "closed before the threshold rose: {}", outcome.nodes);
    // The checker takes the whole tree at the last threshold, and not at the first one.
    let proof = block.proof(root);
    let check_at = |p: f64| {
        let threshold = Threshold::parse(&format!("{p:.12}")).unwrap();
        let predicate = Predicate::Ceiling { token: 71, threshold, temperature: None };
        let statement = Statement { language: Language::Any, max_len: None, predicate };
        let files = settled(folder.digest(), &statement, block_proof(&proof)).unwrap();
        check(folder.dir(), &files.statement, &files.certificate)
    };
    check_at(asked.get() + 1e-9).unwrap();
    assert!(check_at(low).is_err());
}

/// A search that is asked for more as it goes on proves what it was asked for first, and says so.
#[test]
fn what_is_asked_for_never_gets_harder() {
    let Some(models) = shared_models("what_is_asked_for_never_gets_harder") else { return };
    let model = ModelFolder::open(models.join("leangpt-d16-l1")).unwrap().load().unwrap();
    let block = Block::new(&model).unwrap();
    let query = |p: f64| Query::ceiling(71, (1.0 / p - 1.0).ln() + 1e-12);
    let asked = std::cell::Cell::new(0);
    let harder = |_| {
        asked.set(asked.get() + 1);
        query(if asked.get() == 1 { 0.2 } else { 1e-6 })
    };
    let (scope, steps) = (Scope { shortest: 1, longest: 16 }, Steps { most: 100, enough: -5e-5 });
    let outcome = tree::prove(&block, &harder, &scope, steps, &Limits::default(), 300);
    assert!(asked.get() > 1 && outcome.proof.is_some());
    assert_eq!(outcome.query, query(0.2));
}
