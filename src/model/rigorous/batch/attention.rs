//! Causal self-attention of one position, given keys and values of those before.
//!
//! Let query and keys be computed as `q`, `k_j` and be `q + a`, `k_j + b_j` exactly, so that score `j` is off by
//! `δ_j = a·k_j + q·b_j + a·b_j` and its rounding. Adding the same number to all scores changes nothing; with the computed weights `w`
//! and `k̄ = Σ w_j k_j`, what counts is `D_j = δ_j − Σ w_k δ_k`, the sum of
//!
//! ```text
//! a·(k_j − k̄),   (1 − w_j) q·b_j − Σ_(k≠j) w_k q·b_k,   a·b_j − Σ w_k a·b_k,   and roundings.
//! ```
//!
//! The errors of queries and keys come from those of their inputs, `a = R W_q e` and `b_j = R_j W_k e_j`, up to rounding, so that
//! `|a·x + q·b y| <= ‖W_qᵀ Rᵀ x + y W_kᵀ Rᵀ q‖ |e|`: the root of a quadratic form. On the way from the computed scores to the exact ones, if `|D_j| <= τ
//! <= 0.1`, each weight stays within a factor `e^(2τ)` of `w_j`, and the mean of `D` within `(e^(2τ) − 1) m`, `m = Σ w_j |D_j|`,
//! of zero. The derivative of the mixture `Σ w_j v_j` is `Σ w_j (D_j − mean D) (v_j − c)` for any fixed `c`, and values that err
//! by `r_j` move it by `Σ w_j r_j`. So it errs by at most
//!
//! ```text
//! e^(2τ) Σ w_j (|D_j| + (e^(2τ) − 1) m) |v_j − c| + e^(2τ) Σ w_j r_j
//! ```
//!
//! and its rounding. `c` is the mixture itself, so that little is left where one weight dominates. A relative error `η` of
//! an exponential counts as an error `2η` of its score. What `Σ w_j r_j` owes to errors of inputs is the same `e_j` for all heads,
//! and is bounded for these [together](Outlet); the rest, and what the weights move, adds up over the heads.
//!
//! Norms of query or key heads lie between `e` and `a` or `b_j`: there no form says more than their radius, which counts as
//! if all of it were rounding.

use std::array::from_fn;

use multiversion::multiversion;
use ndarray::s;

use super::maps::{Map, Radius};
use super::outlet::Outlet;
use super::{COVER, Centring, Column, Turns};
use crate::model::{Attention, Norm, Scale};
use crate::num::gamma::{ROUNDOFF_F64, gamma};
use crate::num::precise::Precise;
use crate::num::wide::{self, LANES, Lanes, Number, TINY, Wide, nearest};

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

/// The quadratic form `‖Wᵀ x‖²` of one head.
#[derive(Debug)]
struct Form {
    /// `W Wᵀ`, rows one after another.
    gram: Vec<f64>,
    /// Covers the rounding of the form, as a part of `|x|²`.
    slack: f64,
    /// Frobenius norm of `W`, at most.
    size: f64,
}

/// Keys and values of one position of eight prefixes.
#[derive(Debug, Clone)]
pub struct Cell<N> {
    /// `[n_kv_heads · head_dim]`.
    keys: Vec<N>,
    /// `[n_kv_heads · head_dim]`.
    values: Vec<N>,
    /// Radius of the input that both come from.
    input: Lanes,
    /// Per head.
    sizes: Vec<Sizes>,
}

/// Upper bounds on lengths.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    key: Lanes,
    key_radius: Radius,
    value: Lanes,
    value_radius: Radius,
}

/// Query of one head.
struct Query<'q, N> {
    /// Rotated.
    query: &'q [N],
    length: Lanes,
    radius: Radius,
    /// Radius of the input.
    input: Lanes,
    /// Key and value head.
    kv: usize,
    /// Of this head and of its key head.
    forms: [&'q Form; 2],
    scale: (f64, f64),
}

/// Room for the numbers of one head.
#[derive(Debug)]
struct Scratch<N> {
    scores: Vec<N>,
    weights: Vec<N>,
    shares: Vec<Lanes>,
    mean_key: Vec<Lanes>,
    centre: Vec<Lanes>,
    turned: Vec<Lanes>,
    offs: Vec<Lanes>,
    moves: Vec<Lanes>,
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
        let z = x.normed(self.norm);
        let (dim, reach) = (self.head_dim, z.reach());
        // All heads, their lengths and their radii.
        let rotated = |map: &Map, norm: Option<&HeadNorm>| {
            let mut all = map.middles(&z);
            let mut radii = map.radii(&z, reach);
            if let Some(norm) = norm {
                all.chunks_exact_mut(dim).zip(&mut radii).for_each(|(head, radius)| norm.apply(head, radius));
            }
            let lengths = all.chunks_exact(dim).map(|head| wide::length(head).map(|x| COVER * x + TINY));
            let mut lengths: Vec<Lanes> = lengths.collect();
            if let Some(turns) = turns.last() {
                all.chunks_exact_mut(dim).for_each(|head| wide::rotate(head, turns));
                for (radius, length) in radii.iter_mut().zip(&mut lengths) {
                    radius.add_rounding(from_fn(|l| 4.0 * N::EPS * length[l]));
                    // Rotations keep lengths, up to rounding.
                    *length = length.map(|x| COVER * x);
                }
            }
            (all, lengths, radii)
        };
        let [of_queries, of_keys] = match &self.head_norms {
            Some([queries, keys]) => [Some(queries), Some(keys)],
            None => [None, None],
        };
        let (queries, lengths, query_radii) = rotated(&self.query, of_queries);
        let (keys, key_lengths, key_radii) = rotated(&self.key, of_keys);
        let (values, value_radii) = (self.value.middles(&z), self.value.radii(&z, reach));
        let size = |h: usize| Sizes {
            key: key_lengths[h],
            key_radius: key_radii[h],
            value: wide::length(&values[h * dim..(h + 1) * dim]).map(|x| COVER * x + TINY),
            value_radius: value_radii[h],
        };
        let sizes = (0..self.n_kv_heads).map(size).collect();
        let own = Cell { keys, values, input: z.radius, sizes };
        let cells: Vec<&Cell<N>> = history.iter().copied().chain([&own]).collect();
        let mut mixed = Vec::with_capacity(queries.len());
        let mut errors = Vec::with_capacity(self.n_heads);
        let mut scratch = Scratch::default();
        for head in 0..self.n_heads {
            let kv = head / (self.n_heads / self.n_kv_heads);
            let query = Query {
                query: &queries[head * dim..(head + 1) * dim],
                length: lengths[head],
                radius: query_radii[head],
                input: z.radius,
                kv,
                forms: [&self.forms[0][head], &self.forms[1][kv]],
                scale: self.scale,
            };
            errors.push(mix(&query, turns, &cells, &mut scratch, &mut mixed));
        }
        let mut moved = self.outlet.mixtures(&errors);
        for (j, cell) in cells.iter().enumerate() {
            let passed = self.outlet.input(|head| scratch.shares[head * cells.len() + j]);
            moved = from_fn(|l| COVER * (moved[l] + passed[l] * cell.input[l]));
        }
        let mut added = self.output.apply(&Column { x: mixed, radius: [0.0; LANES] });
        added.radius = from_fn(|l| COVER * (added.radius[l] + moved[l]));
        (own, added)
    }
}

impl<N> Default for Scratch<N> {
    fn default() -> Scratch<N> {
        Scratch {
            scores: Vec::new(),
            weights: Vec::new(),
            shares: Vec::new(),
            mean_key: Vec::new(),
            centre: Vec::new(),
            turned: Vec::new(),
            offs: Vec::new(),
            moves: Vec::new(),
        }
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
        let z = Column { x: head.to_vec(), radius: radius.all }.normed(Some(self.centring));
        head.iter_mut().zip(&z.x).zip(&self.gain).for_each(|((to, z), g)| *to = z.times(N::splat(*g)));
        let length = wide::length(head);
        let all = from_fn(|l| COVER * (self.largest * z.radius[l] + N::EPS * length[l]) + TINY);
        *radius = Radius { all, rounding: all };
    }
}

impl Form {
    /// Zero for each of so many heads.
    fn none(n: usize, dim: usize) -> Vec<Form> {
        (0..n).map(|_| Form { gram: vec![0.0; dim * dim], slack: 0.0, size: 0.0 }).collect()
    }

    /// Those of all heads of a map.
    fn all(map: &Map, dim: usize) -> Vec<Form> {
        let form = |head: usize| {
            let rows = map.weights().slice_move(s![head * dim..(head + 1) * dim, ..]);
            let gram = rows.dot(&rows.t());
            // γ of the lengths of two rows for each entry, and as much for the form.
            let slack = 4.0 * gamma(rows.ncols() + 2 * dim + 4, ROUNDOFF_F64) * gram.diag().sum();
            let size = COVER * gram.diag().sum().sqrt();
            Form { gram: gram.iter().copied().collect(), slack, size }
        };
        (0..map.rows.len() / dim).map(form).collect()
    }

    /// Upper bound on `‖Wᵀ x‖`.
    #[inline(always)]
    fn root(&self, x: &[Lanes]) -> Lanes {
        let (mut sum, mut square) = ([0.0; LANES], [0.0; LANES]);
        for (row, x_row) in self.gram.chunks_exact(x.len()).zip(x) {
            let mut inner = [0.0; LANES];
            for (&g, x) in row.iter().zip(x) {
                inner = from_fn(|l| inner[l] + g * x[l]);
            }
            sum = from_fn(|l| sum[l] + inner[l] * x_row[l]);
            square = from_fn(|l| square[l] + x_row[l] * x_row[l]);
        }
        from_fn(|l| COVER * (sum[l].abs() + self.slack * square[l]).sqrt() + TINY)
    }
}

/// Floats rotated back by the angles of a position, roughly (to `1e-14` of their length).
#[inline(always)]
fn turn_back(x: &mut [Lanes], turns: Option<&Turns>) {
    let half = turns.map_or(0, Vec::len);
    for (i, [(sin, _), (cos, _)]) in turns.into_iter().flatten().enumerate() {
        let (a, b) = (x[i], x[i + half]);
        x[i] = from_fn(|l| a[l] * cos + b[l] * sin);
        x[i + half] = from_fn(|l| b[l] * cos - a[l] * sin);
    }
}

/// Appends the mixture of one head to `out`, and its weights to those in `scratch`; its radius, without what errors of inputs do to
/// values.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn mix<N: Number>(
    query: &Query<'_, N>,
    turns: &[Turns],
    cells: &[&Cell<N>],
    scratch: &mut Scratch<N>,
    out: &mut Vec<N>,
) -> Lanes {
    let Scratch { scores, weights, shares, mean_key, centre, turned, offs, moves } = scratch;
    let dim = query.query.len();
    // What means over the positions, differences of these and rotations of them lose in floats, as a part of their length.
    let lossy = 1e-13 + cells.len() as f64 * f64::EPSILON;
    let part = query.kv * dim..(query.kv + 1) * dim;
    scores.clear();
    let before = shares.len();
    for cell in cells {
        scores.push(wide::dot(query.query, &cell.keys[part.clone()]).times(N::constant(query.scale)));
    }
    weights.clone_from(scores);
    let total = wide::exp(weights);
    let inverse = total.recip();
    for weight in weights.iter() {
        shares.push(from_fn(|l| weight.hi()[l] / total.hi()[l]));
    }
    let shares = &shares[before..];
    centre.clear();
    mean_key.clear();
    for i in part.clone() {
        let (mut sum, mut mean) = (N::ZERO, [0.0; LANES]);
        for ((cell, weight), share) in cells.iter().zip(weights.iter()).zip(shares.iter()) {
            sum = sum.plus(weight.times(cell.values[i]));
            let key = cell.keys[i].hi();
            mean = from_fn(|l| mean[l] + share[l] * key[l]);
        }
        let middle = sum.times(inverse);
        centre.push(*middle.hi());
        mean_key.push(mean);
        out.push(middle);
    }

    // Greatest score, longest key and value.
    let mut top = [f64::NEG_INFINITY; LANES];
    let (mut key_top, mut value_top) = ([0.0; LANES], [0.0; LANES]);
    for (cell, score) in cells.iter().zip(scores.iter()) {
        let sizes = &cell.sizes[query.kv];
        top = from_fn(|l| top[l].max(score.hi()[l]));
        key_top = from_fn(|l| f64::max(key_top[l], sizes.key[l]));
        value_top = from_fn(|l| f64::max(value_top[l], sizes.value[l] + sizes.value_radius.all[l]));
    }
    // What the keys' errors do: (1 − w_j) c_j for the score itself, w_k c_k for all others.
    let (mut all_moves, mut all_radii, mut all_shifts) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
    moves.clear();
    for (((position, cell), score), share) in cells.iter().enumerate().zip(scores.iter()).zip(shares.iter()) {
        let sizes = &cell.sizes[query.kv];
        turned.clear();
        turned.extend(query.query.iter().map(|x| *x.hi()));
        turn_back(turned, turns.get(position));
        let steep = query.forms[1].root(turned);
        let length = query.length;
        let c: Lanes = from_fn(|l| {
            (steep[l] + lossy * length[l] * query.forms[1].size) * cell.input[l]
                + length[l] * sizes.key_radius.rounding[l]
        });
        all_moves = from_fn(|l| all_moves[l] + share[l] * c[l]);
        all_radii = from_fn(|l| all_radii[l] + share[l] * sizes.key_radius.all[l]);
        all_shifts = from_fn(|l| all_shifts[l] + share[l] * (top[l] - score.hi()[l]));
        moves.push(c);
    }
    let scale = query.scale.0.abs() * COVER;
    let (mut worst, mut mean_off) = ([0.0; LANES], [0.0; LANES]);
    offs.clear();
    for (((cell, score), share), c) in cells.iter().zip(scores.iter()).zip(shares.iter()).zip(moves.iter()) {
        let sizes = &cell.sizes[query.kv];
        turned.clear();
        for (key, mean) in cell.keys[part.clone()].iter().zip(mean_key.iter()) {
            turned.push(from_fn(|l| key.hi()[l] - mean[l]));
        }
        let apart = wide::length_of(turned);
        turn_back(turned, turns.get(cells.len() - 1));
        let steep = query.forms[0].root(turned);
        let off: Lanes = from_fn(|l| {
            let lost = lossy * key_top[l];
            let own = (steep[l] + lost * query.forms[0].size) * query.input[l]
                + query.radius.rounding[l] * (apart[l] + lost);
            // (1 − w) c for the own key and w c for all others.
            let keys = ((1.0 - 2.0 * share[l]) * c[l] + all_moves[l]).abs() + lossy * (c[l] + all_moves[l]);
            let both = query.radius.all[l] * (sizes.key_radius.all[l] + all_radii[l]);
            let rounding = (0.5 * dim as f64 + 6.0) * N::EPS * query.length[l] * 2.0 * key_top[l];
            let shift = 2.0 * N::EPS * (top[l] - score.hi()[l] + all_shifts[l]);
            let off = COVER * (scale * (own + keys + both + rounding) + shift + 5.0 * N::EXP_EPS);
            // With one position the weight is one, whatever its score; what is not known stays so.
            if cells.len() == 1 { 0.0 * off } else { off }
        });
        worst = from_fn(|l| if off[l] > worst[l] || off[l].is_nan() { off[l] } else { worst[l] });
        mean_off = from_fn(|l| mean_off[l] + share[l] * off[l]);
        offs.push(off);
    }
    // e^(2τ) <= 1 + 2.3 τ up to the largest τ.
    let growth: Lanes = worst.map(|worst| 2.3 * worst);
    let (mut moved, mut passed) = ([0.0; LANES], [0.0; LANES]);
    for ((cell, off), share) in cells.iter().zip(offs.iter()).zip(shares.iter()) {
        let apart = wide::distance(&cell.values[part.clone()], centre);
        let Radius { all, rounding } = &cell.sizes[query.kv].value_radius;
        moved = from_fn(|l| {
            let apart = COVER * apart[l] + lossy * value_top[l];
            moved[l] + share[l] * (off[l] + growth[l] * mean_off[l]) * apart
        });
        passed = from_fn(|l| passed[l] + share[l] * (rounding[l] + growth[l] * all[l]));
    }
    let n = cells.len() as f64;
    from_fn(|l| {
        let total = (1.0 + growth[l]) * moved[l] + passed[l] + (n + 8.0) * N::EPS * value_top[l];
        if worst[l] <= MOST { COVER * total + TINY } else { f64::INFINITY }
    })
}

impl<N: Number> Cell<N> {
    /// The prefixes in these lanes.
    pub fn select(&self, lanes: [usize; LANES]) -> Cell<N> {
        let pick = |x: &Lanes| -> Lanes { from_fn(|l| x[lanes[l]]) };
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
