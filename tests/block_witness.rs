//! The block prover on real models: thresholds just under a witness stay unproved, from nothing and with a draft that proofs
//! at higher thresholds have filled.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use common::shared_models;
use llmprove::limits::Limits;
use llmprove::model::{Evaluator, ModelFolder, TokenId, rigorous};
use llmprove::num::Interval;
use llmprove::prove::block::ascent::Steps;
use llmprove::prove::block::dual::Query;
use llmprove::prove::block::{Block, Draft, Scope, tree};

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
        let proves = |target: usize, p: f64, draft: &mut Draft, nodes: usize| {
            // A hair high: asks for a little more than the statement.
            let query = Query { target, tau: (1.0 / p - 1.0).ln() + 1e-12 };
            tree::prove(&block, query, &scope, steps, &Limits::default(), (draft, nodes)).proof.is_some()
        };
        let mut proved = 0;
        for target in (1..vocab).step_by(vocab as usize / TARGETS) {
            let prefix = &best[target as usize].1;
            let witness = rigorous::token_probability(&model, prefix, target, Interval::ONE).unwrap().lo();
            let (below, target) = (witness * (1.0 - 1e-6), target as usize);
            assert!(!proves(target, below, &mut Draft::default(), 30), "{name}: token {target} at {below}");
            let mut draft = Draft::default();
            for higher in [0.5 + 0.5 * witness, 0.2 + 0.8 * witness] {
                proved += usize::from(proves(target, higher, &mut draft, 60));
            }
            assert!(
                !proves(target, below, &mut draft, 60),
                "{name}: token {target} at {below}, with a draft"
            );
        }
        assert!(name != "leangpt-d16-l1" || proved > 0, "{name}: no draft was of a proof");
    }
}

/// What an earlier search found out need not be found again.
#[test]
fn drafts_make_the_way_down_shorter() {
    let Some(models) = shared_models("drafts_make_the_way_down_shorter") else { return };
    let model = ModelFolder::open(models.join("leangpt-d16-l1")).unwrap().load().unwrap();
    let block = Block::new(&model).unwrap();
    let scope = Scope { shortest: 1, longest: 16 };
    let steps = Steps { most: 150, enough: -5e-5 };
    let run = |p: f64, draft: &mut Draft| {
        let query = Query { target: 71, tau: (1.0 / p - 1.0).ln() + 1e-12 };
        let outcome = tree::prove(&block, query, &scope, steps, &Limits::default(), (draft, 2000));
        assert!(outcome.proof.is_some(), "{p}");
        outcome.evaluations
    };
    let mut draft = Draft::default();
    let (high, low) = (run(0.12, &mut draft), run(0.1, &mut draft));
    let again = run(0.1, &mut draft);
    let fresh = run(0.1, &mut Draft::default());
    assert!(high > 0 && low < fresh && again < low, "{high} then {low} then {again}, {fresh} from nothing");
}
