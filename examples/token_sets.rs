//! Several inputs in one pass: what a two-layer model says after "the w" with the letter in the middle replaced by any
//! vowel, and after embeddings that were moved a little, enclosed for all of them at once.
//!
//! `cargo run --release --example token_sets`

use std::error::Error;
use std::path::Path;

use llmprove::domain::network::Network;
use llmprove::domain::region::{EmbeddingBall, Norm};
use llmprove::model::{ModelFolder, TokenId, rigorous};
use llmprove::num::Interval;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = ModelFolder::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/moby-l2"))?;
    let (vocab, model) = (folder.vocab()?, folder.load()?);
    let network = Network::new(&model)?;
    let token = |text: &str| vocab.encode(text).map(|ids| ids[0]);
    let (t, h, space, target) = (token("t")?, token("h")?, token(" ")?, token("w")?);
    let vowels: Vec<TokenId> = ["a", "e", "i", "o", "u"].into_iter().map(token).collect::<Result<_, _>>()?;

    let known = network.known(&[t, h])?;
    let each_alone = vowels.iter().map(|&vowel| vec![vowel]).collect();
    let logits = network.over_sets(&known, &[each_alone, vec![vec![space]]])?;
    let enclosed = logits[0].outlook(target).probability;
    println!("after \"th\", a vowel and a space: P(\"w\") in {enclosed}");
    for vowel in vowels {
        let exact = rigorous::token_probability(&model, &[t, h, vowel, space], target, Interval::ONE)?;
        println!("  th{}: {exact}", vocab.text(vowel));
        assert!(enclosed.lo() <= exact.lo() && exact.hi() <= enclosed.hi());
    }

    let prefix = [t, h, token("e")?, space];
    for radius in [1e-4, 1e-3, 1e-2] {
        let ball = EmbeddingBall { prefix: &prefix, positions: &[2], norm: Norm::L2, radius };
        let p = network.over_ball(&ball)?.outlook(target).probability;
        println!("\"e\" moved by at most {radius}: P(\"w\") in {p}");
    }
    Ok(())
}
