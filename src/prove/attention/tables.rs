//! A one-layer attention-only model folded into logits: what every (position, token) pair adds to each of them.
//!
//! Without norms all that follows the softmax is linear. For the last token u at position n
//!
//! ```text
//! l(x) = base(n,u) + Σ_h Σ_j e_h(j,x_j) read_h(j,x_j) / Σ_j e_h(j,x_j),    e_h(j,v) = e^(score_h(n,u; j,v)),
//! ```
//!
//! where `base` and `read` are rows of logits and do not depend on the rest of the prefix (the OV and QK circuits of Elhage et
//! al., *A Mathematical Framework for Transformer Circuits*, 2021).

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use ndarray::{Array2, s};

use crate::model::{Attention, Layer, Linear, Model, Positions, Scale, TokenId};
use crate::num::{Interval, dot, vec_mat};

/// Why the attention prover cannot speak about a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the attention prover does not apply: {0}")]
pub struct NotApplicable(pub String);

/// Most numbers in a table.
const LARGEST: usize = 1 << 26;

/// The folded model. Index of a pair: `position · vocab + token`, positions from zero.
#[derive(Debug)]
pub struct Tables {
    /// Number of tokens.
    pub vocab: usize,
    /// Longest prefix.
    pub context: usize,
    /// Attention heads.
    pub heads: usize,
    /// What the last pair adds to the logits, `[pairs · vocab]`.
    pub base: Vec<f64>,
    /// Per head, what a pair adds when it gets all attention, `[pairs · vocab]`.
    pub read: Vec<Vec<f64>>,
    /// Every entry of `base` and `read` is at most this far from the real number.
    pub error: f64,
    /// Largest magnitude of an entry.
    pub largest: f64,
    /// Queries times the scale, per head and pair, `[head_dim]`.
    query: Vec<Vec<Vec<Interval>>>,
    /// Keys, likewise.
    key: Vec<Vec<Vec<Interval>>>,
    /// Scores by length and last token, as far as they were asked for: per head, one for each pair of positions below the length.
    scores: Vec<OnceLock<Vec<Vec<Interval>>>>,
    /// Multiplications that tables and scores took.
    products: AtomicU64,
}

impl Tables {
    /// Whether the layers are of the kind that is covered, as far as a glance can tell.
    #[must_use]
    pub fn covers(model: &Model) -> bool {
        matches!(model.body.layers.as_slice(), [Layer::Attention(a)] if a.norm.is_none())
            && model.head.norm.is_none()
    }

    /// Folds a model of one attention layer without norms.
    ///
    /// # Errors
    /// Names the first property of the model that the prover does not cover.
    pub fn new(model: &Model) -> Result<Tables, NotApplicable> {
        let refuse = |why: &str| NotApplicable(why.into());
        let [Layer::Attention(attention)] = model.body.layers.as_slice() else {
            return Err(refuse(
                "it covers one attention layer and nothing else, and this model has other layers",
            ));
        };
        if attention.norm.is_some() || model.head.norm.is_some() {
            return Err(refuse("it covers models without norms"));
        }
        let positions = match &model.body.positions {
            Positions::Learned(table) => Some(table),
            Positions::None => None,
            Positions::Rotary { .. } => return Err(refuse("rotary positions are not covered")),
        };
        let (vocab, context) = (model.head.vocab_size(), model.context);
        let entries = vocab.checked_mul(vocab).and_then(|n| n.checked_mul(context));
        if entries.and_then(|n| n.checked_mul(attention.n_heads)).is_none_or(|n| n > LARGEST) {
            return Err(refuse("its tables would be too large"));
        }
        let mut folding = Folding::new(model, attention);
        for position in 0..context {
            for embedding in model.body.embed.rows() {
                let entry: Vec<Interval> = match positions {
                    Some(table) => embedding
                        .iter()
                        .zip(table.row(position))
                        .map(|(&e, &p)| point(e) + point(p))
                        .collect(),
                    None => embedding.iter().map(|&e| point(e)).collect(),
                };
                folding.add(&entry);
            }
        }
        folding.finish(vocab, context).ok_or_else(|| refuse("its weights overflow double precision"))
    }

    /// Scores of each head for the last pair `(length − 1, token)`: one for each pair of positions below `length`.
    pub(super) fn scores(&self, length: usize, token: TokenId) -> &[Vec<Interval>] {
        let last = (length - 1) * self.vocab + token as usize;
        self.scores[last].get_or_init(|| {
            let of = |(queries, keys): (&Vec<Vec<Interval>>, &Vec<Vec<Interval>>)| {
                let (query, keys) = (&queries[last], &keys[..length * self.vocab]);
                self.products.fetch_add((query.len() * keys.len()) as u64, Ordering::Relaxed);
                keys.iter().map(|key| dot(query, key)).collect()
            };
            self.query.iter().zip(&self.key).map(of).collect()
        })
    }

    /// Multiplications that the tables took so far.
    #[must_use]
    pub fn products(&self) -> u64 {
        self.products.load(Ordering::Relaxed)
    }
}

fn point(x: f32) -> Interval {
    Interval::point(f64::from(x))
}

/// Tables under construction.
struct Folding<'a> {
    attention: &'a Attention,
    scale: Interval,
    output_bias: Vec<f32>,
    /// `[d, vocab]`.
    unembed: Array2<f32>,
    logit_bias: Vec<f32>,
    base: Vec<Interval>,
    read: Vec<Vec<Interval>>,
    query: Vec<Vec<Vec<Interval>>>,
    key: Vec<Vec<Vec<Interval>>>,
    products: usize,
}

impl<'a> Folding<'a> {
    fn new(model: &Model, attention: &'a Attention) -> Folding<'a> {
        let none = || vec![Vec::new(); attention.n_heads];
        let or_zeros = |bias: Option<&ndarray::Array1<f32>>, n| bias.map_or(vec![0.0; n], |b| b.to_vec());
        Folding {
            attention,
            scale: match attention.scale {
                // Head widths are far below 2^53, where the cast is exact.
                Scale::InvSqrt(n) => Interval::point(n as f64).sqrt().recip(),
                Scale::Inverse(c) => Interval::point(c).recip(),
                Scale::One => Interval::ONE,
            },
            output_bias: or_zeros(attention.output.bias.as_ref(), model.head.width()),
            unembed: model.head.unembed.t().as_standard_layout().to_owned(),
            logit_bias: or_zeros(model.head.bias.as_ref(), model.head.vocab_size()),
            base: Vec::new(),
            read: vec![Vec::new(); attention.n_heads],
            query: none(),
            key: none(),
            products: 0,
        }
    }

    /// The pair that enters the network as `entry`.
    fn add(&mut self, entry: &[Interval]) {
        let (attention, dim) = (self.attention, self.attention.head_dim);
        let [q, k, v] = [&attention.query, &attention.key, &attention.value].map(|map| affine(entry, map));
        let shifted: Vec<Interval> =
            entry.iter().zip(&self.output_bias).map(|(&e, &b)| e + point(b)).collect();
        let logits = vec_mat(&shifted, self.unembed.view());
        self.base.extend(logits.into_iter().zip(&self.logit_bias).map(|(l, &c)| l + point(c)));
        for head in 0..attention.n_heads {
            let group = head * attention.n_kv_heads / attention.n_heads;
            let own = |x: &[Interval], i: usize| x[i * dim..(i + 1) * dim].to_vec();
            self.query[head].push(own(&q, head).into_iter().map(|x| x * self.scale).collect());
            self.key[head].push(own(&k, group));
            let rows = attention.output.weight.slice(s![head * dim..(head + 1) * dim, ..]);
            let residual = vec_mat(&own(&v, group), rows);
            self.read[head].extend(vec_mat(&residual, self.unembed.view()));
        }
        let maps = [&attention.query, &attention.key, &attention.value, &attention.output];
        let linear: usize = maps.iter().map(|map| map.weight.len()).sum();
        self.products += linear + (attention.n_heads + 1) * self.unembed.len();
    }

    /// `None` if an entry is not finite.
    fn finish(self, vocab: usize, context: usize) -> Option<Tables> {
        let tables = || self.read.iter().chain([&self.base]).flatten();
        let (error, largest) = tables().fold((0.0, 0.0), |(error, largest): (f64, f64), x| {
            (error.max(x.mid_rad().1), largest.max(x.magnitude()))
        });
        let mids = |x: &Vec<Interval>| x.iter().map(|x| x.mid_rad().0).collect::<Vec<f64>>();
        let maps = self.query.iter().chain(&self.key).flatten().flatten();
        let finite = tables().all(|x| x.is_finite()) && maps.into_iter().all(|x| x.is_finite());
        finite.then(|| Tables {
            vocab,
            context,
            heads: self.read.len(),
            base: mids(&self.base),
            read: self.read.iter().map(mids).collect(),
            error,
            largest,
            query: self.query,
            key: self.key,
            scores: (0..vocab * context).map(|_| OnceLock::new()).collect(),
            products: AtomicU64::new(self.products as u64),
        })
    }
}

/// `x W + b`.
fn affine(x: &[Interval], map: &Linear) -> Vec<Interval> {
    let y = vec_mat(x, map.weight.view());
    match &map.bias {
        Some(bias) => y.into_iter().zip(bias).map(|(y, &b)| y + point(b)).collect(),
        None => y,
    }
}
