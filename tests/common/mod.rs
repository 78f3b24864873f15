//! What integration tests share: the folder of real models, and reference logits of these.
#![allow(dead_code, reason = "every test binary compiles this file and uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test helper; a failure here is a failed test")]

use std::path::PathBuf;

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
}

/// Models with recorded reference logits, by the names of their folders.
pub const REFERENCE_MODELS: &[&str] = &[
    "gbmi-induction-2L",
    "gpt-by-hand",
    "kjv-char-l1",
    "kjv-char-l2",
    "leangpt-d16-l1",
    "leangpt-d32-l2-ctx16",
    "nanogpt-sort-abc",
    "stories260K",
];

/// The recorded logits of a model.
pub fn reference(model: &str) -> Vec<Case> {
    #[derive(serde::Deserialize)]
    struct File {
        cases: Vec<Case>,
    }
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/reference/{model}.json"));
    let file: File = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    file.cases
}
