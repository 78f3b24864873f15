//! Text written by a trained character model, for MODEL.md.

use anyhow::Result;
use candle_core::{Device, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::transformer::Transformer;

/// `length` ids drawn from the model at temperature 1, after the id `first`.
pub fn write(model: &Transformer, first: u32, length: usize, seed: u64) -> Result<Vec<u32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut ids = vec![first];
    for _ in 0..length {
        let seen = &ids[ids.len().saturating_sub(model.shape.context)..];
        let logits = model.logits(&Tensor::from_slice(seen, (1, seen.len()), &Device::Cpu)?)?;
        let logits = logits.get(seen.len() - 1)?.to_vec1::<f32>()?;
        ids.push(draw(&logits, &mut rng));
    }
    Ok(ids)
}

/// An id with probability proportional to `e^logit`.
fn draw(logits: &[f32], rng: &mut ChaCha8Rng) -> u32 {
    let top = logits.iter().fold(f32::NEG_INFINITY, |m, &l| m.max(l));
    let weights = logits.iter().map(|l| f64::from(l - top).exp()).collect::<Vec<_>>();
    let mut left = rng.random_range(0.0..weights.iter().sum::<f64>());
    for (id, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return id as u32;
        }
    }
    (weights.len() - 1) as u32
}
