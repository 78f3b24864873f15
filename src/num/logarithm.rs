//! A fast upper bound on the natural logarithm, for long sums: straight-line code that compilers turn into vector
//! code.
//!
//! `x = m · 2^k` with `√½ <= m < √2`, `s = (m − 1)/(m + 1)`, `|s| <= 0.1716`: `ln m = 2 artanh s = 2 Σ
//! s^(2i+1)/(2i+1)`. Cut after `i = 6`, the rest is below `2 |s|^15/15 / (1 − s²) < 4.5e-13`.

/// Bound on what the series leaves out.
const REST: f64 = 5e-13;
/// Bits of the double at or just below `√½`; any split near it would do, as long as `|s| <= 0.1716`.
const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcc;

/// An upper bound on `ln x` for a positive normal `x`, less than `1e-11` above it; `∞` for anything else.
#[inline(always)]
#[must_use]
pub fn ln_upper(x: f64) -> f64 {
    let bits = x.to_bits().wrapping_sub(SQRT_HALF) as i64;
    let exponent = (bits >> 52) as i32;
    let m = f64::from_bits(((bits & ((1 << 52) - 1)) as u64) + SQRT_HALF);
    // m − 1 is exact (Sterbenz). s carries 2 roundoffs u, s² 5, and all terms of p are positive: p = artanh(s)/s lies
    // in [1, 1.011] with a relative error below 8u, so that 2sp < 0.35 is off by less than 4u.
    let s = (m - 1.0) / (m + 1.0);
    let t = s * s;
    let p = 1.0 / 13.0;
    let p = p * t + 1.0 / 11.0;
    let p = p * t + 1.0 / 9.0;
    let p = p * t + 1.0 / 7.0;
    let p = p * t + 1.0 / 5.0;
    let p = p * t + 1.0 / 3.0;
    let p = p * t + 1.0;
    let k = f64::from(exponent);
    let value = k * std::f64::consts::LN_2 + 2.0 * s * p;
    // k ln 2 and the sums that follow carry less than 4u (|k| + 1), and 8ε (|k| + 2) = 16u (|k| + 2).
    let bound = value + ((k.abs() + 2.0) * (8.0 * f64::EPSILON) + REST);
    if (f64::MIN_POSITIVE..=f64::MAX).contains(&x) { bound } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::{Interval, ln};
    use proptest::prelude::*;

    fn check(x: f64) {
        let exact = ln(Interval::point(x));
        let bound = ln_upper(x);
        assert!(exact.hi() <= bound && bound <= exact.lo() + 1e-11, "ln {x:e}: {exact} against {bound}");
    }

    #[test]
    fn a_grid_with_all_edges_is_bounded() {
        let edges = [1.0, 0.5, 2.0, f64::from_bits(SQRT_HALF), f64::MIN_POSITIVE, f64::MAX, 1.0 / 3.0];
        let grid = (0..40_000).map(|i| 0.5 + f64::from(i) / 20_000.0);
        for x in edges.into_iter().chain(grid) {
            [x, x.next_up(), x.next_down()].into_iter().filter(|x| x.is_normal()).for_each(check);
        }
    }

    #[test]
    fn what_has_no_logarithm_has_no_bound() {
        for x in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-310] {
            assert_eq!(ln_upper(x), f64::INFINITY);
        }
    }

    proptest! {
        #[test]
        fn positive_numbers_are_bounded(x in proptest::num::f64::POSITIVE) {
            if x.is_normal() {
                check(x);
            }
        }
    }
}
