//! One run of the network over a batch of equally long token sequences after a shared prefix.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, s};

use super::attention::{Columns, attend};
use super::cache::{Cache, Kept, KeyValues};
use super::kernels::{self, Centre};
use super::recurrent::{self, Scan};
use crate::model::layer::{Activation, Attention, Layer, Linear, Mlp, MlpKind, Norm, Positions};
use crate::model::{Head, Model, TokenId};

/// A batch: `columns.batch` sequences of `columns.len` tokens that follow the first `keep` positions of `cache`.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    pub cache: &'a Cache,
    pub keep: usize,
    /// Position-major: all first tokens, then all second tokens.
    pub tokens: &'a [TokenId],
    pub columns: Columns,
}

/// Final residual after the last token of every sequence, normalised: `[d, batch]`.
pub fn last_hidden(model: &Model, batch: Batch) -> Array2<f32> {
    // Nothing after the last layer that looks back reads any position but the last.
    let last = model.body.layers.iter().rposition(Layer::looks_back);
    let mut x = embed(model, batch);
    if last.is_none() {
        x = last_columns(&x, batch.columns);
    }
    let mut first_value = None;
    for (i, layer) in model.body.layers.iter().enumerate() {
        match layer {
            Layer::Attention(layer) => read_attention(model, layer, i, last, batch, &mut x),
            Layer::Mlp(layer) => mlp(layer, &mut x),
            Layer::Parallel(layer) => {
                let mut z = norm(layer.mlp.norm.as_ref(), &x);
                read_attention(model, &layer.attention, i, last, batch, &mut x);
                if z.ncols() > x.ncols() {
                    z = last_columns(&z, batch.columns);
                }
                feed_forward(&layer.mlp, &z, &mut x);
            }
            Layer::Norm(layer) => x = norm(Some(layer), &x),
            Layer::Wkv4(layer) => recurrent::wkv4(layer, &mut x, scan(batch, i, None)),
            Layer::Wkv7(layer) => recurrent::wkv7(layer, &mut x, &mut first_value, scan(batch, i, None)),
            Layer::ChannelMix(layer) => recurrent::channel_mix(layer, &mut x, scan(batch, i, None)),
        }
        if Some(i) == last && x.ncols() > batch.columns.batch {
            x = last_columns(&x, batch.columns);
        }
    }
    norm(model.head.norm.as_ref(), &x)
}

/// What each layer keeps of each position of one prefix, in the order of the layers.
pub fn kept(model: &Model, batch: Batch) -> Vec<Kept> {
    let mut x = embed(model, batch);
    let mut first_value = None;
    let mut all = Vec::new();
    for (i, layer) in model.body.layers.iter().enumerate() {
        let mut trace = Vec::new();
        all.push(match layer {
            Layer::Attention(layer) => keep_attention(model, layer, i, batch, &mut x),
            Layer::Parallel(layer) => {
                let z = norm(layer.mlp.norm.as_ref(), &x);
                let kept = keep_attention(model, &layer.attention, i, batch, &mut x);
                feed_forward(&layer.mlp, &z, &mut x);
                kept
            }
            Layer::Mlp(layer) => {
                mlp(layer, &mut x);
                Kept::Nothing
            }
            Layer::Norm(layer) => {
                x = norm(Some(layer), &x);
                Kept::Nothing
            }
            Layer::Wkv4(layer) => {
                recurrent::wkv4(layer, &mut x, scan(batch, i, Some(&mut trace)));
                states(&trace)
            }
            Layer::Wkv7(layer) => {
                recurrent::wkv7(layer, &mut x, &mut first_value, scan(batch, i, Some(&mut trace)));
                states(&trace)
            }
            Layer::ChannelMix(layer) => {
                recurrent::channel_mix(layer, &mut x, scan(batch, i, Some(&mut trace)));
                states(&trace)
            }
        });
    }
    all
}

/// Attention of layer `index`; in layer `last` of the last position only, and `x` is cut down to it.
fn read_attention(
    model: &Model,
    layer: &Attention,
    index: usize,
    last: Option<usize>,
    batch: Batch,
    x: &mut Array2<f32>,
) {
    let mut z = norm(layer.norm.as_ref(), x);
    let own = keys_and_values(model, layer, &z, batch);
    if Some(index) == last {
        *x = last_columns(x, batch.columns);
        z = last_columns(&z, batch.columns);
    }
    attention(model, layer, index, &z, &own, batch, x);
}

/// Attention of layer `index` at all positions, and what it keeps of them.
fn keep_attention(model: &Model, layer: &Attention, index: usize, batch: Batch, x: &mut Array2<f32>) -> Kept {
    let z = norm(layer.norm.as_ref(), x);
    let own = keys_and_values(model, layer, &z, batch);
    attention(model, layer, index, &z, &own, batch, x);
    let rows = |x: Array2<f32>| x.t().as_standard_layout().into_owned();
    Kept::KeysAndValues(rows(own.keys), rows(own.values))
}

fn scan<'a>(batch: Batch<'a>, layer: usize, trace: Option<&'a mut Vec<Array1<f32>>>) -> Scan<'a> {
    Scan { columns: batch.columns, start: batch.cache.state(layer, batch.keep), trace }
}

fn states(trace: &[Array1<f32>]) -> Kept {
    let width = trace.first().map_or(0, Array1::len);
    Kept::States(Array2::from_shape_fn((trace.len(), width), |(position, i)| trace[position][i]))
}

/// Logits `[batch, vocabulary]` from normalised residuals `[d, batch]`, added into `out`'s place.
pub fn logits(head: &Head, z: &Array2<f32>, mut out: ndarray::ArrayViewMut2<f32>) {
    match &head.bias {
        Some(bias) => out.assign(bias),
        None => out.fill(0.0),
    }
    general_mat_mul(1.0, &z.t(), &head.unembed.t(), 1.0, &mut out);
}

/// Embeddings, with the positions where these are added, `[d, columns]`.
pub fn embed(model: &Model, batch: Batch) -> Array2<f32> {
    let body = &model.body;
    let per_position = batch.columns.batch;
    Array2::from_shape_fn((model.head.width(), batch.tokens.len()), |(feature, column)| {
        let token = body.embed[[batch.tokens[column] as usize, feature]];
        match &body.positions {
            Positions::Learned(table) => token + table[[batch.keep + column / per_position, feature]],
            Positions::Rotary { .. } | Positions::None => token,
        }
    })
}

/// Queries for all columns of `z`, which are the last ones of the batch; adds the layer's output to `x`.
fn attention(
    model: &Model,
    layer: &Attention,
    index: usize,
    z: &Array2<f32>,
    own: &KeyValues,
    batch: Batch,
    x: &mut Array2<f32>,
) {
    let mut query = norm_heads(layer.query_norm(), layer.head_dim, apply(&layer.query, z));
    let first = batch.keep + batch.columns.len - z.ncols() / batch.columns.batch;
    rotate(&model.body.positions, layer.head_dim, first, batch.columns.batch, &mut query);
    let mixed = attend(layer, &query, own, batch.cache.keys_and_values(index, batch.keep), batch.columns);
    apply_onto(&layer.output, &mixed, x);
}

fn keys_and_values(model: &Model, layer: &Attention, z: &Array2<f32>, batch: Batch) -> KeyValues {
    let mut keys = norm_heads(layer.key_norm(), layer.head_dim, apply(&layer.key, z));
    rotate(&model.body.positions, layer.head_dim, batch.keep, batch.columns.batch, &mut keys);
    KeyValues { keys, values: apply(&layer.value, z) }
}

/// Rotary embedding of `x` `[heads · head_dim, positions · batch]`, whose first position is `first`.
pub fn rotate(positions: &Positions, head_dim: usize, first: usize, batch: usize, x: &mut Array2<f32>) {
    turn(positions, head_dim, first, batch, x, 1.0);
}

/// The same for `direction` 1; its inverse, which is its transpose, for −1.
pub fn turn(
    positions: &Positions,
    head_dim: usize,
    first: usize,
    batch: usize,
    x: &mut Array2<f32>,
    direction: f32,
) {
    let &Positions::Rotary { theta, dim } = positions else { return };
    let columns = x.ncols();
    let flat = x.as_slice_mut().expect("activations are contiguous");
    for i in 0..dim / 2 {
        let frequency = theta.powf(-2.0 * i as f64 / dim as f64);
        for (p, at) in (0..columns).step_by(batch).enumerate() {
            let (sin, cos) = ((first + p) as f64 * frequency).sin_cos();
            for head in flat.chunks_exact_mut(head_dim * columns) {
                let (low, high) = head.split_at_mut((i + dim / 2) * columns);
                let a = &mut low[i * columns + at..i * columns + at + batch];
                kernels::rotate(a, &mut high[at..at + batch], cos as f32, direction * sin as f32);
            }
        }
    }
}

/// The norm of each head of `x` `[heads · head_dim, columns]`.
pub fn norm_heads(of_head: Option<&Norm>, head_dim: usize, mut x: Array2<f32>) -> Array2<f32> {
    if of_head.is_some() {
        for mut head in x.axis_chunks_iter_mut(ndarray::Axis(0), head_dim) {
            let normed = norm(of_head, &head.to_owned());
            head.assign(&normed);
        }
    }
    x
}

fn mlp(layer: &Mlp, x: &mut Array2<f32>) {
    let z = norm(layer.norm.as_ref(), x);
    feed_forward(layer, &z, x);
}

/// Adds what an MLP makes of its normed input to `x`.
fn feed_forward(layer: &Mlp, z: &Array2<f32>, x: &mut Array2<f32>) {
    match &layer.kind {
        MlpKind::Plain { up, down } => {
            let mut hidden = apply(up, z);
            activate(layer.activation, &mut hidden);
            apply_onto(down, &hidden, x);
        }
        MlpKind::Gated { gate, up, down } => {
            let mut hidden = apply(gate, z);
            activate(layer.activation, &mut hidden);
            let up = apply(up, z);
            kernels::multiply(flat_mut(&mut hidden), flat(&up));
            apply_onto(down, &hidden, x);
        }
    }
}

fn activate(activation: Activation, x: &mut Array2<f32>) {
    kernels::activate(activation, flat_mut(x));
}

/// All numbers of an activation, feature by feature.
pub fn flat(x: &Array2<f32>) -> &[f32] {
    x.as_slice().expect("activations are contiguous")
}

/// The same, to be changed.
pub fn flat_mut(x: &mut Array2<f32>) -> &mut [f32] {
    x.as_slice_mut().expect("activations are contiguous")
}

/// The norm of every column.
pub fn norm(norm: Option<&Norm>, x: &Array2<f32>) -> Array2<f32> {
    let slice = |a: &'_ ndarray::Array1<f32>| a.to_vec();
    let (centre, gain, bias, eps) = match norm {
        None => return x.clone(),
        Some(Norm::Layer { gain, bias, eps }) => (Centre::Mean, slice(gain), bias.as_ref().map(slice), *eps),
        Some(Norm::Rms { gain, eps }) => (Centre::Zero, slice(gain), None, *eps),
    };
    let mut out = Array2::zeros(x.raw_dim());
    kernels::normalise(centre, flat(x), &gain, bias.as_deref(), eps as f32, flat_mut(&mut out));
    out
}

/// `W x + b` for every column, `[out, columns]`.
pub fn apply(linear: &Linear, x: &Array2<f32>) -> Array2<f32> {
    let shape = (linear.weight.ncols(), x.ncols());
    let mut y = Array2::zeros(shape);
    apply_onto(linear, x, &mut y);
    y
}

/// `y += W x + b`.
pub fn apply_onto(linear: &Linear, x: &Array2<f32>, y: &mut Array2<f32>) {
    if let Some(bias) = &linear.bias {
        *y += &bias.view().insert_axis(ndarray::Axis(1));
    }
    general_mat_mul(1.0, &linear.weight.t(), x, 1.0, y);
}

/// The columns of the last position.
fn last_columns(x: &Array2<f32>, columns: Columns) -> Array2<f32> {
    let view: ArrayView2<f32> = x.slice(s![.., x.ncols() - columns.batch..]);
    view.as_standard_layout().into_owned()
}
