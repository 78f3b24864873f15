//! Where a bound is lost: stages in order, certified ones around the certified bounds.

use super::{json, run};

#[test]
fn stages_shrink_from_the_head_to_a_prefix() {
    let (code, document) = json("explain --token X --time 1");
    assert_eq!(code, 0);
    let stages = document["stages"].as_array().unwrap();
    let names: Vec<&str> = stages.iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["head", "residual", "attention", "prefix"]);
    let odds: Vec<f64> = stages.iter().map(|s| s["log_odds"].as_f64().unwrap()).collect();
    assert!(odds.windows(2).all(|pair| pair[0] >= pair[1] - 1e-9), "{odds:?}");
    let certified: Vec<bool> = stages.iter().map(|s| s["certified"].as_bool().unwrap()).collect();
    assert_eq!(certified, [true, false, false, true]);
    assert!(document["upper"].as_f64() <= stages[0]["probability"].as_f64());
    assert!(document["lower"].as_f64() <= stages[2]["probability"].as_f64());
    // One vector cannot prove less than a mixture reaches, nor more than the head does, up to the last halving.
    let lost = &document["relaxation"];
    let at = |name: &str| lost[name].as_f64().unwrap();
    assert!((1..=16).contains(&lost["length"].as_u64().unwrap()), "{lost}");
    assert!(stages[2]["probability"].as_f64().unwrap() <= at("norm_known"), "{lost}");
    assert!(
        at("norm_known") <= at("undivided")
            && at("undivided") <= 1.001 * stages[0]["probability"].as_f64().unwrap()
    );
    assert!(at("lost_to_norm") >= 0.0 && at("lost_to_neurons") >= 0.0, "{lost}");
}

#[test]
fn a_language_is_refused() {
    let (code, _, stderr) = run("explain --token X --prefix any{2} --time 1");
    assert_eq!(code, 2);
    assert!(stderr.contains("leave out --prefix"), "{stderr}");
}
