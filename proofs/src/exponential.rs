//! `e^x` and `ln n` in 64-bit fixed point, with proved errors. A "unit" is 2^-62; every `>>` and `/` rounds down by less
//! than one.

use std::sync::LazyLock;

use dashu_int::IBig;

use crate::elementary::{exp_nonpositive, ln};
use crate::interval::{FRACTION_BITS, Interval, shift_down, shift_up};

const UNIT_BITS: u32 = 62;
const ONE: u64 = 1 << UNIT_BITS;
/// Fractional bits of a weight `e^x`.
pub(crate) const WEIGHT_PLACES: u32 = 60;
/// Fractional bits of an exponent.
pub(crate) const SCORE_PLACES: u32 = 50;
/// Steps of the table of exponentials per unit of the exponent, `2^6`.
const STEP_BITS: u32 = 6;

/// `ln 2`, less than one unit too small.
static LN_2: LazyLock<u64> = LazyLock::new(|| units(&ln(&Interval::from_int(2)).expect("2 is above 1")));
/// `e^(-i/64)` for `0 <= i/64 < ln 2 + 1/64`, each less than two units too small.
static STEPS: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let step = |i: i32| units(&exp_nonpositive(&Interval::scaled(&IBig::from(-i), -6)));
    (0..46).map(step).collect()
});

fn units(x: &Interval) -> u64 {
    let down = FRACTION_BITS - usize::try_from(UNIT_BITS).expect("62 fits");
    u64::try_from(shift_down(x.lo(), down)).expect("a number from 0 to 1")
}

/// `⌊x y⌋` of numbers of at most `2^62` units, one of them below `2^62`.
fn times(x: u64, y: u64) -> u64 {
    u64::try_from((u128::from(x) * u128::from(y)) >> UNIT_BITS).expect("the product of factors up to 1")
}

/// Encloses `e^-t`, `t >= 0` in units of 2^-50, between multiples of 2^-60.
pub(crate) fn exp_minus(t: u64) -> [i64; 2] {
    exp_minus_units(u128::from(t) << (UNIT_BITS - SCORE_PLACES))
}

/// Encloses `e^x` for `x <= 0` with an error of a few 2^-60.
///
/// # Panics
/// If `x` has a positive member.
pub(crate) fn exp_quick(x: &Interval) -> Interval {
    let down = FRACTION_BITS - usize::try_from(UNIT_BITS).expect("62 fits");
    // Numbers too large for u128 have exponentials as small as the largest one.
    let units = |n: IBig| u128::try_from(n).unwrap_or(u128::MAX);
    assert!(*x.hi() <= IBig::ZERO, "the exponent is at most 0");
    let (least, most) = (units(shift_down(&-x.hi(), down)), units(shift_up(&-x.lo(), down)));
    let places = FRACTION_BITS - usize::try_from(WEIGHT_PLACES).expect("60 fits");
    let (lo, hi) = (exp_minus_units(most)[0], exp_minus_units(least)[1].min(1 << WEIGHT_PLACES));
    Interval::from_ends(IBig::from(lo) << places, IBig::from(hi) << places)
}

/// Encloses `e^-t`, `t >= 0` in units, between multiples of 2^-60.
fn exp_minus_units(t: u128) -> [i64; 2] {
    let k = t / u128::from(*LN_2);
    let Some(k) = u32::try_from(k).ok().filter(|k| *k < 60) else {
        return [0, 2]; // e^-t <= 2^-59, as t is at least 60 times a number just below ln 2
    };
    // e^-t = 2^-k e^-f; with at most one unit of error in ln 2, f is off by less than 60 units, and so is e^-f.
    let f = u64::try_from(t - u128::from(k) * u128::from(*LN_2)).expect("a remainder below ln 2");
    let (step, g) = (f >> (UNIT_BITS - STEP_BITS), f & ((1 << (UNIT_BITS - STEP_BITS)) - 1));
    // e^-g = 1 − g (1 − g/2 (1 − g/3 (...))), cut off below g^9/9! < 2^-72; a step adds 2 units of error, and the next one
    // divides it by 64.
    let series = (1..=8).rev().fold(ONE, |sum, i| ONE - times(g, sum) / i);
    let mantissa = times(STEPS[usize::try_from(step).expect("a step below 46")], series);
    // 60 from f, 3 from the series, 2 from the table, 1 from the product.
    let error = 66;
    let down = k + UNIT_BITS - WEIGHT_PLACES;
    let signed = |n: u64| i64::try_from(n).expect("at most 2^60");
    [signed(mantissa.saturating_sub(error) >> down), signed((mantissa + error) >> down) + 1]
}

/// An upper bound on `ln n` for `1 <= n < 2^32`, in units; less than 200 too large.
pub(crate) fn ln_ceiling(n: u32) -> i128 {
    let e = n.ilog2();
    // n = 2^e m with 1 <= m < 2, ln m = 2 artanh z = 2 Σ z^(2i+1)/(2i+1), z = (m − 1)/(m + 1) < 1/3.
    let (n, power_of_two) = (u128::from(n), 1_u128 << e);
    let z = ((n - power_of_two) << UNIT_BITS) / (n + power_of_two);
    let z = u64::try_from(z).expect("a fraction below 1/3");
    let square = times(z, z);
    let (mut power, mut sum, mut odd) = (z, 0, 1);
    while power > 0 {
        sum += power / odd;
        power = times(power, square);
        odd += 2;
    }
    // At most 21 terms, each less than 4 units too small; what is left out is below one. ln 2 is 32 times one unit short.
    2 * i128::from(sum + 21 * 4) + i128::from(e) * i128::from(*LN_2 + 1)
}

/// `⌊ln 2⌋` in units.
pub(crate) fn ln_2_floor() -> u64 {
    *LN_2
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::float_arithmetic,
        reason = "an f64 stands for the truth here"
    )]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn exponentials_enclose_the_truth_and_are_narrow(t in 0_u64..70 << SCORE_PLACES) {
            let [lo, hi] = exp_minus(t);
            let fine = exp_nonpositive(&Interval::scaled(&-IBig::from(t), -50));
            let unit = FRACTION_BITS - 60;
            prop_assert!(IBig::from(lo) << unit <= *fine.hi() && *fine.lo() <= IBig::from(hi) << unit);
            prop_assert!(hi - lo <= 2 + (lo >> 54));
        }

        #[test]
        fn quick_exponentials_enclose_what_slow_ones_do(n in 0_u64.., width in 0_u64.., bits in 190_usize..262) {
            let lo = -(IBig::from(n) << (bits - 64));
            let hi = (&lo + (IBig::from(width) << (bits - 70))).min(IBig::ZERO);
            let at = |end: &IBig| exp_nonpositive(&Interval::from_ends(end.clone(), end.clone()));
            let (least, most) = (at(&lo), at(&hi));
            let quick = exp_quick(&Interval::from_ends(lo, hi));
            prop_assert!(quick.lo() <= least.hi() && most.lo() <= quick.hi());
            let near = IBig::from(70) << (FRACTION_BITS - 60);
            prop_assert!(least.hi() - quick.lo() <= near && quick.hi() - most.lo() <= near);
        }

        #[test]
        fn logarithms_are_just_above_the_truth(n in 1_u32..=1 << 20) {
            let fine = ln(&Interval::from_int(n)).unwrap();
            let unit = FRACTION_BITS - 62;
            let found = IBig::from(ln_ceiling(n));
            prop_assert!(&found << unit >= *fine.hi(), "{n}");
            prop_assert!((found - 250) << unit <= *fine.lo(), "{n}");
        }
    }

    #[test]
    fn ends() {
        assert_eq!(exp_minus(u64::MAX), [0, 2]);
        let [lo, hi] = exp_minus(0);
        assert!(lo <= 1 << 60 && hi >= 1 << 60 && hi - lo < 70, "{lo} {hi}");
        assert!(ln_ceiling(1) < 250);
    }
}
