//! `report`: the page opens from the file system in a real browser, sorts, filters, and draws what the JSON says.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{json, run};

/// A Chromium on the path, or `$LLMPROVE_CHROMIUM`; `None`, said aloud, where there is none.
fn chromium(test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let on_path = std::env::split_paths(&path).flat_map(|dir| names.map(|name| dir.join(name)));
    let named = std::env::var_os("LLMPROVE_CHROMIUM").map(PathBuf::from);
    let found = named.into_iter().chain(on_path).find(|file| file.is_file());
    if found.is_none() {
        eprintln!("SKIPPED: {test}: no Chromium on the path; set LLMPROVE_CHROMIUM");
    }
    found
}

/// The page's document after its scripts have run, with a view after the `#` of the address.
fn dom(browser: &Path, page: &Path, view: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--virtual-time-budget=2000"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}#{view}", page.display()))
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Values of an attribute of the elements with a tag, in the page's order.
fn attributes<'a>(dom: &'a str, tag: &str, name: &str) -> Vec<&'a str> {
    let opening = format!("<{tag} ");
    let tags = dom.split(opening.as_str()).skip(1).map(|rest| rest.split('>').next().unwrap_or_default());
    let value = |text: &'a str| text.split(&format!(" {name}=\"")).nth(1)?.split('"').next();
    tags.filter_map(value).collect()
}

fn numbers(texts: &[&str]) -> Vec<f64> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Checks the page of an audit with a browser against the audit's document.
fn check(browser: &Path, page: &Path, audit: &Value) {
    let tokens = audit["tokens"].as_array().unwrap();
    let column = |key: &str| -> Vec<f64> { tokens.iter().map(|row| row[key].as_f64().unwrap()).collect() };

    let plain = dom(browser, page, "");
    assert!(plain.contains(&format!("{0} of {0} tokens", tokens.len())), "scripts have run");
    assert_eq!(numbers(&attributes(&plain, "circle", "data-upper")), column("upper"), "dots are the bounds");
    assert_eq!(numbers(&attributes(&plain, "circle", "data-lower")), column("lower"));
    let classes: f64 = numbers(&attributes(&plain, "rect", "data-count")).iter().sum();
    assert_eq!(classes, tokens.len() as f64, "every gap is in a class");

    let mut sorted = column("upper");
    sorted.sort_by(|a, b| b.total_cmp(a));
    let view = dom(browser, page, "sort=upper&down=1");
    assert_eq!(numbers(&attributes(&view, "tr", "data-upper")), sorted, "rows in the order of their bounds");
    assert!(view.contains("aria-sort=\"descending\""));

    for (answer, count) in audit["summary"]["0.2"].as_object().unwrap() {
        let view = dom(browser, page, &format!("show={answer}"));
        assert!(view.contains(&format!("{count} of {} tokens", tokens.len())), "{answer}");
    }
}

#[test]
fn the_page_of_the_shipped_model_in_a_browser() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("report.html");
    let certificates = dir.path().join("with blank");
    let line = format!("report --time 0.3 --out {}", page.display());
    let args = line.split(' ').chain(["--certificates", certificates.to_str().unwrap(), "--json"]);
    let output = super::llmprove(args).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let written: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(written["report"], page.to_str().unwrap());

    let html = std::fs::read_to_string(&page).unwrap();
    let links = html.matches("href=\"with%20blank/token-").count();
    assert_eq!(written["certificates"], links);
    assert!(links > 0, "the head theorem proves something about this model");
    if let Some(browser) = chromium("the page of the shipped model") {
        check(&browser, &page, &written["audit"]);
    }
}

#[test]
fn the_page_of_a_real_model_is_small_and_sorts() {
    let Some(models) = crate::shared_models("the page of stories260K") else { return };
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("report.html");
    let model = models.join("stories260K");
    let (code, written) =
        json(&format!("report --provers head --model {} --out {}", model.display(), page.display()));
    assert_eq!((code, written["audit"]["tokens"].as_array().unwrap().len()), (0, 512));
    assert!(std::fs::metadata(&page).unwrap().len() < 2_000_000);
    if let Some(browser) = chromium("the page of stories260K") {
        check(&browser, &page, &written["audit"]);
    }
}

#[test]
fn an_earlier_audit_gives_the_same_page() {
    let dir = tempfile::tempdir().unwrap();
    let (code, audit) = json("audit --provers head");
    assert_ne!(code, 2);
    let (file, page) = (dir.path().join("audit.json"), dir.path().join("report.html"));
    std::fs::write(&file, audit.to_string()).unwrap();
    let (code, written) = json(&format!("report --from {} --out {}", file.display(), page.display()));
    assert_eq!((code, &written["audit"]), (0, &audit));
    assert!(page.is_file());
}

#[test]
fn the_terminal_view_has_a_bar_for_every_token() {
    let (code, stdout, _) = run("report --provers head --token-ids 3-7 --terminal");
    assert_eq!(code, 0);
    assert_eq!(stdout.lines().filter(|line| line.contains('·') || line.contains('░')).count(), 5, "{stdout}");
    assert!(!stdout.contains('\u{1b}'), "no colours where nobody sees them");
}

#[test]
fn what_cannot_be_reported_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit.json");
    let from = format!("report --from {} --out {}", file.display(), dir.path().join("r.html").display());
    let says = |line: &str, words: &str| {
        let (code, _, stderr) = run(line);
        assert!(code == 2 && stderr.contains(words), "{line}: {code} {stderr}");
    };
    says(&from, "cannot be read");
    std::fs::write(&file, "{}").unwrap();
    says(&from, "is not the document of an audit");
    let (_, mut audit) = json("audit --provers head --token-ids 0");
    audit["tokens"][0]["id"] = 9999.into();
    std::fs::write(&file, audit.to_string()).unwrap();
    says(&from, "speaks of token 9999");
    says("report --out no/such/folder/r.html", "there is no folder");
    says("report --terminal --json", "cannot be used with");
}
