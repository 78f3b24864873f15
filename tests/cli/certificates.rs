//! What `--certificate` and `--certificates` write is accepted by the independent checker.
//!
//! The prover does not depend on the checker's rules; these tests need both, so they live here.

use std::fs;
use std::path::Path;

use llmprove_proofs::Verdict;

use super::{json, run, shipped};

/// Checks a written pair and returns what it establishes.
fn checked(certificate: &Path) -> Verdict {
    let statement = fs::read(certificate.with_extension("statement.json")).unwrap();
    let theorem = llmprove_proofs::check(&shipped(), &statement, &fs::read(certificate).unwrap());
    theorem.unwrap_or_else(|e| panic!("{}: {e}", certificate.display())).verdict
}

#[test]
fn a_proof_and_a_refutation() {
    let dir = tempfile::tempdir().unwrap();
    for (token, threshold, code, verdict) in
        [("X", "0.2", 0, Verdict::Proved), ("e", "0.2", 1, Verdict::Refuted)]
    {
        let file = dir.path().join(format!("{token}.json"));
        let line = format!("check --token {token} --threshold {threshold} --certificate {}", file.display());
        let (found, document) = json(&line);
        assert_eq!(found, code, "{line}: {document}");
        assert_eq!(document["certificate"], file.display().to_string());
        assert_eq!(document["statement"], file.with_extension("statement.json").display().to_string());
        assert_eq!(checked(&file), verdict, "{line}");
    }
}

#[test]
fn the_text_report_names_the_files_or_how_to_get_them() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.json").display().to_string();
    let (_, with, _) = run(&format!("check --token X --threshold 0.2 --certificate {file}"));
    assert!(with.contains(&file) && with.contains("llmprove-check --model"), "{with}");
    let (_, without, _) = run("check --token X --threshold 0.2");
    assert!(without.contains("--certificate FILE"), "{without}");
}

#[test]
fn an_audit_writes_a_pair_for_every_decided_token_and_threshold() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("certificates");
    let line = format!("audit --threshold 0.2,0.5 --time 10 --certificates {}", out.display());
    let (_, document) = json(&line);
    let mut decided = 0;
    for token in document["tokens"].as_array().unwrap() {
        for (threshold, verdict) in token["verdicts"].as_object().unwrap() {
            let file = out.join(format!("token-{}-at-{threshold}.json", token["id"]));
            let expected = match verdict.as_str().unwrap() {
                "proved" => Verdict::Proved,
                "refuted" => Verdict::Refuted,
                _ => {
                    assert!(!file.exists(), "{}", file.display());
                    continue;
                }
            };
            assert_eq!(checked(&file), expected, "{}", file.display());
            decided += 1;
        }
    }
    assert!(decided > 0);
    assert_eq!(fs::read_dir(&out).unwrap().count(), 2 * decided);
}

#[test]
fn the_same_command_writes_the_same_bytes_at_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = |threads: usize| {
        let file = dir.path().join(format!("{threads}.json"));
        let line =
            format!("check --token X --threshold 0.2 --threads {threads} --certificate {}", file.display());
        assert_eq!(run(&line).0, 0);
        fs::read(file).unwrap()
    };
    assert_eq!(bytes(1), bytes(4));
}
