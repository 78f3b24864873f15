//! What the checker promises about its own source.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// Most lines of code, without comments, blank lines and tests.
const BUDGET: usize = 6800;

/// Source files without their tests.
fn sources() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let entries = fs::read_dir(&folder).unwrap().chain(fs::read_dir(folder.join("block")).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with("tests.rs"));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path, text.split("#[cfg(test)]").next().unwrap().to_string())
    };
    paths.filter(|path| path.is_file()).map(read).collect()
}

fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split("//").next().unwrap().trim()).filter(|line| !line.is_empty())
}

#[test]
fn no_floating_point_number_and_no_unsafe_code() {
    for (path, text) in sources() {
        for line in code(&text) {
            for word in line.split(|c: char| !c.is_alphanumeric() && c != '_') {
                assert!(!["f32", "f64", "unsafe"].contains(&word), "{}: {line}", path.display());
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is_and_stays_short() {
    let mut total = 0;
    for (path, text) in sources() {
        assert!(text.starts_with("//! "), "{} does not open with //!", path.display());
        assert!(text.lines().count() <= 300, "{} is long", path.display());
        total += code(&text).count();
    }
    assert!(total <= BUDGET, "{total} lines of code, the budget is {BUDGET}");
}

#[test]
fn no_path_dependency() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    assert!(
        !manifest.contains("path = \"..") && !manifest.contains("llmprove ="),
        "the checker stands alone"
    );
    let workspace = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml")).unwrap();
    let profile = "[profile.release.package.llmprove-proofs]\noverflow-checks = true";
    assert!(workspace.contains(profile), "overflow must not wrap in a release build of the checker");
}
