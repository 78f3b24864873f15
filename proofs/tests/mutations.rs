//! Damaged certificates: whatever bytes come, nothing panics, and what is accepted is the claim of the statement.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{ceiling, tiny_model};
use llmprove_proofs::{Certificate, Proof, Verdict, check};
use proptest::prelude::*;

/// A change of a few bytes: replaced, inserted, removed, or a stretch copied elsewhere.
fn mutate(bytes: &mut Vec<u8>, changes: &[(u8, u16, u16, u8)]) {
    for (kind, at, other, byte) in changes {
        if bytes.is_empty() {
            return;
        }
        let (at, other) = (usize::from(*at) % bytes.len(), usize::from(*other) % bytes.len());
        match kind % 5 {
            0 => bytes[at] = *byte,
            1 => bytes.insert(at, *byte),
            2 => drop(bytes.remove(at)),
            // Digits matter most.
            3 => bytes[at] = b'0' + byte % 10,
            _ => {
                let stretch = bytes[at..bytes.len().min(at + usize::from(*byte % 16))].to_vec();
                bytes.splice(other..other, stretch);
            }
        }
    }
}

fn changes() -> impl Strategy<Value = Vec<(u8, u16, u16, u8)>> {
    prop::collection::vec(any::<(u8, u16, u16, u8)>(), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn of_a_proof(changes in changes()) {
        let dir = tiny_model("tiny-gpt2");
        let statement = ceiling(&dir, 3, "0.97");
        let bytes = statement.to_json_bytes();
        let lambda = [0, 1, 2, 4, 5, 6, 7].map(|j| (j, 5)).to_vec();
        let proof = Proof::Head { denominator: 35, lambda };
        let mut certificate = Certificate::new(statement.model.clone(), &bytes, proof).to_json_bytes();
        mutate(&mut certificate, &changes);
        if let Ok(theorem) = check(&dir, &bytes, &certificate) {
            prop_assert_eq!(theorem.verdict, Verdict::Proved);
            prop_assert_eq!(&theorem.model, &statement.model);
        }
        // The statement's bytes are bound: any change of them is noticed.
        let lambda = [0, 1, 2, 4, 5, 6, 7].map(|j| (j, 5)).to_vec();
        let certificate = Certificate::new(statement.model.clone(), &bytes, Proof::Head { denominator: 35, lambda });
        let mut changed = bytes.clone();
        mutate(&mut changed, &changes);
        if changed != bytes {
            prop_assert!(check(&dir, &changed, &certificate.to_json_bytes()).is_err());
        }
    }

    #[test]
    fn of_a_refutation(changes in changes()) {
        let dir = tiny_model("tiny-gpt2");
        let statement = ceiling(&dir, 0, "0.001");
        let bytes = statement.to_json_bytes();
        let proof = Proof::Witness { prefix: vec![1, 2, 3] };
        let mut certificate = Certificate::new(statement.model.clone(), &bytes, proof).to_json_bytes();
        mutate(&mut certificate, &changes);
        if let Ok(theorem) = check(&dir, &bytes, &certificate) {
            prop_assert_eq!(theorem.verdict, Verdict::Refuted);
        }
    }

    #[test]
    fn of_a_false_claim(changes in changes()) {
        // The prefix [1, 2, 3] reaches more, so no certificate proves this ceiling.
        let dir = tiny_model("tiny-gpt2");
        let statement = ceiling(&dir, 0, "0.001");
        let bytes = statement.to_json_bytes();
        let lambda = [1, 2, 3, 4, 5, 6, 7].map(|j| (j, 5)).to_vec();
        let mut certificate =
            Certificate::new(statement.model, &bytes, Proof::Head { denominator: 35, lambda }).to_json_bytes();
        mutate(&mut certificate, &changes);
        prop_assert!(check(&dir, &bytes, &certificate).is_err());
    }
}
