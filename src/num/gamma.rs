//! A-priori error factors of float sums, valid for every order of summation and with or without fused multiply-add.
//!
//! For `n` products summed in floats of unit roundoff `u`: `|fl(x·y) − x·y| <= γ_n |x|·|y|`, `γ_n = n u / (1 − n u)`,
//! as long as nothing underflows (Higham, *Accuracy and Stability of Numerical Algorithms* (2002), §3.1 and lemma
//! 3.3).

use super::interval::{Interval, down, up};

/// Unit roundoff of `f64`.
pub const ROUNDOFF_F64: f64 = f64::EPSILON / 2.0;
/// Unit roundoff of `f32`.
pub const ROUNDOFF_F32: f64 = f32::EPSILON as f64 / 2.0;

/// Upper bound on `γ_n` for the unit roundoff `u`; `∞` where `n u >= 1` leaves nothing to say.
#[must_use]
pub fn gamma(n: usize, u: f64) -> f64 {
    let nu = up(n as f64 * u);
    if nu < 1.0 { up(nu / down(1.0 - nu)) } else { f64::INFINITY }
}

/// The real sum of non-negative terms that the float sum `sum` of at most `n` roundings stands for.
pub fn nonnegative(sum: f64, n: usize) -> Interval {
    // The exact sum s has |sum − s| <= γ_n s, hence sum/(1 + γ_n) <= s <= sum/(1 − γ_n).
    let g = gamma(n, ROUNDOFF_F64);
    let s = Interval::point(sum) / (Interval::ONE + Interval::new(-g, g));
    Interval::new(s.lo().max(0.0), s.hi())
}

/// The real sum that the float sum `sum` of at most `n` roundings a term stands for, when the float sum of the terms'
/// magnitudes is `magnitude`.
pub fn signed(sum: f64, magnitude: f64, n: usize) -> Interval {
    let error = gamma(n, ROUNDOFF_F64) * nonnegative(magnitude, n).hi();
    Interval::point(sum) + Interval::new(-up(error), up(error))
}

/// Upper bound on `‖x‖₂` of a vector of floats.
#[must_use]
pub fn norm_upper(x: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = x.len();
    let squares: f64 = x.map(|x| x * x).sum();
    // Each square that underflows loses less than the smallest normal number.
    let lost = up(n as f64 * f64::MIN_POSITIVE);
    (nonnegative(squares, n + 1) + Interval::point(lost)).sqrt().hi()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn gamma_exceeds_n_roundoffs_and_ends_in_infinity() {
        assert!(gamma(1000, ROUNDOFF_F64) > 1000.0 * ROUNDOFF_F64);
        assert!(gamma(256, ROUNDOFF_F32) < 1.6e-5);
        assert_eq!(gamma(1 << 24, ROUNDOFF_F32), f64::INFINITY);
    }

    #[test]
    fn what_is_not_finite_gives_no_bound() {
        for bad in [f64::NAN, f64::INFINITY, f64::MAX] {
            assert_eq!(norm_upper([1.0, bad].into_iter()), f64::INFINITY);
        }
        assert!(!nonnegative(f64::NAN, 3).is_finite());
        assert!(!signed(1.0, f64::NAN, 3).is_finite());
    }

    #[test]
    fn tiny_norms_do_not_vanish() {
        let x = 1e-170;
        assert!(norm_upper([x; 4].into_iter()) >= 2.0 * x);
    }

    proptest! {
        #[test]
        fn sums_of_integers_lie_in_their_enclosures(xs in prop::collection::vec(-(1i64 << 53)..(1 << 53), 1..300)) {
            let exact: i128 = xs.iter().map(|&x| i128::from(x)).sum();
            let (mut sum, mut magnitude) = (0.0f64, 0.0f64);
            for &x in &xs {
                sum += x as f64;
                magnitude += x.abs() as f64;
            }
            let enclosure = signed(sum, magnitude, xs.len());
            prop_assert!(enclosure.lo() as i128 <= exact && exact <= enclosure.hi() as i128);
            let exact: i128 = xs.iter().map(|&x| i128::from(x).abs()).sum();
            let enclosure = nonnegative(magnitude, xs.len());
            prop_assert!(enclosure.lo() as i128 <= exact && exact <= enclosure.hi() as i128);
        }

        #[test]
        fn the_norm_is_not_below_the_exact_one(xs in prop::collection::vec(-(1i64 << 31)..(1 << 31), 1..200)) {
            let exact: i128 = xs.iter().map(|&x| i128::from(x) * i128::from(x)).sum();
            // An upper bound of the root, squared in integers after scaling by 2^20 (rounded down).
            let scaled = (norm_upper(xs.iter().map(|&x| x as f64)) * f64::from(1u32 << 20)).floor() as u128;
            prop_assert!((scaled + 1).pow(2) >= (exact as u128) << 40);
        }
    }
}
