//! z3 decides in exact arithmetic what the order prover decided in floats: claims about the order of logits on the ball, and
//! certificates of the corpus.
#![cfg(feature = "z3")]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::path::Path;

use llmprove::limits::Limits;
use llmprove::model::{Head, ModelFolder, Norm, TokenId};
use llmprove::prove::order::OrderProver;
use llmprove::spec::Predicate;
use llmprove_proofs::{Certificate, Proof};
use llmprove_solvers::smt::{Answer, Atom, Formula, Relation, decide};
use ndarray::{Array1, Array2};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A head as conditions on `ẑ` (variables `0..d`) and the logits (variables `d..`).
struct Exact<'a> {
    head: &'a Head,
    formula: Formula,
}

fn sum(terms: impl IntoIterator<Item = (usize, f64)>, relation: Relation, rhs: f64) -> Atom {
    Atom { terms: terms.into_iter().filter(|(_, a)| *a != 0.0).collect(), relation, rhs }
}

impl<'a> Exact<'a> {
    /// Every ẑ, with its logits for `tokens`: `l_j = Σ_k U_jk (γ_k ẑ_k + β_k) + b_j`, whose last part is exact as a sum of its
    /// terms over variables that are fixed at 1.
    fn new(head: &'a Head, tokens: &[usize]) -> Exact<'a> {
        let (n, d) = head.unembed.dim();
        let one = d + n;
        let mut asserted = vec![sum([(one, 1.0)], Relation::Equal, 1.0)];
        let (gain, shift) = match head.norm.as_ref().unwrap() {
            Norm::Layer { gain, bias, .. } => {
                asserted.push(sum((0..d).map(|k| (k, 1.0)), Relation::Equal, 0.0));
                (gain, bias.as_ref())
            }
            Norm::Rms { gain, .. } => (gain, None),
        };
        for &j in tokens {
            // Products of two f32 are exact in f64.
            let u = |k: usize| f64::from(head.unembed[[j, k]]);
            let slope = (0..d).map(|k| (k, u(k) * f64::from(gain[k])));
            let offset = (0..d).map(|k| (one, shift.map_or(0.0, |b| u(k) * f64::from(b[k]))));
            let bias = (one, head.bias.as_ref().map_or(0.0, |b| f64::from(b[j])));
            asserted.push(sum(slope.chain(offset).chain([bias, (d + j, -1.0)]), Relation::Equal, 0.0));
        }
        Exact { head, formula: Formula { variables: one + 1, asserted, at_most: Vec::new() } }
    }

    /// `e·ẑ <= √d ‖e‖`, rounded outward.
    fn cut(&mut self, e: &[f64]) {
        let squares: f64 = e.iter().map(|x| x * x).sum();
        let bound = (squares * e.len() as f64).sqrt() * (1.0 + 1e-12);
        self.formula.asserted.push(sum(e.iter().map(|x| -x).enumerate(), Relation::AtLeast, -bound));
    }

    /// The box around the ball, so that rounded directions of other cuts meet a bounded ẑ.
    fn cut_axes(&mut self) {
        let d = self.head.unembed.ncols();
        for (k, sign) in (0..d).flat_map(|k| [(k, 1.0), (k, -1.0)]) {
            let axis: Vec<f64> = (0..d).map(|i| if i == k { sign } else { 0.0 }).collect();
            self.cut(&axis);
        }
    }

    /// At most so many of the tokens lie above the target.
    fn at_most(&mut self, most: usize, tokens: &[usize], target: usize) {
        let d = self.head.unembed.ncols();
        let above = |&j: &usize| sum([(d + j, 1.0), (d + target, -1.0)], Relation::Above, 0.0);
        let others = tokens.iter().filter(|&&j| j != target);
        self.formula.at_most = vec![(most, others.map(above).collect())];
    }
}

/// Whether sums refute, by exact arithmetic over one cut each, that fewer than `k` tokens lie above the target.
fn confirmed(head: &Head, target: usize, k: usize, sums: &[Vec<(TokenId, i64)>]) -> bool {
    let mut tokens: Vec<usize> = sums.iter().flatten().map(|&(j, _)| j as usize).chain([target]).collect();
    tokens.sort_unstable();
    tokens.dedup();
    let mut exact = Exact::new(head, &tokens);
    exact.cut_axes();
    for weights in sums {
        // The direction in which the sum falls fastest, in floats: any direction makes a valid cut.
        let gain = match head.norm.as_ref().unwrap() {
            Norm::Layer { gain, .. } | Norm::Rms { gain, .. } => gain,
        };
        let slope = |k: usize| -> f64 {
            let u = |j: usize| f64::from(head.unembed[[j, k]]) * f64::from(gain[k]);
            weights.iter().map(|&(j, w)| -(w as f64) * (u(j as usize) - u(target))).sum()
        };
        let mut e: Vec<f64> = (0..head.unembed.ncols()).map(slope).collect();
        if matches!(head.norm, Some(Norm::Layer { .. })) {
            let mean = e.iter().sum::<f64>() / e.len() as f64;
            e.iter_mut().for_each(|x| *x -= mean);
        }
        exact.cut(&e);
    }
    exact.at_most(k - 1, &tokens, target);
    decide(&exact.formula).unwrap() == Answer::Unsatisfiable
}

/// Decides the claim with cuts at the points that z3 finds, without any multipliers. `None` if the cuts do not suffice.
fn decided(head: &Head, target: usize, k: usize) -> Option<bool> {
    let tokens: Vec<usize> = (0..head.unembed.nrows()).collect();
    let d = head.unembed.ncols();
    let mut exact = Exact::new(head, &tokens);
    exact.cut_axes();
    exact.at_most(k - 1, &tokens, target);
    for _ in 0..60 {
        match decide(&exact.formula).unwrap() {
            Answer::Unsatisfiable => return Some(true),
            Answer::Unknown => return None,
            Answer::Satisfiable(values) => {
                let point = &values[..d];
                if point.iter().map(|x| x * x).sum::<f64>() <= d as f64 * (1.0 - 1e-9) {
                    return Some(false);
                }
                exact.cut(point);
            }
        }
    }
    None
}

#[test]
fn exact_arithmetic_agrees_with_the_order_prover() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let (mut proved, mut refuted, mut missed) = (0, 0, 0_usize);
    for case in 0..24 {
        let (n, d) = (rng.random_range(3..6usize), rng.random_range(2..4usize));
        let mut draw = |size: f32| (rng.random::<f32>() * 2.0 - 1.0) * size;
        let unembed = Array2::from_shape_simple_fn((n, d), || draw(1.0));
        let gain = Array1::from_shape_simple_fn(d, || 1.0 + draw(0.5));
        let bias = Array1::from_shape_simple_fn(n, || draw(2.0));
        let shift = Array1::from_shape_simple_fn(d, || draw(0.5));
        let norm = if case % 2 == 0 {
            Norm::Layer { gain, bias: Some(shift), eps: 1e-5 }
        } else {
            Norm::Rms { gain, eps: 1e-5 }
        };
        let head = Head { norm: Some(norm), unembed, bias: Some(bias) };
        let prover = OrderProver::new(&head).unwrap();
        for (target, k) in (0..n).flat_map(|t| (1..n.min(4)).map(move |k| (t, k))) {
            let claim = Predicate::NeverTopK { token: target as TokenId, k };
            match prover.prove(&claim, &Limits::default()) {
                Some(proof) => {
                    proved += 1;
                    assert!(confirmed(&head, target, k, &proof.sums), "case {case}, token {target}, k {k}");
                }
                None => {
                    refuted += 1;
                    // The prover may miss a claim that holds by a hair; it must not miss most.
                    missed += usize::from(decided(&head, target, k) == Some(true));
                }
            }
        }
    }
    assert!(proved > 20 && refuted > 20, "{proved} proved, {refuted} refuted");
    assert!(missed < proved, "{missed} missed, {proved} proved");
}

/// The accepted certificates about order, confirmed without the checker's code.
#[test]
fn certificates_of_the_corpus_are_confirmed() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("proofs/tests");
    let mut n_confirmed = 0;
    for name in ["order_never_argmax", "order_never_top_3", "order_under_an_assumption"] {
        let case = std::fs::read_to_string(tests.join("accept").join(format!("{name}.json"))).unwrap();
        let case: serde_json::Value = serde_json::from_str(&case).unwrap();
        let text = |field: &str| case[field].as_str().unwrap().as_bytes().to_vec();
        let folder = ModelFolder::open(tests.join("models").join(case["model"].as_str().unwrap())).unwrap();
        let head = folder.load_head().unwrap();
        let statement: serde_json::Value = serde_json::from_slice(&text("statement")).unwrap();
        let predicate = &statement["predicate"];
        let token = predicate["token"].as_u64().unwrap() as usize;
        let k = predicate["k"].as_u64().unwrap_or(1) as usize;
        let Proof::Order(order) = Certificate::from_json_bytes(&text("certificate")).unwrap().proof else {
            panic!("{name} is about order")
        };
        assert!(confirmed(&head, token, k, &order.sums), "{name}");
        n_confirmed += 1;
    }
    assert_eq!(n_confirmed, 3);
}
