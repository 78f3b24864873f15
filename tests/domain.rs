//! Abstract domains against what they enclose: concrete evaluations of points inside regions, for every family of models.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use llmprove::domain::network::Network;
use llmprove::domain::region::{EmbeddingBall, Norm};
use llmprove::model::{Evaluator, Model, TokenId, rigorous};
use ndarray::{Array1, Array2, Axis};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What floats may be off by in a logit of these models.
const FLOAT: f64 = 1e-3;

/// The models of some that the domains cover, prepared.
fn covered(all: &[(String, Model)]) -> Vec<(&str, &Model, Network<'_>)> {
    let mut covered = Vec::new();
    for (name, model) in all {
        match Network::new(model) {
            Ok(network) => covered.push((name.as_str(), model, network)),
            Err(e) => eprintln!("{name}: {e}"),
        }
    }
    assert!(covered.len() * 2 > all.len(), "the domains cover {} of {} models", covered.len(), all.len());
    covered
}

fn random_prefix(model: &Model, rng: &mut ChaCha8Rng, longest: usize) -> Vec<TokenId> {
    let len = rng.random_range(1..=longest.min(model.context));
    (0..len).map(|_| rng.random_range(0..model.head.vocab_size() as TokenId)).collect()
}

#[test]
fn a_ball_of_radius_zero_holds_the_exact_logits() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let all = common::reference_models("domain");
    for (name, model, network) in covered(&all) {
        let prefix = random_prefix(model, &mut rng, 6);
        let exact = rigorous::logits(model, &prefix).unwrap();
        let ball = EmbeddingBall { prefix: &prefix, positions: &[], norm: Norm::Linf, radius: 0.0 };
        let logits = network.over_ball(&ball).unwrap();
        for t in [0, exact.len() / 2, exact.len() - 1] {
            let outlook = logits.outlook(t as TokenId);
            for (j, margin) in outlook.margins.iter().enumerate() {
                let truth = exact[j] - exact[t];
                assert!(
                    margin.lo() <= truth.hi() && truth.lo() <= margin.hi(),
                    "{name} {j} {t} {margin} {truth}"
                );
                assert!(margin.width() < 0.05, "{name}: {margin} is wide for a point");
            }
            let p = rigorous::token_probability(model, &prefix, t as TokenId, 1.0.into()).unwrap();
            let q = outlook.probability;
            assert!(q.lo() <= p.hi() && p.lo() <= q.hi(), "{name} {t} {q} {p}");
        }
    }
}

/// The model with one more token for each row: what an embedding was moved to.
fn with_tokens(model: &Model, rows: &[Array1<f32>]) -> Model {
    let mut model = model.clone();
    for row in rows {
        model.body.embed.push(Axis(0), row.view()).unwrap();
        model.head.unembed.push(Axis(0), Array1::zeros(row.len()).view()).unwrap();
        if let Some(bias) = &model.head.bias {
            model.head.bias = Some(bias.iter().copied().chain([0.0]).collect());
        }
    }
    model
}

#[test]
fn points_of_balls_lie_within_the_bounds() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let all = common::reference_models("domain");
    for (name, model, network) in covered(&all) {
        let size = model.body.embed.iter().map(|x| x.abs()).sum::<f32>() / model.body.embed.len() as f32;
        let rounds = [1e-3, 1e-2, 0.1, 1.0].into_iter().enumerate();
        for (trial, (round, relative)) in (0..2).flat_map(|trial| rounds.clone().map(move |r| (trial, r))) {
            let norm = if round % 2 == 0 { Norm::Linf } else { Norm::L2 };
            let prefix = random_prefix(model, &mut rng, 6);
            let radius = f64::from(size) * relative;
            // One position or several: the bounds keep track of products for one only.
            let positions: Vec<usize> = match round % 2 == trial {
                true => (0..prefix.len()).filter(|i| i % 2 == round / 2).collect(),
                false => vec![rng.random_range(0..prefix.len())],
            };
            if positions.is_empty() {
                continue;
            }
            let ball = EmbeddingBall { prefix: &prefix, positions: &positions, norm, radius };
            let logits = network.over_ball(&ball).unwrap();
            let t = rng.random_range(0..network.vocab_size() as TokenId);
            let outlook = logits.outlook(t);
            for _ in 0..20 {
                let rows: Vec<Array1<f32>> = positions
                    .iter()
                    .map(|&p| {
                        let d = model.head.width();
                        let corner = rng.random_bool(0.5);
                        let mut step: Vec<f64> = (0..d)
                            .map(|_| {
                                if corner {
                                    [-1.0, 1.0][rng.random_range(0..2)]
                                } else {
                                    rng.random_range(-1.0..1.0)
                                }
                            })
                            .collect();
                        let length = match norm {
                            Norm::Linf => 1.0,
                            Norm::L2 => step.iter().map(|x| x * x).sum::<f64>().sqrt(),
                        };
                        // Slightly inside, as the sum is rounded to f32.
                        step.iter_mut().for_each(|x| *x *= radius * 0.999 / length);
                        let from = model.body.embed.row(prefix[p] as usize);
                        from.iter().zip(step).map(|(&e, s)| (f64::from(e) + s) as f32).collect()
                    })
                    .collect();
                let longer = with_tokens(model, &rows);
                let mut moved = prefix.clone();
                for (k, &p) in positions.iter().enumerate() {
                    moved[p] = (network.vocab_size() + k) as TokenId;
                }
                let logits: Array2<f32> = Evaluator::new(&longer).next_logits(&[moved]).unwrap();
                let margin = |j: usize| f64::from(logits[[0, j]]) - f64::from(logits[[0, t as usize]]);
                for (j, bound) in outlook.margins.iter().enumerate() {
                    let m = margin(j);
                    assert!(
                        bound.lo() - FLOAT <= m && m <= bound.hi() + FLOAT,
                        "{name} {norm:?} {radius} {prefix:?} {positions:?}: margin {j} of {t} is {m}, not in {bound}"
                    );
                }
                let odds: f64 = (0..network.vocab_size()).map(|j| margin(j).exp()).sum();
                let (p, q) = (1.0 / odds, outlook.probability);
                assert!(q.lo() - FLOAT <= p && p <= q.hi() + FLOAT, "{name}: p {p} not in {q}");
            }
        }
    }
}

#[test]
fn prefixes_of_token_sets_lie_within_the_bounds() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let all = common::reference_models("domain");
    for (name, model, network) in covered(&all) {
        if model.context < 4 {
            continue;
        }
        let vocab = network.vocab_size() as TokenId;
        let mut pick = |n: usize| -> Vec<TokenId> { (0..n).map(|_| rng.random_range(0..vocab)).collect() };
        let beginning = pick(1);
        // Position by position: alternatives on their own, clusters of several, and a fixed token.
        let shapes: [&[&[usize]]; 4] =
            [&[&[1, 1, 1], &[1], &[1]], &[&[3], &[1, 2], &[1]], &[&[1], &[4]], &[&[2, 2], &[1, 1]]];
        for shape in shapes {
            let sets: Vec<Vec<Vec<TokenId>>> =
                shape.iter().map(|sizes| sizes.iter().map(|&k| pick(k)).collect()).collect();
            let known = network.known(&beginning).unwrap();
            let found = network.over_sets(&known, &sets).unwrap();
            let t = pick(1)[0];
            let outlooks: Vec<_> = found.iter().map(|logits| logits.outlook(t)).collect();
            let mut prefixes = vec![beginning.clone()];
            for set in &sets[..sets.len() - 1] {
                prefixes = prefixes
                    .iter()
                    .flat_map(|p| set.iter().flatten().map(|&v| p.iter().copied().chain([v]).collect()))
                    .collect();
            }
            for (cluster, outlook) in sets[sets.len() - 1].iter().zip(&outlooks) {
                let ends: Vec<Vec<TokenId>> = prefixes
                    .iter()
                    .flat_map(|p| cluster.iter().map(|&v| p.iter().copied().chain([v]).collect()))
                    .collect();
                let logits = Evaluator::new(model).next_logits(&ends).unwrap();
                for (end, row) in ends.iter().zip(logits.rows()) {
                    for (j, bound) in outlook.margins.iter().enumerate() {
                        let m = f64::from(row[j]) - f64::from(row[t as usize]);
                        assert!(
                            bound.lo() - FLOAT <= m && m <= bound.hi() + FLOAT,
                            "{name} {sets:?} {end:?}: margin {j} of {t} is {m}, not in {bound}"
                        );
                    }
                }
            }
        }
    }
}
