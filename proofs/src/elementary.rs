//! Enclosures of elementary functions: argument reduction, then a Taylor series in integers.
//!
//! A number `x` is worked on as the integer `X ≈ 2^288 x`, 32 bits finer than the ends of an interval. "Unit" below means
//! 2^-288. All terms are non-negative, so each `>>` and each division rounds down and costs less than one unit. A series
//! stops when a term is zero in this arithmetic; consecutive terms have a ratio of at most 1/2 by then, so what is left
//! out sums to at most twice the error of a term. Each function counts its units and then widens by a power of two above.

use std::sync::LazyLock;

use dashu_base::{Abs, BitTest, DivRemEuclid};
use dashu_int::{IBig, UBig};

use crate::interval::{FRACTION_BITS, Interval, shift_down, shift_up};
use crate::reject::Reject;

const GUARD_BITS: usize = 32;
const WORK_BITS: usize = FRACTION_BITS + GUARD_BITS;

/// `ln 2 = 2 artanh(1/3)`, within one unit.
static LN_2: LazyLock<IBig> = LazyLock::new(|| from_fine(inverse_series(3, 1) * 2));
/// `π = 16 arctan(1/5) − 4 arctan(1/239)` (Machin 1706), within one unit.
static PI: LazyLock<IBig> =
    LazyLock::new(|| from_fine(inverse_series(5, -1) * 16 - inverse_series(239, -1) * 4));

/// `Σ_i sign^i / ((2i + 1) q^(2i+1))`: `artanh(1/q)` for sign 1, `arctan(1/q)` for sign −1, on a grid of 2^-352.
/// At most 150 terms, each off by less than 2 there, and twice that for the rest: off by less than 2^10.
fn inverse_series(q: u32, sign: i32) -> IBig {
    let mut power = (IBig::ONE << (WORK_BITS + 64)) / q;
    let (mut sum, mut odd, mut sign_i) = (IBig::ZERO, 1_u32, 1);
    while !power.is_zero() {
        sum += &power / odd * sign_i;
        power /= q * q;
        odd += 2;
        sign_i *= sign;
    }
    sum
}

/// Bits of a step of the exponent.
const STEP_BITS: usize = 6;
/// `e^(i 2^(-6 l))` for `i < 64`, `l` from 1 to 4, each within one unit. On a grid of 2^-352 fewer than 128 terms are off by less
/// than 2 each, and what is left out is less than that.
static STEPS: LazyLock<Vec<Vec<IBig>>> = LazyLock::new(|| {
    const GRID: usize = WORK_BITS + 64;
    let at = |x: IBig| {
        let (mut term, mut sum, mut i) = (IBig::ONE << GRID, IBig::ZERO, 1_u32);
        while !term.is_zero() {
            sum += &term;
            term = ((term * &x) >> GRID) / i;
            i += 1;
        }
        from_fine(sum)
    };
    let level = |l: usize| (0..64_u32).map(|i| at(IBig::from(i) << (GRID - STEP_BITS * l))).collect();
    (1..=4).map(level).collect()
});
/// `1/i!` for `i <= 10`, less than one unit too small.
static INVERSE_FACTORIALS: LazyLock<Vec<IBig>> = LazyLock::new(|| {
    let one = IBig::ONE << WORK_BITS;
    let mut factorial = IBig::ONE;
    let inverse = |i: u32| {
        factorial *= i.max(1);
        &one / &factorial
    };
    (0..=10).map(inverse).collect()
});

/// From the grid of 2^-352, where `fine` is off by less than 2^20, to the nearest unit: off by less than one unit.
fn from_fine(fine: IBig) -> IBig {
    (fine + (IBig::ONE << 63)) >> 64
}

/// The interval around `y` units with an error of at most `2^error_bits` units.
fn widen(y: &IBig, error_bits: usize) -> Interval {
    let error = IBig::ONE << error_bits;
    Interval::from_ends(shift_down(&(y - &error), GUARD_BITS), shift_up(&(y + error), GUARD_BITS))
}

/// `x y` on the working grid.
fn times(x: &IBig, y: &IBig) -> IBig {
    (x * y) >> WORK_BITS
}

/// `2^-256 n` on the working grid, exactly.
fn refine(n: &IBig) -> IBig {
    n << GUARD_BITS
}

/// What `f(x)` may exceed `f` of the lower end by, for an increasing `f` whose slope is at most `fourths / 4`.
fn rise(x: &Interval, fourths: u32) -> Interval {
    let width = x.hi() - x.lo();
    Interval::from_ends(IBig::ZERO, shift_up(&(width * fourths), 2))
}

/// π.
pub(crate) fn pi() -> Interval {
    widen(&PI, 0)
}

/// `e^x` for `x <= 0`.
///
/// # Panics
/// If `x` has a positive member: callers shift their exponents below zero first.
pub(crate) fn exp_nonpositive(x: &Interval) -> Interval {
    assert!(*x.hi() <= IBig::ZERO, "the exponent is at most 0");
    // e^(a + w) <= e^a (1 + w + w²) for 0 <= w <= 1, because (e^w − 1 − w) / w² increases and is e − 2 < 1 at w = 1.
    let (one, width) = (Interval::from_int(1), rise(x, 4));
    let enclosure = if width.hi() <= one.hi() {
        exp_at(x.lo()) * (&(&one + &width) + &width.square())
    } else {
        Interval::from_ends(exp_at(x.lo()).lo().clone(), exp_at(x.hi()).hi().clone())
    };
    enclosure.within(0, 1)
}

/// `e^x` at `x = 2^-256 n <= 0`, as `2^-k e^f` with `x = f − k ln 2` and `0 <= f < ln 2`; `f` is a sum of multiples of
/// `2^-6`, `2^-12`, `2^-18` and `2^-24`, whose exponentials are tabulated, and of a rest below `2^-24`.
fn exp_at(n: &IBig) -> Interval {
    if *n < IBig::from(-180) << FRACTION_BITS {
        return Interval::from_ends(IBig::ZERO, IBig::ONE); // e^-180 < 2^-256
    }
    // k <= 260, so f is off by at most 260 units, and e^f by less than 2^9 + 2^3.
    let (k, f) = refine(n).div_rem_euclid(&*LN_2);
    let below = (UBig::ONE << (WORK_BITS - STEP_BITS * STEPS.len())) - UBig::ONE;
    let rest = IBig::from(&f & below);
    // Σ_i rest^i / i!: a step is off by less than 2 units and what came before times the rest; what is left out, by less
    // than rest^11 < 2^-264 over 11! > 2^25.
    let terms = INVERSE_FACTORIALS.iter().rev();
    let mut product = terms.fold(IBig::ZERO, |sum, inverse| inverse + times(&sum, &rest));
    // Five factors from 1 to 2, off by less than 4, 1, 1, 1, 1 units; their product, below 2, by less than 2^5.
    for (level, table) in (1..).zip(STEPS.iter()) {
        let step = (&f >> (WORK_BITS - STEP_BITS * level)) & UBig::from(63_u8);
        product = times(&product, &table[usize::try_from(step).expect("below 64")]);
    }
    let k = usize::try_from(-k).expect("0 <= k <= 260");
    widen(&(product >> k), 10)
}

/// `ln x` for `x >= 1`.
pub(crate) fn ln(x: &Interval) -> Result<Interval, Reject> {
    if *x.lo() < IBig::ONE << FRACTION_BITS {
        return Err(Reject::NoEnclosure { what: "a logarithm", why: "its argument may be below 1" });
    }
    let enclosure = ln_at(x.lo()) + rise(x, 4);
    Ok(Interval::from_ends(enclosure.lo().clone().max(IBig::ZERO), enclosure.hi().clone()))
}

/// `ln x = e ln 2 + 2 artanh((m − 1)/(m + 1))` at `x = 2^-256 n = m 2^e >= 1` with `1 <= m < 2`.
fn ln_at(n: &IBig) -> Interval {
    let one = IBig::ONE << WORK_BITS;
    let e = n.bit_len() - 1 - FRACTION_BITS;
    let m = refine(n) >> e;
    // z < 1/3 is off by less than 2 units, z² by less than 3; less than 128 terms of a series, each off by less than 4.
    let z = ((&m - &one) << WORK_BITS) / (m + one);
    let square = times(&z, &z);
    let (mut power, mut sum, mut odd) = (z, IBig::ZERO, 1_u32);
    while !power.is_zero() {
        sum += &power / odd;
        power = times(&power, &square);
        odd += 2;
    }
    // 2 (128 · 4 + 8) units from the series, and e <= 2^11 from ln 2.
    widen(&(sum * 2 + &*LN_2 * IBig::from(e)), 12)
}

/// `1 / (1 + e^-x)`.
pub(crate) fn sigmoid(x: &Interval) -> Interval {
    sigmoid_by(x, exp_nonpositive)
}

/// The same, by some exponential function of numbers that are not positive.
pub(crate) fn sigmoid_by(x: &Interval, exp: impl Fn(&Interval) -> Interval) -> Interval {
    let one = Interval::from_int(1);
    let below = -x.lo().clone().abs();
    let e = exp(&Interval::from_ends(below.clone(), below));
    let numerator = if *x.lo() > IBig::ZERO { &one } else { &e };
    let at_lower = numerator.divide(&(&one + &e), "a sigmoid").expect("the divisor is at least 1");
    // The slope s (1 − s) is at most 1/4.
    (at_lower + rise(x, 1)).within(0, 1)
}

/// The error function.
pub(crate) fn erf(x: &Interval) -> Interval {
    let at = erf_at(&x.lo().clone().abs());
    let at_lower = if *x.lo() < IBig::ZERO { -at } else { at };
    // The slope 2/√π e^-x² is at most 1.129 < 5/4.
    (at_lower + rise(x, 5)).within(-1, 1)
}

/// `2/√π Σ_i (−1)^i x^(2i+1) / (i! (2i + 1))` at `x = 2^-256 n >= 0` (Abramowitz, Stegun 7.1.5).
fn erf_at(n: &IBig) -> Interval {
    if *n > IBig::from(14) << FRACTION_BITS {
        let one = IBig::ONE << FRACTION_BITS; // 1 − erf x <= e^-x² < 2^-256 for x >= 14
        return Interval::from_ends(&one - IBig::ONE, one);
    }
    // The terms grow to e^(x²) < 2^284 before they cancel, so the grid is 2^-576. An error grows like the terms: term i,
    // x^(2i+1)/i!, is off by less than 3 i 2^284 there, and less than 1024 terms add up to less than 2^306, which is 2^18
    // units of 2^-288.
    const GRID: usize = 2 * WORK_BITS;
    let x = n << (GRID - FRACTION_BITS);
    let square = (&x * &x) >> GRID;
    let (mut term, mut sum, mut i) = (x, IBig::ZERO, 0_u32);
    while !term.is_zero() {
        let share = &term / (2 * i + 1);
        sum += if i % 2 == 0 { share } else { -share };
        i += 1;
        term = ((term * &square) >> GRID) / i;
    }
    let root = pi().sqrt();
    let sum = widen(&(sum >> (GRID - WORK_BITS)), 19);
    (&sum + &sum).divide(&root, "erf").expect("√π is not zero").within(0, 1)
}

/// `(sin x, cos x)`, by `x = r + k π/2` with `0 <= r < π/2`.
pub(crate) fn sin_cos(x: &Interval) -> Result<(Interval, Interval), Reject> {
    if x.lo().clone().abs() > IBig::ONE << (FRACTION_BITS + 24) {
        return Err(Reject::NoEnclosure { what: "a rotation", why: "its angle is above 2^24" });
    }
    // |k| < 2^24, so r is off by less than 2^24 units; less than 128 terms, each off by less than 2^4 beyond that.
    let (k, r) = refine(x.lo()).div_rem_euclid(&(&*PI >> 1_usize));
    let r = IBig::from(r);
    let (mut sin, mut cos) = (IBig::ZERO, IBig::ZERO);
    let (mut term, mut i) = (IBig::ONE << WORK_BITS, 0_u32);
    while !term.is_zero() {
        match i % 4 {
            0 => cos += &term,
            1 => sin += &term,
            2 => cos -= &term,
            _ => sin -= &term,
        }
        i += 1;
        term = times(&term, &r) / i;
    }
    let (sin, cos) = (widen(&sin, 26), widen(&cos, 26));
    // A quarter turn maps (sin, cos) to (cos, −sin).
    let (sin, cos) = match u8::try_from(k.div_rem_euclid(&IBig::from(4)).1).expect("a remainder below 4") {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    };
    // Both slopes are within [−1, 1].
    let width = x.hi() - x.lo();
    let spread = Interval::from_ends(-&width, width);
    Ok(((&sin + &spread).within(-1, 1), (&cos + &spread).within(-1, 1)))
}

#[cfg(test)]
mod tests;
