//! What surrounds the work: config file, log, completions, manual pages.

use std::fs;

use super::{llmprove, run, shipped};

/// Runs a command line in a folder: exit code, stdout, stderr.
fn run_in(dir: &std::path::Path, line: &str) -> (i32, String, String) {
    let output = llmprove(line.split_whitespace()).current_dir(dir).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_config_file_sets_defaults_and_flags_win() {
    let dir = tempfile::tempdir().unwrap();
    let moby_l2 = shipped().with_file_name("moby-l2");
    let config = format!("model = {:?}\nprovers = \"head\"\ntime = 7\n", moby_l2.display().to_string());
    fs::write(dir.path().join("llmprove.toml"), &config).unwrap();
    let (_, by_file, _) = run_in(dir.path(), "bound --token X");
    assert!(by_file.contains("moby-l2") && !by_file.contains("witness"), "{by_file}");
    let (_, by_flag, _) = run_in(dir.path(), &format!("bound --token X --model {}", shipped().display()));
    assert!(by_flag.contains("moby-l1"), "{by_flag}");
    let (_, help, _) = run_in(dir.path(), "bound --help");
    assert!(help.contains("[default: 7]"), "{help}");
    // Another file by name, from another folder; its model is relative to the file.
    let other = dir.path().join("other.toml");
    fs::write(&other, "model = \"m\"\n").unwrap();
    let (code, _, stderr) = run(&format!("inspect --config {}", other.display()));
    assert!(code == 2 && stderr.contains(&dir.path().join("m").display().to_string()), "{stderr}");
    for (text, message) in [
        ("modle = 1", "modle is not a setting"),
        ("model = 1", "model is a integer, not a text"),
        ("time = \"x\"", "time is a string, not a number"),
        ("time = ", "other.toml"),
    ] {
        fs::write(&other, text).unwrap();
        let (code, _, stderr) = run(&format!("--config={} inspect", other.display()));
        assert!(code == 2 && stderr.contains(message) && stderr.contains("help"), "{text}: {stderr}");
    }
}

#[test]
fn the_log_goes_to_stderr() {
    let (_, silent, stderr) = run("check --token X --threshold 0.2");
    assert_eq!(stderr, "");
    let (_, stdout, stderr) = run("check --token X --threshold 0.2 --log debug");
    assert!(stderr.contains("head theorem") && stderr.contains("better upper bound"), "{stderr}");
    assert_eq!(stdout.lines().next(), silent.lines().next());
}

#[test]
fn completions_and_manual_pages() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, _) = run(&format!("completions {shell}"));
        assert!(code == 0 && script.contains("llmprove") && script.contains("max-len"), "{shell}: {script}");
    }
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("man");
    assert_eq!(run(&format!("man {}", pages.display())).0, 0);
    let page = fs::read_to_string(pages.join("llmprove-check.1")).unwrap();
    assert!(page.contains("\\-\\-threshold"), "{page}");
}
