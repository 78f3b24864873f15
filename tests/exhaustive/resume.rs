//! A run that is killed and goes on from its checkpoint.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Some 130,000 prefixes of the shipped model: about a second of work.
fn command(checkpoint: &std::path::Path, threads: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmprove"));
    command.args([
        "bound",
        "--token",
        "X",
        "--prefix",
        "any{2} · [id:0-19]",
        "--provers",
        "exhaustive",
        "--json",
    ]);
    command.args(["--time", "600", "--threads", threads, "--checkpoint"]).arg(checkpoint);
    command
}

fn document(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    let mut document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
    document["seconds"] = Value::Null;
    document
}

#[test]
fn a_killed_run_goes_on_and_ends_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (state, fresh) = (dir.path().join("state"), dir.path().join("fresh"));
    let mut child = command(&state, "1").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // The first state is written after the first round.
    let patience = Instant::now() + Duration::from_secs(120);
    while !state.exists() && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(20));
    }
    // Without mercy (SIGKILL); it may have ended by now on a fast machine, which the units below do not mind.
    child.kill().unwrap();
    child.wait().unwrap();
    let units = |path: &std::path::Path| {
        let state: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        state["state"]["units"].as_u64().unwrap()
    };
    let kept = units(&state);
    assert!(kept > 0);
    let resumed = document(&mut command(&state, "2"));
    let whole = document(&mut command(&fresh, "1"));
    assert_eq!(resumed, whole);
    assert!(units(&state) == units(&fresh) && kept <= units(&state));
    assert_eq!(whole["prover"], "exhaustive");

    // Another question does not go on from it, and a damaged state is no state.
    let mut other = command(&state, "1");
    let output = other.args(["--max-len", "5"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    fs::write(&fresh, b"{}").unwrap();
    let output = command(&fresh, "1").output().unwrap();
    assert!(output.status.code() == Some(2) && String::from_utf8_lossy(&output.stderr).contains("damaged"));
}
