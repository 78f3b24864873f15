//! The checker on tiny and on real models, against a plain f64 forward pass and against recorded logits. Real models
//! that are not part of the repository are skipped, loudly, where they are absent.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::reference::{Reference, softmax};
use common::{ceiling, check_proof, ends, shared_model, shipped_model, softmax_lambda, tiny_model};
use llmprove_proofs::{CheckError, Decimal, Predicate, Proof, Reject, Statement, Verdict};
use serde::Deserialize;

const TINY: [&str; 6] =
    ["tiny-gpt2", "tiny-gpt2-erf", "tiny-llama", "tiny-qwen2", "tiny-hooked", "tiny-ranks"];

/// Every prefix length of these is cheap.
fn models() -> impl Iterator<Item = PathBuf> {
    let shipped = ["moby-l1", "moby-l2", "moby-llama", "max-of-4"].iter().map(|name| shipped_model(name));
    let shared = ["stories260K", "leangpt-d32-l2-ctx16"].iter().filter_map(|name| shared_model(name));
    TINY.iter().map(|name| tiny_model(name)).chain(shipped).chain(shared)
}

/// Logits after some prefixes, as another implementation computed them in f64.
#[derive(Deserialize)]
struct Recorded {
    cases: Vec<RecordedCase>,
}

#[derive(Deserialize)]
struct RecordedCase {
    prefix: Vec<u32>,
    logits: Vec<f64>,
}

#[test]
fn witness_enclosures_contain_recorded_values() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/reference");
    let mut n_models = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let own = [shipped_model(name), shipped_model("../tests/fixtures/models").join(name)];
        let dir = own.into_iter().find(|dir| dir.exists()).or_else(|| shared_model(name));
        let Some(dir) = dir else { continue };
        let recorded: Recorded = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for RecordedCase { prefix, logits } in recorded.cases {
            let target = most_probable(&logits);
            let p = softmax(&logits)[usize::try_from(target).unwrap()];
            let statement = ceiling(&dir, target, &format!("{:.9}", p - 1e-6));
            let theorem = check_proof(&dir, &statement, Proof::Witness { prefix: prefix.clone() });
            let theorem = theorem.unwrap_or_else(|e| panic!("{name} {prefix:?}: {e}"));
            let [lower, upper] = ends(&theorem);
            assert!(lower - 1e-9 <= p && p <= upper + 1e-9, "{name} {prefix:?}: {p} and [{lower}, {upper}]");
            assert!(upper - lower < 1e-14, "{name} {prefix:?}: width {}", upper - lower);
            if p + 1e-6 < 1.0 {
                let statement = ceiling(&dir, target, &format!("{:.9}", p + 1e-6));
                let rejected = check_proof(&dir, &statement, Proof::Witness { prefix });
                assert!(matches!(rejected, Err(CheckError::Reject(Reject::NotViolated { .. }))), "{name}");
            }
        }
        n_models += 1;
    }
    assert!(n_models >= 4, "the shipped models are there at least");
}

/// The token that a witness can stand for.
fn most_probable(logits: &[f64]) -> u32 {
    let token = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
    u32::try_from(token).unwrap()
}

fn at_temperature(mut statement: Statement, text: &str) -> Statement {
    let Predicate::Ceiling { temperature, .. } = &mut statement.predicate else { unreachable!("a ceiling") };
    *temperature = Some(Decimal::parse(text).unwrap());
    statement
}

/// A few prefixes from a linear congruential generator, short enough for every context.
fn prefixes(vocabulary: u32) -> Vec<Vec<u32>> {
    let mut state = 12345_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % vocabulary
    };
    [1, 2, 4].iter().map(|length| (0..*length).map(|_| next()).collect()).collect()
}

#[test]
fn witness_enclosures_contain_the_float_value_at_any_temperature() {
    for dir in models() {
        let reference = Reference::load(&dir);
        let vocabulary = u32::try_from(reference.logits(&[0]).len()).unwrap();
        for (prefix, (text, temperature)) in
            prefixes(vocabulary).into_iter().zip([("1", 1.0), ("0.7", 0.7), ("2", 2.0)])
        {
            let logits = reference.logits(&prefix);
            let target = most_probable(&logits);
            let p = reference.probability(&prefix, target, temperature);
            let statement =
                |threshold: f64| at_temperature(ceiling(&dir, target, &format!("{threshold:.9}")), text);
            let proof = Proof::Witness { prefix: prefix.clone() };
            let theorem = check_proof(&dir, &statement(p - 1e-6), proof.clone());
            let theorem = theorem.unwrap_or_else(|e| panic!("{} {prefix:?}: {e}", dir.display()));
            assert_eq!(theorem.verdict, Verdict::Refuted);
            let [lower, upper] = ends(&theorem);
            let name = dir.display();
            assert!(lower - 1e-9 <= p && p <= upper + 1e-9, "{name} {prefix:?}: {p} and [{lower}, {upper}]");
            assert!(upper - lower < 1e-14, "{name} {prefix:?}: width {}", upper - lower);
            if p + 1e-6 < 1.0 {
                let rejected = check_proof(&dir, &statement(p + 1e-6), proof);
                assert!(matches!(rejected, Err(CheckError::Reject(Reject::NotViolated { .. }))));
            }
        }
    }
}

#[test]
fn head_bounds_are_above_what_prefixes_reach() {
    for dir in models() {
        let reference = Reference::load(&dir);
        let n = reference.logits(&[0]).len();
        let vocabulary = u32::try_from(n).unwrap();
        for target in [0, vocabulary / 2, vocabulary - 1] {
            // The λ of one prefix, and the uniform one.
            for logits in [reference.logits(&[vocabulary / 3]), vec![0.0; n]] {
                let proof = softmax_lambda(&logits, target);
                match check_proof(&dir, &ceiling(&dir, target, "0.999999999"), proof) {
                    Ok(theorem) => {
                        assert_eq!(theorem.verdict, Verdict::Proved);
                        for prefix in prefixes(vocabulary) {
                            let (p, bound) = (reference.probability(&prefix, target, 1.0), ends(&theorem)[1]);
                            assert!(p <= bound, "{}: {p} above {bound}", dir.display());
                        }
                    }
                    Err(CheckError::Reject(Reject::NoFinalNorm)) => assert!(dir.join("config.json").exists()),
                    Err(CheckError::Reject(Reject::BoundAboveThreshold { .. })) => {}
                    Err(other) => panic!("{}: {other}", dir.display()),
                }
            }
        }
    }
}

/// The bound of the head rule, by its formula in f64.
#[test]
fn head_bounds_equal_the_formula() {
    for (name, vocabulary) in [("tiny-gpt2", 8), ("tiny-gpt2-erf", 6), ("tiny-llama", 8), ("tiny-qwen2", 7)] {
        let dir = tiny_model(name);
        let reference = Reference::load(&dir);
        for target in 0..vocabulary {
            for (text, temperature) in [("1", 1.0), ("2.5", 2.5)] {
                let logits: Vec<f64> = (0..vocabulary).map(|j| f64::from(j * j % 5) / 3.0).collect();
                let proof = softmax_lambda(&logits, target);
                let Proof::Head { denominator, lambda } = &proof else {
                    unreachable!("softmax_lambda makes a head proof")
                };
                let weights: Vec<(usize, f64)> = lambda
                    .iter()
                    .map(|(j, n)| (usize::try_from(*j).unwrap(), *n as f64 / *denominator as f64))
                    .collect();
                let expected = reference.head_bound(usize::try_from(target).unwrap(), &weights, temperature);
                let statement =
                    at_temperature(ceiling(&dir, target, &format!("{:.9}", expected + 1e-7)), text);
                let theorem = check_proof(&dir, &statement, proof.clone()).unwrap();
                assert!(
                    (ends(&theorem)[1] - expected).abs() < 1e-9,
                    "{name} {target}: {expected} {:?}",
                    ends(&theorem)
                );
                let below = at_temperature(ceiling(&dir, target, &format!("{:.9}", expected - 1e-7)), text);
                let rejected = check_proof(&dir, &below, proof);
                assert!(matches!(rejected, Err(CheckError::Reject(Reject::BoundAboveThreshold { .. }))));
            }
        }
    }
}
