//! Limited-memory quasi-Newton directions for `g + μ/2 ‖ẑ‖²`, where the multiplier `μ` changes from step to step.
//!
//! The memory holds raw pairs `(s, y)`: steps and differences of gradients of `g`. The pairs of the Lagrangian are
//! `(s, y + μ s)`, so a new `μ` costs nothing, and `s·(y + μ s) > 0` always holds because `g` is convex. Directions
//! come from the two-loop recursion (Nocedal, *Updating quasi-Newton matrices with limited storage*, 1980).

use std::collections::VecDeque;

use ndarray::Array1;

/// Pairs kept.
const PAIRS: usize = 10;

/// The last steps of one target.
#[derive(Debug, Default)]
pub struct Memory {
    /// `(s, y)`, oldest first.
    pairs: VecDeque<(Array1<f64>, Array1<f64>)>,
}

impl Memory {
    /// Remembers a step `s` and the change `y` of the gradient along it. Pairs without positive finite curvature,
    /// which only rounding can produce, are left out.
    pub fn push(&mut self, s: Array1<f64>, y: Array1<f64>) {
        let curvature = s.dot(&y);
        if !(curvature > 1e-12 * s.dot(&s).sqrt() * y.dot(&y).sqrt() && curvature.is_finite()) {
            return;
        }
        if self.pairs.len() == PAIRS {
            self.pairs.pop_front();
        }
        self.pairs.push_back((s, y));
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.pairs.clear();
    }

    /// Approximates `(∇²g + μ)⁻¹ r`; `initial` does so where nothing is known.
    pub fn solve(
        &self,
        mu: f64,
        r: &Array1<f64>,
        initial: impl Fn(Array1<f64>) -> Array1<f64>,
    ) -> Array1<f64> {
        let mut q = r.clone();
        let mut alphas = Vec::with_capacity(self.pairs.len());
        for (s, y) in self.pairs.iter().rev() {
            let rho = 1.0 / (s.dot(y) + mu * s.dot(s));
            let alpha = rho * s.dot(&q);
            q.scaled_add(-alpha, y);
            q.scaled_add(-alpha * mu, s);
            alphas.push((rho, alpha));
        }
        q = initial(q);
        for ((s, y), (rho, alpha)) in self.pairs.iter().zip(alphas.into_iter().rev()) {
            let beta = rho * (y.dot(&q) + mu * s.dot(&q));
            q.scaled_add(alpha - beta, s);
        }
        q
    }

    /// `y·y / s·y` of the last pair: an upper estimate of the curvature met along it.
    pub fn last_curvature(&self) -> Option<f64> {
        self.pairs.back().map(|(s, y)| y.dot(y) / s.dot(y))
    }
}
