//! Ctrl-C ends a run with the best bounds so far.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Signal 2 in the mask of caught signals that Linux shows for a process.
const SIGINT: u64 = 1 << 1;

fn catches_sigint(child: &Child) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & SIGINT != 0
}

#[test]
#[cfg(target_os = "linux")]
fn an_interrupted_audit_reports_what_it_has() {
    let arguments = ["audit", "--threshold", "0.05,0.2,0.5,0.8", "--time", "600", "--json"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmprove"));
    let mut child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    while !catches_sigint(&child) && Instant::now() < patience {
        assert!(child.try_wait().unwrap().is_none(), "ended before it could be interrupted");
        std::thread::sleep(Duration::from_millis(1));
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["tokens"].as_array().unwrap().len(), 81);
    assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{:?}", output.status);
    assert!(String::from_utf8_lossy(&output.stderr).contains("best bounds so far"));
}
