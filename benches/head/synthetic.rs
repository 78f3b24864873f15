//! A head of GPT-2's size with the statistics of trained ones: a common direction, a decaying spectrum, clusters of
//! related tokens, norms that spread, and some tokens that training hardly moved from the mean.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::{Dtype, TensorView};

/// Clusters of related tokens.
const CLUSTERS: usize = 1500;

/// Writes `config.json` and `model.safetensors` of a GPT-2 of which only the head is there into `dir`.
pub fn write(dir: &Path, vocab_size: usize, width: usize) -> io::Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(768);
    let spectrum: Vec<f32> = (0..width).map(|k| (k as f32 + 1.0).powf(-0.35)).collect();
    let total = spectrum.iter().map(|s| s * s).sum::<f32>().sqrt();
    let direction = |rng: &mut ChaCha8Rng, norm: f32| -> Vec<f32> {
        spectrum.iter().map(|s| s * norm / total * gaussian(rng)).collect()
    };
    let mean = direction(&mut rng, 2.0);
    let centres: Vec<Vec<f32>> = (0..CLUSTERS).map(|_| direction(&mut rng, 2.0)).collect();
    let mut embed = Vec::with_capacity(vocab_size * width);
    for _ in 0..vocab_size {
        let spread = if rng.random_range(0..100) == 0 { 0.03 } else { (0.2 * gaussian(&mut rng)).exp() };
        let centre = &centres[rng.random_range(0..CLUSTERS)];
        let own = direction(&mut rng, 2.2);
        embed.extend((0..width).map(|k| mean[k] + spread * (centre[k] + own[k])));
    }
    let gain: Vec<f32> = (0..width).map(|_| 1.2 * (0.2 * gaussian(&mut rng)).exp()).collect();
    let bias: Vec<f32> = (0..width).map(|_| 0.1 * gaussian(&mut rng)).collect();
    let position = vec![0.0; 8 * width];

    let tensors = [
        ("wte.weight", vec![vocab_size, width], embed),
        ("wpe.weight", vec![8, width], position),
        ("ln_f.weight", vec![width], gain),
        ("ln_f.bias", vec![width], bias),
    ];
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, _, data)| data.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views: BTreeMap<String, TensorView> = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(io::Error::other)?;
            Ok(((*name).to_owned(), view))
        })
        .collect::<io::Result<_>>()?;
    let config = format!(
        r#"{{"model_type": "gpt2", "n_layer": 1, "n_head": 12, "n_embd": {width}, "n_positions": 8, "vocab_size": {vocab_size},
            "layer_norm_epsilon": 1e-05, "activation_function": "gelu_new", "tie_word_embeddings": true}}"#
    );
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join("config.json"), config)?;
    safetensors::serialize_to_file(&views, None, &dir.join("model.safetensors")).map_err(io::Error::other)
}

/// A standard normal number (Box, Muller 1958).
fn gaussian(rng: &mut ChaCha8Rng) -> f32 {
    let (u, v) = (rng.random_range(f32::MIN_POSITIVE..1.0), rng.random_range(0.0..std::f32::consts::TAU));
    (-2.0 * u.ln()).sqrt() * v.cos()
}
