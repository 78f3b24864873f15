//! A fast upper bound on the natural logarithm: tangents of a table.
//!
//! `x = m · 2^e` with `1 <= m < 2`, and for the table point `c` nearest to `m` from 4096: `ln m <= ln c + (m − c)/c`, because a concave
//! function lies below its tangents. The bound is at most `(m − c)²/2c² < 2^−27` too high. The logarithms of the table come
//! from [`ln`](super::ln()), so the only floats to account for are four operations on numbers below 1024.

use std::sync::LazyLock;

use super::elementary::ln;
use super::interval::Interval;

/// Table points, a power of two.
const POINTS: usize = 1 << 12;

/// `c`, an upper bound on `ln c`, and `1/c` to the nearest, for the midpoints `c` of `POINTS` equal parts of `[1, 2)`.
static TANGENTS: LazyLock<Vec<[f64; 3]>> = LazyLock::new(|| {
    let midpoint = |i: usize| 1.0 + (i as f64 + 0.5) / POINTS as f64;
    (0..POINTS).map(midpoint).map(|c| [c, ln(Interval::point(c)).hi(), 1.0 / c]).collect()
});

/// Upper bounds on `ln x`; build one per loop, so that the table is looked up once.
#[derive(Debug, Clone, Copy)]
pub struct LnUpper {
    /// See [`TANGENTS`].
    tangents: &'static [[f64; 3]],
}

impl LnUpper {
    /// Borrows the table, building it on first use.
    #[must_use]
    pub fn new() -> LnUpper {
        LnUpper { tangents: &TANGENTS }
    }

    /// An upper bound on `ln x` for a positive normal `x`, less than `2^−27` above it; `∞` for anything else.
    #[must_use]
    pub fn of(self, x: f64) -> f64 {
        if !(f64::MIN_POSITIVE..=f64::MAX).contains(&x) {
            return f64::INFINITY;
        }
        let bits = x.to_bits();
        let fraction = bits & ((1 << 52) - 1);
        let exponent = (bits >> 52) as f64 - 1023.0;
        let m = f64::from_bits(fraction | (1023 << 52));
        let [c, ln_c, inverse] = self.tangents[(fraction >> (52 - POINTS.ilog2())) as usize];
        // m − c is exact: both are multiples of 2^−52 and the difference is below 1. The product below 2^−12 carries a
        // relative error of 2u. e·ln 2, with ln 2 to the nearest, and the two sums carry 4u of a number below |e| + 2.
        let value = exponent * std::f64::consts::LN_2 + ln_c + (m - c) * inverse;
        value + (exponent.abs() + 2.0) * (8.0 * f64::EPSILON)
    }
}

impl Default for LnUpper {
    fn default() -> LnUpper {
        LnUpper::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(x: f64) {
        let exact = ln(Interval::point(x));
        let bound = LnUpper::new().of(x);
        assert!(
            exact.hi() <= bound && bound <= exact.lo() + 7.5e-9 + 1e-12,
            "ln {x}: {exact} against {bound}"
        );
    }

    #[test]
    fn table_points_and_their_edges_are_bounded() {
        for i in 0..=2 * POINTS {
            let x = 1.0 + i as f64 / (2 * POINTS) as f64;
            for x in [x, x.next_up(), x.next_down()] {
                check(x);
                check(x * f64::from_bits(1 << 52));
            }
        }
    }

    #[test]
    fn what_has_no_logarithm_has_no_bound() {
        for x in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-310] {
            assert_eq!(LnUpper::new().of(x), f64::INFINITY);
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
