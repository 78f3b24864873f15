//! The best residual that one attention layer can make if each head may mix what it can read; in floats.
//!
//! For a last token at a position the residual is its own entry plus a point of the convex hull of each head's outputs. The largest
//! linear functional over a hull is found exactly, position by position (Dinkelbach 1967), which makes a step of Frank and Wolfe.

use crate::limits::Limits;
use crate::model::{Attention, Layer, Model, Positions, Scale, TokenId};

use super::tail::{Tail, affine, normalise};

/// Steps for each last token.
const STEPS: usize = 12;
/// Most numbers in a table of values.
const LARGEST: usize = 1 << 24;

/// Per head and pair of position and token.
struct Tables<'a> {
    attention: &'a Attention,
    vocab: usize,
    entry: Vec<Vec<f64>>,
    query: Vec<Vec<f64>>,
    key: Vec<Vec<f64>>,
    /// `[head][pair]`, after the output projection.
    value: Vec<Vec<Vec<f64>>>,
}

/// A residual that mixtures make.
#[derive(Debug, Clone)]
pub struct Mixture {
    /// Value of the tail there.
    pub value: f64,
    /// `[d]`.
    pub residual: Vec<f64>,
    /// Length of the prefixes that are mixed, and their last token.
    pub pair: (usize, TokenId),
}

/// The largest value of the tail found; `None` if the layers are others. The witness, if there is one, is a start.
pub fn best(
    model: &Model,
    tail: &Tail<'_>,
    witness: Option<&[TokenId]>,
    longest: usize,
    limits: &Limits,
) -> Option<Mixture> {
    let tables = Tables::new(model, longest)?;
    let mut lengths = vec![longest];
    lengths.extend(witness.map(<[TokenId]>::len).filter(|&n| n < longest));
    let mut best: Option<Mixture> = None;
    let mut keep = |found: Mixture| {
        if best.as_ref().is_none_or(|best| found.value > best.value) {
            best = Some(found);
        }
    };
    if let Some(prefix) = witness.filter(|prefix| !prefix.is_empty() && prefix.len() <= longest) {
        keep(tables.climb(tail, prefix.len(), prefix[prefix.len() - 1], Some(prefix)));
    }
    for length in lengths {
        for token in 0..tables.vocab {
            if limits.expired() {
                return best;
            }
            keep(tables.climb(tail, length, token as TokenId, None));
        }
    }
    best
}

/// Turns elements `i` and `i + n` of every head by the `i`-th of `n` angles, given as sine and cosine.
fn rotated(mut x: Vec<f64>, dim: usize, angles: &[(f64, f64)]) -> Vec<f64> {
    for head in x.chunks_exact_mut(dim) {
        for (i, (sin, cos)) in angles.iter().enumerate() {
            let (a, b) = (head[i], head[i + angles.len()]);
            (head[i], head[i + angles.len()]) = (a * cos - b * sin, b * cos + a * sin);
        }
    }
    x
}

impl<'a> Tables<'a> {
    fn new(model: &'a Model, longest: usize) -> Option<Tables<'a>> {
        let (first, rest) = model.body.layers.split_first()?;
        let Layer::Attention(attention) = first else { return None };
        let table = match &model.body.positions {
            Positions::Learned(table) => Some(table),
            Positions::Rotary { .. } | Positions::None => None,
        };
        let (vocab, width, dim) = (model.head.vocab_size(), model.head.width(), attention.head_dim);
        let size = vocab.checked_mul(longest)?.checked_mul(width)?.checked_mul(attention.n_heads)?;
        if rest.iter().any(Layer::looks_back) || attention.head_norms.is_some() || size > LARGEST {
            return None;
        }
        let none = Vec::new;
        let value = vec![Vec::new(); attention.n_heads];
        let mut tables = Tables { attention, vocab, entry: none(), query: none(), key: none(), value };
        for position in 0..longest {
            let angles: Vec<(f64, f64)> = match model.body.positions {
                Positions::Rotary { theta, dim } => (0..dim / 2)
                    .map(|i| (position as f64 * theta.powf(-2.0 * i as f64 / dim as f64)).sin_cos())
                    .collect(),
                Positions::Learned(_) | Positions::None => Vec::new(),
            };
            for embedding in model.body.embed.rows() {
                let place = |i: usize| table.map_or(0.0, |t| f64::from(t[[position, i]]));
                let entry: Vec<f64> =
                    embedding.iter().enumerate().map(|(i, &e)| f64::from(e) + place(i)).collect();
                let read =
                    attention.norm.as_ref().map_or_else(|| entry.clone(), |norm| normalise(norm, &entry).0);
                let value = affine(&attention.value, &read);
                for (h, values) in tables.value.iter_mut().enumerate() {
                    let own = &value[h * attention.n_kv_heads / attention.n_heads * dim..][..dim];
                    let mut out = vec![0.0; width];
                    for (i, v) in own.iter().enumerate() {
                        let row = attention.output.weight.row(h * dim + i);
                        out.iter_mut().zip(row).for_each(|(o, &w)| *o += v * f64::from(w));
                    }
                    values.push(out);
                }
                tables.query.push(rotated(affine(&attention.query, &read), dim, &angles));
                tables.key.push(rotated(affine(&attention.key, &read), dim, &angles));
                let bias = |i: usize| attention.output.bias.as_ref().map_or(0.0, |b| f64::from(b[i]));
                tables.entry.push(entry.iter().enumerate().map(|(i, e)| e + bias(i)).collect());
            }
        }
        Some(tables)
    }

    /// `e^score` of every pair below `length` for a last token, the largest 1.
    fn weights(&self, head: usize, length: usize, token: TokenId) -> Vec<f64> {
        let dim = self.attention.head_dim;
        let scale = match self.attention.scale {
            Scale::InvSqrt(n) => 1.0 / (n as f64).sqrt(),
            Scale::Inverse(c) => 1.0 / c,
            Scale::One => 1.0,
        };
        let query = &self.query[(length - 1) * self.vocab + token as usize][head * dim..][..dim];
        let group = head * self.attention.n_kv_heads / self.attention.n_heads;
        let score = |key: &Vec<f64>| {
            query.iter().zip(&key[group * dim..][..dim]).map(|(q, k)| q * k).sum::<f64>() * scale
        };
        let scores: Vec<f64> = self.key[..length * self.vocab].iter().map(score).collect();
        let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        scores.iter().map(|s| (s - top).exp()).collect()
    }

    /// What a head reads from a prefix.
    fn read(&self, head: usize, weights: &[f64], prefix: &[usize]) -> Vec<f64> {
        let total: f64 = prefix.iter().map(|&pair| weights[pair]).sum();
        let mut out = vec![0.0; self.entry[0].len()];
        for &pair in prefix {
            let share = weights[pair] / total;
            out.iter_mut().zip(&self.value[head][pair]).for_each(|(o, v)| *o += share * v);
        }
        out
    }

    /// The pairs of the prefix from which a head reads the most in a direction.
    fn extreme(
        &self,
        head: usize,
        weights: &[f64],
        direction: &[f64],
        length: usize,
        token: TokenId,
    ) -> Vec<usize> {
        let values: Vec<f64> = self.value[head][..length * self.vocab]
            .iter()
            .map(|v| v.iter().zip(direction).map(|(v, d)| v * d).sum())
            .collect();
        let own = (length - 1) * self.vocab + token as usize;
        let (mut mu, mut prefix) = (values[own], Vec::new());
        for _ in 0..20 {
            let pick = |j: usize| {
                let term = |pair: &usize| weights[*pair] * (values[*pair] - mu);
                (j * self.vocab..(j + 1) * self.vocab)
                    .max_by(|a, b| term(a).total_cmp(&term(b)))
                    .unwrap_or(own)
            };
            prefix = (0..length - 1).map(pick).chain([own]).collect();
            let total: f64 = prefix.iter().map(|&pair| weights[pair]).sum();
            let next = prefix.iter().map(|&pair| weights[pair] * values[pair]).sum::<f64>() / total;
            if !(next > mu + 1e-12) {
                break;
            }
            mu = next;
        }
        prefix
    }

    /// Ascent over the hulls, from a prefix or from what the heads would choose at the bare last token.
    fn climb(&self, tail: &Tail<'_>, length: usize, token: TokenId, start: Option<&[TokenId]>) -> Mixture {
        let entry = &self.entry[(length - 1) * self.vocab + token as usize];
        let heads: Vec<Vec<f64>> = (0..self.value.len()).map(|h| self.weights(h, length, token)).collect();
        let toward = |direction: &[f64]| {
            let mut x = entry.clone();
            for (h, weights) in heads.iter().enumerate() {
                let prefix = self.extreme(h, weights, direction, length, token);
                x.iter_mut().zip(self.read(h, weights, &prefix)).for_each(|(x, o)| *x += o);
            }
            x
        };
        let mut x = match start {
            Some(prefix) => {
                let pairs: Vec<usize> =
                    prefix.iter().enumerate().map(|(j, &t)| j * self.vocab + t as usize).collect();
                let mut x = entry.clone();
                for (h, weights) in heads.iter().enumerate() {
                    x.iter_mut().zip(self.read(h, weights, &pairs)).for_each(|(x, o)| *x += o);
                }
                x
            }
            None => toward(&tail.value(entry).1),
        };
        let (mut value, mut gradient) = tail.value(&x);
        for _ in 0..STEPS {
            let goal = toward(&gradient);
            let step =
                |share: f64| -> Vec<f64> { x.iter().zip(&goal).map(|(x, g)| x + share * (g - x)).collect() };
            let tried = [1.0, 0.5, 0.25, 0.1, 0.03].into_iter().map(step).map(|x| (tail.value(&x), x));
            let Some(((better, next), moved)) = tried.max_by(|a, b| a.0.0.total_cmp(&b.0.0)) else { break };
            if !(better > value + 1e-9) {
                break;
            }
            (value, gradient, x) = (better, next, moved);
        }
        Mixture { value, residual: x, pair: (length, token) }
    }
}
