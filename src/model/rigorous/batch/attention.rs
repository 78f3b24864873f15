//! Causal self-attention of one position, given keys and values of those before.
//!
//! Adding the same number to all scores changes nothing. So with `a` the error of the query and `b_j` those of the keys, score
//! `j` is off by `δ_j = a·(k_j − k̄) + (q + a)·b_j` and its rounding, for any fixed `k̄`. On the way from the exact scores to the computed
//! ones the mixture `Σ w_j v_j` moves by `Σ w_j (δ_j − δ̄) (v_j − c)`, `δ̄ = Σ w_k δ_k`, for any fixed `c`; if `|δ_j| <= τ <= 0.1`, each
//! weight stays within a factor `e^(2τ)` of the computed `ŵ_j`. Values that err by `r_j` move it by `Σ w_j r_j`. So it errs by
//! at most
//!
//! ```text
//! e^0.2 Σ ŵ_j (|δ_j| + m) |v_j − c| + e^0.2 Σ ŵ_j r_j,     m = e^0.2 Σ ŵ_j |δ_j|,
//! ```
//!
//! and the rounding of the mixture. `k̄` is the mean key and `c` the mixture itself, so that little is left where one weight
//! dominates. A relative error `η` of an exponential counts as an error `2η` of its score.

use std::array::from_fn;

use super::maps::Map;
use super::{COVER, Centring, Column, Turns};
use crate::model::{Attention, Scale};
use crate::num::precise::Precise;
use crate::num::wide::{self, EPS, EXP_EPS, LANES, Lanes, TINY, Wide, nearest};

/// Largest error of a score.
const MOST: f64 = 0.1;

/// A prepared layer.
#[derive(Debug)]
pub struct Heads {
    norm: Option<Centring>,
    query: Map,
    key: Map,
    value: Map,
    output: Map,
    n_heads: usize,
    n_kv_heads: usize,
    head_dim: usize,
    /// Factor on scores, as a sum of two floats.
    scale: (f64, f64),
}

/// Keys and values of one position of eight prefixes.
#[derive(Debug, Clone)]
pub struct Cell {
    /// `[n_kv_heads · head_dim]`.
    keys: Vec<Wide>,
    /// `[n_kv_heads · head_dim]`.
    values: Vec<Wide>,
    /// Per head: length and radius of the key, length and radius of the value.
    sizes: Vec<[Lanes; 4]>,
}

impl Heads {
    /// Prepares a layer; `None` if its factor has no short form.
    pub fn new(layer: &Attention) -> Option<Heads> {
        let (scale, error) = nearest::<4>(match layer.scale {
            Scale::InvSqrt(n) => Precise::float(n as f64).rsqrt(),
            Scale::Inverse(c) => Precise::float(c).recip(),
            Scale::One => Precise::int(1),
        });
        let norm = layer.norm.as_ref();
        (error <= EPS * scale.0.abs()).then(|| Heads {
            norm: norm.map(Centring::new),
            query: Map::folded(&layer.query, norm, layer.n_heads),
            key: Map::folded(&layer.key, norm, layer.n_kv_heads),
            value: Map::folded(&layer.value, norm, layer.n_kv_heads),
            output: Map::folded(&layer.output, None, 1),
            n_heads: layer.n_heads,
            n_kv_heads: layer.n_kv_heads,
            head_dim: layer.head_dim,
            scale,
        })
    }

    /// What the position leaves to later ones, and what the layer adds to it.
    pub fn apply(&self, x: &Column, turns: Option<&Turns>, history: &[&Cell]) -> (Cell, Column) {
        let z = x.normed(self.norm);
        let dim = self.head_dim;
        let rotated = |map: &Map| {
            let mut all = map.middles(&z);
            let mut radii = map.radii(&z);
            if let Some(turns) = turns {
                for (head, radius) in all.chunks_exact_mut(dim).zip(&mut radii) {
                    let length = wide::length(head);
                    wide::rotate(head, turns);
                    *radius = from_fn(|l| COVER * (radius[l] + 12.0 * EPS * length[l]) + TINY);
                }
            }
            (all, radii)
        };
        let (queries, query_radii) = rotated(&self.query);
        let (keys, key_radii) = rotated(&self.key);
        let (values, value_radii) = (self.value.middles(&z), self.value.radii(&z));
        let length = |all: &[Wide], h: usize| -> Lanes {
            wide::length(&all[h * dim..(h + 1) * dim]).map(|x| COVER * x + TINY)
        };
        let sizes = (0..self.n_kv_heads)
            .map(|h| [length(&keys, h), key_radii[h], length(&values, h), value_radii[h]])
            .collect();
        let own = Cell { keys, values, sizes };
        let cells: Vec<&Cell> = history.iter().copied().chain([&own]).collect();
        let mut mixed = Vec::with_capacity(queries.len());
        let mut squares = [0.0; LANES];
        for head in 0..self.n_heads {
            let kv = head / (self.n_heads / self.n_kv_heads);
            let query = &queries[head * dim..(head + 1) * dim];
            let size = (length(&queries, head), query_radii[head]);
            let radius = self.mix(query, size, kv, &cells, &mut mixed);
            squares = from_fn(|l| squares[l] + radius[l] * radius[l]);
        }
        let mixed = Column { x: mixed, radius: squares.map(|s| COVER * s.sqrt() + TINY) };
        let added = self.output.apply(&mixed);
        (own, added)
    }

    /// Appends the mixture of one head to `out`; its radius.
    fn mix(
        &self,
        query: &[Wide],
        (length, radius): (Lanes, Lanes),
        kv: usize,
        cells: &[&Cell],
        out: &mut Vec<Wide>,
    ) -> Lanes {
        let dim = self.head_dim;
        let part = kv * dim..(kv + 1) * dim;
        let score = |cell: &&Cell| wide::scale(wide::dot(query, &cell.keys[part.clone()]), self.scale);
        let scores: Vec<Wide> = cells.iter().map(score).collect();
        let mut weights = scores.clone();
        let total = wide::exp(&mut weights);
        let values: Vec<&[Wide]> = cells.iter().map(|cell| &cell.values[part.clone()]).collect();
        wide::combine(&weights, total, &values, out);

        let weights: Vec<Lanes> = weights.iter().map(|w| from_fn(|l| w.hi[l] / total.hi[l])).collect();
        let keys: Vec<&[Wide]> = cells.iter().map(|cell| &cell.keys[part.clone()]).collect();
        let mean_key = wide::mean(&weights, &keys);
        let centre: Vec<Lanes> = out[out.len() - dim..].iter().map(|x| x.hi).collect();
        let top = scores.iter().fold([f64::NEG_INFINITY; LANES], |top, s| from_fn(|l| s.hi[l].max(top[l])));
        // Longest key and value.
        let (mut key_top, mut value_top) = ([0.0; LANES], [0.0; LANES]);
        for cell in cells {
            let [key, _, value, value_radius] = &cell.sizes[kv];
            key_top = from_fn(|l| f64::max(key_top[l], key[l]));
            value_top = from_fn(|l| f64::max(value_top[l], value[l] + value_radius[l]));
        }
        let scale = self.scale.0.abs() * COVER;
        let mut worst = [0.0; LANES];
        let off = |cell: &Cell, keys: &[Wide], score: &Wide| -> Lanes {
            let [key, key_radius, ..] = &cell.sizes[kv];
            let apart = wide::distance(keys, &mean_key);
            from_fn(|l| {
                let apart = COVER * apart[l] + 1e-13 * key_top[l];
                let inputs = radius[l] * apart + (length[l] + radius[l]) * key_radius[l];
                let rounding = (dim as f64 + 6.0) * EPS * length[l] * key[l];
                let shift = 2.0 * EPS * (top[l] - score.hi[l]);
                let off = COVER * (scale * (inputs + rounding) + shift + 4.0 * EXP_EPS);
                // With one position the weight is one, whatever its score; what is not known stays so.
                if cells.len() == 1 { 0.0 * off } else { off }
            })
        };
        let offs: Vec<Lanes> = cells.iter().zip(&keys).zip(&scores).map(|((c, k), s)| off(c, k, s)).collect();
        let mut mean_off = [0.0; LANES];
        for (off, weight) in offs.iter().zip(&weights) {
            worst = from_fn(|l| if off[l] > worst[l] || off[l].is_nan() { off[l] } else { worst[l] });
            mean_off = from_fn(|l| mean_off[l] + weight[l] * off[l]);
        }
        let (mut moved, mut passed) = ([0.0; LANES], [0.0; LANES]);
        for (((cell, value), off), weight) in cells.iter().zip(&values).zip(&offs).zip(&weights) {
            let apart = wide::distance(value, &centre);
            let radius = &cell.sizes[kv][3];
            moved = from_fn(|l| {
                let apart = COVER * apart[l] + 1e-13 * value_top[l];
                moved[l] + weight[l] * (off[l] + 1.23 * mean_off[l]) * apart
            });
            passed = from_fn(|l| passed[l] + weight[l] * radius[l]);
        }
        let n = cells.len() as f64;
        from_fn(|l| {
            // e^0.2 < 1.23
            let total = 1.23 * (moved[l] + passed[l]) + (2.0 * n + 12.0) * EPS * value_top[l];
            if worst[l] <= MOST { COVER * total + TINY } else { f64::INFINITY }
        })
    }
}

impl Cell {
    /// The prefixes in these lanes.
    pub fn select(&self, lanes: [usize; LANES]) -> Cell {
        let pick = |x: &Lanes| -> Lanes { from_fn(|l| x[lanes[l]]) };
        let all = |x: &[Wide]| x.iter().map(|x| Wide { hi: pick(&x.hi), lo: pick(&x.lo) }).collect();
        Cell {
            keys: all(&self.keys),
            values: all(&self.values),
            sizes: self.sizes.iter().map(|sizes| sizes.each_ref().map(pick)).collect(),
        }
    }
}
