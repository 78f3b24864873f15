//! The dual and its gradient for a batch of targets at given points: two matrix products per block of the vocabulary.
//!
//! At a point `ẑ` the best `λ` is the softmax of the logits without the target. A block of rows of `U` gives the logits
//! `Ẑ U_blockᵀ`, weights `x = e^(l − unit)` in their place, and `X U_block`; blocks are independent of each other and are merged in
//! order, so the result does not depend on the number of threads. [`Dual`] makes a rigorous bound of whatever comes out.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use super::dual::{Dual, SumError, Sums};
use super::problem::Problem;
use super::real::Real;
use crate::num::gamma::gamma;

/// Rows of `U` in a block. The weights of a block and its rows stay in the caches.
const BLOCK: usize = 2048;

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

/// What one block contributes to a batch.
struct Block {
    /// Per target.
    sums: Vec<Sums>,
    /// `Σ y_j U_j` per target, `[batch, d]`.
    vectors: Array2<f64>,
    /// Logit of the target, for the targets that lie in the block.
    own: Vec<Option<f64>>,
}

/// Evaluates `targets` at the points `[batch, d]`. `rows` holds `U` in the type to calculate in.
pub fn evaluate<F: Real>(
    problem: &Problem,
    rows: ArrayView2<F>,
    targets: &[usize],
    points: &Array2<f64>,
) -> Vec<Value> {
    let temperature = problem.temperature.mid_rad().0;
    let scaled = (points * &problem.gain / temperature).mapv(F::from_f64);
    let starts: Vec<usize> = (0..rows.nrows()).step_by(BLOCK).collect();
    let blocks: Vec<Block> = starts
        .into_par_iter()
        .map(|first| {
            let end = rows.nrows().min(first + BLOCK);
            block(problem, rows.slice(s![first..end, ..]), first, targets, &scaled)
        })
        .collect();
    let error = SumError {
        relative: gamma(F::RUN.min(BLOCK), F::ROUNDOFF),
        wide: BLOCK / F::RUN.min(BLOCK) + blocks.len() + 1,
        absolute: rows.nrows() as f64 * F::SMALLEST,
    };
    (0..targets.len())
        .into_par_iter()
        .with_min_len(16)
        .map(|i| value(problem, targets[i], i, &blocks, error, 16.0 * F::ROUNDOFF))
        .collect()
}

/// Logits, weights and sums of one block.
fn block<F: Real>(
    problem: &Problem,
    rows: ArrayView2<F>,
    first: usize,
    targets: &[usize],
    scaled: &Array2<F>,
) -> Block {
    let n = rows.nrows();
    let temperature = problem.temperature.mid_rad().0;
    let mut weights = Array2::<F>::zeros((targets.len(), n));
    product(scaled, rows, &mut weights);
    let mut own = vec![None; targets.len()];
    let mut sums = Vec::with_capacity(targets.len());
    for (i, mut row) in weights.outer_iter_mut().enumerate() {
        if let Some(constants) = &problem.constants {
            let constants = constants[first..first + n].iter();
            row.iter_mut()
                .zip(constants)
                .for_each(|(l, c)| *l = *l + F::from_f64(c.mid_rad().0 / temperature));
        }
        let row = row.as_slice_mut().expect("a row of a matrix in standard layout is contiguous");
        let target = targets[i].checked_sub(first).filter(|&t| t < n);
        if let Some(t) = target {
            own[i] = Some(row[t].to_f64());
            row[t] = F::from_f64(f64::NEG_INFINITY);
        }
        let exponent = F::exponentials(row);
        if let Some(t) = target {
            row[t] = F::zero();
        }
        sums.push(Sums::of_block(problem, first, row.iter().map(|x| x.to_f64()), exponent));
    }
    let mut vectors = Array2::<f64>::zeros((targets.len(), rows.ncols()));
    weighted_rows(&weights, rows, &mut vectors);
    Block { sums, vectors, own }
}

/// `out = a bᵀ`.
fn product<F: Real>(a: &Array2<F>, b: ArrayView2<F>, out: &mut Array2<F>) {
    if a.nrows() < 4 {
        // A matrix product packs its operands first, which does not pay for so few rows.
        for (a, mut out) in a.outer_iter().zip(out.outer_iter_mut()) {
            out.iter_mut().zip(b.outer_iter()).for_each(|(out, b)| *out = a.dot(&b));
        }
    } else {
        general_mat_mul(F::one(), a, &b.t(), F::zero(), out);
    }
}

/// `out = weights · rows`, in runs of [`Real::RUN`] rows that are added up in `f64`.
fn weighted_rows<F: Real>(weights: &Array2<F>, rows: ArrayView2<F>, out: &mut Array2<f64>) {
    let mut run = Array2::<F>::zeros(out.dim());
    for (w, r) in weights.axis_chunks_iter(Axis(1), F::RUN).zip(rows.axis_chunks_iter(Axis(0), F::RUN)) {
        if w.nrows() < 4 {
            run.fill(F::zero());
            for (w, mut run) in w.outer_iter().zip(run.outer_iter_mut()) {
                w.iter()
                    .zip(r.outer_iter())
                    .filter(|(w, _)| !w.is_zero())
                    .for_each(|(&w, r)| run.scaled_add(w, &r));
            }
        } else {
            general_mat_mul(F::one(), &w, &r, F::zero(), &mut run);
        }
        out.zip_mut_with(&run, |out, run| *out += run.to_f64());
    }
}

/// Merges the blocks of target `i` of the batch.
fn value(problem: &Problem, target: usize, i: usize, blocks: &[Block], error: SumError, noise: f64) -> Value {
    let parts: Vec<Sums> = blocks.iter().map(|block| block.sums[i].clone()).collect();
    let sums = Sums::merge(&parts);
    let mut vector = Array1::<f64>::zeros(problem.width());
    for (block, part) in blocks.iter().zip(&parts) {
        if let Some(factor) = part.factor(sums.exponent) {
            vector.scaled_add(factor, &block.vectors.row(i));
        }
    }
    let dual = Dual::evaluate(problem, target, &sums, vector.view(), error);

    let temperature = problem.temperature.mid_rad().0;
    let total = sums.total.mid_rad().0;
    let own = blocks.iter().find_map(|block| block.own[i]).unwrap_or(f64::NAN);
    let unit = f64::from(sums.exponent) * std::f64::consts::LN_2;
    let unembed = problem.unembed.row(target);
    let mut gradient = vector / total;
    gradient.zip_mut_with(&unembed, |g, &u| *g -= f64::from(u));
    gradient = problem.project(gradient * &problem.gain / temperature);
    Value { log_odds: total.ln() + unit - own, gradient, noise, dual }
}
