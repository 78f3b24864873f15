//! House rules that no lint knows: every source file says what it is and stays short. The checker has
//! stricter ones of its own, in `proofs/tests/tidy.rs`.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::path::{Path, PathBuf};

/// Most lines of a source file.
const MAX_LINES: usize = 500;
/// Folders with source code.
const FOLDERS: [&str; 9] = [
    "src",
    "solvers/src",
    "proofs/src",
    "models/train/src",
    "tests",
    "proofs/tests",
    "benches",
    "examples",
    "fuzz/fuzz_targets",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below a folder, sorted.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn all_files() -> Vec<(PathBuf, String)> {
    let files: Vec<PathBuf> = FOLDERS.iter().flat_map(|folder| rust_files(&root().join(folder))).collect();
    assert!(files.len() > 20, "the walk found only {} files", files.len());
    files.into_iter().map(|path| (path.clone(), std::fs::read_to_string(&path).unwrap())).collect()
}

/// Collects the files that break a rule, so that one run shows them all.
fn check(rule: &str, breaks: impl Fn(&Path, &str) -> Option<String>) {
    let broken: Vec<String> = all_files()
        .iter()
        .filter_map(|(path, text)| Some(format!("{}: {}", path.display(), breaks(path, text)?)))
        .collect();
    assert!(broken.is_empty(), "{rule}\n{}", broken.join("\n"));
}

#[test]
fn every_file_opens_with_what_it_is() {
    check("a file starts with a //! sentence", |_, text| {
        let first = text.lines().next().unwrap_or_default();
        (!first.starts_with("//! ")).then(|| format!("starts with {first:?}"))
    });
}

#[test]
fn files_are_short() {
    check("one file, one concept", |_, text| {
        let lines = text.lines().count();
        (lines > MAX_LINES).then(|| format!("{lines} lines, at most {MAX_LINES}"))
    });
}

#[test]
fn nothing_is_left_open() {
    let open = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("FIX", "ME"),
        concat!("#[ign", "ore"),
    ];
    check("no open ends", |_, text| open.iter().find(|word| text.contains(**word)).map(ToString::to_string));
}

#[test]
fn no_line_ends_in_blanks() {
    check("no blanks at line ends", |_, text| {
        text.lines().position(|line| line.ends_with([' ', '\t'])).map(|k| format!("line {}", k + 1))
    });
}
