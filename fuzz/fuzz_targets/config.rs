//! Any bytes as config.json: the loader ends with a model or an error.
#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// A folder with the weights of the shipped model.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = TempDir::new().expect("a folder for temporary files");
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/moby-l1/model.safetensors");
    fs::copy(weights, folder.path().join("model.safetensors")).expect("the shipped model");
    folder
});

fuzz_target!(|bytes: &[u8]| {
    let folder = FOLDER.path();
    fs::write(folder.join("config.json"), bytes).expect("room for temporary files");
    if let Ok(folder) = llmprove::model::ModelFolder::open(folder) {
        let _ = folder.load();
    }
});
