//! Some prefixes only: with up to three tokens of any kind before "Moby Di", how likely can "c" get? Counts the language,
//! draws from it, and bounds `P("c")` from both sides.
//!
//! `cargo run --release --example prefix_language`

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use llmprove::limits::Limits;
use llmprove::model::ModelFolder;
use llmprove::prove::{Arguments, Portfolio};
use llmprove::search::Aim;
use llmprove::spec::Language;
use llmprove::spec::language::Automaton;
use llmprove::verdict::Prover;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = ModelFolder::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/moby-l1"))?;
    let vocab = folder.vocab()?;
    let language = Language::parse("any{0,3} · \"Moby Di\"", vocab)?;
    let automaton = Automaton::new(&language, vocab.len())?;
    println!("{} prefixes, such as", automaton.within(folder.context()).total());
    let slice = automaton.slice(10).ok_or("the language has prefixes of ten tokens")?;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..3 {
        let prefix = slice.sample(&mut rng);
        assert!(automaton.accepts(&prefix));
        println!("  {:?}", vocab.decode(&prefix));
    }

    let token = vocab.encode("c")?[0];
    let portfolio = Portfolio::open(&folder, &language, [Prover::Head, Prover::Search].into())?;
    let limits = Limits::default().within(Duration::from_secs(5));
    let aim = Aim::Narrow { gap: 0.01 };
    let bounds = portfolio.bound(&[token], aim, Arguments::Dropped, &limits, &|_| {})?;
    let witness = bounds[0].witness.as_ref().ok_or("some prefix was tried")?;
    println!("{:.4} <= max P(\"c\") <= {:.4}", bounds[0].lower(), bounds[0].upper);
    println!("the best prefix found: {:?}", vocab.decode(&witness.prefix));
    assert!(automaton.accepts(&witness.prefix));
    Ok(())
}
