//! Is there a prefix after which "X" is likelier than 0.2? Decides it, writes statement and certificate, and has the
//! independent checker read both.
//!
//! `cargo run --release --example check_ceiling`

use std::error::Error;
use std::path::Path;

use llmprove::decide::decide;
use llmprove::limits::Limits;
use llmprove::model::ModelFolder;
use llmprove::spec::{Language, Predicate, Statement, Threshold};
use llmprove::verdict::{Answer, Prover};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/moby-l1");
    let folder = ModelFolder::open(&dir)?;
    let token = folder.vocab()?.encode("X")?[0];
    let predicate = Predicate::Ceiling { token, threshold: Threshold::parse("0.2")?, temperature: None };
    let statement = Statement { language: Language::Any, max_len: None, predicate };

    let provers = [Prover::Head, Prover::Search].into();
    let decision = decide(&folder, &statement, provers, &Limits::default(), &|_| {})?;
    println!("{}", decision.answer.word());
    assert_eq!(decision.answer, Answer::Proved);

    let files = decision.files.ok_or("a decided statement has a certificate")?;
    let to = std::env::temp_dir();
    let (statement, certificate) = (to.join("x.statement.json"), to.join("x.json"));
    std::fs::write(&statement, &files.statement)?;
    std::fs::write(&certificate, &files.certificate)?;

    // The checker shares no code with the prover. It reads the weights itself and says what was proved.
    let theorem = llmprove_proofs::check(&dir, &std::fs::read(&statement)?, &std::fs::read(&certificate)?)?;
    println!("{theorem}");
    println!("{} and {}", statement.display(), certificate.display());
    Ok(())
}
