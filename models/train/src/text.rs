//! A text as training data: characters, their ids, and windows of consecutive characters.
//!
//! The last tenth of the text is held out for validation.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use candle_core::{Device, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::card::sha256;
use crate::task::Batch;

/// A text, read once.
#[derive(Debug)]
pub struct Text {
    /// Characters in order of their code points; the id of a character is its index.
    pub vocabulary: Vec<char>,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
    training: Vec<u32>,
    validation: Vec<u32>,
}

impl Text {
    /// Reads a UTF-8 file.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| {
            format!("no training text at {}: run models/train/fetch-text.sh", path.display())
        })?;
        let text = String::from_utf8(bytes).with_context(|| format!("{} is not UTF-8", path.display()))?;
        Self::new(&text)
    }

    /// Splits a text and numbers its characters.
    pub fn new(text: &str) -> Result<Self> {
        let vocabulary = text.chars().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
        let mut training = text
            .chars()
            .map(|c| vocabulary.binary_search(&c).map(|i| i as u32).map_err(|_| anyhow!("{c:?} has no id")))
            .collect::<Result<Vec<_>>>()?;
        let validation = training.split_off(training.len() - training.len() / 10);
        Ok(Self { vocabulary, sha256: sha256(text.as_bytes()), training, validation })
    }

    /// `count` windows of `length` characters from random places of the training part, each position with the
    /// character that follows it.
    pub fn batch(&self, count: usize, length: usize, rng: &mut ChaCha8Rng) -> Result<Batch> {
        ensure!(self.training.len() > length, "the text is shorter than the context of {length} characters");
        let last = self.training.len() - length;
        let windows = (0..count)
            .map(|_| {
                let start = rng.random_range(0..last);
                &self.training[start..=start + length]
            })
            .collect::<Vec<_>>();
        Self::windows(&windows)
    }

    /// The held-out part as consecutive windows, in batches.
    pub fn validation(&self, count: usize, length: usize) -> impl Iterator<Item = Result<Batch>> {
        let windows = self.validation.windows(length + 1).step_by(length).collect::<Vec<_>>();
        (0..windows.len())
            .step_by(count)
            .map(move |i| Self::windows(&windows[i..windows.len().min(i + count)]))
    }

    fn windows(windows: &[&[u32]]) -> Result<Batch> {
        let length = windows.first().map_or(0, |w| w.len() - 1);
        let inputs = windows.iter().flat_map(|w| &w[..length]).copied().collect::<Vec<_>>();
        let targets = windows.iter().flat_map(|w| &w[1..]).copied().collect::<Vec<_>>();
        Ok(Batch {
            inputs: Tensor::from_vec(inputs, (windows.len(), length), &Device::Cpu)?,
            targets: Tensor::from_vec(targets, windows.len() * length, &Device::Cpu)?,
            scored: length,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_next_characters() {
        let text = Text::new(&"abcd".repeat(10)).unwrap();
        assert_eq!(text.vocabulary, ['a', 'b', 'c', 'd']);
        let mut rng = rand_chacha::rand_core::SeedableRng::seed_from_u64(3);
        let batch = text.batch(5, 6, &mut rng).unwrap();
        assert_eq!((batch.inputs.dims(), batch.scored), ([5, 6].as_slice(), 6));
        let inputs = batch.inputs.flatten_all().unwrap().to_vec1::<u32>().unwrap();
        let targets = batch.targets.to_vec1::<u32>().unwrap();
        for (input, target) in inputs.iter().zip(targets) {
            assert_eq!((input + 1) % 4, target);
        }
    }

    #[test]
    fn validation_reads_each_held_out_character_once() {
        let text = Text::new(&"0123456789".repeat(10)).unwrap();
        let seen = text
            .validation(2, 3)
            .flat_map(|batch| batch.unwrap().inputs.flatten_all().unwrap().to_vec1::<u32>().unwrap())
            .collect::<Vec<_>>();
        assert_eq!(seen, (0..9).collect::<Vec<_>>());
    }

    #[test]
    fn short_or_missing_texts_are_refused() {
        let short = Text::new("abc").unwrap();
        let mut rng = rand_chacha::rand_core::SeedableRng::seed_from_u64(3);
        assert!(short.batch(1, 16, &mut rng).unwrap_err().to_string().contains("shorter than the context"));
        let missing = Text::read(Path::new("/nonexistent/text")).unwrap_err();
        assert!(missing.to_string().contains("fetch-text.sh"));
    }
}
