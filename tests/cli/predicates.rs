//! `check --predicate`: every kind from the command line, with certificates that the checker accepts, and suites of them.

use std::fs;

use llmprove_proofs::Verdict;
use serde_json::Value;

use super::suite::{change, folder};
use super::{json, run, shipped};

/// Claims about the shipped model and what becomes of them.
const CLAIMS: [(&str, &str); 18] = [
    ("--predicate ceiling --token X --threshold 0.2 --temperature 2", "proved"),
    ("--predicate ceiling --token e --threshold 0.9 --temperature 0.5", "refuted"),
    ("--predicate set-ceiling --token M --token G --threshold 0.3", "proved"),
    ("--predicate set-ceiling --token a --token e --token i --threshold 0.9", "refuted"),
    ("--predicate max-ceiling --token-id 49 --token-id 38 --threshold 0.3", "proved"),
    ("--predicate max-ceiling --token M --token e --threshold 0.5", "refuted"),
    ("--predicate floor --token e --threshold 1e-35", "proved"),
    ("--predicate floor --token e --threshold 0.01", "refuted"),
    ("--predicate continuation --text XX --threshold 0.05", "proved"),
    ("--predicate continuation --token t --token h --threshold 0.1 --prefix any{0,2} --max-len 2", "refuted"),
    ("--predicate never-in-nucleus --token e --threshold 0.5", "refuted"),
    ("--predicate never-in-nucleus --token M --threshold 0.9 --temperature 0.001", "proved"),
    ("--predicate dominance --token e --token t --margin 0", "refuted"),
    ("--predicate dominance --token 6 --token 9 --margin -0.5", "proved"),
    ("--predicate never-argmax --token M", "proved"),
    ("--predicate never-argmax --token e", "refuted"),
    ("--predicate never-top-k --token e --rank 5", "refuted"),
    ("--predicate always-argmax --token e", "refuted"),
];

#[test]
fn every_kind_is_decided_and_certified() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.json");
    for (claim, verdict) in CLAIMS {
        let (code, document) = json(&format!("check {claim} --certificate {}", file.display()));
        assert_eq!(document["verdict"], verdict, "{claim}: {document}");
        assert_eq!(code, i32::from(verdict == "refuted"), "{claim}");
        let kind = claim.split_whitespace().nth(1).unwrap();
        assert_eq!(document["predicate"], kind, "{document}");
        assert_eq!(document["witness"].is_null(), verdict == "proved", "{document}");
        let statement = fs::read(file.with_extension("statement.json")).unwrap();
        let theorem = llmprove_proofs::check(&shipped(), &statement, &fs::read(&file).unwrap()).unwrap();
        let expected = if verdict == "proved" { Verdict::Proved } else { Verdict::Refuted };
        assert_eq!(theorem.verdict, expected, "{claim}");
        let (_, text, _) = run(&format!("check {claim}"));
        assert!(text.starts_with(&verdict.to_uppercase()) && text.contains("bounds"), "{claim}: {text}");
    }
}

#[test]
fn flags_that_do_not_fit_a_kind_are_refused() {
    for (line, words) in [
        ("check --predicate floor --token X", "floor needs --threshold"),
        ("check --predicate dominance --token X --margin 0", "speaks of two tokens, not of 1"),
        ("check --predicate dominance --token X --token X --margin 0", "compared with itself"),
        ("check --predicate never-argmax --token X --threshold 0.2", "--threshold means nothing"),
        ("check --predicate never-top-k --token X", "needs --rank"),
        ("check --predicate never-top-k --token X --rank 0", "has to be from 1 to"),
        ("check --predicate ceiling --token X --token M --threshold 0.2", "speaks of one token, not of 2"),
        ("check --predicate ceiling --token X --threshold 0.2 --temperature 0", "not above 0"),
        ("check --predicate set-ceiling --threshold 0.2", "--token"),
        ("check --predicate floor --text the --threshold 0.2", "--text means nothing"),
        ("check --predicate sum --token X --threshold 0.2", "invalid value"),
    ] {
        let (code, stdout, stderr) = run(line);
        assert_eq!((code, stdout.as_str()), (2, ""), "{line}: {stderr}");
        assert!(stderr.contains(words), "{line}: no {words:?} in {stderr}");
    }
}

/// Statements that the head proves, of every kind that it can.
const SUITE: &str = r#"
model = "model"
time = 20

[[statement]]
name = "two-capitals"
predicate = "set-ceiling"
tokens = ["M", "G"]
threshold = 0.3

[[statement]]
name = "each-of-two"
predicate = "max-ceiling"
tokens = ["M", "G"]
threshold = 0.3

[[statement]]
name = "always-possible"
predicate = "floor"
token = "e"
threshold = 1e-35

[[statement]]
name = "one-x-after-another"
predicate = "continuation"
tokens = ["X", "X"]
threshold = 0.05

[[statement]]
name = "hot"
token = "X"
threshold = 0.2
temperature = 2
"#;

#[test]
fn proofs_of_every_kind_survive_a_small_change_and_break_by_a_large_one() {
    let (dir, suite) = folder();
    fs::write(&suite, SUITE).unwrap();
    let of = |document: &Value, field: &str| -> Vec<String> {
        let statements = document["statements"].as_array().unwrap();
        statements.iter().map(|s| s[field].as_str().unwrap().to_owned()).collect()
    };
    let (code, first) = json(&format!("prove {}", suite.display()));
    assert_eq!((code, of(&first, "verdict")), (0, vec!["proved".to_owned(); 5]), "{first}");
    change(dir.path(), "lm_head.weight", |k, w| if k == 5 { w + 1e-6 } else { w });
    let (code, changed) = json(&format!("ci {}", suite.display()));
    assert_eq!(code, 0, "{changed}");
    assert_eq!(of(&changed, "how"), ["survived"; 5], "{changed}");
    // The row of "X", token 49, of a matrix of width 16.
    change(dir.path(), "lm_head.weight", |k, w| if k / 16 == 49 { 3.0 * w } else { w });
    let (code, broken) = json(&format!("ci {}", suite.display()));
    assert_eq!((code, &of(&broken, "status")[4]), (1, &"broken".to_owned()), "{broken}");
    assert!(!broken["statements"][4]["witness"]["ids"].as_array().unwrap().is_empty(), "{broken}");
}

/// What a tensor is stored as.
#[derive(Debug, Clone, Copy)]
enum Store {
    Bf16,
    F16,
    /// One byte a number with a scale per row of 16, read back into `F32`: how a model in int8 is put before the tool.
    Int8,
}

/// Rewrites the weights of `model` in a folder.
fn store(dir: &std::path::Path, as_what: Store) {
    let path = dir.join("model/model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let mut data: Vec<u8> = Vec::new();
    for (name, tensor) in
        header.as_object_mut().unwrap().iter_mut().filter(|(name, _)| *name != "__metadata__")
    {
        let at = |k: usize| tensor["data_offsets"][k].as_u64().unwrap() as usize + 8 + length;
        let old = bytes[at(0)..at(1)].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
        let old: Vec<f32> = old.collect();
        let start = data.len();
        let dtype = match as_what {
            Store::Bf16 => {
                old.iter().for_each(|w| data.extend(half::bf16::from_f32(*w).to_le_bytes()));
                "BF16"
            }
            Store::F16 => {
                old.iter().for_each(|w| data.extend(half::f16::from_f32(*w).to_le_bytes()));
                "F16"
            }
            Store::Int8 => {
                for row in old.chunks(16) {
                    let scale = row.iter().fold(0f32, |a, w| a.max(w.abs())) / 127.0;
                    let read = |w: &f32| if scale > 0.0 { (w / scale).round() * scale } else { *w };
                    row.iter().for_each(|w| data.extend(read(w).to_le_bytes()));
                }
                "F32"
            }
        };
        assert!(!name.is_empty());
        tensor["dtype"] = dtype.into();
        tensor["data_offsets"] = serde_json::json!([start, data.len()]);
    }
    let mut text = header.to_string();
    text.push_str(&" ".repeat((8 - text.len() % 8) % 8));
    let file = [&(text.len() as u64).to_le_bytes()[..], text.as_bytes(), &data].concat();
    fs::write(path, file).unwrap();
}

#[test]
fn statements_survive_storing_the_weights_in_fewer_bits() {
    for as_what in [Store::Bf16, Store::F16, Store::Int8] {
        let (dir, suite) = folder();
        fs::write(&suite, SUITE).unwrap();
        assert_eq!(json(&format!("prove {}", suite.display())).0, 0);
        let (other, _suite) = folder();
        store(other.path(), as_what);
        let models = [dir.path(), other.path()].map(|d| d.join("model").display().to_string());
        let line = format!("diff {} {} --suite {}", models[0], models[1], suite.display());
        let (code, document) = json(&line);
        assert_eq!(code, 0, "{as_what:?}: {document}");
        for statement in document["suite"]["statements"].as_array().unwrap() {
            assert_eq!(statement["how"], "survived", "{as_what:?}: {statement}");
        }
        // The distance after every prefix of one token is known to rounding, and within the bound for all prefixes.
        let mut far = 0.0f64;
        for token in document["tokens"].as_array().unwrap() {
            let [lower, upper] = ["lower", "upper"].map(|end| token["short"][end].as_f64().unwrap());
            let bound = token["bound"].as_f64().unwrap();
            assert!(lower <= upper && upper - lower < 1e-9 && lower <= bound, "{as_what:?}: {token}");
            far = far.max(lower);
        }
        assert!(far > 0.0 && far < 0.1, "{as_what:?}: probabilities moved by {far}");
    }
}
