//! Estimated gains of substitutions are derivatives: compared with finite differences on every kind of layer.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::path::Path;

use llmprove::model::{Evaluator, Model, ModelFolder, TokenId};
use ndarray::Array1;

/// Half of the distance between the two points of a central difference, as a part of the way from one token to another.
const STEP: f32 = 4e-3;

#[test]
fn gains_are_directional_derivatives() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fixtures = std::fs::read_dir(root.join("tests/fixtures/models")).unwrap();
    let mut folders: Vec<_> = fixtures.map(|entry| entry.unwrap().path()).collect();
    folders.extend(["moby-l2", "moby-llama"].map(|name| root.join("models").join(name)));
    folders.sort();
    let mut covered = Vec::new();
    for path in folders {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let model = ModelFolder::open(&path).unwrap().load().unwrap();
        let vocab = model.head.vocab_size() as TokenId;
        let len = model.context.min(5);
        let prefixes: Vec<Vec<TokenId>> =
            (0..3).map(|b| (0..len as u32).map(|p| (7 + 5 * p + 11 * b) % vocab).collect()).collect();
        let targets = [1, 3, 2];
        let views: Vec<&[TokenId]> = prefixes.iter().map(Vec::as_slice).collect();
        let Some(gains) = Evaluator::new(&model).substitution_gains(&views, &targets).unwrap() else {
            assert!(name.starts_with("rwkv"), "{name} has no gradient");
            continue;
        };
        for ((prefix, gains), &target) in prefixes.iter().zip(&gains).zip(&targets) {
            assert_eq!(gains.dim(), (len, vocab as usize));
            for (p, to) in [(0, 4), (len / 2, 0), (len - 1, 5)] {
                assert_eq!(gains[[p, prefix[p] as usize]], 0.0);
                let (gain, measured) =
                    (f64::from(gains[[p, to as usize]]), slope(&model, prefix, p, to, target));
                let error = (measured - gain).abs();
                let allowed = 0.02 * (measured.abs() + gain.abs()) + 3e-3;
                assert!(error <= allowed, "{name} {prefix:?}, {to} at {p}: {gain}, measured {measured}");
            }
        }
        covered.push(name);
    }
    for name in ["gpt2-bare-f16", "llama-biased", "qwen3", "neox", "hooked-heads"] {
        assert!(covered.iter().any(|c| c == name), "{name} was not covered");
    }
}

/// Central difference along the straight line from one token's embedding to another's.
fn slope(model: &Model, prefix: &[TokenId], p: usize, to: TokenId, target: TokenId) -> f64 {
    let value = |h: f32| {
        // A token that is not used otherwise gets the embedding.
        let mut model = model.clone();
        let spare = (0..).find(|t| !prefix.contains(t)).unwrap();
        let here = model.body.embed.row(prefix[p] as usize).to_owned();
        let there = model.body.embed.row(to as usize).to_owned();
        let moved: Array1<f32> = &here + &((&there - &here) * h);
        model.body.embed.row_mut(spare as usize).assign(&moved);
        let mut prefix = prefix.to_vec();
        prefix[p] = spare;
        f64::from(Evaluator::new(&model).log_probs(&[prefix]).unwrap()[[0, target as usize]])
    };
    (value(STEP) - value(-STEP)) / (2.0 * f64::from(STEP))
}
