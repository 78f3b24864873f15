//! `diff`: bounds on changes of probabilities hold where the models are evaluated, and statements are put to the other model.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::suite::{change, folder};
use super::{json, run, shipped};

/// Every enumerated distance lies below the bound for all prefixes.
fn check_bounds(document: &Value) {
    for token in document["tokens"].as_array().unwrap() {
        let bound = token["bound"].as_f64().unwrap();
        let (lower, upper) =
            (token["short"]["lower"].as_f64().unwrap(), token["short"]["upper"].as_f64().unwrap());
        assert!(lower <= upper && lower <= bound, "{token}");
        assert!(upper - lower < 1e-9, "{token}");
    }
}

#[test]
fn a_changed_head_is_bounded_for_every_prefix() {
    let (dir, _suite) = folder();
    let model = dir.path().join("model");
    let line = format!("diff {} {}", shipped().display(), model.display());
    let (code, equal) = json(&line);
    assert_eq!((code, &equal["ground"], &equal["bound"]), (0, &Value::from("equal"), &Value::from(0.0)));

    // What storing the head in bf16 would do: the lower half of every word is rounded away.
    change(dir.path(), "lm_head.weight", |_, w| f32::from_bits((w.to_bits() + 0x8000) & 0xffff_0000));
    let (code, changed) = json(&format!("{line} --max-len 2"));
    assert_eq!((code, &changed["ground"]), (0, &Value::from("same-body")));
    assert!(changed["bound"].as_f64().unwrap() < 0.05, "{}", changed["bound"]);
    check_bounds(&changed);
    // Enumeration comes near: the bound is no formality.
    let most = |key: &dyn Fn(&Value) -> f64| {
        changed["tokens"].as_array().unwrap().iter().map(key).fold(0.0, f64::max)
    };
    let found = most(&|token| token["short"]["lower"].as_f64().unwrap());
    assert!(found > 0.0 && most(&|token| token["bound"].as_f64().unwrap()) < 100.0 * found);

    change(dir.path(), "transformer.wpe.weight", |_, w| w * 1.01);
    let (_, both) = json(&line);
    assert_eq!(both["ground"], "heads");
    check_bounds(&both);
}

#[test]
fn statements_about_the_first_model_are_put_to_the_second() {
    let (dir, suite) = folder();
    assert_eq!(json(&format!("prove {}", suite.display())).0, 0);
    let other = dir.path().join("other");
    fs::create_dir(&other).unwrap();
    for file in fs::read_dir(dir.path().join("model")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), other.join(file.file_name())).unwrap();
    }
    let line = format!(
        "diff {} {} --suite {}",
        dir.path().join("model").display(),
        other.display(),
        suite.display()
    );
    let how = |document: &Value| document["suite"]["statements"][0]["how"].clone();
    let (code, same) = json(&line);
    assert_eq!((code, how(&same)), (0, Value::from("checked")));
    scale_row(&other, 1.001);
    let (code, near) = json(&line);
    assert_eq!((code, how(&near)), (0, Value::from("survived")), "{near}");
    scale_row(&other, 3.0);
    let (code, text, _) = run(&line);
    assert!(code == 1 && text.contains("BROKEN: x-is-rare"), "{text}");
    let (code, document) =
        json(&format!("diff {} {} --suite {}", other.display(), other.display(), suite.display()));
    assert_eq!(code, 2, "{document}");
}

#[test]
fn distances_are_exact_on_a_finite_language() {
    let (dir, _suite) = folder();
    let model = dir.path().join("model");
    change(dir.path(), "transformer.wpe.weight", |_, w| w * 1.01);
    let line = format!("diff {} {}", shipped().display(), model.display());
    let (_, short) = json(&format!("{line} --max-len 1"));
    let (_, single) = json(&format!("{line} --prefix any{{1}}"));
    assert_eq!(short["tokens"], single["tokens"], "the same prefixes, named in two ways");
    let (code, slots) = json(&format!("{line} --prefix [letter]{{0,1}}·\"th\""));
    assert_eq!((code, &slots["max_len"], &slots["prefix"]), (0, &16.into(), &"[letter]{0,1}·\"th\"".into()));
    check_bounds(&slots);
    let ends =
        |token: &Value| token["short"]["prefix"].as_array().unwrap().ends_with(&[73.into(), 61.into()]);
    assert!(slots["tokens"].as_array().unwrap().iter().all(ends), "every prefix reads ..th");
    let (_, text, _) = run(&format!("{line} --prefix \"th\""));
    assert!(text.contains("on prefixes in \"th\" of at most 16 tokens"), "{text}");
    let (_, text, _) = run(&format!("{line} --prefix any{{1,2}} --time 0"));
    assert!(text.contains("nothing: the prefixes in any{1,2}"), "{text}");
    for (flags, words) in [
        ("--prefix any{1,5}", "more than 1000000 prefixes"),
        ("--prefix any{3} --max-len 2", "holds no prefix"),
        ("--max-len 17", "is not a length"),
    ] {
        let (code, _, stderr) = run(&format!("{line} {flags}"));
        assert!(code == 2 && stderr.contains(words), "{flags}: {stderr}");
    }
}

/// Scales the head's row of "X".
fn scale_row(model: &Path, factor: f32) {
    // `change` speaks of the folder `model` inside a folder.
    let scratch = tempfile::tempdir().unwrap();
    let inner = scratch.path().join("model");
    fs::create_dir(&inner).unwrap();
    fs::copy(model.join("model.safetensors"), inner.join("model.safetensors")).unwrap();
    change(scratch.path(), "lm_head.weight", |k, w| if k / 16 == 49 { factor * w } else { w });
    fs::copy(inner.join("model.safetensors"), model.join("model.safetensors")).unwrap();
}

#[test]
fn models_that_cannot_be_compared_are_refused() {
    let other = shipped().with_file_name("max-of-4");
    let (code, document) = json(&format!("diff {} {}", shipped().display(), other.display()));
    assert!(code == 2 && document["error"].as_str().unwrap().contains("81 and 64 tokens"), "{document}");
    let (code, document) =
        json(&format!("diff {} {} --max-len 16", shipped().display(), shipped().display()));
    assert!(code == 2 && document["error"].as_str().unwrap().contains("more than"), "{document}");
}
