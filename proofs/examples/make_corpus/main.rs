//! Writes the tiny models and the accept and reject cases of this crate's tests. Same bytes on every run:
//! `cargo run --release -p llmprove-proofs --example make_corpus`

mod attention;
mod block;
mod block_claims;
mod cases;
mod models;
mod order;
mod predicates;
mod two_blocks;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

type AnyError = Box<dyn std::error::Error>;

fn main() -> Result<(), AnyError> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for folder in ["accept", "reject", "models"] {
        match fs::remove_dir_all(tests.join(folder)) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e.into()),
            _ => fs::create_dir_all(tests.join(folder))?,
        }
    }
    models::write(&tests.join("models"))?;
    cases::accept(&tests.join("accept"))?;
    cases::reject(&tests.join("reject"))
}
