//! Model folders that can't be used: an error that names the defect, never a panic and never a theorem.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;

use common::{check_proof, tiny_model};
use llmprove_proofs::{
    CheckError, Decimal, InputError, Language, Predicate, Proof, Reject, Statement, check, model_digest,
};
use tempfile::TempDir;

/// A copy of a tiny model.
fn copy(name: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(tiny_model(name)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    dir
}

/// Replaces a text that occurs in a file; the new one may be shorter, blanks fill up so that offsets stay.
fn edit(dir: &Path, file: &str, from: &str, to: &str) {
    let path = dir.join(file);
    let mut bytes = fs::read(&path).unwrap();
    let at =
        bytes.windows(from.len()).position(|w| w == from.as_bytes()).unwrap_or_else(|| panic!("no {from}"));
    let to = if file == "config.json" { to.to_string() } else { format!("{to:<width$}", width = from.len()) };
    bytes.splice(at..at + from.len(), to.bytes());
    fs::write(path, bytes).unwrap();
}

/// What a witness check says about the folder; the model's digest is right.
fn outcome(dir: &Path) -> CheckError {
    let threshold = Decimal::parse("0.001").unwrap();
    let predicate = Predicate::Ceiling { token: 0, threshold, temperature: None };
    let digest = model_digest(dir).unwrap_or_default();
    let statement = Statement::new(digest, Language::Any, None, predicate);
    check_proof(dir, &statement, Proof::Witness { prefix: vec![1, 2] }).unwrap_err()
}

fn expect_input(dir: &Path, message: &str) {
    match outcome(dir) {
        CheckError::Input(error) => assert!(error.to_string().contains(message), "{error}, not {message}"),
        CheckError::Reject(reject) => panic!("{reject}, not {message}"),
    }
}

#[test]
fn settings_that_can_not_be_used() {
    let table = [
        ("\"model_type\": \"gpt2\"", "\"model_type\": \"gpt3\"", "model_type \"gpt3\" is not one of"),
        ("\"model_type\": \"gpt2\",", "", "model_type is missing"),
        ("\"n_head\": 2", "\"n_head\": 3", "n_embd = 4 is not a multiple of n_head = 3"),
        ("\"n_head\": 2", "\"n_head\": 0", "n_head = 0 is not a size"),
        ("\"n_head\": 2", "\"n_head\": -2", "n_head: invalid value"),
        ("\"n_head\": 2", "\"n_head\": 99999999999999999999999", "n_head:"),
        ("\"n_head\": 2,", "", "n_head is missing"),
        ("\"n_layer\": 1", "\"n_layer\": 2", "tensor h.1.ln_1.weight: missing"),
        ("\"n_embd\": 4", "\"n_embd\": 8", "shape [4] where the configuration implies [8]"),
        ("\"vocab_size\": 8", "\"vocab_size\": 9", "shape [8, 4] where the configuration implies [9, 4]"),
        ("\"gelu_new\"", "\"mish\"", "activation_function = \"mish\" is not supported"),
        ("\"n_head\": 2", "\"n_head\": 2, \"parallel\": true", "parallel = true is not known"),
        (
            "\"n_head\": 2",
            "\"n_head\": 2, \"add_cross_attention\": true",
            "add_cross_attention = true is not supported",
        ),
        ("0.00001", "-1e-05", "layer_norm_epsilon is negative"),
        ("0.00001", "1e-999", "layer_norm_epsilon:"),
        ("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false", "tensor lm_head.weight: missing"),
        ("{", "[", "config.json:"),
    ];
    for (from, to, message) in table {
        let dir = copy("tiny-gpt2");
        edit(dir.path(), "config.json", from, to);
        expect_input(dir.path(), message);
    }
    let dir = copy("tiny-llama");
    edit(
        dir.path(),
        "config.json",
        "\"rope_scaling\": null",
        "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.0}",
    );
    expect_input(dir.path(), "factor = 2.0 is not known");
    let dir = copy("tiny-qwen2");
    edit(dir.path(), "config.json", "\"use_sliding_window\": false", "\"use_sliding_window\": true");
    expect_input(dir.path(), "use_sliding_window = true is not supported");
    let dir = copy("tiny-hooked");
    edit(dir.path(), "config.json", "\"causal\"", "\"bidirectional\"");
    expect_input(dir.path(), "attention_dir = \"bidirectional\" is not supported");
}

#[test]
fn settings_that_say_the_same_are_accepted() {
    let dir = copy("tiny-llama");
    let newer = "\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 10000.0}, \"x\": null";
    edit(dir.path(), "config.json", "\"rope_scaling\": null", newer);
    let theorem = |dir: &Path| {
        let predicate =
            Predicate::Ceiling { token: 1, threshold: Decimal::parse("1e-6").unwrap(), temperature: None };
        let statement = Statement::new(model_digest(dir).unwrap(), Language::Any, None, predicate);
        check_proof(dir, &statement, Proof::Witness { prefix: vec![7, 0, 7] }).unwrap()
    };
    assert_eq!(common::ends(&theorem(dir.path())), common::ends(&theorem(&tiny_model("tiny-llama"))));
}

#[test]
fn tensors_that_can_not_be_used() {
    let file = "model.safetensors";
    let table = [
        ("transformer.wpe.weight", "transformer.wpe.weighs", "tensor wpe.weight: missing"),
        ("\"dtype\":\"F32\"", "\"dtype\":\"I32\"", "type I32 (need F32, F16 or BF16)"),
        ("\"shape\":[12]", "\"shape\":[13]", "don't hold [13]"),
        (
            "transformer.h.0.ln_1.bias",
            "transformer.h.0.ln_9.bias",
            "tensor h.0.ln_9.bias: not part of this family",
        ),
        ("transformer.ln_f.bias", "transformer.ln_f.bia", "tensor ln_f.bia: not part of this family"),
    ];
    for (from, to, message) in table {
        let dir = copy("tiny-gpt2");
        let to = if to.len() < from.len() { &format!("{to}\"") } else { to };
        let from = if to.ends_with('"') && !from.ends_with('"') { &format!("{from}\"") } else { from };
        edit(dir.path(), file, from, to);
        expect_input(dir.path(), message);
    }
    // A weight that is not a number: the last four bytes of the file.
    let dir = copy("tiny-gpt2");
    let path = dir.path().join(file);
    let mut bytes = fs::read(&path).unwrap();
    let n = bytes.len();
    bytes[n - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    expect_input(dir.path(), "is NaN or infinite");
    // Cut short at any length.
    for length in [0, 7, 8, 100, n - 1] {
        fs::write(&path, &bytes[..length]).unwrap();
        assert!(matches!(outcome(dir.path()), CheckError::Input(_)), "{length} bytes");
    }
    fs::remove_file(&path).unwrap();
    expect_input(dir.path(), "model.safetensors");
}

#[test]
fn a_head_that_contradicts_its_tie_is_refused() {
    let dir = copy("tiny-gpt2-erf");
    edit(dir.path(), "config.json", "\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true");
    expect_input(dir.path(), "lm_head.weight: differs from the embedding");
}

#[test]
fn an_index_stays_inside_the_folder() {
    let index = "model.safetensors.index.json";
    for (from, to) in [
        ("model-00001-of-00002.safetensors", "../00001-of-00002.safetensors"),
        ("model-00001-of-00002.safetensors", "/etc/passwd"),
        ("\"weight_map\"", "\"weight_mop\""),
    ] {
        let dir = copy("tiny-llama");
        edit(dir.path(), index, from, to);
        expect_input(dir.path(), "weight_map must name at least one file of this folder");
    }
    let dir = copy("tiny-llama");
    fs::remove_file(dir.path().join("model-00002-of-00002.safetensors")).unwrap();
    expect_input(dir.path(), "model-00002-of-00002.safetensors");
    let dir = copy("tiny-llama");
    let (one, two) = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors");
    fs::copy(dir.path().join(one), dir.path().join(two)).unwrap();
    expect_input(dir.path(), "stored twice");
}

#[test]
fn one_weight_changes_the_digest() {
    let dir = copy("tiny-gpt2");
    let before = model_digest(dir.path()).unwrap();
    let path = dir.path().join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_ne!(model_digest(dir.path()).unwrap(), before);
    // An old certificate no longer holds.
    let case =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/accept/head_layer_norm.json"))
            .unwrap();
    let case: serde_json::Value = serde_json::from_str(&case).unwrap();
    let bytes = |key: &str| case[key].as_str().unwrap().as_bytes().to_vec();
    let outcome = check(dir.path(), &bytes("statement"), &bytes("certificate"));
    assert!(matches!(outcome, Err(CheckError::Reject(Reject::StatementOfOtherModel { .. }))));
}

#[test]
fn the_digest_is_that_of_sha256sum() {
    // sha256sum config.json model.safetensors | sha256sum
    let dir = copy("tiny-gpt2");
    fs::write(dir.path().join("config.json"), "a").unwrap();
    fs::write(dir.path().join("model.safetensors"), "b").unwrap();
    let lines = concat!(
        "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  config.json\n",
        "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d  model.safetensors\n"
    );
    assert_eq!(model_digest(dir.path()).unwrap(), llmprove_proofs::sha256_hex(lines.as_bytes()));
    assert!(matches!(model_digest(Path::new("/nonexistent")), Err(InputError::Read { .. })));
}
