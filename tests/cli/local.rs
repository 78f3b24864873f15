//! `llmprove local`: a ball around embeddings, certified margins, and exit codes.

use serde_json::Value;

use super::llmprove;

fn local(args: &[&str]) -> (i32, Value) {
    let all = ["local", "--prefix-ids", "40,54,61,40,54", "--json"];
    let output = llmprove(all.into_iter().chain(args.iter().copied())).output().unwrap();
    (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap())
}

/// The likeliest token after the prefix, by asking each of them.
fn likeliest() -> String {
    let ahead = |id: &String| local(&["--token-id", id, "--ball", "0"]).0 == 0;
    (0..81).map(|id: u32| id.to_string()).find(ahead).unwrap()
}

#[test]
fn a_token_stays_ahead_in_a_small_ball_only() {
    let token = likeliest();
    let ask = |rest: &[&str]| local(&[&["--token-id", &token], rest].concat());
    let (code, point) = ask(&["--ball", "0"]);
    assert_eq!((code, &point["stays"]), (0, &Value::Bool(true)));
    let lowest = |document: &Value| document["margins"][0]["lower"].as_f64().unwrap();
    let (_, small) = ask(&["--ball", "0.0001", "--positions", "3"]);
    let (_, wider) = ask(&["--ball", "0.001", "--positions", "3"]);
    let (_, euclidean) = ask(&["--ball", "0.001", "--norm", "2", "--positions", "3"]);
    assert!(lowest(&point) > lowest(&small) && lowest(&small) > lowest(&wider));
    assert!(lowest(&euclidean) > lowest(&wider), "the ball lies within the box");
    let (code, whole) = ask(&["--ball", "50"]);
    assert_eq!((code, &whole["stays"]), (3, &Value::Bool(false)));
    let (_, one) = ask(&["--ball", "0.001", "--versus", "80"]);
    assert_eq!(one["margins"].as_array().unwrap().len(), 1);
}

#[test]
fn wrong_questions_are_explained() {
    for (args, word) in [
        (&["--token-id", "1", "--ball", "-1"][..], "radius"),
        (&["--token-id", "1", "--ball", "nan"], "radius"),
        (&["--token-id", "1", "--ball", "0.1", "--positions", "5"], "position"),
        (&["--token-id", "1", "--ball", "0.1", "--positions", "x"], "position"),
        (&["--token-id", "1", "--ball", "0.1", "--versus", "1"], "itself"),
    ] {
        let (code, document) = local(args);
        assert_eq!(code, 2);
        assert!(document["error"].as_str().unwrap().contains(word), "{args:?}: {document}");
    }
}
