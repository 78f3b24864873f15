//! The README's first example prints what the README says.

use std::fs;
use std::path::Path;

use super::llmprove;

/// Replaces the seconds, the one thing that differs between two runs.
fn without_time(text: &str) -> Vec<String> {
    let line = |line: &str| if line.starts_with("  time ") { "  time".into() } else { line.to_owned() };
    text.lines().map(line).collect()
}

#[test]
fn the_first_example_is_true() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let end = readme.lines().take_while(|line| *line != "```").count();
    assert!(end < 25, "the first example ends on line {}", end + 1);
    let (_, block) = readme.split_once("```console\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let (command, expected) = block.split_once('\n').unwrap();
    let arguments = command.strip_prefix("$ cargo run --release -- ").unwrap();
    let output = llmprove(arguments.split(' ')).current_dir(root).output().unwrap();
    assert_eq!(without_time(&String::from_utf8(output.stdout).unwrap()), without_time(expected));
}
