//! Prefix languages on the command line: counts, samples, carets, and answers about a language.

use serde_json::Value;

use super::{json, llmprove, shipped};

/// Runs `args`, adds `--json` and reads the document.
fn document(args: &[&str]) -> (i32, Value) {
    let output = llmprove(args.iter().copied().chain(["--json"])).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (
        output.status.code().unwrap(),
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e}: {text}")),
    )
}

#[test]
fn prefixes_are_counted_and_sampled() {
    let (code, counted) = document(&["language", "any{0,3} · \"ab\"", "--samples", "4"]);
    assert_eq!(code, 0);
    assert_eq!(counted["prefixes"], (1 + 81 + 81 * 81 + 81 * 81 * 81).to_string());
    assert_eq!((counted["shortest"].as_u64(), counted["longest"].as_u64()), (Some(2), Some(5)));
    assert_eq!(counted["language"], "any{0,3} · [id:54] · [id:55]");
    let samples = counted["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 4);
    assert!(samples.iter().all(|sample| sample["text"].as_str().unwrap().ends_with("ab")), "{samples:?}");
    let (_, again) = document(&["language", "any{0,3} · \"ab\"", "--samples", "4"]);
    assert_eq!(counted, again);
    // The printed form is the same language.
    let (_, printed) = document(&["language", counted["language"].as_str().unwrap(), "--samples", "4"]);
    for part in ["language", "prefixes", "samples", "states"] {
        assert_eq!(counted[part], printed[part]);
    }
    let (_, none) = document(&["language", "any{5}", "--max-len", "4"]);
    assert_eq!((&none["prefixes"], &none["shortest"]), (&Value::from("0"), &Value::Null));
}

#[test]
fn errors_show_the_place() {
    for args in [&["language", "any · [foo]"][..], &["bound", "--token", "u", "--prefix", "any · [foo]"]] {
        let output = llmprove(args.iter().copied()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr.contains("\n  any · [foo]\n         ^\n"), "{stderr}");
        assert!(stderr.contains("help: "), "{stderr}");
    }
    let output = llmprove(["language", "any{0,9999999}"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let empty = ["check", "--token", "u", "--threshold", "0.2", "--prefix", "any{5}", "--max-len", "4"];
    let (code, error) = document(&empty);
    assert_eq!(code, 2);
    assert!(error["error"].as_str().unwrap().contains("no prefix of at most 4 tokens"), "{error}");
}

#[test]
fn answers_are_about_the_language() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.json");
    let file = file.to_str().unwrap();
    let question = ["bound", "--token", "u", "--time", "20", "--prefix"];
    let ask = |language: &'static str| document(&[&question[..], &[language]].concat()).1;
    let after_q = ask("any{0,2} · \"q\"");
    let witness = &after_q["witness"];
    assert!(witness["text"].as_str().unwrap().ends_with('q'), "{after_q}");
    assert!(after_q["lower"].as_f64().unwrap() > 0.5, "{after_q}");
    let without = ask("[^\"q\"|\"Q\"]{1,3}");
    assert!(without["lower"].as_f64() < after_q["lower"].as_f64(), "{without}");
    // A refutation within a language comes with a certificate that the checker accepts.
    let check = [
        "check",
        "--token",
        "u",
        "--threshold",
        "0.2",
        "--prefix",
        "any{1,2} ~ \"q\"",
        "--certificate",
        file,
    ];
    let (code, refuted) = document(&check);
    assert_eq!((code, &refuted["verdict"]), (1, &Value::from("refuted")));
    let statement = std::fs::read(folder.path().join("c.statement.json")).unwrap();
    let theorem = llmprove_proofs::check(&shipped(), &statement, &std::fs::read(file).unwrap()).unwrap();
    assert!(theorem.assumptions.iter().any(|line| line.contains("the prefix belongs to it")), "{theorem}");
}

#[test]
fn help_shows_the_syntax() {
    let output = llmprove(["language", "--help"]).output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("any{0,3} · \"Once upon a\""));
    assert_eq!(json("language any").0, 0);
}
