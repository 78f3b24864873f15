//! Sums of products with a proved error term: fast enough for whole networks.
//!
//! Enclosures are turned into middle `m` and radius `r`. Middles are combined in round-to-nearest, in any order, and the
//! rounding error is bounded beforehand (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed. 2002, §3.1,
//! eq. 3.5, and p. 61 on underflow): with `u = 2⁻⁵³`, `γ_n = nu / (1 − nu)` and `η = 2⁻¹⁰⁷⁴`,
//!
//! ```text
//! |fl(Σ w_i m_i) − Σ w_i m_i| <= γ_n Σ |w_i| |m_i| + 2nη
//! |Σ w_i x_i − fl(Σ w_i m_i)| <= Σ |w_i| (r_i + γ_n |m_i|) + 2nη                     for |x_i − m_i| <= r_i.
//! ```
//!
//! The sum of radii has non-negative terms, so its own computed value `S` satisfies `Σ <= S / (1 − γ_n) + 2nη`. A NaN or
//! an overflow makes the result the whole line.

use multiversion::multiversion;
use ndarray::ArrayView2;

use super::gamma::{ROUNDOFF_F64, gamma, nonnegative};
use super::interval::{Interval, up};

/// From a computed sum of `n` non-negative terms, each computed with at most three roundings, to an upper bound on the
/// exact sum, plus `2nη` for the underflows in the middles and as much for those in the terms (each at most η).
fn upper_sum(sum: f64, n: usize) -> f64 {
    let underflow = 10.0 * n as f64 * f64::from_bits(1);
    up(nonnegative(sum, n + 3).hi() + underflow)
}

/// `[mid − rad, mid + rad]`; after an overflow the computed middle says nothing, so the whole line.
fn ball(mid: f64, rad: f64) -> Interval {
    if !mid.is_finite() || !rad.is_finite() {
        return Interval::ENTIRE;
    }
    Interval::point(mid) + Interval::new(-rad, rad)
}

/// `x W` for a vector of enclosures `x` `[in]` and exact weights `W` `[in, out]`: enclosures `[out]`.
#[must_use]
pub fn vec_mat(x: &[Interval], weight: ArrayView2<f32>) -> Vec<Interval> {
    assert!(x.len() == weight.nrows(), "a vector must be as long as the matrix has rows");
    let n = x.len();
    let gamma = gamma(n, ROUNDOFF_F64);
    let mut mids = vec![0.0f64; weight.ncols()];
    let mut rads = vec![0.0f64; weight.ncols()];
    for (x, row) in x.iter().zip(weight.rows()) {
        let (mid, rad) = x.mid_rad();
        let rad = up(rad + up(gamma * mid.abs()));
        match row.as_slice() {
            Some(row) => add_scaled(&mut mids, &mut rads, row, mid, rad),
            None => add_scaled(&mut mids, &mut rads, &row.to_vec(), mid, rad),
        }
    }
    mids.into_iter().zip(rads).map(|(mid, sum)| ball(mid, upper_sum(sum, n))).collect()
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn add_scaled(mids: &mut [f64], rads: &mut [f64], row: &[f32], mid: f64, rad: f64) {
    for ((m, r), &w) in mids.iter_mut().zip(rads).zip(row) {
        let w = f64::from(w);
        *m += w * mid;
        *r += w.abs() * rad;
    }
}

/// `Σ x_i y_i` of two vectors of enclosures of the same length. With middles `m, m'` and radii `r, r'`,
/// `|x y − m m'| <= |m| r' + r (|m'| + r')`.
pub fn dot(x: &[Interval], y: &[Interval]) -> Interval {
    assert!(x.len() == y.len(), "two vectors of a product must be equally long");
    let n = x.len();
    let gamma = gamma(n, ROUNDOFF_F64);
    let (mut mids, mut rads) = (0.0f64, 0.0f64);
    for (x, y) in x.iter().zip(y) {
        let ((m, r), (m2, r2)) = (x.mid_rad(), y.mid_rad());
        mids += m * m2;
        let error = up(up(gamma * m2.abs()) + r2);
        rads += m.abs() * error + r * (m2.abs() + r2);
    }
    ball(mids, upper_sum(rads, n))
}
