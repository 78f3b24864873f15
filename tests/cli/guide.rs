//! The commands of the guide print what the guide says, and its suites are suites.
//!
//! Blocks marked `console`: each `$ ` line is run in a scratch folder with the repository's models; every printed line has to
//! occur in what the command says, `...` stands for lines left out, and `$ echo $?` shows the exit code (otherwise 0, 1 or 3).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Name and text of every page.
fn pages() -> Vec<(String, String)> {
    let pages = fs::read_dir(root().join("docs/guide")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<(String, String)> =
        pages.map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap())).collect();
    pages.sort();
    assert!(pages.len() >= 6, "the guide has only {} pages", pages.len());
    pages
}

/// The fenced blocks of a language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let open = format!("```{language}\n");
    page.split(&open).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// The two programs, or `None`, said aloud, where the checker was not built.
fn program(name: &str) -> Option<PathBuf> {
    let llmprove = PathBuf::from(env!("CARGO_BIN_EXE_llmprove"));
    let path = llmprove.with_file_name(name);
    if !path.is_file() {
        eprintln!(
            "SKIPPED: a command of the guide: {name} is not built; cargo build --release -p llmprove-proofs"
        );
        return None;
    }
    Some(path)
}

/// Runs a block in a folder.
fn run_block(page: &str, block: &str, folder: &Path) {
    let mut code = None;
    let mut said = String::new();
    for line in block.lines() {
        if line == "$ echo $?" {
            said = format!("{}", code.unwrap());
        } else if let Some(command) = line.strip_prefix("$ ") {
            let mut words = command.split_whitespace();
            let Some(path) = program(words.next().unwrap()) else { return };
            let output = Command::new(path).args(words).current_dir(folder).output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            code = output.status.code();
            assert!(code.is_some_and(|code| code != 2), "{page}: {command}: {stderr}");
            said = String::from_utf8(output.stdout).unwrap();
        } else if line != "..." {
            assert!(said.lines().any(|l| l == line), "{page}: expected the line {line:?} in:\n{said}");
        }
    }
}

#[test]
fn the_commands_of_the_guide_run_as_written() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["models", "proofs"] {
        std::os::unix::fs::symlink(root().join(name), folder.path().join(name)).unwrap();
    }
    let mut n = 0;
    for (page, text) in pages() {
        for block in blocks(&text, "console") {
            run_block(&page, block, folder.path());
            n += 1;
        }
    }
    assert!(n >= 6, "{n} blocks");
}

#[test]
fn the_suites_of_the_guide_are_read() {
    let toml: Vec<(String, String)> = pages()
        .into_iter()
        .flat_map(|(page, text)| {
            let blocks = blocks(&text, "toml").into_iter().map(ToOwned::to_owned).collect::<Vec<_>>();
            blocks.into_iter().map(move |block| (page.clone(), block))
        })
        .filter(|(_, block)| block.contains("[[statement]]"))
        .collect();
    assert!(toml.len() >= 2);
    for (page, block) in toml {
        llmprove::suite::Suite::parse(&page, &block).unwrap();
    }
}

#[test]
fn every_page_is_part_of_the_documentation() {
    let lib = fs::read_to_string(root().join("src/guide.rs")).unwrap();
    for (page, _) in pages() {
        let name = Path::new(&page).file_name().unwrap().to_string_lossy().into_owned();
        assert!(lib.contains(&format!("docs/guide/{name}")), "src/guide.rs leaves out {name}");
    }
}
