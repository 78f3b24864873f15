//! Every bad input ends with exit code 2, says what is wrong and what to do, and panics nowhere.

use std::fs;

use super::{json, llmprove, run, shipped};

/// Runs a bad command line; each of `words` has to occur on stderr, and nothing on stdout.
fn check(line: &str, words: &[&str]) {
    let (code, stdout, stderr) = run(line);
    assert_eq!(code, 2, "{line}: {stderr}");
    assert_eq!(stdout, "", "{line}");
    assert!(stderr.starts_with("error: "), "{line}: {stderr}");
    for word in words {
        assert!(stderr.contains(word), "{line}: no {word:?} in {stderr}");
    }
    assert!(!stderr.contains("panicked"), "{line}: {stderr}");
}

#[test]
fn thresholds() {
    for threshold in ["0", "1", "1.0", "-0.2", "2", "1e0"] {
        check(&format!("check --token X --threshold {threshold}"), &["strictly between 0 and 1", "help: "]);
    }
    for threshold in ["abc", "NaN", "inf", "0,2", "20%", "."] {
        check(&format!("check --token X --threshold {threshold}"), &["is not a decimal number", "help: "]);
    }
    check("check --token X", &["--threshold"]);
    check("audit --threshold 0.2,,0.5", &["is not a decimal number"]);
    check("audit --threshold 0.2,1.5", &["strictly between 0 and 1"]);
}

#[test]
fn tokens() {
    check("check --threshold 0.2", &["--token"]);
    check("check --threshold 0.2 --token X --token-id 3", &["cannot be used with"]);
    check("check --threshold 0.2 --token whale", &["not one token but 5", "\"w\"", "help: "]);
    check("check --threshold 0.2 --token é", &["not in the model's vocabulary", "help: "]);
    for id in ["81", "-1", "4294967296", "x", "1.0"] {
        check(&format!("check --threshold 0.2 --token-id {id}"), &["is not a token id", "0 to 80"]);
    }
    check("check --threshold 0.2 --token-bytes 4", &["hexadecimal", "two digits per byte"]);
    check("check --threshold 0.2 --token-bytes zz", &["hexadecimal"]);
    check("check --threshold 0.2 --token-bytes ff", &["no token of this model has the bytes ff"]);
    for list in ["81", "3-1", "1-", "a", "1,,2", "0-81"] {
        check(&format!("audit --token-ids {list}"), &["help: "]);
    }
}

#[test]
fn an_empty_token() {
    let output = llmprove(["check", "--threshold", "0.2", "--token", ""]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not in the model's vocabulary"));
}

#[test]
fn limits() {
    for (flags, words) in [
        ("--time -1", "--time -1 is not a number of seconds"),
        ("--time soon", "--time soon is not"),
        ("--time NaN", "--time NaN is not"),
        ("--time inf", "--time inf is not"),
        ("--max-len 0", "leaves no prefix"),
        ("--max-len 17", "context of 16 tokens"),
        ("--max-len many", "not a number of tokens"),
        ("--threads 0", "not a number of threads"),
        ("--threads 99999", "not a number of threads"),
        ("--seed x", "not a whole number"),
        ("--seed -1", "not a whole number"),
        ("--prefix every", "no class of tokens"),
        ("--provers magic", "not a prover"),
    ] {
        check(&format!("check --token X --threshold 0.2 {flags}"), &[words, "help: "]);
    }
    check("bound --token X --gap 2", &["--gap 2 is not a number from 0 to 1"]);
    check("bound --token X --gap NaN", &["--gap NaN"]);
}

#[test]
fn commands_and_flags() {
    for (line, word) in [
        ("", "Usage"),
        ("prove-it", "unrecognized subcommand"),
        ("check --token X --threshold 0.2 --fast", "unexpected argument"),
        ("audit --json --csv", "cannot be used with"),
    ] {
        let (code, stdout, stderr) = run(line);
        assert_eq!(code, 2, "{line}");
        assert!((stdout + &stderr).contains(word), "{line}: {stderr}");
    }
}

#[test]
fn model_folders() {
    check("check --token X --threshold 0.2 --model nowhere", &["nowhere", "check the path"]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display();
    check(&format!("inspect --model {path}"), &["holds no config.json"]);
    let copy = |file: &str| fs::copy(shipped().join(file), dir.path().join(file)).unwrap();
    copy("config.json");
    check(&format!("inspect --model {path}"), &["model.safetensors"]);
    copy("model.safetensors");
    let weights = dir.path().join("model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    for cut in [0, 7, 100, bytes.len() - 1] {
        fs::write(&weights, &bytes[..cut]).unwrap();
        check(&format!("inspect --model {path}"), &["model.safetensors"]);
    }
    fs::write(&weights, &bytes).unwrap();
    check(&format!("check --token X --threshold 0.2 --model {path}"), &["not in the model's vocabulary"]);
    let (code, _, _) = run(&format!("inspect --model {path}"));
    assert_eq!(code, 0, "a folder without vocabulary can be inspected");
}

#[test]
fn output_files() {
    let line = "check --token X --threshold 0.2 --certificate";
    check(&format!("{line} no/such/folder/c.json"), &["no folder", "create it first"]);
    check(&format!("{line} ."), &["is not a file name"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    check(
        &format!("audit --token-ids 0 --certificates {}", file.path().display()),
        &["cannot create the folder"],
    );
}

#[test]
fn errors_in_json() {
    for line in ["check --token X --threshold 2", "check --token X", "inspect --model nowhere", "no-command"]
    {
        let (code, document) = json(line);
        assert_eq!(code, 2, "{line}");
        assert!(document["error"].as_str().is_some_and(|e| e.len() > 10), "{line}: {document}");
    }
}

#[test]
fn help_and_version_are_no_errors() {
    for line in ["--help", "check --help", "--version", "audit --version"] {
        let (code, stdout, _) = run(line);
        assert_eq!(code, 0, "{line}");
        assert!(!stdout.is_empty(), "{line}");
    }
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let script = format!("{} inspect --tokens | head -n 1", env!("CARGO_BIN_EXE_llmprove"));
    let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
