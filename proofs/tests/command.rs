//! `llmprove-check` as a command: exit codes, texts, JSON.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::tiny_model;
use llmprove_proofs::{MAX_CERTIFICATE_BYTES, MAX_STATEMENT_BYTES};
use serde_json::Value;
use tempfile::TempDir;

/// Statement and certificate of a case of the corpora as files.
fn files(case: &str) -> TempDir {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(case);
    let case: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for key in ["statement", "certificate"] {
        fs::write(dir.path().join(key), case[key].as_str().unwrap()).unwrap();
    }
    dir
}

fn run(model: &Path, files: &TempDir, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmprove-check"));
    command.arg("--model").arg(model).args(more);
    for key in ["statement", "certificate"] {
        command.arg(format!("--{key}")).arg(files.path().join(key));
    }
    command.output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn an_accepted_proof_prints_its_theorem() {
    let output = run(&tiny_model("tiny-gpt2"), &files("accept/head_layer_norm.json"), &[]);
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    assert!(text.starts_with("ACCEPTED: PROVED by the head rule\n"), "{text}");
    assert!(
        text.contains(
            "for every prefix of 1 to 4 tokens, P(token 3 | prefix) <= 0.97; it is at most 0.69918"
        ),
        "{text}"
    );
    for part in ["\nassumes: ", "\nnot proved: ", "\nstatement: SHA-256 "] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn an_accepted_refutation_prints_its_prefix() {
    let output = run(&tiny_model("tiny-gpt2"), &files("accept/witness_gpt2.json"), &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        stdout(&output).contains("after the token ids [1, 2, 3] it is at least 0."),
        "{}",
        stdout(&output)
    );
}

#[test]
fn json_is_one_document() {
    let document = |output: &Output| -> Value { serde_json::from_slice(&output.stdout).unwrap() };
    let accepted = run(&tiny_model("tiny-gpt2"), &files("accept/witness_gpt2.json"), &["--json"]);
    let accepted = document(&accepted);
    assert_eq!(accepted["accepted"], true);
    assert_eq!(accepted["verdict"], "refuted");
    assert_eq!(accepted["rule"], "witness");
    let [lower, upper] = [0, 1].map(|i| accepted["probability"][i].as_f64().unwrap());
    assert!(0.001 < lower && lower < upper && upper < lower + 1e-13, "{lower} {upper}");
    assert!(accepted["assumptions"].as_array().is_some_and(|list| list.len() >= 2));

    let rejected = run(&tiny_model("tiny-gpt2"), &files("reject/lambda_has_target.json"), &["--json"]);
    assert_eq!(rejected.status.code(), Some(1));
    let rejected = document(&rejected);
    assert_eq!(rejected["accepted"], false);
    assert_eq!(rejected["error"], "LambdaTarget");

    let missing = run(Path::new("/nonexistent"), &files("accept/witness_gpt2.json"), &["--json"]);
    assert_eq!(missing.status.code(), Some(2));
    assert_eq!(document(&missing)["error"], "Input");
}

#[test]
fn rejections_and_errors_have_their_own_exit_codes() {
    let rejected = run(&tiny_model("tiny-gpt2"), &files("reject/lambda_has_target.json"), &[]);
    assert_eq!(rejected.status.code(), Some(1));
    assert!(stdout(&rejected).starts_with("REJECTED (LambdaTarget): "));

    let files = files("accept/head_layer_norm.json");
    let error = run(Path::new("/nonexistent"), &files, &[]);
    assert_eq!(error.status.code(), Some(2));
    assert!(String::from_utf8(error.stderr).unwrap().starts_with("error: can't read /nonexistent/"));
    assert_eq!(run(&tiny_model("tiny-gpt2"), &files, &["--no-such-flag"]).status.code(), Some(2));
    fs::remove_file(files.path().join("certificate")).unwrap();
    assert_eq!(run(&tiny_model("tiny-gpt2"), &files, &[]).status.code(), Some(2));
}

#[test]
fn oversized_files_are_refused() {
    for (key, limit, name) in [
        ("statement", MAX_STATEMENT_BYTES, "StatementTooLong"),
        ("certificate", MAX_CERTIFICATE_BYTES, "CertificateTooLong"),
    ] {
        let files = files("accept/head_layer_norm.json");
        let path = files.path().join(key);
        let mut bytes = fs::read(&path).unwrap();
        bytes.resize(limit + 1, b' ');
        fs::write(path, bytes).unwrap();
        let output = run(&tiny_model("tiny-gpt2"), &files, &[]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stdout(&output).starts_with(&format!("REJECTED ({name}): ")), "{}", stdout(&output));
    }
}

#[test]
#[cfg(unix)]
fn a_closed_pipe_is_no_panic() {
    let files = files("accept/head_layer_norm.json");
    let script = format!(
        "{} --model {} --statement statement --certificate certificate | true",
        env!("CARGO_BIN_EXE_llmprove-check"),
        tiny_model("tiny-gpt2").display()
    );
    let output = Command::new("sh").args(["-c", &script]).current_dir(files.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
