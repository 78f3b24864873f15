//! Any bytes as model.safetensors: the loader and the checker's reader end with a model or an error.
#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

const STATEMENT: &[u8] = br#"{"format":"llmprove-statement","version":1,"model":"","language":"any","predicate":{"kind":"ceiling","token":0,"threshold":"0.5"}}"#;

/// A folder with the config of the shipped model.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = TempDir::new().expect("a folder for temporary files");
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/moby-l1/config.json");
    fs::copy(config, folder.path().join("config.json")).expect("the shipped model");
    folder
});

fuzz_target!(|bytes: &[u8]| {
    let folder = FOLDER.path();
    fs::write(folder.join("model.safetensors"), bytes).expect("room for temporary files");
    if let Ok(folder) = llmprove::model::ModelFolder::open(folder) {
        let _ = folder.load();
    }
    let proof = llmprove_proofs::Proof::Witness { prefix: vec![0] };
    let certificate = llmprove_proofs::Certificate::new(String::new(), STATEMENT, proof).to_json_bytes();
    let _ = llmprove_proofs::check(folder, STATEMENT, &certificate);
});
