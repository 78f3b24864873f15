//! `prove` and `ci`: certificates are found again, survive small changes of the weights, and breaks are named.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::{json, run, shipped};

/// One statement by the head theorem, one by a witness.
const SUITE: &str = r#"
model = "model"
time = 20

[[statement]]
name = "x-is-rare"
token = "X"
threshold = 0.2

[[statement]]
name = "h-is-likely"
token = "h"
threshold = 0.90
expect = "refuted"
"#;

/// A folder with a suite and a copy of the shipped model.
pub(super) fn folder() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model");
    fs::create_dir(&model).unwrap();
    for file in fs::read_dir(shipped()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), model.join(file.file_name())).unwrap();
    }
    let suite = dir.path().join("suite.toml");
    fs::write(&suite, SUITE).unwrap();
    (dir, suite)
}

/// Changes the `f32` values of a tensor in `model.safetensors`.
pub(super) fn change(dir: &Path, tensor: &str, change: impl Fn(usize, f32) -> f32) {
    let path = dir.join("model/model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let at = |k: usize| header[tensor]["data_offsets"][k].as_u64().unwrap() as usize + 8 + length;
    for (k, value) in bytes[at(0)..at(1)].chunks_exact_mut(4).enumerate() {
        let old = f32::from_le_bytes(value.try_into().unwrap());
        value.copy_from_slice(&change(k, old).to_le_bytes());
    }
    fs::write(path, bytes).unwrap();
}

/// `how` of every statement of a JSON report.
fn how(document: &Value) -> Vec<&str> {
    document["statements"].as_array().unwrap().iter().map(|s| s["how"].as_str().unwrap()).collect()
}

#[test]
fn certificates_are_written_checked_and_survive_a_small_change_of_the_weights() {
    let (dir, suite) = folder();
    let suite = suite.display();
    let (code, first) = json(&format!("prove {suite}"));
    assert_eq!((code, how(&first)), (0, vec!["searched", "searched"]), "{first}");
    let (code, again) = json(&format!("ci {suite}"));
    assert_eq!((code, how(&again)), (0, vec!["checked", "checked"]), "{again}");
    assert_eq!(first["statements"][0]["sha256"], again["statements"][0]["sha256"]);

    change(dir.path(), "lm_head.weight", |k, w| if k == 5 { w + 1e-6 } else { w });
    let committed = fs::read(dir.path().join("certificates/x-is-rare.json")).unwrap();
    let (code, changed) = json(&format!("ci {suite}"));
    assert_eq!((code, how(&changed)), (0, vec!["survived", "survived"]), "{changed}");
    assert_eq!(fs::read(dir.path().join("certificates/x-is-rare.json")).unwrap(), committed, "ci only reads");
    // Issued again, it is a certificate about the new weights like any other.
    assert_eq!(json(&format!("prove {suite}")).0, 0);
    let (code, checked) = json(&format!("ci {suite}"));
    assert_eq!((code, how(&checked)), (0, vec!["checked", "checked"]), "{checked}");
}

#[test]
fn a_broken_statement_is_named_with_its_witness() {
    let (dir, suite) = folder();
    let suite = suite.display();
    assert_eq!(json(&format!("prove {suite}")).0, 0);
    // The row of "X", token 49, of a matrix of width 16.
    change(dir.path(), "lm_head.weight", |k, w| if k / 16 == 49 { 3.0 * w } else { w });
    let [junit, sarif, markdown] = ["j.xml", "s.json", "m.md"].map(|f| dir.path().join(f));
    let reports =
        format!("--junit {} --sarif {} --markdown {}", junit.display(), sarif.display(), markdown.display());
    let (code, document) = json(&format!("ci {suite} {reports}"));
    assert_eq!(code, 1, "{document}");
    let broken = &document["statements"][0];
    assert_eq!((broken["status"].as_str(), broken["verdict"].as_str()), (Some("broken"), Some("refuted")));
    assert!(!broken["witness"]["ids"].as_array().unwrap().is_empty(), "{broken}");
    assert!(broken["note"].as_str().unwrap().contains("lambda proves"), "{broken}");
    assert_eq!(document["statements"][1]["status"], "ok");

    let (code, text, _) = run(&format!("ci {suite}"));
    assert_eq!(code, 1);
    assert!(text.contains("BROKEN: x-is-rare is refuted, expected proved"), "{text}");
    assert!(text.contains("suite.toml:5") && text.contains("witness"), "{text}");

    let junit = fs::read_to_string(junit).unwrap();
    assert!(
        junit.contains(r#"tests="2" skipped="0" failures="1""#) && junit.contains("x-is-rare"),
        "{junit}"
    );
    let sarif: Value = serde_json::from_slice(&fs::read(sarif).unwrap()).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 1);
    assert_eq!(results[0]["ruleId"], "broken");
    assert_eq!(results[0]["locations"][0]["physicalLocation"]["region"]["startLine"], 5);
    let markdown = fs::read_to_string(markdown).unwrap();
    assert!(
        markdown.contains("1 of 2 as expected, 1 broken") && markdown.contains("❌ | x-is-rare"),
        "{markdown}"
    );
}

#[test]
fn a_tampered_certificate_counts_for_nothing() {
    let (dir, suite) = folder();
    let suite = suite.display();
    assert_eq!(json(&format!("prove {suite}")).0, 0);
    let file = dir.path().join("certificates/h-is-likely.json");
    let mut certificate: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    certificate["proof"]["prefix"] = serde_json::json!([0]);
    fs::write(&file, certificate.to_string()).unwrap();
    let (code, document) = json(&format!("ci {suite}"));
    assert_eq!((code, how(&document)), (0, vec!["checked", "searched"]), "{document}");
    fs::write(&file, "{").unwrap();
    assert_eq!(how(&json(&format!("ci {suite}")).1), ["checked", "searched"]);
}

#[test]
fn undecided_is_exit_3_and_a_lost_proof_exit_1() {
    let (dir, suite) = folder();
    // Between the bounds that a run without time finds.
    let hard = SUITE.replace("threshold = 0.2", "threshold = 0.139").replace("time = 20", "time = 0");
    fs::write(&suite, &hard).unwrap();
    let (code, document) = json(&format!("prove {}", suite.display()));
    assert_eq!((code, &document["statements"][0]["status"]), (3, &Value::from("open")), "{document}");
    fs::create_dir_all(dir.path().join("certificates")).unwrap();
    fs::write(dir.path().join("certificates/x-is-rare.json"), "{}").unwrap();
    let (code, document) = json(&format!("ci {}", suite.display()));
    assert_eq!((code, &document["statements"][0]["status"]), (1, &Value::from("lost")), "{document}");
}

#[test]
fn errors_name_file_line_statement_and_field() {
    let (dir, suite) = folder();
    let statement = "[[statement]]\nname = \"a\"\ntoken = \"X\"\nthreshold = 0.2\n";
    for (text, message) in [
        ("", "suite.toml:1: there is no statement"),
        ("x = 1\n", "suite.toml:1: field x: is not a field"),
        ("[[statement]]\n", "suite.toml:1: field name: is missing"),
        ("[[statement]]\nname = \"a b\"\n", "suite.toml:2: field name: \"a b\" is no file name"),
        ("\n[[statement]]\nname = \"a\"\n", "suite.toml:2: statement \"a\": field token: is missing"),
        (
            &format!("{statement}treshold = 0.1\n"),
            "suite.toml:5: statement \"a\": field treshold: is not a field",
        ),
        (
            &statement.replace("0.2", "1.5"),
            "suite.toml:4: statement \"a\": field threshold: threshold 1.5 is not",
        ),
        (&statement.replace("0.2", "true"), "suite.toml:4: statement \"a\": field threshold: is a boolean"),
        (
            &statement.replace("\"X\"", "\"XX\""),
            "suite.toml:3: statement \"a\": field token: \"XX\" is not one token",
        ),
        (
            &statement.replace("token = \"X\"", "token_id = 81"),
            "suite.toml:3: statement \"a\": field token_id: 81",
        ),
        (&format!("{statement}token_id = 3\n"), "field token: is named in two ways"),
        (
            &format!("{statement}max_len = 17\n"),
            "suite.toml:5: statement \"a\": field max_len: 17 is out of range",
        ),
        (&format!("{statement}model = \"none\"\n"), "suite.toml:5: statement \"a\": field model: "),
        (
            &format!("{statement}expect = \"maybe\"\n"),
            "suite.toml:5: statement \"a\": field expect: \"maybe\"",
        ),
        (&format!("{statement}prefix = \"[\"\n"), "suite.toml:5: statement \"a\": field prefix: "),
        (&format!("{statement}predicate = \"floors\"\n"), "suite.toml:5: statement \"a\": field predicate: "),
        (&format!("{statement}predicate = \"dominance\"\n"), "statement \"a\": field over: is missing"),
        (
            &format!("{statement}predicate = \"set-ceiling\"\n"),
            "statement \"a\": field tokens: names no token",
        ),
        (&format!("{statement}predicate = \"never-top-k\"\nk = 81\n"), "statement \"a\": field "),
        (&format!("{statement}temperature = 0\n"), "temperature 0 is not above 0"),
        (&format!("{statement}time = -1\n"), "suite.toml:5: statement \"a\": field time: "),
        (
            &format!("{statement}{}", statement.replace("\"a\"", "\"A\"")),
            "suite.toml:6: statement \"A\": field name: another",
        ),
        ("[[statement]\n", "suite.toml:1: "),
        ("a = \"\\", "suite.toml:1: "),
    ] {
        fs::write(&suite, text).unwrap();
        let (code, document) = json(&format!("ci {}", suite.display()));
        let found = document["error"].as_str().unwrap_or_default();
        assert!(code == 2 && found.contains(message), "{text:?}: expected {message:?}, found {document}");
        assert!(
            !document["help"].as_str().unwrap_or_default().is_empty(),
            "{text:?}: no way out: {document}"
        );
    }
    assert_eq!(json(&format!("ci {}", dir.path().join("none.toml").display())).0, 2);
}

/// The statements about the shipped models hold, by the certificates that are part of the repository.
#[test]
fn the_regression_suite_is_settled_by_its_certificates() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (code, document) = json(&format!("ci {}", root.join("proofs/regression/suite.toml").display()));
    assert_eq!(code, 0, "{document}");
    let all = document["statements"].as_array().unwrap();
    assert!(all.len() >= 30, "{} statements", all.len());
    for statement in all {
        assert_eq!(statement["how"], "checked", "{statement}");
    }
    let models: std::collections::BTreeSet<_> = all.iter().map(|s| s["model"].as_str().unwrap()).collect();
    assert!(models.len() >= 3, "{models:?}");
    for verdict in ["proved", "refuted"] {
        assert!(all.iter().any(|s| s["verdict"] == verdict), "no statement is {verdict}");
    }
}
