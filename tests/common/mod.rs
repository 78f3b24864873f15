//! What integration tests share: the folder of real models.

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
