//! The command as scripts see it: exit codes, stdout, stderr, files.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod certificates;
mod diff;
mod documents;
mod errors;
mod explain;
mod guide;
mod interrupt;
mod language;
mod local;
mod predicates;
mod readme;
mod report;
mod setup;
mod suite;

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;

#[path = "../common/mod.rs"]
mod common;
use common::shared_models;

/// The shipped one-layer model.
fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/moby-l1")
}

/// `llmprove` with some arguments.
fn llmprove<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmprove"));
    command.args(args);
    command
}

/// Splits a command line at blanks and runs it: exit code, stdout, stderr.
fn run(line: &str) -> (i32, String, String) {
    let output = llmprove(line.split_whitespace()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().expect("ended by itself"), text(output.stdout), text(output.stderr))
}

/// Runs a command line with `--json` and reads the one document it prints.
fn json(line: &str) -> (i32, Value) {
    let (code, stdout, stderr) = run(&format!("{line} --json"));
    let document =
        serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{line}: {e}\n{stdout}\n{stderr}"));
    (code, document)
}
