//! The training loop: AdamW (Loshchilov, Hutter 2019), a short warm-up, then a cosine decay of the rate to zero.

use anyhow::{Result, ensure};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::task::{self, Task};
use crate::transformer::Transformer;

/// How long and how fast to train.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Training {
    /// Optimiser steps.
    pub steps: usize,
    /// Sequences per step.
    pub batch: usize,
    /// Peak learning rate.
    pub rate: f64,
    /// Decoupled weight decay of the matrices; gains and biases have none.
    pub decay: f64,
    /// Seed of the initial weights and of the batches.
    pub seed: u64,
}

/// Trains the model in place, with progress on standard output.
pub fn run(model: &Transformer, task: &Task, training: &Training) -> Result<()> {
    // Another stream of the same seed, so that batches do not repeat the draws of the weights.
    let mut rng = ChaCha8Rng::seed_from_u64(training.seed);
    rng.set_stream(1);
    let optimizer = |vars: &[candle_core::Var], weight_decay| {
        AdamW::new(vars.to_vec(), ParamsAdamW { beta2: 0.99, weight_decay, ..ParamsAdamW::default() })
    };
    let mut matrices = optimizer(&model.matrices, training.decay)?;
    let mut vectors = optimizer(&model.vectors, 0.0)?;
    let report = (training.steps / 20).max(1);
    for step in 0..training.steps {
        let rate = rate(training, step);
        matrices.set_learning_rate(rate);
        vectors.set_learning_rate(rate);
        let loss = task::loss(model, &task.batch(&model.shape, training.batch, &mut rng)?)?;
        let gradients = loss.backward()?;
        matrices.step(&gradients)?;
        vectors.step(&gradients)?;
        if (step + 1) % report == 0 {
            let loss = loss.to_scalar::<f32>()?;
            ensure!(loss.is_finite(), "the loss is no longer finite: lower --rate");
            println!("step {:>6}  loss {loss:.4}", step + 1);
        }
    }
    Ok(())
}

/// Learning rate of a step, counted from zero.
fn rate(training: &Training, step: usize) -> f64 {
    let warmup = training.steps / 50 + 1;
    let rise = ((step + 1) as f64 / warmup as f64).min(1.0);
    let done = step as f64 / training.steps as f64;
    training.rate * rise * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout;
    use crate::shape::{Family, Gradient, Head, Shape};
    use crate::text::Text;

    fn trained(steps: usize, seed: u64) -> (f32, Vec<Vec<f32>>) {
        let task = Task::Text(Text::new(&"the whale, the white whale! ".repeat(40)).unwrap());
        let shape = Shape {
            family: Family::Gpt2,
            head: Head::Tied,
            gradient: Gradient::Full,
            context: 8,
            layers: 2,
            width: 8,
            heads: 2,
            neurons: 16,
        };
        let model = Transformer::new(&shape, task.vocabulary().len(), seed).unwrap();
        run(&model, &task, &Training { steps, batch: 8, rate: 1e-2, decay: 0.1, seed }).unwrap();
        let batch = task.batch(&shape, 64, &mut ChaCha8Rng::seed_from_u64(0)).unwrap();
        let loss = task::loss(&model, &batch).unwrap().to_scalar::<f32>().unwrap();
        let tensors = layout::tensors(&model).unwrap();
        (loss, tensors.values().map(|t| t.flatten_all().unwrap().to_vec1().unwrap()).collect())
    }

    #[test]
    fn the_same_seed_gives_the_same_weights_bit_for_bit() {
        assert_eq!(trained(5, 1).1, trained(5, 1).1);
        assert_ne!(trained(5, 1).1, trained(5, 2).1);
    }

    #[test]
    fn training_lowers_the_loss() {
        let (before, after) = (trained(0, 1).0, trained(60, 1).0);
        assert!(after < before / 2.0, "from {before} to {after}");
    }

    #[test]
    fn the_rate_rises_then_falls_to_nearly_nothing() {
        let training = Training { steps: 1000, batch: 1, rate: 1.0, decay: 0.0, seed: 0 };
        assert!(rate(&training, 0) < 0.1);
        assert!(rate(&training, 21) > 0.99);
        assert!(rate(&training, 999) < 1e-5);
    }
}
