//! The JSON and CSV documents keep their fields and meanings.

use serde_json::Value;

use super::{json, run};

/// Asserts that an object has exactly these fields, in this order.
fn fields(value: &Value, names: &[&str]) {
    let found: Vec<&String> = value.as_object().unwrap().keys().collect();
    let mut expected: Vec<&str> = names.to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

/// `lower <= upper`, both probabilities.
fn bounds(document: &Value) -> (f64, f64) {
    let (lower, upper) = (document["lower"].as_f64().unwrap(), document["upper"].as_f64().unwrap());
    assert!(0.0 <= lower && lower <= upper && upper <= 1.0, "{document}");
    (lower, upper)
}

fn witness(document: &Value) {
    let witness = &document["witness"];
    fields(witness, &["ids", "text", "probability", "reencodes"]);
    let probability = witness["probability"].as_array().unwrap();
    assert_eq!(probability.len(), 2);
    assert_eq!(probability[0], document["lower"]);
    assert!(probability[0].as_f64() <= probability[1].as_f64());
    assert!(!witness["ids"].as_array().unwrap().is_empty());
    assert_eq!(witness["reencodes"], true, "one character, one token");
}

#[test]
fn check_proved() {
    let (code, document) = json("check --token X --threshold 0.20");
    assert_eq!(code, 0);
    fields(
        &document,
        &[
            "verdict",
            "token",
            "threshold",
            "language",
            "max_len",
            "lower",
            "upper",
            "witness",
            "prover",
            "certificate",
            "statement",
            "model",
            "seconds",
        ],
    );
    assert_eq!(document["verdict"], "proved");
    fields(&document["token"], &["id", "text"]);
    assert_eq!(document["token"]["text"], "X");
    assert_eq!(document["threshold"], 0.2);
    assert_eq!(document["language"], "any");
    assert_eq!(document["prover"], "head");
    assert!(document["certificate"].is_null() && document["statement"].is_null());
    assert!(bounds(&document).1 <= 0.2);
}

#[test]
fn check_refuted() {
    let (code, document) = json("check --token e --threshold 0.2 --max-len 8");
    assert_eq!(code, 1);
    assert_eq!(document["verdict"], "refuted");
    assert_eq!(document["prover"], "search");
    assert_eq!(document["max_len"], 8);
    assert!(bounds(&document).0 > 0.2);
    witness(&document);
    assert!(document["witness"]["ids"].as_array().unwrap().len() <= 8);
}

#[test]
fn check_unknown() {
    let (code, document) = json("check --token e --threshold 0.97 --provers head");
    assert_eq!((code, &document["verdict"]), (3, &Value::from("unknown")));
    bounds(&document);
}

#[test]
fn bound_and_search() {
    let names = ["token", "language", "max_len", "lower", "upper", "witness", "prover", "model", "seconds"];
    for command in ["bound", "search"] {
        let (code, document) = json(&format!("{command} --token e --time 2"));
        assert_eq!(code, 0, "{command}");
        fields(&document, &names);
        bounds(&document);
        witness(&document);
    }
}

#[test]
fn audit() {
    let (_, document) = json("audit --token-ids 3,0-1 --threshold 0.20,.5 --time 5");
    fields(
        &document,
        &["model", "language", "max_len", "thresholds", "tokens", "summary", "mean_gap", "seconds"],
    );
    assert_eq!(document["thresholds"], serde_json::json!([0.2, 0.5]));
    let tokens = document["tokens"].as_array().unwrap();
    let ids: Vec<u64> = tokens.iter().map(|t| t["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [0, 1, 3]);
    for token in tokens {
        fields(token, &["id", "text", "lower", "upper", "witness", "prover", "verdicts"]);
        fields(&token["verdicts"], &["0.2", "0.5"]);
        bounds(token);
    }
    fields(&document["summary"], &["0.2", "0.5"]);
    for (threshold, counts) in document["summary"].as_object().unwrap() {
        for verdict in ["proved", "refuted", "unknown"] {
            let counted = tokens.iter().filter(|t| t["verdicts"][threshold] == verdict).count();
            assert_eq!(counts[verdict], counted, "{threshold} {verdict}");
        }
    }
}

#[test]
fn an_audit_ends_with_the_answer_for_all_tokens_together() {
    let (code, document) = json("audit --threshold 0.2 --time 10");
    let count = |verdict: &str| document["summary"]["0.2"][verdict].as_u64().unwrap();
    let expected = match (count("refuted"), count("unknown")) {
        (0, 0) => 0,
        (0, _) => 3,
        _ => 1,
    };
    assert_eq!(code, expected, "{}", document["summary"]);
    assert_eq!(document["tokens"].as_array().unwrap().len(), 81);
}

#[test]
fn an_audit_looks_for_witnesses_beyond_what_thresholds_ask_for() {
    let of = |line: &str| json(&format!("{line} --model models/moby-l2")).1;
    let audited = of("audit --token-ids 40 --threshold 0.999 --provers head,search --time 6");
    let row = &audited["tokens"][0];
    assert_eq!(row["verdicts"]["0.999"], "proved", "the head theorem suffices: {row}");
    // A bare beginning is far below what a second's search finds.
    let shortest = of("search --token-id 40 --max-len 1 --time 1")["lower"].as_f64().unwrap();
    let lower = row["lower"].as_f64().unwrap();
    assert!(lower >= 1.1 * shortest, "{lower} {shortest}");
}

#[test]
fn audit_as_csv() {
    let (_, csv, _) = run("audit --token-ids 0-4 --threshold 0.2,0.5 --time 5 --csv");
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "id,text,lower,upper,witness,prover,0.2,0.5");
    assert_eq!(lines.len(), 6, "{csv}");
}

#[test]
fn inspect() {
    let (code, document) = json("inspect --tokens");
    assert_eq!(code, 0);
    assert_eq!(document["vocabulary"], 81);
    assert_eq!(document["context"], 16);
    assert_eq!(document["digest"].as_str().unwrap().len(), 64);
    assert_eq!(document["tokens"].as_array().unwrap().len(), 81);
}

#[test]
fn stdout_without_a_terminal_has_no_colours() {
    for line in ["inspect", "check --token X --threshold 0.2", "audit --token-ids 0 --time 1"] {
        let (_, stdout, _) = run(line);
        assert!(!stdout.contains('\u{1b}'), "{line}: {stdout:?}");
    }
}
