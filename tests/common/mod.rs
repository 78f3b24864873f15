//! What integration tests share: the folder of real models, and reference logits of these.
#![allow(dead_code, reason = "every test binary compiles this file and uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test helper; a failure here is a failed test")]

pub mod planted;

use std::path::PathBuf;

use llmprove::model::{Model, ModelFolder};

/// The folder of real models beside the repository (or `$LLMPROVE_SHARED/models`); `None`, said aloud, where it is absent.
pub fn shared_models(test: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("LLMPROVE_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let models = shared.join("models");
    if models.is_dir() {
        return Some(models);
    }
    eprintln!("SKIPPED: {test}: no real models at {}; set LLMPROVE_SHARED", models.display());
    None
}

/// Logits after one prefix, from the independent implementation in `tests/reference/make.py`.
#[derive(serde::Deserialize)]
pub struct Case {
    /// Token ids.
    pub prefix: Vec<u32>,
    /// One per token.
    pub logits: Vec<f64>,
    /// Probabilities of a few tokens.
    pub probabilities: Vec<(u32, f64)>,
}

/// Every model with recorded reference logits: the shipped ones, tiny ones for the corners of the families, and the real
/// ones where these are present.
pub fn reference_models(test: &str) -> Vec<(String, Model)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let own = [root.join("models"), root.join("tests/fixtures/models")];
    let folders = own.into_iter().chain(shared_models(test));
    let mut models = Vec::new();
    for folder in folders.flat_map(|folder| std::fs::read_dir(folder).unwrap()) {
        let folder = folder.unwrap();
        let name = folder.file_name().into_string().unwrap();
        if fixture(&name).exists() {
            models.push((name, ModelFolder::open(folder.path()).unwrap().load().unwrap()));
        }
    }
    models.sort_by(|(a, _), (b, _)| a.cmp(b));
    models
}

/// The tiny models for the corners of the families, in the order of their names.
pub fn fixture_models() -> Vec<ModelFolder> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| ModelFolder::open(path).unwrap()).collect()
}

fn fixture(model: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/reference/{model}.json"))
}

/// The recorded logits of a model.
pub fn reference(model: &str) -> Vec<Case> {
    #[derive(serde::Deserialize)]
    struct File {
        cases: Vec<Case>,
    }
    let file: File = serde_json::from_slice(&std::fs::read(fixture(model)).unwrap()).unwrap();
    file.cases
}
