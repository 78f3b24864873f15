//! The Euclidean size of an affine form.
//!
//! `max ‖x − mid‖₂` over a group is, for a choice, the longest row; for a ball, the largest singular value σ of its
//! coefficients; for a box, at most `σ √symbols`, and at most the length of the vector of radii. With the Gram matrix `G`
//! (symmetric, positive semidefinite) `σ⁴ <= ‖G‖_F²`, `σ⁸ <= ‖G²‖_F²`. Groups add up by the triangle inequality.

use ndarray::{Array2, ArrayView2};

use super::{Form, Shape, fold_rows};
use crate::num::{dot_error, nonnegative_sum};

impl Form {
    /// Upper bound on `‖x − mid‖₂`.
    #[must_use]
    pub fn reach(&self) -> f64 {
        let mut total = length(&self.err);
        let width = self.width();
        self.each_group(|group, rows| {
            let by_entries = |shape: Shape| {
                let mut sum = vec![0.0f64; width];
                match shape {
                    Shape::Box => fold_rows(&mut sum, rows, |sum, x| sum + x.abs()),
                    Shape::Ball | Shape::Choice => {
                        return rows.iter().map(|x| x * x).sum::<f64>().sqrt();
                    }
                }
                length(&sum)
            };
            let spectral = || {
                if group.size == 1 { f64::INFINITY } else { largest_singular_value(rows) }
            };
            total += match group.shape {
                Shape::Box => by_entries(Shape::Box).min(spectral() * (group.size as f64).sqrt()),
                Shape::Ball => by_entries(Shape::Ball).min(spectral()),
                Shape::Choice => {
                    let longest = |row: ndarray::ArrayView1<f64>| row.iter().map(|x| x * x).sum::<f64>();
                    rows.rows().into_iter().map(longest).fold(0.0, super::worse).sqrt()
                }
            };
        });
        // Squares that underflow lose less than the root of as many smallest normal numbers.
        let lost = 1e-140 * (self.n_symbols() + 1) as f64;
        if self.mid.iter().all(|x| x.is_finite()) { nonnegative_sum(total + lost) } else { f64::INFINITY }
    }
}

fn length(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Upper bound, up to the rounding that [`nonnegative_sum`] covers; ∞ where floats do not suffice.
fn largest_singular_value(rows: ArrayView2<f64>) -> f64 {
    let gram = if rows.nrows() < rows.ncols() { rows.dot(&rows.t()) } else { rows.t().dot(&rows) };
    let squares = |x: &Array2<f64>| x.iter().map(|x| x * x).sum::<f64>();
    let n = rows.nrows().max(rows.ncols());
    // |G| entry by entry is at most ‖column‖‖column‖, in Frobenius norm at most trace G; so is its rounding, times γ.
    let trace: f64 = rows.iter().map(|x| x * x).sum();
    let once = squares(&gram).sqrt() + dot_error(n, trace);
    let twice = squares(&gram.dot(&gram)).sqrt() + dot_error(3 * n, trace * trace);
    let sigma = once.sqrt().min(twice.sqrt().sqrt());
    if sigma.is_finite() { sigma } else { f64::INFINITY }
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
            prop_assert!(length(&x) <= form.reach() * (1.0 + 1e-12));
            for (range, x) in form.ranges().iter().zip(&x) {
                prop_assert!(range.lo() - 1e-9 <= *x && *x <= range.hi() + 1e-9);
            }
        }
    }
}
