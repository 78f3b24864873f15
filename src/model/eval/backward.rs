//! Reverse mode through the layers: what each of them saw on the way up, and its transposed derivative on the way down.
//!
//! Everything is feature-major, `[features, len · batch]` with position-major columns, as in the run forth.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, Axis};

use super::attention::Columns;
use super::forward::{apply, apply_onto, flat, flat_mut, norm, norm_heads, rotate, turn};
use super::kernels::{self, Centre};
use crate::model::layer::{Activation, Attention, Layer, Linear, Mlp, MlpKind, Norm, Positions};

/// What a residual layer leaves for the way back.
#[derive(Debug)]
pub enum Tape<'a> {
    /// Attention.
    Attention(Box<AttentionTape<'a>>),
    /// An MLP.
    Mlp(Box<MlpTape<'a>>),
    /// Both side by side.
    Parallel(Box<(AttentionTape<'a>, MlpTape<'a>)>),
}

/// What attention saw.
#[derive(Debug)]
pub struct AttentionTape<'a> {
    layer: &'a Attention,
    positions: &'a Positions,
    columns: Columns,
    /// Residual that came in, `[d, columns]`.
    x: Array2<f32>,
    /// Queries and keys before the norms of the heads, `[heads · head_dim, columns]`.
    unnormed: [Array2<f32>; 2],
    /// Normed and rotated.
    query: Array2<f32>,
    /// Normed and rotated.
    key: Array2<f32>,
    value: Array2<f32>,
    /// `[n_heads · len · len, batch]`, row `(head · len + i) · len + j` for query position `i` and key position `j`.
    weights: Array2<f32>,
}

/// What an MLP saw.
#[derive(Debug)]
pub struct MlpTape<'a> {
    layer: &'a Mlp,
    /// Residual that came in, `[d, columns]`.
    x: Array2<f32>,
    /// What the activation read, `[neurons, columns]`.
    inner: Array2<f32>,
    /// What it was multiplied by.
    factor: Option<Array2<f32>>,
}

impl<'a> Tape<'a> {
    /// Adds the layer's output to `x`; `None` for a layer that is not differentiated here.
    pub fn record(
        layer: &'a Layer,
        positions: &'a Positions,
        columns: Columns,
        x: &mut Array2<f32>,
    ) -> Option<Tape<'a>> {
        match layer {
            Layer::Attention(layer) => {
                let tape = AttentionTape::record(layer, positions, columns, x);
                Some(Tape::Attention(Box::new(tape)))
            }
            Layer::Mlp(layer) => Some(Tape::Mlp(Box::new(MlpTape::record(layer, x.clone(), x)))),
            Layer::Parallel(both) => {
                let before = x.clone();
                let attention = AttentionTape::record(&both.attention, positions, columns, x);
                Some(Tape::Parallel(Box::new((attention, MlpTape::record(&both.mlp, before, x)))))
            }
            Layer::Norm(_) | Layer::Wkv4(_) | Layer::Wkv7(_) | Layer::ChannelMix(_) => None,
        }
    }

    /// Turns the gradient by the layer's output into that by its input.
    pub fn play_back(&self, gradient: &mut Array2<f32>) {
        let by_output = gradient.clone();
        match self {
            Tape::Attention(tape) => tape.play_back(&by_output, gradient),
            Tape::Mlp(tape) => tape.play_back(&by_output, gradient),
            Tape::Parallel(tapes) => {
                tapes.0.play_back(&by_output, gradient);
                tapes.1.play_back(&by_output, gradient);
            }
        }
    }
}

impl<'a> AttentionTape<'a> {
    fn record(
        layer: &'a Attention,
        positions: &'a Positions,
        columns: Columns,
        x: &mut Array2<f32>,
    ) -> AttentionTape<'a> {
        let z = norm(layer.norm.as_ref(), x);
        let unnormed = [apply(&layer.query, &z), apply(&layer.key, &z)];
        let mut query = norm_heads(layer.query_norm(), layer.head_dim, unnormed[0].clone());
        let mut key = norm_heads(layer.key_norm(), layer.head_dim, unnormed[1].clone());
        let value = apply(&layer.value, &z);
        rotate(positions, layer.head_dim, 0, columns.batch, &mut query);
        rotate(positions, layer.head_dim, 0, columns.batch, &mut key);
        let Columns { len, batch } = columns;
        let mut weights = Array2::zeros((layer.n_heads * len * len, batch));
        let mut mixed = Array2::zeros(query.raw_dim());
        let (scale, mut sums) = (layer.scale.rounded(), vec![0.0; batch]);
        for pairs in pairs_of(layer, columns) {
            let row = &mut flat_mut(&mut weights)[pairs.range(batch)];
            for (j, score) in row.chunks_exact_mut(batch).enumerate() {
                for (r, kv) in pairs.features() {
                    let query = &flat(&query)[columns.range(r, pairs.i)];
                    kernels::add_product(score, query, &flat(&key)[columns.range(kv, j)], scale);
                }
            }
            kernels::softmax_weights(row, batch, pairs.i + 1, 0, &mut sums);
            for (j, weight) in row.chunks_exact_mut(batch).enumerate() {
                kernels::divide(weight, &sums);
                for (r, kv) in pairs.features() {
                    let to = &mut flat_mut(&mut mixed)[columns.range(r, pairs.i)];
                    kernels::add_product(to, weight, &flat(&value)[columns.range(kv, j)], 1.0);
                }
            }
        }
        let before = x.clone();
        apply_onto(&layer.output, &mixed, x);
        AttentionTape { layer, positions, columns, x: before, unnormed, query, key, value, weights }
    }

    /// Adds the gradient by the input to `gradient`.
    fn play_back(&self, by_output: &Array2<f32>, gradient: &mut Array2<f32>) {
        let (layer, columns) = (self.layer, self.columns);
        let n = columns.batch;
        let by_mixed = back(&layer.output, by_output);
        let mut by_query = Array2::zeros(self.query.raw_dim());
        let mut by_key = Array2::zeros(self.key.raw_dim());
        let mut by_value = Array2::zeros(self.value.raw_dim());
        let scale = layer.scale.rounded();
        for pairs in pairs_of(layer, columns) {
            let weights = &flat(&self.weights)[pairs.range(n)];
            let mut by_weights = vec![0.0; weights.len()];
            let mut mean = vec![0.0; n];
            let rows = by_weights.chunks_exact_mut(n).zip(weights.chunks_exact(n));
            for (j, (by_weight, weight)) in rows.enumerate() {
                for (r, kv) in pairs.features() {
                    let by_mixed = &flat(&by_mixed)[columns.range(r, pairs.i)];
                    let of_value = columns.range(kv, j);
                    kernels::add_product(by_weight, by_mixed, &flat(&self.value)[of_value.clone()], 1.0);
                    kernels::add_product(&mut flat_mut(&mut by_value)[of_value], by_mixed, weight, 1.0);
                }
                kernels::add_product(&mut mean, weight, by_weight, 1.0);
            }
            let rows = by_weights.chunks_exact_mut(n).zip(weights.chunks_exact(n));
            for (j, (by_weight, weight)) in rows.enumerate() {
                // Softmax: by_score = weight · (by_weight − mean).
                by_weight.iter_mut().zip(&mean).zip(weight).for_each(|((g, m), w)| *g = w * (*g - m));
                for (r, kv) in pairs.features() {
                    let (of_query, of_key) = (columns.range(r, pairs.i), columns.range(kv, j));
                    let key = &flat(&self.key)[of_key.clone()];
                    let query = &flat(&self.query)[of_query.clone()];
                    kernels::add_product(&mut flat_mut(&mut by_query)[of_query], by_weight, key, scale);
                    kernels::add_product(&mut flat_mut(&mut by_key)[of_key], by_weight, query, scale);
                }
            }
        }
        turn(self.positions, layer.head_dim, 0, n, &mut by_query, -1.0);
        turn(self.positions, layer.head_dim, 0, n, &mut by_key, -1.0);
        let by_query = through_heads(layer.query_norm(), layer.head_dim, &self.unnormed[0], by_query);
        let by_key = through_heads(layer.key_norm(), layer.head_dim, &self.unnormed[1], by_key);
        let mut by_z = back(&layer.query, &by_query);
        back_onto(&layer.key, &by_key, &mut by_z);
        back_onto(&layer.value, &by_value, &mut by_z);
        through_norm(layer.norm.as_ref(), &self.x, &by_z, gradient);
    }
}

/// One head and one query position with all key positions up to it.
struct Pairs {
    /// Query position.
    i: usize,
    /// Row of its weight on the first key position.
    first_row: usize,
    first: usize,
    first_kv: usize,
    dim: usize,
}

impl Pairs {
    /// Where the weights stand, one row of `batch` for each key position.
    fn range(&self, batch: usize) -> std::ops::Range<usize> {
        self.first_row * batch..(self.first_row + self.i + 1) * batch
    }

    /// Features of the query head with those of the key/value head that it reads.
    fn features(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        (self.first..self.first + self.dim).zip(self.first_kv..)
    }
}

fn pairs_of(layer: &Attention, columns: Columns) -> impl Iterator<Item = Pairs> + use<> {
    let (dim, group, len) = (layer.head_dim, layer.n_heads / layer.n_kv_heads, columns.len);
    (0..layer.n_heads).flat_map(move |head| {
        (0..len).map(move |i| Pairs {
            i,
            first_row: (head * len + i) * len,
            first: head * dim,
            first_kv: head / group * dim,
            dim,
        })
    })
}

impl<'a> MlpTape<'a> {
    /// Adds what the MLP makes of `from` to `x`.
    fn record(layer: &'a Mlp, from: Array2<f32>, x: &mut Array2<f32>) -> MlpTape<'a> {
        let z = norm(layer.norm.as_ref(), &from);
        let (inner, factor) = match &layer.kind {
            MlpKind::Plain { up, .. } => (apply(up, &z), None),
            MlpKind::Gated { gate, up, .. } => (apply(gate, &z), Some(apply(up, &z))),
        };
        let tape = MlpTape { layer, x: from, inner, factor };
        apply_onto(tape.down(), &tape.hidden(), x);
        tape
    }

    fn down(&self) -> &'a Linear {
        match &self.layer.kind {
            MlpKind::Plain { down, .. } | MlpKind::Gated { down, .. } => down,
        }
    }

    fn hidden(&self) -> Array2<f32> {
        let mut hidden = self.inner.clone();
        kernels::activate(self.layer.activation, flat_mut(&mut hidden));
        if let Some(factor) = &self.factor {
            kernels::multiply(flat_mut(&mut hidden), flat(factor));
        }
        hidden
    }

    /// Adds the gradient by the input to `gradient`.
    fn play_back(&self, by_output: &Array2<f32>, gradient: &mut Array2<f32>) {
        let by_hidden = back(self.down(), by_output);
        let mut by_inner = by_hidden.clone();
        let activation = self.layer.activation;
        by_inner.iter_mut().zip(&self.inner).for_each(|(g, &x)| *g *= slope(activation, x));
        let by_z = match (&self.layer.kind, &self.factor) {
            (MlpKind::Gated { gate, up, .. }, Some(factor)) => {
                kernels::multiply(flat_mut(&mut by_inner), flat(factor));
                let mut by_factor = self.inner.clone();
                kernels::activate(activation, flat_mut(&mut by_factor));
                kernels::multiply(flat_mut(&mut by_factor), flat(&by_hidden));
                let mut by_z = back(gate, &by_inner);
                back_onto(up, &by_factor, &mut by_z);
                by_z
            }
            (MlpKind::Gated { up, .. } | MlpKind::Plain { up, .. }, _) => back(up, &by_inner),
        };
        through_norm(self.layer.norm.as_ref(), &self.x, &by_z, gradient);
    }
}

/// Derivative of an activation.
fn slope(activation: Activation, x: f32) -> f32 {
    let sigmoid = |x: f32| 1.0 / (1.0 + kernels::exp(-x));
    match activation {
        Activation::Relu => f32::from(x > 0.0),
        Activation::SquaredRelu => 2.0 * x.max(0.0),
        Activation::GeluTanh => {
            // x·σ(u) with u = 2√(2/π)·(x + 0.044715 x³).
            let s = sigmoid(1.595_769 * (x + 0.044_715 * x * x * x));
            s + x * s * (1.0 - s) * 1.595_769 * (1.0 + 0.134_145 * x * x)
        }
        Activation::GeluErf => {
            let density = 0.398_942_3 * kernels::exp(-0.5 * x * x);
            kernels::normal_distribution(x) + x * density
        }
        Activation::Silu => {
            let s = sigmoid(x);
            s + x * s * (1.0 - s)
        }
    }
}

/// Transposed derivative of `W x + b`.
fn back(linear: &Linear, gradient: &Array2<f32>) -> Array2<f32> {
    let mut out = Array2::zeros((linear.weight.nrows(), gradient.ncols()));
    back_onto(linear, gradient, &mut out);
    out
}

fn back_onto(linear: &Linear, gradient: &Array2<f32>, out: &mut Array2<f32>) {
    general_mat_mul(1.0, &linear.weight, gradient, 1.0, out);
}

/// Adds the transposed derivative of a norm at `x`, applied to `by_z`, to `out`.
///
/// With `c = x − mean` or `x`, `r = 1/√(mean c² + ε)` and `g = γ ⊙ by_z`: `r·(g − mean g) − r³·c·mean(c·g)`, the mean of
/// `g` only where the norm subtracts one.
pub fn through_norm(norm: Option<&Norm>, x: &Array2<f32>, by_z: &Array2<f32>, out: &mut Array2<f32>) {
    let (centre, gain, eps) = match norm {
        None => {
            *out += by_z;
            return;
        }
        Some(Norm::Layer { gain, eps, .. }) => (Centre::Mean, gain, *eps as f32),
        Some(Norm::Rms { gain, eps }) => (Centre::Zero, gain, *eps as f32),
    };
    let gradient = by_z * &gain.view().insert_axis(Axis(1));
    let (centred, gradient) = match centre {
        Centre::Zero => (x.clone(), gradient),
        Centre::Mean => (without_mean(x), without_mean(&gradient)),
    };
    let d = x.nrows() as f32;
    let r = (&centred * &centred).sum_axis(Axis(0)).mapv(|square| 1.0 / (square / d + eps).sqrt());
    let along = (&centred * &gradient).sum_axis(Axis(0)) / d * &r * &r;
    *out += &((gradient - centred * &along) * &r);
}

/// The transposed derivative of the norms of heads.
fn through_heads(of_head: Option<&Norm>, head_dim: usize, x: &Array2<f32>, by_z: Array2<f32>) -> Array2<f32> {
    if of_head.is_none() {
        return by_z;
    }
    let mut by_x = Array2::zeros(by_z.raw_dim());
    let heads = x.axis_chunks_iter(Axis(0), head_dim).zip(by_z.axis_chunks_iter(Axis(0), head_dim));
    for ((x, by_z), mut by_x) in heads.zip(by_x.axis_chunks_iter_mut(Axis(0), head_dim)) {
        let mut of_one = Array2::zeros(x.raw_dim());
        through_norm(of_head, &x.to_owned(), &by_z.to_owned(), &mut of_one);
        by_x.assign(&of_one);
    }
    by_x
}

/// Columns less their means.
fn without_mean(x: &Array2<f32>) -> Array2<f32> {
    let mean = x.sum_axis(Axis(0)) / x.nrows() as f32;
    x - &mean
}
