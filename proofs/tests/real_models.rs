//! The checker on real models, against a plain f64 forward pass. Skipped, loudly, where the models are absent.

mod common;

use common::{ceiling, check_proof, ends, reference::Reference, shared_model, softmax_lambda};
use llmprove_proofs::{CheckError, Proof, Reject, Verdict};

const MODELS: [&str; 7] = [
    "stories260K",
    "leangpt-d16-l1",
    "leangpt-d32-l2-ctx16",
    "gpt-by-hand",
    "kjv-char-l1",
    "nanogpt-sort-abc",
    "gbmi-induction-2L",
];

/// A few prefixes from a linear congruential generator.
fn prefixes(vocabulary: u32) -> Vec<Vec<u32>> {
    let mut state = 12345_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % vocabulary
    };
    [1, 2, 5, 8].iter().map(|length| (0..*length).map(|_| next()).collect()).collect()
}

#[test]
fn witness_enclosures_contain_the_float_value() {
    for name in MODELS {
        let Some(dir) = shared_model(name) else { continue };
        let reference = Reference::load(&dir);
        let vocabulary = u32::try_from(reference.logits(&[0]).len()).unwrap();
        for prefix in prefixes(vocabulary) {
            let logits = reference.logits(&prefix);
            // The most probable token, so that the witness stands.
            let target = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
            let target = u32::try_from(target).unwrap();
            let p = reference.probability(&prefix, target, 1.0);
            let proof = Proof::Witness { prefix: prefix.clone() };
            let below = format!("{:.9}", p - 1e-6);
            let theorem = check_proof(&dir, &ceiling(&dir, target, &below), proof.clone()).unwrap();
            assert_eq!(theorem.verdict, Verdict::Refuted);
            let [lower, upper] = ends(&theorem);
            assert!(lower - 1e-9 <= p && p <= upper + 1e-9, "{name} {prefix:?}: {p} and [{lower}, {upper}]");
            assert!(upper - lower < 1e-9, "{name} {prefix:?}: width {}", upper - lower);
            if p + 1e-6 < 1.0 {
                let above = format!("{:.9}", p + 1e-6);
                let rejected = check_proof(&dir, &ceiling(&dir, target, &above), proof);
                assert!(matches!(rejected, Err(CheckError::Reject(Reject::ProbabilityNotAbove { .. }))));
            }
        }
    }
}

#[test]
fn head_bounds_are_above_what_prefixes_reach() {
    for name in MODELS {
        let Some(dir) = shared_model(name) else { continue };
        let reference = Reference::load(&dir);
        let vocabulary = u32::try_from(reference.logits(&[0]).len()).unwrap();
        for prefix in prefixes(vocabulary).into_iter().take(2) {
            let logits = reference.logits(&prefix);
            for target in [0, vocabulary / 2, vocabulary - 1] {
                let outcome =
                    check_proof(&dir, &ceiling(&dir, target, "0.999999999"), softmax_lambda(&logits, target));
                match outcome {
                    Ok(theorem) => {
                        assert_eq!(theorem.verdict, Verdict::Proved);
                        let p = reference.probability(&prefix, target, 1.0);
                        assert!(p <= ends(&theorem)[1], "{name}: {p} above {}", ends(&theorem)[1]);
                    }
                    Err(CheckError::Reject(Reject::NoFinalNorm)) => assert_eq!(name, "gbmi-induction-2L"),
                    Err(CheckError::Reject(Reject::BoundAboveThreshold { .. })) => {}
                    Err(other) => panic!("{name}: {other}"),
                }
            }
        }
    }
}
