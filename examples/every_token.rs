//! Bounds for every token of a vocabulary, for all prefixes of any length, from the head theorem alone: no search, some
//! milliseconds per model.
//!
//! `cargo run --release --example every_token`

use std::error::Error;
use std::path::Path;

use llmprove::limits::Limits;
use llmprove::model::{ModelFolder, TokenId};
use llmprove::prove::{Arguments, Portfolio};
use llmprove::search::Aim;
use llmprove::spec::Language;
use llmprove::verdict::Prover;

fn main() -> Result<(), Box<dyn Error>> {
    for name in ["moby-l1", "moby-l2", "moby-llama"] {
        let folder = ModelFolder::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name))?;
        let vocab = folder.vocab()?;
        let tokens: Vec<TokenId> = (0..folder.vocab_size() as TokenId).collect();
        let portfolio = Portfolio::open(&folder, &Language::Any, [Prover::Head].into())?;
        let aim = Aim::Narrow { gap: 0.0 };
        let bounds = portfolio.bound(&tokens, aim, Arguments::Dropped, &Limits::default(), &|_| {})?;

        let mut rare: Vec<(f64, TokenId)> = bounds.iter().map(|b| b.upper).zip(tokens).collect();
        rare.sort_by(|a, b| a.0.total_cmp(&b.0));
        println!("{name}: what it can hardly be made to say");
        for (upper, token) in &rare[..5] {
            println!("  P({:?}) <= {upper:.4}", vocab.text(*token));
        }
        assert!(rare.iter().all(|(upper, _)| (0.0..=1.0).contains(upper)));
    }
    Ok(())
}
