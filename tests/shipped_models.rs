//! The shipped models: their files are those of their MODEL.md, they load, and they compute what an independent
//! implementation computes.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use common::reference;
use llmprove::model::{Evaluator, ModelFolder};
use sha2::{Digest, Sha256};

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

/// File names with their hashes, as `sha256sum` prints them, from the lines of MODEL.md that have that form.
fn stated(card: &str) -> BTreeMap<String, String> {
    let line = |line: &str| {
        let (hash, name) = line.split_once("  ")?;
        let is_hash = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        is_hash.then(|| (name.to_owned(), hash.to_owned()))
    };
    card.lines().filter_map(line).collect()
}

fn found(folder: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut hashes = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != "MODEL.md" {
            let hash = Sha256::digest(fs::read(entry.path())?);
            hashes.insert(name, hash.iter().map(|byte| format!("{byte:02x}")).collect());
        }
    }
    Ok(hashes)
}

#[test]
fn shipped_files_are_those_of_their_cards() {
    let folders = fs::read_dir(models())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|folder| folder.join("config.json").exists())
        .collect::<Vec<_>>();
    assert!(folders.iter().any(|folder| folder.ends_with("moby-l1")), "the default model is not there");
    for folder in folders {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let card = fs::read_to_string(folder.join("MODEL.md")).unwrap();
        assert!(card.starts_with(&format!("# {name}\n")), "{name}: MODEL.md has another title");
        let stated = stated(&card);
        for file in ["config.json", "model.safetensors", "vocab.json"] {
            assert!(stated.contains_key(file), "{name}: MODEL.md does not state the hash of {file}");
        }
        assert_eq!(stated, found(&folder).unwrap(), "{name}: run the trainer again, or restore the files");
    }
}

#[test]
fn logits_equal_the_reference() {
    for name in ["max-of-4", "moby-l1", "moby-l2", "moby-llama"] {
        let model = ModelFolder::open(models().join(name)).unwrap().load().unwrap();
        let cases = reference(name);
        let prefixes: Vec<Vec<u32>> = cases.iter().map(|case| case.prefix.clone()).collect();
        let logits = Evaluator::new(&model).next_logits(&prefixes).unwrap();
        for (case, row) in cases.iter().zip(logits.rows()) {
            let spread = case.logits.iter().fold(1.0, |m: f64, l| m.max(l.abs()));
            for (token, (expected, found)) in case.logits.iter().zip(row).enumerate() {
                let error = (expected - f64::from(*found)).abs() / spread;
                assert!(error < 3e-6, "{name}: {:?} gives token {token} a logit off by {error}", case.prefix);
            }
        }
    }
}

#[test]
fn max_of_4_says_the_greatest_number() {
    let folder = ModelFolder::open(models().join("max-of-4")).unwrap();
    let model = folder.load().unwrap();
    // Every input whose tokens are multiples of nine, 8^4 of them.
    let inputs: Vec<Vec<u32>> =
        (0..8u32.pow(4)).map(|i| [0, 3, 6, 9].map(|shift| 9 * (i >> shift & 7)).to_vec()).collect();
    let logits = Evaluator::new(&model).next_logits(&inputs).unwrap();
    for (input, row) in inputs.iter().zip(logits.rows()) {
        let best = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
        assert_eq!(best as u32, *input.iter().max().unwrap(), "{input:?}");
    }
}
