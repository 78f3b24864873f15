//! Rigorous evaluation: enclosures of the exact real logits and probabilities after one prefix.
//!
//! The network's formulas are evaluated layer by layer in intervals; matrix products go through `num::vec_mat`, whose
//! error term is proved. Law: the exact real value of the stored weights lies in the interval that is returned. Rotary
//! angles are enclosed as real numbers, `position · theta^(−2i/dim)`, not as any library rounds them.

use super::layer::{Activation, Attention, Layer, Linear, Mlp, MlpKind, Norm, Positions, Scale};
use super::prefix::PrefixError;
use super::{Body, Model, TokenId};
use crate::num::{self, Interval};

/// A vector of enclosures.
type Vector = Vec<Interval>;

/// Encloses `P(token | prefix)` at a temperature, 1 as a rule: `1 / Σ_j exp((l_j − l_token) / temperature)`.
///
/// # Errors
/// A prefix that the model does not accept, or a token that does not exist.
pub fn token_probability(
    model: &Model,
    prefix: &[TokenId],
    token: TokenId,
    temperature: Interval,
) -> Result<Interval, PrefixError> {
    model.check_tokens(&[token])?;
    Ok(softmax_at(&logits(model, prefix)?, token, temperature))
}

/// Encloses one entry of the softmax of enclosed logits. `token` must be one of them.
pub fn softmax_at(logits: &[Interval], token: TokenId, temperature: Interval) -> Interval {
    let at = logits[token as usize];
    let others = logits.iter().enumerate().filter(|(j, _)| *j != token as usize);
    // The token's own term is exactly one, whatever its logit.
    let odds: Interval = others.map(|(_, &l)| num::exp((l - at) / temperature)).sum();
    let p = (Interval::ONE + odds.max(Interval::ZERO)).recip();
    Interval::new(p.lo().max(0.0), p.hi().min(1.0))
}

/// Encloses the logits after a prefix, `[vocabulary]`.
///
/// # Errors
/// A prefix that the model does not accept.
pub fn logits(model: &Model, prefix: &[TokenId]) -> Result<Vec<Interval>, PrefixError> {
    model.check_prefix(prefix)?;
    let body = &model.body;
    let rotation = Rotation::new(&body.positions, prefix.len());
    let last_attention = body.layers.iter().rposition(|layer| matches!(layer, Layer::Attention(_)));
    // Residuals of all positions; once nothing reads the earlier ones any more, of the last position.
    let mut residuals = embed(body, prefix);
    if last_attention.is_none() {
        residuals.drain(..prefix.len() - 1);
    }
    for (i, layer) in body.layers.iter().enumerate() {
        match layer {
            Layer::Attention(layer) => {
                let first_query = if Some(i) == last_attention { prefix.len() - 1 } else { 0 };
                let outputs = attention(layer, &rotation, &residuals, first_query);
                residuals.drain(..first_query);
                residuals.iter_mut().zip(outputs).for_each(|(x, y)| add(x, &y));
            }
            Layer::Mlp(layer) => residuals.iter_mut().for_each(|x| {
                let y = mlp(layer, x);
                add(x, &y);
            }),
        }
    }
    let last = residuals.last().expect("a prefix has at least one token");
    let z = norm(model.head.norm.as_ref(), last);
    let mut logits = num::vec_mat(&z, model.head.unembed.t());
    if let Some(bias) = &model.head.bias {
        add_exact(&mut logits, bias.iter());
    }
    Ok(logits)
}

/// Embeddings, with the positions where these are added, `[positions][d]`.
fn embed(body: &Body, prefix: &[TokenId]) -> Vec<Vector> {
    let row = |(position, &token): (usize, &TokenId)| {
        let mut x: Vector = body.embed.row(token as usize).iter().map(|&x| exact(x)).collect();
        match &body.positions {
            Positions::Learned(table) => add_exact(&mut x, table.row(position).iter()),
            Positions::Rotary { .. } | Positions::None => {}
        }
        x
    };
    prefix.iter().enumerate().map(row).collect()
}

/// What the layer adds to the residuals of the positions from `first_query` on.
fn attention(
    layer: &Attention,
    rotation: &Rotation,
    residuals: &[Vector],
    first_query: usize,
) -> Vec<Vector> {
    let inputs: Vec<Vector> = residuals.iter().map(|x| norm(layer.norm.as_ref(), x)).collect();
    let rotated = |map: &Linear, position: usize| {
        let mut x = linear(map, &inputs[position]);
        rotation.apply(layer.head_dim, position, &mut x);
        x
    };
    let keys: Vec<Vector> = (0..inputs.len()).map(|i| rotated(&layer.key, i)).collect();
    let values: Vec<Vector> = inputs.iter().map(|z| linear(&layer.value, z)).collect();
    let scale = scale(layer.scale);
    let dim = layer.head_dim;
    let mix = |position: usize| {
        let query = rotated(&layer.query, position);
        let mut mixed = Vec::with_capacity(query.len());
        for (head, query) in query.chunks_exact(dim).enumerate() {
            let first = head / (layer.n_heads / layer.n_kv_heads) * dim;
            let of_head = first..first + dim;
            let scores: Vector =
                keys[..=position].iter().map(|key| num::dot(query, &key[of_head.clone()]) * scale).collect();
            let weights = softmax(&scores);
            mixed.extend(of_head.map(|c| {
                let column: Vector = values[..=position].iter().map(|value| value[c]).collect();
                num::dot(&weights, &column)
            }));
        }
        linear(&layer.output, &mixed)
    };
    (first_query..inputs.len()).map(mix).collect()
}

/// Softmax of enclosed scores. All are shifted by the greatest upper end, which changes nothing in exact arithmetic and
/// keeps the exponentials at or below one; scores too wide for that give weights in `[0, 1]`.
fn softmax(scores: &[Interval]) -> Vector {
    let top = Interval::point(scores.iter().map(|s| s.hi()).fold(f64::NEG_INFINITY, f64::max));
    let powers: Vector = scores.iter().map(|&s| num::exp(s - top)).collect();
    let sum: Interval = powers.iter().copied().sum();
    powers
        .iter()
        .map(|&power| {
            let weight = power / sum;
            Interval::new(weight.lo().max(0.0), weight.hi().min(1.0))
        })
        .collect()
}

fn mlp(layer: &Mlp, x: &[Interval]) -> Vector {
    let z = norm(layer.norm.as_ref(), x);
    let act = |x: Interval| match layer.activation {
        Activation::Relu => num::relu(x),
        Activation::SquaredRelu => num::relu(x).square(),
        Activation::GeluTanh => num::gelu_tanh(x),
        Activation::GeluErf => num::gelu_erf(x),
        Activation::Silu => num::silu(x),
    };
    match &layer.kind {
        MlpKind::Plain { up, down } => {
            let hidden: Vector = linear(up, &z).into_iter().map(act).collect();
            linear(down, &hidden)
        }
        MlpKind::Gated { gate, up, down } => {
            let gates = linear(gate, &z).into_iter().map(act);
            let hidden: Vector = gates.zip(linear(up, &z)).map(|(gate, up)| gate * up).collect();
            linear(down, &hidden)
        }
    }
}

fn norm(norm: Option<&Norm>, x: &[Interval]) -> Vector {
    let d = Interval::point(x.len() as f64);
    // 1 / sqrt(mean square + ε)
    let inverse = |x: &[Interval], eps: f64| {
        let squares: Interval = x.iter().map(|x| x.square()).sum();
        (squares / d + Interval::point(eps)).sqrt().recip()
    };
    match norm {
        None => x.to_vec(),
        Some(Norm::Layer { gain, bias, eps }) => {
            let mean = x.iter().copied().sum::<Interval>() / d;
            let centred: Vector = x.iter().map(|&x| x - mean).collect();
            let inverse = inverse(&centred, *eps);
            let mut y: Vector = centred.iter().zip(gain).map(|(&x, &g)| x * inverse * exact(g)).collect();
            if let Some(bias) = bias {
                add_exact(&mut y, bias.iter());
            }
            y
        }
        Some(Norm::Rms { gain, eps }) => {
            let inverse = inverse(x, *eps);
            x.iter().zip(gain).map(|(&x, &g)| x * inverse * exact(g)).collect()
        }
    }
}

fn linear(map: &Linear, x: &[Interval]) -> Vector {
    let mut y = num::vec_mat(x, map.weight.view());
    if let Some(bias) = &map.bias {
        add_exact(&mut y, bias.iter());
    }
    y
}

/// `(cos, sin)` of the rotary angles, `[positions][dim / 2]`; empty where positions are not rotary.
struct Rotation {
    angles: Vec<Vec<(Interval, Interval)>>,
}

impl Rotation {
    fn new(positions: &Positions, len: usize) -> Rotation {
        let &Positions::Rotary { theta, dim } = positions else { return Rotation { angles: Vec::new() } };
        let frequency =
            |i: usize| num::pow(theta, Interval::point(-2.0 * i as f64) / Interval::point(dim as f64));
        let frequencies: Vector = (0..dim / 2).map(frequency).collect();
        let at = |position: usize| {
            let angles = frequencies.iter().map(|&f| Interval::point(position as f64) * f);
            angles.map(|angle| (num::cos(angle), num::sin(angle))).collect()
        };
        Rotation { angles: (0..len).map(at).collect() }
    }

    /// Rotates the pairs `(i, i + dim/2)` of every head of `x` `[heads · head_dim]`.
    fn apply(&self, head_dim: usize, position: usize, x: &mut [Interval]) {
        let Some(angles) = self.angles.get(position) else { return };
        for head in x.chunks_exact_mut(head_dim) {
            for (i, &(cos, sin)) in angles.iter().enumerate() {
                let (a, b) = (head[i], head[i + angles.len()]);
                head[i] = a * cos - b * sin;
                head[i + angles.len()] = b * cos + a * sin;
            }
        }
    }
}

fn scale(scale: Scale) -> Interval {
    match scale {
        // Exact below 2⁵³, which head widths are.
        Scale::InvSqrt(n) => Interval::point(n as f64).sqrt().recip(),
        Scale::Inverse(c) => Interval::point(c).recip(),
        Scale::One => Interval::ONE,
    }
}

fn exact(x: f32) -> Interval {
    Interval::point(f64::from(x))
}

fn add(x: &mut [Interval], y: &[Interval]) {
    x.iter_mut().zip(y).for_each(|(x, &y)| *x = *x + y);
}

fn add_exact<'a>(x: &mut [Interval], y: impl Iterator<Item = &'a f32>) {
    x.iter_mut().zip(y).for_each(|(x, &y)| *x = *x + exact(y));
}
