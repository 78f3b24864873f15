//! The Euclidean size of an affine form.
//!
//! In a direction `u` the form reaches `Σ_g h_g(u)` from its centre, `h_g(u) = |c_k·u|` for each symbol of a box and
//! `‖C u‖` for a ball. For any weights `w_g > 0` (Cauchy-Schwarz)
//!
//! ```text
//! ‖x − mid‖² <= max_u (Σ_g h_g(u))² <= Σ_g w_g · λ_max(M),     M = Σ_g C_gᵀ C_g / w_g,
//! ```
//!
//! here with the sizes of the groups as weights. `λ_max(M)^n <= ‖M^n‖_F` for a symmetric `M >= 0`. A choice adds its
//! longest row by the triangle inequality.

use ndarray::{Array2, ArrayView1};

use super::rows::add_sizes;
use super::{Form, Shape, worse};
use crate::num::{dot_error, nonnegative_sum};

/// Squarings of `M`: the bound on λ exceeds it by a factor of at most `d^{1/2^{n+1}}`.
const SQUARINGS: usize = 3;

impl Form {
    /// Upper bound on `‖x − mid‖₂`.
    #[must_use]
    pub fn reach(&self) -> f64 {
        let width = self.width();
        let (mut weights, mut longest) = (0.0f64, 0.0f64);
        let mut scaled = self.coef.clone();
        let mut first = 0;
        for group in &self.groups {
            let rows = first..first + group.size;
            let lengths: Vec<f64> = rows.clone().map(|k| length(self.coef.row(k))).collect();
            let whole = lengths.iter().map(|l| l * l).sum::<f64>().sqrt();
            for (k, own) in rows.zip(&lengths) {
                let weight = match group.shape {
                    Shape::Box => *own,
                    Shape::Ball => whole / (group.size as f64).sqrt(),
                    Shape::Choice => 0.0,
                };
                // Rows of weight zero vanish, or are alternatives.
                let factor = if weight == 0.0 { 0.0 } else { weight.sqrt().recip() };
                scaled.row_mut(k).mapv_inplace(|x| x * factor);
                weights += if group.shape == Shape::Box { weight } else { 0.0 };
            }
            match group.shape {
                Shape::Box => (),
                Shape::Ball => weights += whole / (group.size as f64).sqrt(),
                Shape::Choice => longest += lengths.iter().copied().fold(0.0, worse),
            }
            first += group.size;
        }
        let mut gram = scaled.t().dot(&scaled);
        for (i, e) in self.err.iter().enumerate() {
            gram[[i, i]] += e;
            weights += e;
        }
        let spectral = (weights * largest_eigenvalue(gram, self.n_symbols())).sqrt();
        let mut entries = self.err.clone();
        let boxes = self.groups.iter().all(|group| group.shape == Shape::Box);
        add_sizes(&mut entries, self.coef.view());
        let entries = if boxes { length(ArrayView1::from(&entries)) } else { f64::INFINITY };
        // Squares that underflow lose less than the root of as many smallest normal numbers.
        let lost = 1e-140 * (self.n_symbols() + width + 1) as f64;
        let total = spectral.min(entries) + longest + lost;
        let known = self.mid.iter().chain(&self.err).all(|x| x.is_finite());
        if known && total.is_finite() { nonnegative_sum(total) } else { f64::INFINITY }
    }
}

fn length(x: ArrayView1<f64>) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Upper bound on the largest eigenvalue of a Gram matrix that was computed from `n` rows, up to the rounding that
/// [`nonnegative_sum`] covers; ∞ where floats do not suffice.
fn largest_eigenvalue(mut power: Array2<f64>, n: usize) -> f64 {
    let d = power.nrows();
    let trace: f64 = power.diag().sum();
    if trace == 0.0 {
        return 0.0;
    }
    // |M| entry by entry is at most ‖column‖‖column‖, in Frobenius norm at most the trace; so is its rounding, times γ.
    power.mapv_inplace(|x| x / trace);
    let mut error = dot_error(n + 4, 2.0);
    let norm = |x: &Array2<f64>| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let mut best = norm(&power) + error;
    for n in 1..=SQUARINGS {
        // Frobenius norms here are at most a little more than one: so is that of the products' roundings, times γ.
        error = 3.0 * error + dot_error(d, 2.0);
        power = power.dot(&power);
        best = best.min((0..n).fold(norm(&power) + error, |x, _| x.sqrt()));
    }
    let lambda = best * trace;
    if lambda.is_finite() { nonnegative_sum(lambda) } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    use super::super::Symbols;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_reach_of_the_identity_is_its_diagonal() {
        let mut symbols = Symbols::default();
        for (shape, reach) in [(Shape::Box, 4.0), (Shape::Ball, 1.0), (Shape::Choice, 1.0)] {
            let form = Form::point(vec![0.0; 16]).with_group(symbols.fresh(shape, 16), Array2::eye(16));
            assert!((reach..reach * 1.6).contains(&form.reach()), "{shape:?} {}", form.reach());
        }
        let lost = Form::enclosed(vec![0.0], vec![f64::NAN]);
        assert!(!(lost.reach() < f64::INFINITY));
    }

    proptest! {
        #[test]
        fn members_lie_within_reach(
            coef in prop::collection::vec(-1e3f64..1e3, 30),
            signs in prop::collection::vec(-1.0f64..1.0, 6),
            shape in 0usize..3,
        ) {
            let shape = [Shape::Box, Shape::Ball, Shape::Choice][shape];
            let rows = Array2::from_shape_vec((6, 5), coef).unwrap();
            let signs = super::super::tests::member_of(shape, &signs);
            let x: Vec<f64> = (0..5).map(|i| (0..6).map(|k| signs[k] * rows[[k, i]]).sum()).collect();
            let form = Form::point(vec![0.0; 5]).with_group(Symbols::default().fresh(shape, 6), rows);
            prop_assert!(length(ndarray::aview1(&x)) <= form.reach() * (1.0 + 1e-12));
            for (range, x) in form.ranges().iter().zip(&x) {
                prop_assert!(range.lo() - 1e-9 <= *x && *x <= range.hi() + 1e-9);
            }
        }
    }
}
