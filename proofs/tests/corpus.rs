//! Every file of the accept and reject corpora, and no file forgotten.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use common::tiny_model;
use llmprove_proofs::{CheckError, Theorem, check};
use serde::Deserialize;

/// One case; statement and certificate are texts because they may be malformed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    model: String,
    expect: String,
    statement: String,
    certificate: String,
}

/// The cases of a folder with their names, every entry of it.
fn cases(folder: &str) -> Vec<(String, Case)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let case = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        cases.push((path.file_stem().unwrap().to_str().unwrap().to_string(), case));
    }
    cases
}

fn run(case: &Case) -> Result<Theorem, CheckError> {
    check(&tiny_model(&case.model), case.statement.as_bytes(), case.certificate.as_bytes())
}

#[test]
fn accepted_cases_end_with_the_expected_verdict() {
    let cases = cases("accept");
    assert_eq!(cases.len(), 62, "a file of the accept corpus is missing or not counted");
    for (name, case) in cases {
        let theorem = run(&case).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(serde_json::to_value(theorem.verdict).unwrap(), case.expect, "{name}");
    }
}

#[test]
fn rejected_cases_end_with_the_expected_reason() {
    let cases = cases("reject");
    assert_eq!(cases.len(), 241, "a file of the reject corpus is missing or not counted");
    let mut reasons = BTreeSet::new();
    for (name, case) in cases {
        match run(&case) {
            Err(CheckError::Reject(reject)) => assert_eq!(reject.name(), case.expect, "{name}: {reject}"),
            Err(CheckError::Input(error)) => panic!("{name}: {error}"),
            Ok(theorem) => panic!("{name} was accepted: {}", theorem.theorem),
        }
        reasons.insert(case.expect);
    }
    // Long files, long tests and missing enclosures don't fit a small file; other tests cover them.
    let elsewhere = ["StatementTooLong", "CertificateTooLong", "LanguageTooLarge", "NoEnclosure"];
    for variant in variants() {
        assert!(reasons.contains(&variant) != elsewhere.contains(&variant.as_str()), "no case for {variant}");
    }
}

/// The variants of `Reject`, read from its source.
fn variants() -> Vec<String> {
    let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/reject.rs")).unwrap();
    let body = source.split("pub enum Reject {").nth(1).unwrap().split("\n}").next().unwrap();
    let names = body
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(char::is_uppercase));
    names.map(|line| line.chars().take_while(char::is_ascii_alphanumeric).collect()).collect()
}
