//! Balls: a float centre and a radius that covers the exact real, and vectors of them with one radius for all entries.
//!
//! Centres are computed in round-to-nearest with any summation order; the radius takes the a-priori error of Higham,
//! *Accuracy and Stability of Numerical Algorithms* (2002), §3.1: for `n` products summed in any order
//! `|fl(x·y) − x·y| <= γ_n |x|·|y|`, `γ_n = n u / (1 − n u)`, `u = 2^−53`, plus `n` times the smallest normal number
//! against underflow. Sums of non-negative terms carry a relative error of at most `γ_n`, so multiplying a float sum of
//! at most 2^20 such terms by `1 + 2^−30` covers the exact one.

use super::interval::{Interval, up};

/// `1 + 2^−30`: covers the rounding of up to 2^20 operations on non-negative numbers.
const COVER: f64 = 1.0 + 1.0 / (1u64 << 30) as f64;

/// Upper bound on a sum of non-negative terms whose float value is `sum` (at most 2^20 operations, see the file head).
#[must_use]
pub fn nonnegative_sum(sum: f64) -> f64 {
    up(sum * COVER)
}

/// Upper bound on the rounding error of a float dot product of `n` terms with `Σ|x||y|` at most `magnitude`.
#[must_use]
pub fn dot_error(n: usize, magnitude: f64) -> f64 {
    debug_assert!(n < 1 << 20, "γ_n is used up to 2^20 terms");
    let terms = n as f64 + 2.0;
    nonnegative_sum(terms * f64::EPSILON * magnitude + terms * f64::MIN_POSITIVE)
}

/// A real number known to lie within `rad` of `mid`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use]
pub struct Ball {
    /// Centre.
    pub mid: f64,
    /// Radius, `>= 0`; `∞` or NaN means that nothing is known.
    pub rad: f64,
}

impl Ball {
    /// The ball that covers an interval.
    pub fn from_interval(x: Interval) -> Ball {
        let (mid, rad) = x.mid_rad();
        Ball { mid, rad }
    }

    /// The interval of the ball.
    pub fn interval(self) -> Interval {
        Interval::new((self.mid - self.rad).next_down(), (self.mid + self.rad).next_up())
    }
}

/// A real vector known entry by entry to within one common radius.
#[derive(Debug, Clone, PartialEq)]
pub struct BallVec {
    /// Centres.
    pub mid: Vec<f64>,
    /// Radius of every entry.
    pub rad: f64,
}

impl BallVec {
    /// A vector known exactly.
    #[must_use]
    pub fn exact(mid: Vec<f64>) -> BallVec {
        BallVec { mid, rad: 0.0 }
    }

    /// Covers a slice of intervals.
    #[must_use]
    pub fn from_intervals(xs: &[Interval]) -> BallVec {
        let balls = xs.iter().map(|&x| Ball::from_interval(x));
        let (mid, rads): (Vec<f64>, Vec<f64>) = balls.map(|b| (b.mid, b.rad)).unzip();
        BallVec { mid, rad: rads.into_iter().fold(0.0, worse) }
    }

    /// `Σ |x_i|`, an upper bound.
    #[must_use]
    pub fn norm1(&self) -> f64 {
        let sum = self.mid.iter().map(|x| x.abs()).sum::<f64>() + self.rad * self.mid.len() as f64;
        nonnegative_sum(sum)
    }

    /// `‖x‖₂`, an upper bound.
    #[must_use]
    pub fn norm2(&self) -> f64 {
        let sum = self.mid.iter().map(|x| (x.abs() + self.rad).powi(2)).sum::<f64>();
        up(nonnegative_sum(sum).sqrt())
    }

    /// `x·y` of two vectors of the same length.
    pub fn dot(&self, other: &BallVec) -> Ball {
        let n = self.mid.len();
        let (mut mid, mut magnitude) = (0.0, 0.0);
        for (x, y) in self.mid.iter().zip(&other.mid) {
            mid += x * y;
            magnitude += (x * y).abs();
        }
        let spread = self.rad * other.norm1() + other.rad * self.norm1();
        Ball { mid, rad: nonnegative_sum(dot_error(n, nonnegative_sum(magnitude)) + spread) }
    }

    /// `Σ_k a_k x_k` over rows `x_k` that share the radius `row_rad`, for exact coefficients `a_k`.
    #[must_use]
    pub fn combine<'a>(
        coefficients: &[f64],
        rows: impl Iterator<Item = &'a [f64]>,
        row_rad: f64,
        width: usize,
    ) -> BallVec {
        let (mut mid, mut magnitude) = (vec![0.0; width], vec![0.0f64; width]);
        let mut weight = 0.0;
        for (a, row) in coefficients.iter().zip(rows) {
            if *a == 0.0 {
                continue;
            }
            weight += a.abs();
            for ((m, s), x) in mid.iter_mut().zip(&mut magnitude).zip(row) {
                *m += a * x;
                *s += (a * x).abs();
            }
        }
        let largest = magnitude.into_iter().fold(0.0, worse);
        let rounding = dot_error(coefficients.len(), nonnegative_sum(largest));
        BallVec { mid, rad: nonnegative_sum(rounding + nonnegative_sum(weight) * row_rad) }
    }

    /// `self + factor · other` for an exact factor.
    #[must_use]
    pub fn plus_scaled(&self, factor: f64, other: &BallVec) -> BallVec {
        let mid: Vec<f64> = self.mid.iter().zip(&other.mid).map(|(x, y)| x + factor * y).collect();
        // Two roundings an entry: of the product and of the sum, each at most ε/2 of its own result.
        let largest = self.mid.iter().zip(&other.mid).map(|(x, y)| x.abs() + 2.0 * (factor * y).abs());
        let rounding = dot_error(2, nonnegative_sum(largest.fold(0.0, worse)));
        BallVec { mid, rad: nonnegative_sum(rounding + self.rad + factor.abs() * other.rad) }
    }
}

/// Maximum in which NaN wins, so that a lost bound stays lost.
fn worse(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Exact dot product of integers, which floats hold exactly.
    fn exact(x: &[i64], y: &[i64]) -> i128 {
        x.iter().zip(y).map(|(a, b)| i128::from(*a) * i128::from(*b)).sum()
    }

    proptest! {
        #[test]
        fn a_dot_product_is_covered(xy in prop::collection::vec((-(1i64 << 52)..(1 << 52), -(1i64 << 52)..(1 << 52)), 1..60)) {
            let (x, y): (Vec<i64>, Vec<i64>) = xy.into_iter().unzip();
            let vec = |v: &[i64]| BallVec::exact(v.iter().map(|&a| a as f64).collect());
            let ball = vec(&x).dot(&vec(&y));
            // Compare in integers: both ends of the interval are integers or the product fits them.
            let error = (ball.mid as i128 - exact(&x, &y)).unsigned_abs() as f64;
            prop_assert!(error <= ball.rad);
        }

        #[test]
        fn a_combination_is_covered(rows in prop::collection::vec((-1000i64..1000, -(1i64 << 50)..(1 << 50)), 1..40)) {
            let coefficients: Vec<f64> = rows.iter().map(|r| r.0 as f64).collect();
            let entries: Vec<[f64; 1]> = rows.iter().map(|r| [r.1 as f64]).collect();
            let sum = BallVec::combine(&coefficients, entries.iter().map(<[f64; 1]>::as_slice), 0.0, 1);
            let truth: i128 = rows.iter().map(|r| i128::from(r.0) * i128::from(r.1)).sum();
            prop_assert!((sum.mid[0] as i128 - truth).unsigned_abs() as f64 <= sum.rad);
        }
    }

    #[test]
    fn what_is_lost_stays_lost() {
        let bad = BallVec::from_intervals(&[Interval::ENTIRE, Interval::ONE]);
        assert!(!bad.rad.is_finite());
        let sum = BallVec::exact(vec![1.0, 1.0]).plus_scaled(1.0, &bad);
        assert!(!sum.rad.is_finite() || sum.mid.iter().any(|x| !x.is_finite()));
        assert!(!bad.dot(&BallVec::exact(vec![0.0, 1.0])).interval().is_finite());
    }
}
