//! Every file of every shipped model has the SHA-256 that its MODEL.md states, and MODEL.md states all of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use sha2::{Digest, Sha256};

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
    let folders = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("models"))
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
