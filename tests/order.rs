//! Claims about the order of logits: planted heads, enumeration, and what real models do after real prefixes.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use llmprove::decide::decide;
use llmprove::limits::Limits;
use llmprove::model::{Evaluator, Head, ModelFolder, Norm, TokenId};
use llmprove::prove::order::{OrderProof, OrderProver};
use llmprove::spec::{Decimal, Language, Predicate, Statement, Threshold};
use llmprove::verdict::{Answer, Prover};
use llmprove_proofs::{Verdict, check};
use ndarray::{Array1, Array2};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A head of width d with RMSNorm of unit gain: the ball of radius √d.
fn head(rows: &[&[f32]], bias: Option<&[f32]>) -> Head {
    let width = rows[0].len();
    let unembed = Array2::from_shape_fn((rows.len(), width), |(j, k)| rows[j][k]);
    let norm = Some(Norm::Rms { gain: Array1::ones(width), eps: 1e-6 });
    Head { norm, unembed, bias: bias.map(|b| b.iter().copied().collect()) }
}

fn prove(head: &Head, predicate: &Predicate) -> Option<OrderProof> {
    OrderProver::new(head).unwrap().prove(predicate, &Limits::default())
}

/// Logits at a point of the ball, `ẑ`.
fn logits(head: &Head, z: &[f64]) -> Vec<f64> {
    let (gain, shift, centred) = match head.norm.as_ref().unwrap() {
        Norm::Layer { gain, bias, .. } => (gain, bias.clone(), true),
        Norm::Rms { gain, .. } => (gain, None, false),
    };
    let mean = if centred { z.iter().sum::<f64>() / z.len() as f64 } else { 0.0 };
    let z: Vec<f64> = (0..z.len())
        .map(|k| f64::from(gain[k]) * (z[k] - mean) + shift.as_ref().map_or(0.0, |b| f64::from(b[k])))
        .collect();
    let bias = |j: usize| head.bias.as_ref().map_or(0.0, |b| f64::from(b[j]));
    let rows = head.unembed.outer_iter().enumerate();
    rows.map(|(j, row)| row.iter().zip(&z).map(|(&u, z)| f64::from(u) * z).sum::<f64>() + bias(j)).collect()
}

/// How many logits are above that of the token.
fn above(logits: &[f64], token: usize) -> usize {
    logits.iter().filter(|&&l| l > logits[token]).count()
}

const SQUARE: [&[f32]; 4] = [&[1.0, 0.0], &[-1.0, 0.0], &[0.0, 1.0], &[0.0, -1.0]];

#[test]
fn a_token_inside_the_hull_is_never_the_argmax_only_if_the_hull_pulls_far_enough() {
    // Inside the hull, rows differ by little near the centre: all logits are equal at ẑ = 0, so that nothing is strict.
    let rows = [SQUARE[0], SQUARE[1], SQUARE[2], SQUARE[3], &[0.1, 0.1]];
    assert_eq!(prove(&head(&rows, None), &Predicate::NeverArgmax { token: 4 }), None);
    // A bias below that of the others decides the centre as well.
    let bias = [0.0, 0.0, 0.0, 0.0, -1e-3];
    let proof = prove(&head(&rows, Some(&bias)), &Predicate::NeverArgmax { token: 4 }).unwrap();
    assert!(-1.1e-3 < proof.excess && proof.excess < 0.0, "{}", proof.excess);
    for token in 0..4 {
        assert_eq!(prove(&head(&rows, Some(&bias)), &Predicate::NeverArgmax { token }), None);
    }
    // Just outside the hull there is a direction in which the token wins, if its bias allows that on the ball.
    let outside = [SQUARE[0], SQUARE[1], SQUARE[2], SQUARE[3], &[0.51, 0.51]];
    assert_eq!(prove(&head(&outside, Some(&bias)), &Predicate::NeverArgmax { token: 4 }), None);
    // At (1, 1) it leads by 0.02 less what its bias takes.
    let low = [0.0, 0.0, 0.0, 0.0, -0.021];
    assert!(prove(&head(&outside, Some(&low)), &Predicate::NeverArgmax { token: 4 }).is_some());
}

#[test]
fn ranks_count_the_tokens_above_everywhere() {
    // Token 4 has four rows around it; in every direction two of them lie above or level, one strictly.
    let rows = [SQUARE[0], SQUARE[1], SQUARE[2], SQUARE[3], &[0.0, 0.0]];
    let bias = [0.1, 0.1, 0.1, 0.1, 0.0];
    let head = head(&rows, Some(&bias));
    let proof = prove(&head, &Predicate::NeverTopK { token: 4, k: 2 }).unwrap();
    assert!(proof.excess < 0.0);
    assert_eq!(prove(&head, &Predicate::NeverTopK { token: 4, k: 3 }), None);
    assert!(prove(&head, &Predicate::NeverArgmax { token: 4 }).is_some());
}

#[test]
fn a_rank_that_needs_assumptions_is_proved_by_branching() {
    // Three rows at 120 degrees and a fourth that copies one of them: above the token are always one of the three and, as
    // the bias lets each reach a little further, never one alone.
    let (c, s) = (0.5f32, 0.866_025_4f32);
    let rows: [&[f32]; 4] = [&[1.0, 0.0], &[-c, s], &[-c, -s], &[0.0, 0.0]];
    let bias = [0.8, 0.8, 0.8, 0.0];
    let head = head(&rows, Some(&bias));
    let proof = prove(&head, &Predicate::NeverTopK { token: 3, k: 2 }).unwrap();
    assert!(proof.nodes.len() > 1, "no single pair of disjoint sums proves this: {proof:?}");
    assert_eq!(prove(&head, &Predicate::NeverTopK { token: 3, k: 3 }), None);
}

#[test]
fn pairs_are_decided_by_their_distance() {
    let head = head(&[&[3.0, 4.0], &[0.0, 0.0], &[0.0, 1.0]], Some(&[10.0, 0.0, 0.0]));
    // 10 − √2 · 5 = 2.9289.. for 0 over 1, and 10 − √2 · √18 = 4 for 0 over 2.
    let dominance =
        |margin: &str| Predicate::Dominance { over: 0, under: 1, margin: Decimal::parse(margin).unwrap() };
    assert!(prove(&head, &dominance("2.9289")).is_some());
    assert_eq!(prove(&head, &dominance("2.929")), None);
    assert!(prove(&head, &Predicate::AlwaysArgmax { token: 0 }).is_some());
    for token in [1, 2] {
        assert_eq!(prove(&head, &Predicate::AlwaysArgmax { token }), None);
        assert!(prove(&head, &Predicate::NeverArgmax { token }).is_some());
    }
}

#[test]
fn what_is_not_there_is_not_proved() {
    let head = head(&SQUARE, None);
    for predicate in [
        Predicate::NeverArgmax { token: 4 },
        Predicate::NeverTopK { token: 0, k: 4 },
        Predicate::NeverTopK { token: 0, k: 0 },
        Predicate::SetCeiling {
            tokens: vec![0],
            threshold: Threshold::parse("0.9").unwrap(),
            temperature: None,
        },
    ] {
        assert_eq!(prove(&head, &predicate), None, "{predicate:?}");
    }
    let bare = Head { norm: None, ..head };
    assert!(OrderProver::new(&bare).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Random small heads, LayerNorm or RMSNorm, with extreme scales: no point of the ball contradicts a proof, and what the
    /// points leave no doubt about is proved.
    #[test]
    fn proofs_agree_with_points_of_the_ball(
        seed in any::<u64>(), n in 3usize..9, d in 2usize..5, layer in any::<bool>(), scale in -12i32..12, spread in 0.0f32..3.0,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let unit = 2f32.powi(scale);
        let mut draw = |size: f32| (rng.random::<f32>() * 2.0 - 1.0) * size;
        let unembed = Array2::from_shape_simple_fn((n, d), || draw(unit));
        let gain = Array1::from_shape_simple_fn(d, || 1.0 + draw(0.5));
        let bias = Array1::from_shape_simple_fn(n, || draw(unit * spread));
        let shift = Array1::from_shape_simple_fn(d, || draw(0.5));
        let norm = if layer {
            Norm::Layer { gain, bias: Some(shift), eps: 1e-5 }
        } else {
            Norm::Rms { gain, eps: 1e-5 }
        };
        let head = Head { norm: Some(norm), unembed, bias: Some(bias) };
        let prover = OrderProver::new(&head).unwrap();
        let points: Vec<Vec<f64>> = (0..200).map(|i| {
            let z: Vec<f64> = (0..d).map(|_| rng.random::<f64>() * 2.0 - 1.0).collect();
            let mean = if layer { z.iter().sum::<f64>() / d as f64 } else { 0.0 };
            let z: Vec<f64> = z.iter().map(|z| z - mean).collect();
            let norm = z.iter().map(|z| z * z).sum::<f64>().sqrt();
            let radius = (d as f64).sqrt() * if i % 4 == 0 { rng.random::<f64>() } else { 1.0 };
            z.iter().map(|z| z / norm * radius).collect()
        }).collect();
        let all: Vec<Vec<f64>> = points.iter().map(|z| logits(&head, z)).collect();
        for token in 0..n {
            let least = all.iter().map(|l| above(l, token)).min().unwrap();
            for k in 1..n {
                let claim = Predicate::NeverTopK { token: token as TokenId, k };
                let proof = prover.prove(&claim, &Limits::default());
                prop_assert!(proof.is_none() || least >= k, "token {token} has {least} above it, proved {k}");
                if k > least {
                    break;
                }
            }
            let claim = Predicate::AlwaysArgmax { token: token as TokenId };
            let most = all.iter().map(|l| l.iter().filter(|&&x| x >= l[token]).count()).max().unwrap();
            prop_assert!(prover.prove(&claim, &Limits::default()).is_none() || most == 1);
        }
    }
}

/// Decides with the head alone and lets the independent checker confirm.
fn decided(folder: &ModelFolder, predicate: Predicate) -> Answer {
    let statement = Statement { language: Language::Any, max_len: None, predicate };
    let decision =
        decide(folder, &statement, BTreeSet::from([Prover::Head]), &Limits::default(), &|_| {}).unwrap();
    if let Some(files) = &decision.files {
        let theorem = check(folder.dir(), &files.statement, &files.certificate).unwrap();
        assert_eq!(theorem.verdict, Verdict::Proved, "{}", theorem.theorem);
    }
    assert_eq!(decision.files.is_some(), decision.answer == Answer::Proved);
    decision.answer
}

/// Real models: what is proved holds after random prefixes, and the checker agrees.
#[test]
fn real_models_never_contradict_their_proofs() {
    let shared = common::shared_models("order::real_models_never_contradict_their_proofs");
    let shared = shared.iter().flat_map(|dir| {
        ["leangpt-d16-l1", "leangpt-d32-l2-ctx16", "gpt-by-hand", "kjv-char-l1", "kjv-char-l2", "stories260K"]
            .map(|name| dir.join(name))
    });
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    for dir in shared.chain(["moby-l1", "moby-l2", "moby-llama"].map(|name| shipped.join(name))) {
        let folder = ModelFolder::open(&dir).unwrap();
        let head = folder.load_head().unwrap();
        let prover = OrderProver::new(&head).unwrap();
        let tokens: Vec<TokenId> = (0..head.unembed.nrows() as TokenId).collect();
        let holds = |token: TokenId, k: usize| {
            prover.prove(&Predicate::NeverTopK { token, k }, &Limits::default()).is_some()
        };
        let never: Vec<TokenId> = tokens.iter().copied().filter(|&token| holds(token, 1)).collect();
        eprintln!("{}: never the argmax: {} of {}", dir.display(), never.len(), tokens.len());
        // Who is never among the 2 likeliest is never the likeliest.
        let few = never.iter().copied().step_by(never.len().div_ceil(6).max(1));
        let mut proved: Vec<(TokenId, usize)> =
            few.filter(|&token| holds(token, 2)).map(|token| (token, 2)).collect();
        eprintln!("{} of a few of them are never among the 2 likeliest", proved.len());
        proved.extend(never.iter().map(|&token| (token, 1)));
        for &(token, k) in proved.iter().step_by(proved.len().div_ceil(5).max(1)) {
            assert_eq!(decided(&folder, Predicate::NeverTopK { token, k }), Answer::Proved);
        }
        let model = folder.load().unwrap();
        let evaluator = Evaluator::new(&model);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let prefix = |_| {
            let length = rng.random_range(1..=model.context.min(12));
            (0..length).map(|_| rng.random_range(0..tokens.len() as TokenId)).collect()
        };
        let prefixes: Vec<Vec<TokenId>> = (0..100).map(prefix).collect();
        let logits = evaluator.next_logits(&prefixes).unwrap();
        for (prefix, logits) in prefixes.iter().zip(logits.outer_iter()) {
            for &(token, k) in &proved {
                // Floats may misjudge ties, not a thousandth.
                let own = logits[token as usize] - 1e-3;
                let above = logits.iter().filter(|&&l| l > own).count() - 1;
                assert!(above >= k, "token {token} is among the {k} likeliest after {prefix:?}");
            }
        }
    }
}
