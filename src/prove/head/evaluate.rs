//! The dual and its gradient for a batch of targets at given points: two matrix products.
//!
//! At a point `ẑ` the best `λ` is the softmax of the logits without the target. `Ẑ Uᵀ` gives the logits, weights `x =
//! e^l` in a common unit take their place, and `X U` is the sum of rows. Blocks of the vocabulary are independent of
//! each other and are merged in order, so the result does not depend on the number of threads. [`Dual`] makes a
//! rigorous bound of whatever comes out.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use super::dual::{Dual, SumError, Sums};
use super::problem::Problem;
use super::real::{Real, exponent};
use crate::num::gamma::gamma;

/// Rows of `U` in a block. The weights of a block and its rows stay in the caches.
const BLOCK: usize = 2048;
/// Part of non-zero weights from which on a dense product is faster than a sparse one.
const DENSE: f64 = 0.04;
/// Rows from which on packing the operands of a matrix product pays.
const PACKED: usize = 4;

/// The value of a target at a point of the ball.
#[derive(Debug, Clone)]
pub struct Value {
    /// `LSE_{j≠t}(l_j − l_t)` at the point, in nats; a float, no bound.
    pub log_odds: f64,
    /// Its gradient in `ẑ`, projected; floats.
    pub gradient: Array1<f64>,
    /// Relative error to expect in `log_odds`.
    pub noise: f64,
    /// The dual at the point's `λ`: rigorous.
    pub dual: Dual,
}

/// The logits of one block of the vocabulary for the batch.
struct Logits<F> {
    /// First token of the block.
    first: usize,
    /// `[batch, block]`, `−∞` at the targets.
    logits: Array2<F>,
    /// The largest of each row.
    largest: Vec<f64>,
    /// Logit of the target, for the targets that lie in the block.
    own: Vec<Option<f64>>,
}

/// What one block of the vocabulary contributes to each target of the batch.
struct Part {
    sums: Vec<Sums>,
    /// `Σ x_j U_j`, `[batch, d]`.
    vectors: Array2<f64>,
}

/// Evaluates `targets` at the points `[batch, d]`. `rows` holds `U` in the type to calculate in.
pub fn evaluate<F: Real>(
    problem: &Problem,
    rows: ArrayView2<F>,
    targets: &[usize],
    points: &Array2<f64>,
) -> Vec<Value> {
    let temperature = problem.near_temperature();
    let scaled = (points * &problem.gain / temperature).mapv(F::from_f64);
    let starts: Vec<usize> = (0..rows.nrows()).step_by(BLOCK).collect();
    let block = |first: usize| rows.slice(s![first..rows.nrows().min(first + BLOCK), ..]);
    let blocks: Vec<Logits<F>> =
        starts.into_par_iter().map(|first| logits(problem, block(first), first, targets, &scaled)).collect();
    let unit = |i| exponent(blocks.iter().map(|block| block.largest[i]).fold(f64::NEG_INFINITY, f64::max));
    let units: Vec<i32> = (0..targets.len()).map(unit).collect();
    let own = |i: usize| blocks.iter().find_map(|block| block.own[i]).unwrap_or(f64::NAN);
    let owns: Vec<f64> = (0..targets.len()).map(own).collect();

    let parts: Vec<Part> =
        blocks.into_par_iter().map(|logits| part(problem, block(logits.first), logits, &units)).collect();
    let error = SumError {
        relative: gamma(F::RUN.min(BLOCK), F::ROUNDOFF),
        wide: rows.nrows() + parts.len(),
        absolute: rows.nrows() as f64 * F::SMALLEST,
    };
    let value = |i: usize| {
        let sums = parts.iter().fold(Sums::EMPTY, |sums, part| sums.and(&part.sums[i]));
        let mut vector = Array1::<f64>::zeros(problem.width());
        parts.iter().for_each(|part| vector += &part.vectors.row(i));
        let dual = Dual::evaluate(problem, targets[i], &sums, vector.view(), error);
        let total = sums.total.mid_rad().0;
        let mut gradient = vector / total;
        gradient.zip_mut_with(&problem.unembed.row(targets[i]), |g, &u| *g -= f64::from(u));
        gradient = problem.project(gradient * &problem.gain / temperature);
        let log_odds = total.ln() + f64::from(units[i]) * std::f64::consts::LN_2 - owns[i];
        Value { log_odds, gradient, noise: 16.0 * F::ROUNDOFF, dual }
    };
    (0..targets.len()).into_par_iter().with_min_len(16).map(value).collect()
}

/// The first product.
fn logits<F: Real>(
    problem: &Problem,
    rows: ArrayView2<F>,
    first: usize,
    targets: &[usize],
    scaled: &Array2<F>,
) -> Logits<F> {
    let n = rows.nrows();
    let temperature = problem.near_temperature();
    let constants: Option<Vec<F>> = problem
        .constants
        .as_ref()
        .map(|c| c.lower[first..first + n].iter().map(|c| F::from_f64(c / temperature)).collect());
    let mut logits = Array2::<F>::zeros((targets.len(), n));
    if targets.len() < PACKED {
        for (z, mut out) in scaled.outer_iter().zip(logits.outer_iter_mut()) {
            out.iter_mut().zip(rows.outer_iter()).for_each(|(out, u)| *out = z.dot(&u));
        }
    } else {
        general_mat_mul(F::one(), scaled, &rows.t(), F::zero(), &mut logits);
    }
    let (mut own, mut largest) = (vec![None; targets.len()], Vec::with_capacity(targets.len()));
    for (i, mut row) in logits.outer_iter_mut().enumerate() {
        let row = row.as_slice_mut().expect("a row of a matrix in standard layout is contiguous");
        if let Some(constants) = &constants {
            row.iter_mut().zip(constants).for_each(|(l, &c)| *l = *l + c);
        }
        if let Some(t) = targets[i].checked_sub(first).filter(|&t| t < n) {
            own[i] = Some(row[t].to_f64());
            row[t] = F::from_f64(f64::NEG_INFINITY);
        }
        for e in problem.excluded.iter().filter_map(|e| e.checked_sub(first)).filter(|&e| e < n) {
            row[e] = F::from_f64(f64::NEG_INFINITY);
        }
        largest.push(F::largest(row));
    }
    Logits { first, logits, largest, own }
}

/// Weights in place of the logits, their sums, and the second product.
fn part<F: Real>(problem: &Problem, rows: ArrayView2<F>, block: Logits<F>, units: &[i32]) -> Part {
    let Logits { first, logits: mut weights, .. } = block;
    let mut wide = vec![0.0; rows.nrows()];
    let mut n_weights = 0;
    let mut sums = Vec::with_capacity(units.len());
    for (mut row, &unit) in weights.outer_iter_mut().zip(units) {
        let row = row.as_slice_mut().expect("a row of a matrix in standard layout is contiguous");
        F::exponentials(row, unit);
        wide.iter_mut().zip(row.iter()).for_each(|(wide, x)| *wide = x.to_f64());
        n_weights += wide.iter().filter(|&&x| x > 0.0).count();
        sums.push(Sums::of_block(problem, first, &wide));
    }
    let mut vectors = Array2::<f64>::zeros((units.len(), rows.ncols()));
    if units.len() < PACKED || (n_weights as f64) < DENSE * weights.len() as f64 {
        sparse_product(&weights, rows, &mut vectors);
    } else {
        dense_product(&weights, rows, &mut vectors);
    }
    Part { sums, vectors }
}

/// `out = weights · rows`, in `f64`, skipping zeros.
fn sparse_product<F: Real>(weights: &Array2<F>, rows: ArrayView2<F>, out: &mut Array2<f64>) {
    for (weights, mut out) in weights.outer_iter().zip(out.outer_iter_mut()) {
        for (x, row) in weights.iter().zip(rows.outer_iter()).filter(|(x, _)| !x.is_zero()) {
            let x = x.to_f64();
            out.zip_mut_with(&row, |out, u| *out += x * u.to_f64());
        }
    }
}

/// `out = weights · rows`, in runs of [`Real::RUN`] rows that are added up in `f64`.
fn dense_product<F: Real>(weights: &Array2<F>, rows: ArrayView2<F>, out: &mut Array2<f64>) {
    let mut run = Array2::<F>::zeros(out.dim());
    for (weights, rows) in
        weights.axis_chunks_iter(Axis(1), F::RUN).zip(rows.axis_chunks_iter(Axis(0), F::RUN))
    {
        general_mat_mul(F::one(), &weights, &rows, F::zero(), &mut run);
        out.zip_mut_with(&run, |out, run| *out += run.to_f64());
    }
}
