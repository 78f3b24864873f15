//! The mixture of values that one head makes, and how far off it may be.
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
//! and is bounded for these [together](super::outlet); the rest, and what the weights move, adds up over the heads.
//!
//! Norms of query or key heads lie between `e` and `a` or `b_j`: there no form says more than their radius, which counts as
//! if all of it were rounding.

use multiversion::multiversion;
use ndarray::s;

use super::attention::Cell;
use super::maps::{Map, Radius};
use super::quadratic::{pairs, quadratic_of};
use super::{COVER, Turns};
use crate::num::gamma::{ROUNDOFF_F64, gamma};
use crate::num::wide::{self, Lanes, Number, TINY, each};

/// Largest error of a score.
const MOST: f64 = 0.1;

/// The quadratic form `‖Wᵀ x‖²` of one head.
#[derive(Debug)]
pub struct Form {
    /// The [pairs] of `W Wᵀ`.
    gram: Vec<f64>,
    /// Covers the rounding of the form, as a part of `|x|²`.
    slack: f64,
    /// Frobenius norm of `W`, at most.
    size: f64,
}

/// Query of one head.
pub struct Query<'q, N> {
    /// Rotated.
    pub query: &'q [N],
    pub length: Lanes,
    pub radius: Radius,
    /// Radius of the input.
    pub(super) input: Lanes,
    /// Key and value head.
    pub kv: usize,
    /// Of this head and of its key head.
    pub forms: [&'q Form; 2],
    pub scale: (f64, f64),
}

/// Room for the numbers of one head.
#[derive(Debug)]
pub struct Scratch<N> {
    scores: Vec<N>,
    weights: Vec<N>,
    /// Weights of all positions, one head after another.
    pub shares: Vec<Lanes>,
    mean_key: Vec<Lanes>,
    centre: Vec<Lanes>,
    turned: Vec<Lanes>,
    offs: Vec<Lanes>,
    moves: Vec<Lanes>,
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

impl Form {
    /// Zero for each of so many heads.
    pub fn none(n: usize, dim: usize) -> Vec<Form> {
        (0..n).map(|_| Form { gram: vec![0.0; dim * (dim + 1) / 2], slack: 0.0, size: 0.0 }).collect()
    }

    /// Those of all heads of a map.
    pub fn all(map: &Map, dim: usize) -> Vec<Form> {
        let form = |head: usize| {
            let rows = map.weights().slice_move(s![head * dim..(head + 1) * dim, ..]);
            let gram = rows.dot(&rows.t());
            // γ of the lengths of two rows for each entry, and as much for the form.
            let slack = 4.0 * gamma(rows.ncols() + 2 * dim + 4, ROUNDOFF_F64) * gram.diag().sum();
            let size = COVER * gram.diag().sum().sqrt();
            let gram = pairs(dim).map(|(i, j, counts)| counts * gram[[i, j]]).collect();
            Form { gram, slack, size }
        };
        (0..map.rows.len() / dim).map(form).collect()
    }

    /// Upper bound on `‖Wᵀ x‖`.
    #[inline(always)]
    fn root(&self, x: &[Lanes]) -> Lanes {
        let (sum, mut square) = (quadratic_of(&self.gram, x), Lanes::ZERO);
        for x in x {
            square = each(|l| x[l].mul_add(x[l], square[l]));
        }
        each(|l| COVER * (sum[l].abs() + self.slack * square[l]).sqrt() + TINY)
    }
}

/// Floats rotated back by the angles of a position, roughly (to `1e-14` of their length).
#[inline(always)]
fn turn_back(x: &mut [Lanes], turns: Option<&Turns>) {
    let half = turns.map_or(0, Vec::len);
    for (i, [(sin, _), (cos, _)]) in turns.into_iter().flatten().enumerate() {
        let (a, b) = (x[i], x[i + half]);
        x[i] = each(|l| a[l] * cos + b[l] * sin);
        x[i + half] = each(|l| b[l] * cos - a[l] * sin);
    }
}

/// Appends the mixture of one head to `out`, and its weights to those in `scratch`; its radius, without what errors of inputs do to
/// values.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub fn mix<N: Number>(
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
        shares.push(each(|l| weight.hi()[l] / total.hi()[l]));
    }
    let shares = &shares[before..];
    centre.clear();
    mean_key.clear();
    for i in part.clone() {
        let (mut sum, mut mean) = (N::ZERO, Lanes::ZERO);
        for ((cell, weight), share) in cells.iter().zip(weights.iter()).zip(shares.iter()) {
            sum = sum.plus(weight.times(cell.values[i]));
            let key = cell.keys[i].hi();
            mean = each(|l| share[l].mul_add(key[l], mean[l]));
        }
        let middle = sum.times(inverse);
        centre.push(*middle.hi());
        mean_key.push(mean);
        out.push(middle);
    }

    // Greatest score, longest key and value.
    let mut top = Lanes::splat(f64::NEG_INFINITY);
    let (mut key_top, mut value_top) = (Lanes::ZERO, Lanes::ZERO);
    for (cell, score) in cells.iter().zip(scores.iter()) {
        let sizes = &cell.sizes[query.kv];
        top = each(|l| top[l].max(score.hi()[l]));
        key_top = each(|l| f64::max(key_top[l], sizes.key[l]));
        value_top = each(|l| f64::max(value_top[l], sizes.value[l] + sizes.value_radius.all[l]));
    }
    // What the keys' errors do: (1 − w_j) c_j for the score itself, w_k c_k for all others.
    let (mut all_moves, mut all_radii, mut all_shifts) = (Lanes::ZERO, Lanes::ZERO, Lanes::ZERO);
    moves.clear();
    for (((position, cell), score), share) in cells.iter().enumerate().zip(scores.iter()).zip(shares.iter()) {
        let sizes = &cell.sizes[query.kv];
        turned.clear();
        turned.extend(query.query.iter().map(|x| *x.hi()));
        turn_back(turned, turns.get(position));
        let steep = query.forms[1].root(turned);
        let length = query.length;
        let c: Lanes = each(|l| {
            (steep[l] + lossy * length[l] * query.forms[1].size) * cell.input[l]
                + length[l] * sizes.key_radius.rounding[l]
        });
        all_moves = each(|l| share[l].mul_add(c[l], all_moves[l]));
        all_radii = each(|l| share[l].mul_add(sizes.key_radius.all[l], all_radii[l]));
        all_shifts = each(|l| share[l].mul_add(top[l] - score.hi()[l], all_shifts[l]));
        moves.push(c);
    }
    let scale = query.scale.0.abs() * COVER;
    let (mut worst, mut mean_off) = (Lanes::ZERO, Lanes::ZERO);
    offs.clear();
    for (((cell, score), share), c) in cells.iter().zip(scores.iter()).zip(shares.iter()).zip(moves.iter()) {
        let sizes = &cell.sizes[query.kv];
        turned.clear();
        for (key, mean) in cell.keys[part.clone()].iter().zip(mean_key.iter()) {
            turned.push(each(|l| key.hi()[l] - mean[l]));
        }
        let apart = wide::length_of(turned);
        turn_back(turned, turns.get(cells.len() - 1));
        let steep = query.forms[0].root(turned);
        let off: Lanes = each(|l| {
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
        worst = each(|l| if off[l] > worst[l] || off[l].is_nan() { off[l] } else { worst[l] });
        mean_off = each(|l| share[l].mul_add(off[l], mean_off[l]));
        offs.push(off);
    }
    // e^(2τ) <= 1 + 2.3 τ up to the largest τ.
    let growth: Lanes = worst.map(|worst| 2.3 * worst);
    let (mut moved, mut passed) = (Lanes::ZERO, Lanes::ZERO);
    for ((cell, off), share) in cells.iter().zip(offs.iter()).zip(shares.iter()) {
        let apart = wide::distance(&cell.values[part.clone()], centre);
        let Radius { all, rounding } = &cell.sizes[query.kv].value_radius;
        moved = each(|l| {
            let apart = COVER * apart[l] + lossy * value_top[l];
            moved[l] + share[l] * (off[l] + growth[l] * mean_off[l]) * apart
        });
        passed = each(|l| passed[l] + share[l] * (rounding[l] + growth[l] * all[l]));
    }
    let n = cells.len() as f64;
    each(|l| {
        let total = (1.0 + growth[l]) * moved[l] + passed[l] + (n + 8.0) * N::EPS * value_top[l];
        if worst[l] <= MOST { COVER * total + TINY } else { f64::INFINITY }
    })
}
