//! The task "say the greatest of the tokens read", and its exact accuracy over every input of a four-token model.
//!
//! With the last token `u` fixed, the logits of a one-layer attention-only model are
//! `Σ_j w_j(v_j) (d + r_j(v_j)) / Σ_j w_j(v_j)`: `w` the exponentiated scores, `r` what position `j` contributes through
//! values, output and head, `d` what the residual stream of `u` says by itself. The denominator is positive, so an argmax
//! needs only sums of table rows (cf. Gross et al. 2024, "Compact proofs of model performance").

use anyhow::{Result, bail, ensure};
use candle_core::{DType, Device, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::shape::{Family, Shape};
use crate::task::Batch;
use crate::transformer::{Positions, Transformer};

/// Positions read.
pub const COUNT: usize = 4;

/// How a model does on all `vocabulary^4` inputs.
#[derive(Debug)]
pub struct Accuracy {
    /// Inputs whose greatest logit is that of their maximum, with no other logit as large.
    pub correct: u64,
    /// All inputs.
    pub inputs: u64,
    /// Least lead, in nats, of the right logit over the best other one; negative if an input is wrong.
    pub margin: f64,
}

/// `count` random inputs with their maxima.
///
/// Half of them are uniform. Their maxima are mostly large and seldom close to the runner-up, so in the other half the
/// greatest number allowed is itself uniform and half of the tokens lie within three of it.
pub fn batch(vocabulary: usize, count: usize, rng: &mut ChaCha8Rng) -> Result<Batch> {
    let mut inputs = Vec::with_capacity(count * COUNT);
    let mut targets = Vec::<u32>::with_capacity(count);
    for i in 0..count {
        let top = if i % 2 == 0 { vocabulary - 1 } else { rng.random_range(0..vocabulary) };
        let tokens = [0; COUNT].map(|_| {
            let near = i % 2 == 1 && rng.random_bool(0.5);
            rng.random_range(if near { top.saturating_sub(3) } else { 0 }..=top) as u32
        });
        inputs.extend(tokens);
        targets.extend(tokens.iter().max());
    }
    Ok(Batch {
        inputs: Tensor::from_vec(inputs, (count, COUNT), &Device::Cpu)?,
        targets: Tensor::from_vec(targets, count, &Device::Cpu)?,
        scored: 1,
    })
}

/// Evaluates every input, in f64.
pub fn accuracy(model: &Transformer, vocabulary: usize) -> Result<Accuracy> {
    let tables = Tables::new(model, vocabulary)?;
    let mut sums = [vec![0.0; vocabulary], vec![0.0; vocabulary], vec![0.0; vocabulary]];
    let mut accuracy = Accuracy { correct: 0, inputs: (vocabulary as u64).pow(4), margin: f64::INFINITY };
    for last in 0..vocabulary {
        let (weights, rows) = tables.given_last(last);
        let [with_one, with_two, with_all] = &mut sums;
        for a in 0..vocabulary {
            add(&rows[3][last], &rows[0][a], with_one);
            for b in 0..vocabulary {
                add(with_one, &rows[1][b], with_two);
                for c in 0..vocabulary {
                    add(with_two, &rows[2][c], with_all);
                    let maximum = last.max(a).max(b).max(c);
                    let right = with_all[maximum];
                    with_all[maximum] = f64::NEG_INFINITY;
                    let best = with_all.iter().fold(f64::NEG_INFINITY, |m, &x| if x > m { x } else { m });
                    let total = weights[3][last] + weights[0][a] + weights[1][b] + weights[2][c];
                    accuracy.correct += u64::from(right > best);
                    accuracy.margin = accuracy.margin.min((right - best) / total);
                }
            }
        }
    }
    Ok(accuracy)
}

fn add(a: &[f64], b: &[f64], sum: &mut [f64]) {
    for ((s, x), y) in sum.iter_mut().zip(a).zip(b) {
        *s = x + y;
    }
}

/// Scores and contributions of every token at every position.
struct Tables {
    /// `[position][last token][token]`, scores.
    scores: Vec<Vec<Vec<f64>>>,
    /// `[position][token][logit]`, contributions through attention.
    read: Vec<Vec<Vec<f64>>>,
    /// `[last token][logit]`, contributions of the residual stream.
    own: Vec<Vec<f64>>,
}

impl Tables {
    fn new(model: &Transformer, vocabulary: usize) -> Result<Self> {
        let Shape { family, layers, heads, context, width, .. } = model.shape;
        let (Some(head), [block], Positions::Learned(positions)) =
            (&model.head, model.blocks.as_slice(), &model.positions)
        else {
            bail!(
                "every input can be evaluated only for one layer with a head of its own, not {layers} layers"
            );
        };
        ensure!(
            family == Family::BareAttention && heads == 1 && context == COUNT,
            "every input can be evaluated only for one bare attention head and a context of {COUNT}"
        );
        let double = |t: &Tensor| t.to_dtype(DType::F64);
        let head = double(head)?;
        let embedding = double(&model.embedding)?;
        let streams = (0..COUNT)
            .map(|j| Ok(embedding.broadcast_add(&double(positions)?.narrow(0, j, 1)?)?))
            .collect::<Result<Vec<_>>>()?;
        let query = (streams[COUNT - 1].matmul(&double(&block.query.weight)?)? / (width as f64).sqrt())?;
        let key = double(&block.key.weight)?;
        let circuit = double(&block.value.weight)?.matmul(&double(&block.output.weight)?)?.matmul(&head)?;
        let scores = streams
            .iter()
            .map(|x| Ok(query.matmul(&x.matmul(&key)?.t()?)?.to_vec2()?))
            .collect::<Result<_>>()?;
        let read = streams.iter().map(|x| Ok(x.matmul(&circuit)?.to_vec2()?)).collect::<Result<_>>()?;
        let own = streams[COUNT - 1].matmul(&head)?.to_vec2()?;
        ensure!(embedding.dim(0)? == vocabulary, "the model does not have {vocabulary} tokens");
        Ok(Self { scores, read, own })
    }

    /// Weights `[position][token]` and weighted rows `[position][token][logit]` when `last` is the last token.
    fn given_last(&self, last: usize) -> (Vec<Vec<f64>>, Vec<Vec<Vec<f64>>>) {
        let row = |j: usize| &self.scores[j][last];
        let shift = (0..COUNT).flat_map(row).fold(f64::NEG_INFINITY, |m, &s| m.max(s));
        let weights = (0..COUNT).map(|j| row(j).iter().map(|s| (s - shift).exp()).collect::<Vec<_>>());
        let weights = weights.collect::<Vec<_>>();
        let weighted = |j: usize, v: usize| {
            self.read[j][v]
                .iter()
                .zip(&self.own[last])
                .map(|(r, d)| weights[j][v] * (r + d))
                .collect::<Vec<_>>()
        };
        let rows = (0..COUNT).map(|j| (0..self.own.len()).map(|v| weighted(j, v)).collect()).collect();
        (weights, rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{Gradient, Head};

    #[test]
    fn tables_agree_with_running_the_model_on_every_input() {
        let vocabulary = 6;
        let shape = Shape {
            family: Family::BareAttention,
            head: Head::Untied,
            gradient: Gradient::Full,
            context: COUNT,
            layers: 1,
            width: 8,
            heads: 1,
            neurons: 0,
        };
        let model = Transformer::new(&shape, vocabulary, 7).unwrap();
        let tokens = vocabulary as u32;
        let inputs = (0..tokens.pow(4))
            .map(|i| [i / tokens.pow(3), i / tokens.pow(2) % tokens, i / tokens % tokens, i % tokens])
            .collect::<Vec<_>>();
        let ids = Tensor::from_vec(inputs.concat(), (inputs.len(), COUNT), &Device::Cpu).unwrap();
        let logits = model.logits(&ids).unwrap().reshape((inputs.len(), COUNT, vocabulary)).unwrap();
        let logits = logits.narrow(1, COUNT - 1, 1).unwrap().squeeze(1).unwrap().to_vec2::<f32>().unwrap();

        let mut correct = 0;
        let mut margin = f64::INFINITY;
        for (input, logits) in inputs.iter().zip(&logits) {
            let maximum = *input.iter().max().unwrap() as usize;
            let others = (0..vocabulary).filter(|&v| v != maximum).map(|v| f64::from(logits[v]));
            let lead = f64::from(logits[maximum]) - others.fold(f64::NEG_INFINITY, f64::max);
            correct += u64::from(lead > 0.0);
            margin = margin.min(lead);
        }
        let found = accuracy(&model, vocabulary).unwrap();
        assert_eq!((found.correct, found.inputs), (correct, 1296));
        assert!((found.margin - margin).abs() < 1e-5, "{} against {margin}", found.margin);
    }

    #[test]
    fn batches_answer_with_the_maximum() {
        let batch = batch(64, 32, &mut rand_chacha::rand_core::SeedableRng::seed_from_u64(1)).unwrap();
        let inputs = batch.inputs.to_vec2::<u32>().unwrap();
        let targets = batch.targets.to_vec1::<u32>().unwrap();
        assert_eq!(inputs.len(), 32);
        for (input, target) in inputs.iter().zip(targets) {
            assert_eq!(input.iter().max(), Some(&target));
            assert!(target < 64);
        }
    }
}
