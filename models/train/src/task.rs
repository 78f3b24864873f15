//! What a model learns: batches to train on and the measure of success.

use std::path::Path;

use anyhow::{Context, Result};
use candle_core::{D, Tensor};
use rand_chacha::ChaCha8Rng;

use crate::maximum;
use crate::recipe::{Data, Recipe};
use crate::shape::Shape;
use crate::text::Text;
use crate::transformer::Transformer;

/// Sequences with the answers expected.
#[derive(Debug)]
pub struct Batch {
    /// Ids, `[batch, length]`.
    pub inputs: Tensor,
    /// Right answers after each of the last `scored` positions, `[batch · scored]`.
    pub targets: Tensor,
    /// Positions that have an answer, counted from the end.
    pub scored: usize,
}

/// A source of batches.
#[derive(Debug)]
pub enum Task {
    /// The next character of a text.
    Text(Text),
    /// The maximum of what was read.
    Maximum {
        /// Numbers `0..vocabulary`.
        vocabulary: usize,
    },
}

impl Task {
    /// Prepares the data of a recipe; `text` is read only where it is needed.
    pub fn load(recipe: &Recipe, text: &Path) -> Result<Self> {
        Ok(match recipe.data {
            Data::Text => Self::Text(Text::read(text)?),
            Data::Maximum { vocabulary } => Self::Maximum { vocabulary },
        })
    }

    /// The text of each token.
    pub fn vocabulary(&self) -> Vec<String> {
        match self {
            Self::Text(text) => text.vocabulary.iter().map(char::to_string).collect(),
            Self::Maximum { vocabulary } => (0..*vocabulary).map(|v| v.to_string()).collect(),
        }
    }

    /// Random training sequences as long as the model reads.
    pub fn batch(&self, shape: &Shape, count: usize, rng: &mut ChaCha8Rng) -> Result<Batch> {
        match self {
            Self::Text(text) => text.batch(count, shape.context, rng),
            Self::Maximum { vocabulary } => maximum::batch(*vocabulary, count, rng),
        }
    }

    /// How well the model does, in lines of text.
    pub fn measure(&self, model: &Transformer) -> Result<Vec<String>> {
        match self {
            Self::Text(text) => {
                let context = model.shape.context;
                let losses = text
                    .validation(512, context)
                    .map(|batch| position_losses(model, &batch?))
                    .collect::<Result<Vec<_>>>()?;
                let losses = Tensor::cat(&losses, 0)?;
                let last = losses.narrow(1, context - 1, 1)?.mean_all()?.to_scalar::<f64>()?;
                let mean = losses.mean_all()?.to_scalar::<f64>()?;
                Ok(vec![
                    format!(
                        "validation loss: {mean:.4} nats per character, all positions of consecutive windows"
                    ),
                    format!("validation loss with the full context: {last:.4} nats per character"),
                ])
            }
            Self::Maximum { vocabulary } => {
                let accuracy = maximum::accuracy(model, *vocabulary)?;
                Ok(vec![
                    format!("correct on {} of all {} inputs", accuracy.correct, accuracy.inputs),
                    format!("least margin of the right logit: {:.4} nats", accuracy.margin),
                ])
            }
        }
    }
}

/// Mean cross-entropy of the scored positions, in nats.
pub fn loss(model: &Transformer, batch: &Batch) -> Result<Tensor> {
    Ok(cross_entropies(model, batch)?.mean_all()?)
}

/// Cross-entropies `[batch, scored]` in nats, as f64 so that their mean loses nothing.
fn position_losses(model: &Transformer, batch: &Batch) -> Result<Tensor> {
    let losses = cross_entropies(model, batch)?.to_dtype(candle_core::DType::F64)?;
    Ok(losses.reshape(((), batch.scored))?)
}

/// `LSE(l) − l_target` per scored position, `[batch · scored]`.
fn cross_entropies(model: &Transformer, batch: &Batch) -> Result<Tensor> {
    let (count, length) = batch.inputs.dims2()?;
    let scored = batch.scored;
    let logits = model.logits(&batch.inputs)?;
    let tokens = logits.dim(D::Minus1)?;
    let logits = logits
        .reshape((count, length, tokens))?
        .narrow(1, length.checked_sub(scored).context("more answers than positions")?, scored)?
        .reshape((count * scored, tokens))?;
    let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?.detach())?;
    let total = shifted.exp()?.sum(D::Minus1)?.log()?;
    let right = shifted.gather(&batch.targets.unsqueeze(1)?, 1)?.squeeze(1)?;
    Ok((total - right)?)
}
