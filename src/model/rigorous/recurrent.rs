//! Recurrent layers in balls, one position at a time. What a layer carries over stays a ball; sums of exponentials are
//! shifted by exact numbers, so that nothing overflows and nothing is lost.

use super::forward::{Affine, Vector, exact, norm, softmax_shift};
use crate::model::layer::Norm;
use crate::model::recurrent::{ChannelMix, LowRank, Shift, Shifted, Wkv4, Wkv7};
use crate::num::precise::{Precise, dot};

/// A layer's normalised input at the position before; zero before the first.
#[derive(Debug, Clone, Default)]
struct Last<const L: usize>(Option<Vector<L>>);

impl<const L: usize> Last<L> {
    /// The normalised residual and the one before it, which it replaces.
    fn advance(&mut self, layer_norm: &Norm, x: &Vector<L>) -> [Vector<L>; 2] {
        let z = norm(Some(layer_norm), x);
        let previous = self.0.replace(z.clone()).unwrap_or_else(|| vec![Precise::ZERO; z.len()]);
        [z, previous]
    }
}

/// A map of a blend, prepared.
#[derive(Debug)]
struct Map<'m> {
    shift: &'m Shift,
    affine: Affine<'m>,
}

impl<'m> Map<'m> {
    fn new(map: &'m Shifted) -> Map<'m> {
        Map { shift: &map.shift, affine: Affine::new(&map.map) }
    }

    fn apply<const L: usize>(&self, z: &[Vector<L>; 2]) -> Vector<L> {
        self.affine.apply(&blend(self.shift, z))
    }
}

/// A map through a narrow middle, prepared.
#[derive(Debug)]
struct Narrow<'m> {
    shift: &'m Shift,
    down: Affine<'m>,
    up: Affine<'m>,
}

impl<'m> Narrow<'m> {
    fn new(map: &'m LowRank) -> Narrow<'m> {
        Narrow { shift: &map.shift, down: Affine::new(&map.down), up: Affine::new(&map.up) }
    }

    fn apply<const L: usize>(&self, z: &[Vector<L>; 2], act: impl Fn(Precise<L>) -> Precise<L>) -> Vector<L> {
        let middle: Vector<L> = self.down.apply(&blend(self.shift, z)).into_iter().map(act).collect();
        self.up.apply(&middle)
    }
}

fn blend<const L: usize>(shift: &Shift, [z, previous]: &[Vector<L>; 2]) -> Vector<L> {
    let pairs = z.iter().zip(previous);
    match shift {
        Shift::OfCurrent(m) => pairs.zip(m).map(|((&z, &p), &m)| p + (z - p) * exact(m)).collect(),
        Shift::OfPrevious(m) => pairs.zip(m).map(|((&z, &p), &m)| z + (p - z) * exact(m)).collect(),
    }
}

fn product<const L: usize>(x: &[Precise<L>], y: &[Precise<L>]) -> Vector<L> {
    x.iter().zip(y).map(|(&x, &y)| x * y).collect()
}

/// RWKV-4's time mixing, prepared.
#[derive(Debug)]
pub struct Averages<'m, const L: usize> {
    layer: &'m Wkv4,
    key: Map<'m>,
    value: Map<'m>,
    receptance: Map<'m>,
    /// Rates of decay.
    rates: Vector<L>,
    output: Affine<'m>,
}

/// What RWKV-4's time mixing carries over.
#[derive(Debug, Clone, Default)]
pub struct AveragesState<const L: usize> {
    last: Last<L>,
    /// Per feature, once there is an earlier position.
    sums: Option<Vec<Weighted<L>>>,
}

/// A sum of weighted values and the sum of the weights, both to be multiplied by `e^shift`, `shift` exact.
#[derive(Debug, Clone, Copy)]
struct Weighted<const L: usize> {
    values: Precise<L>,
    weights: Precise<L>,
    shift: Precise<L>,
}

impl<const L: usize> Weighted<L> {
    /// One value with weight `e^score`.
    fn one(value: Precise<L>, score: Precise<L>) -> Weighted<L> {
        let shift = score.middle();
        let weight = (score - shift).exp();
        Weighted { values: value * weight, weights: weight, shift }
    }

    /// The sums after all scores have changed by `by`.
    fn moved(self, by: Precise<L>) -> Weighted<L> {
        let shift = (self.shift + by).middle();
        let factor = (self.shift + by - shift).exp();
        Weighted { values: self.values * factor, weights: self.weights * factor, shift }
    }

    fn plus(self, other: Weighted<L>) -> Weighted<L> {
        let shift = softmax_shift([self.shift, other.shift]);
        let [a, b] = [self.shift, other.shift].map(|own| (own - shift).exp());
        Weighted {
            values: self.values * a + other.values * b,
            weights: self.weights * a + other.weights * b,
            shift,
        }
    }
}

impl<'m, const L: usize> Averages<'m, L> {
    /// Prepares the maps.
    pub fn new(layer: &'m Wkv4) -> Averages<'m, L> {
        Averages {
            layer,
            key: Map::new(&layer.key),
            value: Map::new(&layer.value),
            receptance: Map::new(&layer.receptance),
            rates: layer.decay.iter().map(|&decay| exact::<L>(decay).exp()).collect(),
            output: Affine::new(&layer.output),
        }
    }

    /// What the layer adds to the residual `x` of the next position.
    pub fn step(&self, state: &mut AveragesState<L>, x: &Vector<L>) -> Vector<L> {
        let z = state.last.advance(&self.layer.norm, x);
        let [key, value, receptance] = [&self.key, &self.value, &self.receptance].map(|map| map.apply(&z));
        let earlier = state.sums.take();
        let (mut mixed, mut sums) = (Vec::with_capacity(key.len()), Vec::with_capacity(key.len()));
        for i in 0..key.len() {
            let here = Weighted::one(value[i], key[i] + exact(self.layer.first[i]));
            let kept = Weighted::one(value[i], key[i]);
            let (seen, kept) = match &earlier {
                None => (here, kept),
                Some(earlier) => (earlier[i].plus(here), earlier[i].moved(-self.rates[i]).plus(kept)),
            };
            mixed.push(seen.values * seen.weights.recip() * receptance[i].sigmoid());
            sums.push(kept);
        }
        state.sums = Some(sums);
        self.output.apply(&mixed)
    }
}

/// RWKV-7's time mixing, prepared.
#[derive(Debug)]
pub struct DeltaRule<'m, const L: usize> {
    layer: &'m Wkv7,
    receptance: Map<'m>,
    key: Map<'m>,
    value: Map<'m>,
    decay: Narrow<'m>,
    rate: Narrow<'m>,
    gate: Narrow<'m>,
    first_value: Option<Narrow<'m>>,
    output: Affine<'m>,
    /// `e^{−1/2}`.
    slowest: Precise<L>,
}

/// What RWKV-7's time mixing carries over.
#[derive(Debug, Clone, Default)]
pub struct DeltaRuleState<const L: usize> {
    last: Last<L>,
    /// Rows of all matrices, one per feature of the values, each as wide as a head; empty before the first position.
    rows: Vec<Vector<L>>,
}

impl<'m, const L: usize> DeltaRule<'m, L> {
    /// Prepares the maps.
    pub fn new(layer: &'m Wkv7) -> DeltaRule<'m, L> {
        DeltaRule {
            layer,
            receptance: Map::new(&layer.receptance),
            key: Map::new(&layer.key),
            value: Map::new(&layer.value),
            decay: Narrow::new(&layer.decay),
            rate: Narrow::new(&layer.rate),
            gate: Narrow::new(&layer.gate),
            first_value: layer.first_value.as_ref().map(Narrow::new),
            output: Affine::new(&layer.output),
            slowest: (-Precise::int(1).div_int(2)).exp(),
        }
    }

    /// What the layer adds to the residual `x` of the next position. `first_value` holds the first layer's values at this
    /// position once that layer has run.
    pub fn step(
        &self,
        state: &mut DeltaRuleState<L>,
        x: &Vector<L>,
        first_value: &mut Option<Vector<L>>,
    ) -> Vector<L> {
        let one = Precise::int(1);
        let layer = self.layer;
        let z = state.last.advance(&layer.norm, x);
        let [reading, key, mut value] = [&self.receptance, &self.key, &self.value].map(|map| map.apply(&z));
        // tanh x = 2 σ(2x) − 1
        let tanh = |x: Precise<L>| {
            let s = (x + x).sigmoid();
            s + s - one
        };
        let decay: Vector<L> =
            self.decay.apply(&z, tanh).into_iter().map(|x| (-x.sigmoid() * self.slowest).exp()).collect();
        let rate: Vector<L> = self.rate.apply(&z, |x| x).into_iter().map(Precise::sigmoid).collect();
        let gate = self.gate.apply(&z, Precise::sigmoid);
        match (&self.first_value, first_value.as_ref()) {
            (Some(blend), Some(first)) => {
                let share = blend.apply(&z, |x| x);
                for ((v, &first), share) in value.iter_mut().zip(first).zip(share) {
                    *v = *v + (first - *v) * share.sigmoid();
                }
            }
            _ => *first_value = Some(value.clone()),
        }
        let size = key.len() / layer.n_heads;
        let scaled: Vector<L> = key.iter().zip(&layer.key_scale).map(|(&k, &s)| k * exact(s)).collect();
        let removed: Vector<L> = scaled.chunks_exact(size).flat_map(unit).collect();
        let added: Vector<L> = (key.iter().zip(&rate).zip(&layer.key_rate))
            .map(|((&k, &a), &r)| k * (one + (a - one) * exact(r)))
            .collect();
        let replaced = product(&removed, &rate);

        let mut mixed = Vec::with_capacity(value.len());
        let mut rows = Vec::with_capacity(value.len());
        for (i, &v) in value.iter().enumerate() {
            let head = i / size * size..(i / size + 1) * size;
            let added = added[head.clone()].iter().map(|&k| v * k);
            let row: Vector<L> = match state.rows.get(i) {
                None => added.collect(),
                Some(row) => {
                    let along = dot(row, &removed[head.clone()]);
                    let kept = product(row, &decay[head.clone()]);
                    let taken = replaced[head.clone()].iter().map(|&r| along * r);
                    kept.into_iter()
                        .zip(taken)
                        .zip(added)
                        .map(|((kept, taken), added)| kept - taken + added)
                        .collect()
                }
            };
            mixed.push(dot(&row, &reading[head]));
            rows.push(row);
        }
        state.rows = rows;

        let mut out = Vec::with_capacity(mixed.len());
        for (h, head) in mixed.chunks_exact(size).enumerate() {
            let features = h * size..(h + 1) * size;
            let group = Norm::Layer {
                gain: layer.group_gain.slice(ndarray::s![features.clone()]).to_owned(),
                bias: Some(layer.group_bias.slice(ndarray::s![features.clone()]).to_owned()),
                eps: layer.group_eps,
            };
            let own: Precise<L> =
                features.clone().map(|j| reading[j] * added[j] * exact(layer.bonus[j])).sum();
            let normed = norm(Some(&group), head);
            out.extend(features.zip(normed).map(|(j, y)| (y + own * value[j]) * gate[j]));
        }
        self.output.apply(&out)
    }
}

/// `x / max(‖x‖, 10^−12)`.
fn unit<const L: usize>(x: &[Precise<L>]) -> Vector<L> {
    let square: Precise<L> = x.iter().map(|x| x.square()).sum();
    let size = square.enclose();
    if size.lo() > 2e-24 {
        let inverse = square.rsqrt();
        x.iter().map(|&x| x * inverse).collect()
    } else if size.hi() < 0.5e-24 {
        let factor = Precise::int(1_000_000);
        x.iter().map(|&x| x * factor * factor).collect()
    } else {
        // No component is ever larger than one.
        vec![Precise::ZERO.widen(1.0); x.len()]
    }
}

/// RWKV's feed-forward layer, prepared.
#[derive(Debug)]
pub struct Channels<'m> {
    layer: &'m ChannelMix,
    key: Map<'m>,
    value: Affine<'m>,
    receptance: Option<Map<'m>>,
}

/// What RWKV's feed-forward layer carries over.
#[derive(Debug, Clone, Default)]
pub struct ChannelsState<const L: usize>(Last<L>);

impl<'m> Channels<'m> {
    /// Prepares the maps.
    pub fn new(layer: &'m ChannelMix) -> Channels<'m> {
        Channels {
            layer,
            key: Map::new(&layer.key),
            value: Affine::new(&layer.value),
            receptance: layer.receptance.as_ref().map(Map::new),
        }
    }

    /// What the layer adds to the residual `x` of the next position.
    pub fn step<const L: usize>(&self, state: &mut ChannelsState<L>, x: &Vector<L>) -> Vector<L> {
        let z = state.0.advance(&self.layer.norm, x);
        let hidden: Vector<L> = self.key.apply(&z).into_iter().map(|k| k.relu().square()).collect();
        let out = self.value.apply(&hidden);
        match &self.receptance {
            None => out,
            Some(receptance) => {
                out.into_iter().zip(receptance.apply(&z)).map(|(y, r)| y * r.sigmoid()).collect()
            }
        }
    }
}
