//! The expansion of `g` at the centre of the ball, `ẑ = 0`: where the solver starts from and the metric it steps in.
//!
//! At the centre all targets share one softmax, `softmax(c/T)`, and so (but for the target's own weight) one mean `ā`
//! and one covariance `C` of the rows: `g ≈ g(0) − (a_t − ā)·ẑ + ½ ẑᵀ C ẑ`. A target whose row is near the mean has
//! its maximum inside the ball, where no multiplier improves the condition of the problem; there `C⁻¹` is the metric.
//! All of it is float arithmetic: hints.

use std::sync::OnceLock;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, Axis, s};
use rayon::prelude::*;

use super::problem::Problem;
use super::real::{Real, exponent};

/// Rows that the covariance is estimated from, as a multiple of the width.
const SAMPLE: usize = 8;
/// What is added to the covariance's diagonal, relative to its mean. Away from the centre the flattest directions
/// curve more than the covariance says, so that a small ridge makes the first steps far too long.
const RIDGE: f64 = 0.3;
/// Rows that one task works on.
const CHUNK: usize = 512;

/// Mean and covariance of the rows `a_j / T` under the softmax at the centre.
pub struct Centre {
    /// Unnormalised softmax.
    weights: Vec<f64>,
    /// `Π ā`.
    mean: Array1<f64>,
    /// Mean eigenvalue of `C`.
    curvature: f64,
    /// Cholesky factor of `C` with the ridge, lower triangle by rows; computed when a target first needs it.
    factor: OnceLock<Array2<f64>>,
}

/// Where a target starts.
pub struct Start {
    /// A point of the ball.
    pub point: Array1<f64>,
    /// Whether the maximum is expected inside the ball, so that steps are to be taken in the metric of the centre.
    pub inside: bool,
}

impl Centre {
    /// Weighs the rows.
    pub fn new(problem: &Problem) -> Centre {
        let n = problem.vocab_size();
        let temperature = problem.near_temperature();
        let mut weights: Vec<f64> = (0..n).map(|j| problem.constant(j).mid_rad().0 / temperature).collect();
        let unit = exponent(f64::largest(&weights));
        f64::exponentials(&mut weights, unit);
        let total: f64 = weights.iter().sum();
        let parts: Vec<Array1<f64>> = weights
            .par_chunks(CHUNK)
            .zip(problem.unembed.axis_chunks_iter(Axis(0), CHUNK).into_par_iter())
            .map(|(weights, rows)| {
                let mut sum = Array1::<f64>::zeros(problem.width());
                for (w, row) in weights.iter().zip(rows.outer_iter()) {
                    sum.zip_mut_with(&row, |s, &u| *s += w * f64::from(u));
                }
                sum
            })
            .collect();
        let mean = parts.iter().fold(Array1::zeros(problem.width()), |sum, part| sum + part);
        let mean = problem.project(mean * &problem.gain / (total * temperature));
        let squares: f64 = weights.iter().zip(&problem.norms).map(|(w, r)| w * r * r).sum();
        let variance = squares / (total * temperature * temperature) - mean.dot(&mean);
        Centre {
            weights,
            mean,
            curvature: variance.max(0.0) / problem.width() as f64,
            factor: OnceLock::new(),
        }
    }

    /// The minimum of the expansion, or the point of the sphere that favours the target most against the mean row.
    pub fn start(&self, problem: &Problem, target: usize) -> Start {
        let row = problem.unembed.row(target).mapv(f64::from) * &problem.gain;
        let towards = problem.project(row / problem.near_temperature()) - &self.mean;
        let norm = towards.dot(&towards).sqrt();
        if norm <= problem.radius * self.curvature {
            let newton = self.solve(problem, towards.clone());
            let length = newton.dot(&newton).sqrt();
            if length < problem.radius {
                return Start { point: newton, inside: true };
            }
        }
        let point = if norm > 0.0 { towards * (problem.radius / norm) } else { towards };
        Start { point, inside: false }
    }

    /// `C⁻¹ q`, approximately.
    pub fn solve(&self, problem: &Problem, mut q: Array1<f64>) -> Array1<f64> {
        let factor = self.factor.get_or_init(|| self.cholesky(problem));
        for i in 0..q.len() {
            let known = factor.slice(s![i, ..i]).dot(&q.slice(s![..i]));
            q[i] = (q[i] - known) / factor[[i, i]];
        }
        for i in (0..q.len()).rev() {
            q[i] /= factor[[i, i]];
            let x = q[i];
            q.slice_mut(s![..i]).scaled_add(-x, &factor.slice(s![i, ..i]));
        }
        problem.project(q)
    }

    /// Factors the covariance of a sample of the rows.
    fn cholesky(&self, problem: &Problem) -> Array2<f64> {
        let d = problem.width();
        let temperature = problem.near_temperature();
        let tokens: Vec<usize> =
            (0..problem.vocab_size()).step_by((problem.vocab_size() / (SAMPLE * d)).max(1)).collect();
        let total: f64 = tokens.iter().map(|&j| self.weights[j]).sum();
        let parts: Vec<Array2<f64>> = tokens
            .par_chunks(CHUNK)
            .map(|tokens| {
                let mut rows = Array2::<f64>::zeros((tokens.len(), d));
                for (mut out, &j) in rows.outer_iter_mut().zip(tokens) {
                    let row = problem.unembed.row(j).mapv(f64::from) * &problem.gain / temperature;
                    out.assign(&((problem.project(row) - &self.mean) * (self.weights[j] / total).sqrt()));
                }
                let mut product = Array2::<f64>::zeros((d, d));
                general_mat_mul(1.0, &rows.t(), &rows, 0.0, &mut product);
                product
            })
            .collect();
        let mut a: Array2<f64> = parts.iter().fold(Array2::zeros((d, d)), |sum, part| sum + part);
        // The ridge keeps the directions that no row has, such as the mean removed by Π, from blowing up.
        let ridge = (RIDGE * a.diag().sum() / d as f64).max(f64::MIN_POSITIVE);
        for i in 0..d {
            for j in 0..=i {
                let known = a.slice(s![i, ..j]).dot(&a.slice(s![j, ..j]));
                a[[i, j]] = if i == j {
                    (a[[i, i]] + ridge - known).max(ridge).sqrt()
                } else {
                    (a[[i, j]] - known) / a[[j, j]]
                };
            }
        }
        a
    }
}
