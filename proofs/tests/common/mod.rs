//! What the integration tests share: an independent f64 forward pass, and files to check.
#![allow(dead_code, reason = "every test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod reference;

use std::path::{Path, PathBuf};

use llmprove_proofs::{
    Certificate, CheckError, Decimal, Language, Predicate, Proof, Statement, Theorem, check, model_digest,
};

/// A folder of the shared real models, or `None` with a loud line where there is none.
pub fn shared_model(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let root = std::env::var_os("LLMPROVE_SHARED").map_or(beside, PathBuf::from);
    let dir = root.join("models").join(name);
    if dir.join("config.json").exists() {
        return Some(dir);
    }
    eprintln!("SKIPPED: no model {name} in {}; set LLMPROVE_SHARED", root.display());
    None
}

/// A trained model of this repository.
pub fn shipped_model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(name)
}

/// A tiny model of this crate's tests.
pub fn tiny_model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(name)
}

/// `P(token | prefix) <= threshold` for any prefix.
pub fn ceiling(dir: &Path, token: u32, threshold: &str) -> Statement {
    let threshold = Decimal::parse(threshold).unwrap();
    let predicate = Predicate::Ceiling { token, threshold, temperature: None };
    Statement::new(model_digest(dir).unwrap(), Language::Any, None, predicate)
}

/// Checks a statement with a proof made for it.
pub fn check_proof(dir: &Path, statement: &Statement, proof: Proof) -> Result<Theorem, CheckError> {
    let bytes = statement.to_json_bytes();
    let certificate = Certificate::new(statement.model.clone(), &bytes, proof);
    check(dir, &bytes, &certificate.to_json_bytes())
}

/// The two ends of the probability in a theorem.
pub fn ends(theorem: &Theorem) -> [f64; 2] {
    theorem.probability.as_ref().unwrap().each_ref().map(|end| end.get().parse().unwrap())
}

/// Numerators that approximate the softmax of `logits` without the target, over 2^40.
pub fn softmax_lambda(logits: &[f64], target: u32) -> Proof {
    let target = usize::try_from(target).unwrap();
    let most = logits.iter().copied().fold(f64::MIN, f64::max);
    let weight = |l: &f64| (l - most).exp();
    let total: f64 = logits.iter().enumerate().filter(|(j, _)| *j != target).map(|(_, l)| weight(l)).sum();
    let mut lambda = Vec::new();
    for (j, l) in logits.iter().enumerate().filter(|(j, _)| *j != target) {
        let numerator = (weight(l) / total * 2f64.powi(40)) as u64;
        if numerator > 0 {
            lambda.push((u32::try_from(j).unwrap(), numerator));
        }
    }
    Proof::Head { denominator: lambda.iter().map(|(_, n)| n).sum(), lambda }
}
