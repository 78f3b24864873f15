//! Causal self-attention of one position, given keys and values of those before: [mixtures](super::mixture) of all heads, and their
//! [sum](Outlet).

use super::maps::{Map, Radius};
use super::mixture::{Form, Query, Scratch, mix};
use super::outlet::Outlet;
use super::{COVER, Centring, Column, Turns};
use crate::model::{Attention, Norm, Scale};
use crate::num::gamma::ROUNDOFF_F64;
use crate::num::precise::Precise;
use crate::num::wide::{self, LANES, Lanes, Number, TINY, Wide, each, nearest};

/// A prepared layer.
#[derive(Debug)]
pub struct Heads {
    norm: Option<Centring>,
    query: Map,
    key: Map,
    value: Map,
    output: Map,
    outlet: Outlet,
    /// Norms of query heads and key heads.
    head_norms: Option<[HeadNorm; 2]>,
    /// Per query head and per key head: `W Wᵀ`, or nothing behind norms of heads.
    forms: [Vec<Form>; 2],
    n_heads: usize,
    n_kv_heads: usize,
    head_dim: usize,
    /// Factor on scores, as a sum of two floats.
    scale: (f64, f64),
}

/// Norm of a head.
#[derive(Debug)]
struct HeadNorm {
    centring: Centring,
    /// `[head_dim]`.
    gain: Vec<f64>,
    /// The largest in size.
    largest: f64,
}

/// Keys and values of one position of sixteen prefixes.
#[derive(Debug, Clone)]
pub struct Cell<N> {
    /// `[n_kv_heads · head_dim]`.
    pub(super) keys: Vec<N>,
    /// `[n_kv_heads · head_dim]`.
    pub(super) values: Vec<N>,
    /// Radius of the input that both come from.
    pub(super) input: Lanes,
    /// Per head.
    pub(super) sizes: Vec<Sizes>,
}

/// Upper bounds on lengths.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub key: Lanes,
    pub key_radius: Radius,
    pub value: Lanes,
    pub value_radius: Radius,
}

impl Heads {
    /// Prepares a layer; `None` if its factor has no short form or a norm of heads has a bias.
    pub fn new(layer: &Attention) -> Option<Heads> {
        let (scale, error) = nearest::<4>(match layer.scale {
            Scale::InvSqrt(n) => Precise::float(n as f64).rsqrt(),
            Scale::Inverse(c) => Precise::float(c).recip(),
            Scale::One => Precise::int(1),
        });
        let norm = layer.norm.as_ref();
        let query = Map::folded(&layer.query, norm, layer.n_heads);
        let key = Map::folded(&layer.key, norm, layer.n_kv_heads);
        let head_norms = match &layer.head_norms {
            Some(norms) => Some([HeadNorm::new(&norms.query)?, HeadNorm::new(&norms.key)?]),
            None => None,
        };
        let forms = |map: &Map| match head_norms {
            Some(_) => Form::none(map.blocks.len(), layer.head_dim),
            None => Form::all(map, layer.head_dim),
        };
        let forms = [forms(&query), forms(&key)];
        let value = Map::folded(&layer.value, norm, layer.n_kv_heads);
        let output = Map::folded(&layer.output, None, 1);
        let outlet = Outlet::new(&value, &output, layer.n_heads);
        (error <= Wide::EPS * scale.0.abs()).then(|| Heads {
            norm: norm.map(Centring::new),
            head_norms,
            forms,
            query,
            key,
            value,
            output,
            outlet,
            n_heads: layer.n_heads,
            n_kv_heads: layer.n_kv_heads,
            head_dim: layer.head_dim,
            scale,
        })
    }

    /// What the position leaves to later ones, and what the layer adds to it. `turns` are those of all positions so far, or
    /// none.
    pub fn apply<N: Number>(
        &self,
        x: &Column<N>,
        turns: &[Turns],
        history: &[&Cell<N>],
    ) -> (Cell<N>, Column<N>) {
        let (z, reach) = x.normed(self.norm);
        let own = self.source(&z, reach, turns.last());
        let added = self.attend(&z, reach, turns, history, &own);
        (own, added)
    }

    /// What the position leaves to later ones.
    pub fn leave<N: Number>(&self, x: &Column<N>, turns: &[Turns]) -> Cell<N> {
        let (z, reach) = x.normed(self.norm);
        self.source(&z, reach, turns.last())
    }

    /// All heads of a map of the normed input, rotated; their lengths and their radii.
    fn rotated<N: Number>(
        &self,
        map: &Map,
        norm: Option<&HeadNorm>,
        (z, reach): (&Column<N>, Lanes),
        turns: Option<&Turns>,
    ) -> (Vec<N>, Vec<Lanes>, Vec<Radius>) {
        let dim = self.head_dim;
        let mut all = map.middles(z);
        let mut radii = map.radii(z, reach);
        if let Some(norm) = norm {
            all.chunks_exact_mut(dim).zip(&mut radii).for_each(|(head, radius)| norm.apply(head, radius));
        }
        let lengths = all.chunks_exact(dim).map(|head| wide::length(head).map(|x| COVER * x + TINY));
        let mut lengths: Vec<Lanes> = lengths.collect();
        if let Some(turns) = turns {
            all.chunks_exact_mut(dim).for_each(|head| wide::rotate(head, turns));
            for (radius, length) in radii.iter_mut().zip(&mut lengths) {
                radius.add_rounding(length.map(|x| 4.0 * N::EPS * x));
                // Rotations keep lengths, up to rounding.
                *length = length.map(|x| COVER * x);
            }
        }
        (all, lengths, radii)
    }

    /// Keys and values.
    fn source<N: Number>(&self, z: &Column<N>, reach: Lanes, turns: Option<&Turns>) -> Cell<N> {
        let norm = self.head_norms.as_ref().map(|[_, keys]| keys);
        let (keys, lengths, radii) = self.rotated(&self.key, norm, (z, reach), turns);
        let (values, value_radii) = (self.value.middles(z), self.value.radii(z, reach));
        let size = |h: usize| Sizes {
            key: lengths[h],
            key_radius: radii[h],
            value: wide::length(&values[h * self.head_dim..(h + 1) * self.head_dim])
                .map(|x| COVER * x + TINY),
            value_radius: value_radii[h],
        };
        let sizes = (0..self.n_kv_heads).map(size).collect();
        Cell { keys, values, input: z.radius, sizes }
    }

    /// What the layer adds.
    fn attend<N: Number>(
        &self,
        z: &Column<N>,
        reach: Lanes,
        turns: &[Turns],
        history: &[&Cell<N>],
        own: &Cell<N>,
    ) -> Column<N> {
        let dim = self.head_dim;
        let norm = self.head_norms.as_ref().map(|[queries, _]| queries);
        let (queries, lengths, radii) = self.rotated(&self.query, norm, (z, reach), turns.last());
        let cells: Vec<&Cell<N>> = history.iter().copied().chain([own]).collect();
        let mut mixed = Vec::with_capacity(queries.len());
        let mut errors = Vec::with_capacity(self.n_heads);
        let mut scratch = Scratch::default();
        for head in 0..self.n_heads {
            let kv = head / (self.n_heads / self.n_kv_heads);
            let query = Query {
                query: &queries[head * dim..(head + 1) * dim],
                length: lengths[head],
                radius: radii[head],
                input: z.radius,
                kv,
                forms: [&self.forms[0][head], &self.forms[1][kv]],
                scale: self.scale,
            };
            errors.push(mix(&query, turns, &cells, &mut scratch, &mut mixed));
        }
        let mut moved = self.outlet.mixtures(&errors);
        for (j, cell) in cells.iter().enumerate() {
            let weights = |head: usize| scratch.shares[head * cells.len() + j];
            let passed = self.outlet.input(&(0..self.n_heads).map(weights).collect::<Vec<_>>());
            moved = each(|l| COVER * (moved[l] + passed[l] * cell.input[l]));
        }
        let mut added = self.output.apply(&Column { x: mixed, radius: Lanes::ZERO });
        added.radius = each(|l| COVER * (added.radius[l] + moved[l]));
        added
    }
}

impl HeadNorm {
    fn new(norm: &Norm) -> Option<HeadNorm> {
        let gain = match norm {
            Norm::Layer { gain, bias: None, .. } | Norm::Rms { gain, .. } => gain,
            Norm::Layer { bias: Some(_), .. } => return None,
        };
        let gain: Vec<f64> = gain.iter().map(|&g| f64::from(g)).collect();
        let largest = gain.iter().fold(0.0, |most: f64, g| most.max(g.abs()));
        Some(HeadNorm { centring: Centring::new(norm), gain, largest })
    }

    /// The norm of one head and its radius, in their places.
    fn apply<N: Number>(&self, head: &mut [N], radius: &mut Radius) {
        let (z, _) = Column { x: head.to_vec(), radius: radius.all }.normed(Some(self.centring));
        head.iter_mut().zip(&z.x).zip(&self.gain).for_each(|((to, z), g)| *to = z.times(N::splat(*g)));
        let length = wide::length(head);
        let all = each(|l| COVER * (self.largest * z.radius[l] + N::EPS * length[l]) + TINY);
        *radius = Radius { all, rounding: all };
    }
}

impl<N: Number> Cell<N> {
    /// The prefixes in these lanes.
    pub fn select(&self, lanes: [usize; LANES]) -> Cell<N> {
        let pick = |x: &Lanes| -> Lanes { each(|l| x[lanes[l]]) };
        let all = |x: &[N]| x.iter().map(|x| x.select(lanes)).collect();
        let size = |sizes: &Sizes| Sizes {
            key: pick(&sizes.key),
            key_radius: sizes.key_radius.select(lanes),
            value: pick(&sizes.value),
            value_radius: sizes.value_radius.select(lanes),
        };
        Cell {
            keys: all(&self.keys),
            values: all(&self.values),
            input: pick(&self.input),
            sizes: self.sizes.iter().map(size).collect(),
        }
    }

    /// The same in floats, each within a unit roundoff of its number.
    pub fn rounded(&self) -> Cell<Lanes> {
        let all = |x: &[N]| x.iter().map(|x| *x.hi()).collect();
        let off = |radius: Radius, length: &Lanes| {
            let mut radius = radius;
            radius.add_rounding(length.map(|x| ROUNDOFF_F64 * x));
            radius
        };
        let size = |sizes: &Sizes| Sizes {
            key_radius: off(sizes.key_radius, &sizes.key),
            value_radius: off(sizes.value_radius, &sizes.value),
            ..*sizes
        };
        Cell {
            keys: all(&self.keys),
            values: all(&self.values),
            input: self.input,
            sizes: self.sizes.iter().map(size).collect(),
        }
    }
}

impl Cell<Lanes> {
    /// Key and value of every head in one lane, each with a bound on its distance from the exact vector.
    pub fn sources(&self, lane: usize) -> impl Iterator<Item = [(Vec<f64>, f64); 2]> {
        let dim = self.keys.len() / self.sizes.len().max(1);
        let of = move |all: &[Lanes], h: usize| all[h * dim..(h + 1) * dim].iter().map(|x| x[lane]).collect();
        self.sizes.iter().enumerate().map(move |(h, sizes)| {
            let key = (of(&self.keys, h), sizes.key_radius.all[lane]);
            [key, (of(&self.values, h), sizes.value_radius.all[lane])]
        })
    }
}
