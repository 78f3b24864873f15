//! The architecture's invariants, as far as a test can see them.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Names of the workspace's own crates that each of them depends on, of any kind.
fn own_dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |package: &Value| package["name"].as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    let own: BTreeSet<String> = packages.iter().map(name).collect();
    let dependencies = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter().map(name);
        all.filter(|dependency| own.contains(dependency)).collect()
    };
    packages.iter().map(|package| (name(package), dependencies(package))).collect()
}

#[test]
fn the_checker_and_the_solvers_depend_on_no_other_crate_of_ours() {
    let edges = own_dependencies();
    let expected = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(edges["llmprove"], expected(&["llmprove-proofs", "llmprove-solvers"]));
    assert_eq!(edges["llmprove-proofs"], expected(&[]));
    assert_eq!(edges["llmprove-solvers"], expected(&[]));
}

fn source_files(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files.extend(source_files(&path));
        } else {
            files.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    files
}

/// Asserts that the library's code outside of `rooms` contains none of `words`.
fn only_in(rooms: &[&str], words: &[&str]) {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let outside = |path: &str| !rooms.iter().any(|room| path.starts_with(&*src.join(room).to_string_lossy()));
    let files: Vec<(String, String)> =
        source_files(&src).into_iter().filter(|(path, _)| outside(path)).collect();
    assert!(!files.is_empty(), "the walk found nothing");
    for (path, text) in files {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for word in words {
            assert!(!code.contains(word), "{path} contains {word}, which belongs to {rooms:?}");
        }
    }
}

#[test]
fn only_the_command_line_and_model_loading_touch_the_outside_world() {
    only_in(
        &["main.rs", "cli", "model"],
        &["std::fs", "std::io", "std::env", "println!", "eprintln!", "std::process"],
    );
}

#[test]
fn only_num_computes_enclosures_of_elementary_functions() {
    only_in(&["num"], &["core_math::"]);
}
