//! The network in balls of `L` limbs.

use super::super::layer::{Activation, Attention, Layer, Linear, Mlp, MlpKind, Norm, Positions, Scale};
use super::super::{Body, Model, TokenId};
use super::recurrent::{Averages, AveragesState, Channels, ChannelsState, DeltaRule, DeltaRuleState};
use crate::num::precise::{Digits, Gelu, Precise, dot, rotation};

/// A vector of balls.
pub type Vector<const L: usize> = Vec<Precise<L>>;

/// Logits after an accepted prefix, `[vocabulary]`.
pub fn logits<const L: usize>(model: &Model, prefix: &[TokenId]) -> Vector<L> {
    let body = &model.body;
    let angles = match body.positions {
        Positions::Rotary { theta, dim } => {
            let len = u32::try_from(prefix.len()).expect("a context is read as a number below 2^32");
            rotation(theta, dim, 0..len)
        }
        Positions::Learned(_) | Positions::None => Vec::new(),
    };
    let gelu = Gelu::default();
    let last = body.layers.iter().rposition(Layer::looks_back);
    // Residuals of all positions; once nothing reads the earlier ones any more, of the last position.
    let mut residuals = embed(body, prefix);
    if last.is_none() {
        residuals.drain(..prefix.len() - 1);
    }
    // Values of the first layer of RWKV-7, which later ones read, at every position.
    let mut first_values: Vec<Option<Vector<L>>> = vec![None; prefix.len()];
    for (i, layer) in body.layers.iter().enumerate() {
        let first_read = if Some(i) == last { prefix.len() - 1 } else { 0 };
        let outputs = match layer {
            Layer::Attention(layer) => attention(layer, &angles, &residuals, first_read),
            Layer::Mlp(layer) => mlp(layer, &gelu, &residuals),
            Layer::Parallel(layer) => {
                let mut outputs = attention(&layer.attention, &angles, &residuals, first_read);
                for (y, z) in outputs.iter_mut().zip(mlp(&layer.mlp, &gelu, &residuals[first_read..])) {
                    y.iter_mut().zip(z).for_each(|(y, z)| *y = *y + z);
                }
                outputs
            }
            Layer::Norm(layer) => {
                residuals.iter_mut().for_each(|x| *x = norm(Some(layer), x));
                continue;
            }
            Layer::Wkv4(layer) => {
                let (layer, mut state) = (Averages::new(layer), AveragesState::default());
                tail(residuals.iter().map(|x| layer.step(&mut state, x)), first_read)
            }
            Layer::Wkv7(layer) => {
                let (layer, mut state) = (DeltaRule::new(layer), DeltaRuleState::default());
                let positions = residuals.iter().zip(&mut first_values);
                tail(positions.map(|(x, first)| layer.step(&mut state, x, first)), first_read)
            }
            Layer::ChannelMix(layer) => {
                let (layer, mut state) = (Channels::new(layer), ChannelsState::default());
                tail(residuals.iter().map(|x| layer.step(&mut state, x)), first_read)
            }
        };
        residuals.drain(..first_read);
        for (x, y) in residuals.iter_mut().zip(outputs) {
            x.iter_mut().zip(y).for_each(|(x, y)| *x = *x + y);
        }
    }
    let z = norm(model.head.norm.as_ref(), &residuals[0]);
    let unembed = Affine { digits: Digits::new(model.head.unembed.t()), bias: model.head.bias.as_ref() };
    unembed.apply(&z)
}

/// All but the first `n`, which are computed all the same: they leave their mark on a state.
fn tail<T>(all: impl Iterator<Item = T>, n: usize) -> Vec<T> {
    let mut all: Vec<T> = all.collect();
    all.drain(..n);
    all
}

/// Embeddings, with the positions where these are added, `[positions][d]`.
fn embed<const L: usize>(body: &Body, prefix: &[TokenId]) -> Vec<Vector<L>> {
    let row = |(position, &token): (usize, &TokenId)| {
        let token = body.embed.row(token as usize);
        match &body.positions {
            Positions::Learned(table) => {
                token.iter().zip(table.row(position)).map(|(&t, &p)| exact(t) + exact(p)).collect()
            }
            Positions::Rotary { .. } | Positions::None => token.iter().map(|&t| exact(t)).collect(),
        }
    };
    prefix.iter().enumerate().map(row).collect()
}

/// What the layer adds to the residuals of the positions from `first_query` on. `angles` is empty without rotary positions.
fn attention<const L: usize>(
    layer: &Attention,
    angles: &[Vec<(Precise<L>, Precise<L>)>],
    residuals: &[Vector<L>],
    first_query: usize,
) -> Vec<Vector<L>> {
    let inputs: Vec<Vector<L>> = residuals.iter().map(|x| norm(layer.norm.as_ref(), x)).collect();
    let rotated = |map: &Linear, of_head: Option<&Norm>, first: usize| {
        let map = Affine::new(map);
        let mut rows: Vec<Vector<L>> = inputs[first..].iter().map(|z| map.apply(z)).collect();
        if of_head.is_some() {
            let heads = rows.iter_mut().flat_map(|row| row.chunks_exact_mut(layer.head_dim));
            heads.for_each(|head| head.copy_from_slice(&norm(of_head, head)));
        }
        for (row, angles) in rows.iter_mut().zip(angles.iter().skip(first)) {
            row.chunks_exact_mut(layer.head_dim).for_each(|head| rotate(head, angles));
        }
        rows
    };
    let queries = rotated(&layer.query, layer.query_norm(), first_query);
    let keys = rotated(&layer.key, layer.key_norm(), 0);
    let value = Affine::new(&layer.value);
    let values: Vec<Vector<L>> = inputs.iter().map(|z| value.apply(z)).collect();
    let output = Affine::new(&layer.output);
    let scale = scale(layer.scale);
    let mix = |(i, query): (usize, &Vector<L>)| {
        let n = first_query + i + 1;
        let mut mixed = Vec::with_capacity(query.len());
        for (head, query) in query.chunks_exact(layer.head_dim).enumerate() {
            let first = head / (layer.n_heads / layer.n_kv_heads) * layer.head_dim;
            let of_head = first..first + layer.head_dim;
            let weights =
                softmax(keys[..n].iter().map(|key| dot(query, &key[of_head.clone()]) * scale).collect());
            mixed
                .extend(of_head.map(|c| {
                    weights.iter().zip(&values).map(|(&w, value)| w * value[c]).sum::<Precise<L>>()
                }));
        }
        output.apply(&mixed)
    };
    queries.iter().enumerate().map(mix).collect()
}

/// Rotates the pairs `(i, i + dim/2)` of one head by the angles of its position, given as `(sin, cos)`.
fn rotate<const L: usize>(head: &mut [Precise<L>], angles: &[(Precise<L>, Precise<L>)]) {
    for (i, &(sin, cos)) in angles.iter().enumerate() {
        let (a, b) = (head[i], head[i + angles.len()]);
        head[i] = a * cos - b * sin;
        head[i + angles.len()] = b * cos + a * sin;
    }
}

/// Softmax of scores, all shifted by the same greatest middle, which changes nothing in exact arithmetic.
fn softmax<const L: usize>(scores: Vector<L>) -> Vector<L> {
    let top = softmax_shift(scores.iter().copied());
    let powers: Vector<L> = scores.into_iter().map(|s| (s - top).exp()).collect();
    let inverse = powers.iter().copied().sum::<Precise<L>>().recip();
    powers.into_iter().map(|power| power * inverse).collect()
}

/// The greatest middle of at least one score.
pub fn softmax_shift<const L: usize>(scores: impl IntoIterator<Item = Precise<L>>) -> Precise<L> {
    let top = scores.into_iter().reduce(|a, b| if (b - a).is_positive() { b } else { a });
    top.expect("a position attends at least to itself").middle()
}

fn mlp<const L: usize>(layer: &Mlp, gelu: &Gelu<L>, residuals: &[Vector<L>]) -> Vec<Vector<L>> {
    let inputs: Vec<Vector<L>> = residuals.iter().map(|x| norm(layer.norm.as_ref(), x)).collect();
    let act = |x: Precise<L>| match layer.activation {
        Activation::Relu => x.relu(),
        Activation::SquaredRelu => x.relu().square(),
        Activation::GeluTanh => gelu.tanh_form(x),
        Activation::GeluErf => gelu.erf_form(x),
        Activation::Silu => x.silu(),
    };
    match &layer.kind {
        MlpKind::Plain { up, down } => {
            let (up, down) = (Affine::new(up), Affine::new(down));
            let hidden = |z| up.apply(z).into_iter().map(act).collect::<Vector<L>>();
            inputs.iter().map(|z| down.apply(&hidden(z))).collect()
        }
        MlpKind::Gated { gate, up, down } => {
            let (gate, up, down) = (Affine::new(gate), Affine::new(up), Affine::new(down));
            let hidden = |z| {
                let gates = gate.apply(z).into_iter().map(act);
                gates.zip(up.apply(z)).map(|(gate, up)| gate * up).collect::<Vector<L>>()
            };
            inputs.iter().map(|z| down.apply(&hidden(z))).collect()
        }
    }
}

/// The norm of one residual.
pub fn norm<const L: usize>(norm: Option<&Norm>, x: &[Precise<L>]) -> Vector<L> {
    // 1 / sqrt(mean square + ε)
    let inverse = |x: &[Precise<L>], eps: f64| {
        let squares: Precise<L> = x.iter().map(|x| x.square()).sum();
        (squares.div_int(x.len() as u64) + Precise::float(eps)).rsqrt()
    };
    match norm {
        None => x.to_vec(),
        Some(Norm::Layer { gain, bias, eps }) => {
            let mean = x.iter().copied().sum::<Precise<L>>().div_int(x.len() as u64);
            let centred: Vector<L> = x.iter().map(|&x| x - mean).collect();
            let inverse = inverse(&centred, *eps);
            let mut y: Vector<L> = centred.iter().zip(gain).map(|(&x, &g)| x * inverse * exact(g)).collect();
            if let Some(bias) = bias {
                y.iter_mut().zip(bias).for_each(|(y, &b)| *y = *y + exact(b));
            }
            y
        }
        Some(Norm::Rms { gain, eps }) => {
            let inverse = inverse(x, *eps);
            x.iter().zip(gain).map(|(&x, &g)| x * inverse * exact(g)).collect()
        }
    }
}

/// `x W + b` with exact weights, prepared once for all positions.
#[derive(Debug)]
pub struct Affine<'a> {
    digits: Digits,
    bias: Option<&'a ndarray::Array1<f32>>,
}

impl<'a> Affine<'a> {
    /// Prepares a map.
    pub fn new(map: &'a Linear) -> Affine<'a> {
        Affine { digits: Digits::new(map.weight.view()), bias: map.bias.as_ref() }
    }

    /// `x W + b`.
    pub fn apply<const L: usize>(&self, x: &[Precise<L>]) -> Vector<L> {
        let mut y = self.digits.apply(x);
        if let Some(bias) = self.bias {
            y.iter_mut().zip(bias).for_each(|(y, &b)| *y = *y + exact(b));
        }
        y
    }
}

fn scale<const L: usize>(scale: Scale) -> Precise<L> {
    match scale {
        // Exact below 2⁵³, which squares of layer numbers times head widths are.
        Scale::InvSqrt(n) => Precise::float(n as f64).rsqrt(),
        Scale::Inverse(c) => Precise::float(c).recip(),
        Scale::One => Precise::int(1),
    }
}

/// A weight.
pub fn exact<const L: usize>(x: f32) -> Precise<L> {
    Precise::float(f64::from(x))
}
