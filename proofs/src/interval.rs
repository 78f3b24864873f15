//! Intervals of reals whose ends are multiples of 2^-256, rounded outward: the checker's only inexact arithmetic.

use std::ops::{Add, Mul, Neg, Sub};

use dashu_base::{DivEuclid, Sign, SquareRoot};
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

use crate::reject::Reject;

/// Fractional bits of an end. A block of a transformer can widen intervals by five orders of magnitude; these 77 decimal
/// places carry a dozen blocks.
pub(crate) const FRACTION_BITS: usize = 256;
/// Decimal places of a printed probability.
const PLACES: usize = 15;

/// `{x : lo <= 2^256 x <= hi}`, with `lo <= hi`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(crate) struct Interval {
    lo: IBig,
    hi: IBig,
}

/// `⌊n / 2^bits⌋`.
pub(crate) fn shift_down(n: &IBig, bits: usize) -> IBig {
    // The right shift of a negative number rounds towards −∞, which a test below pins.
    n >> bits
}

/// `⌈n / 2^bits⌉`.
pub(crate) fn shift_up(n: &IBig, bits: usize) -> IBig {
    -(-n >> bits)
}

/// `⌈n / d⌉` for a positive `d`.
fn divide_up(n: IBig, d: &IBig) -> IBig {
    -((-n).div_euclid(d))
}

impl Interval {
    /// From ends in units of 2^-256.
    pub fn from_ends(lo: IBig, hi: IBig) -> Interval {
        Interval { lo, hi }
    }

    /// The integer `n`.
    pub fn from_int(n: impl Into<IBig>) -> Interval {
        Interval::scaled(&n.into(), 0)
    }

    /// Encloses `n · 2^exponent`.
    pub fn scaled(n: &IBig, exponent: i32) -> Interval {
        Interval::between(n, n, exponent)
    }

    /// Encloses `[lo, hi] · 2^exponent`.
    pub fn between(lo: &IBig, hi: &IBig, exponent: i32) -> Interval {
        let exponent = i64::from(exponent) + i64::try_from(FRACTION_BITS).expect("256 fits");
        let bits = usize::try_from(exponent.unsigned_abs()).expect("exponents of weights are small");
        if exponent >= 0 {
            Interval { lo: lo << bits, hi: hi << bits }
        } else {
            Interval { lo: shift_down(lo, bits), hi: shift_up(hi, bits) }
        }
    }

    /// Encloses the rational number `q`.
    pub fn rational(q: &RBig) -> Interval {
        let (n, d) = (q.numerator() << FRACTION_BITS, IBig::from(q.denominator().clone()));
        Interval { lo: (&n).div_euclid(&d), hi: divide_up(n, &d) }
    }

    /// Lower end in units of 2^-256.
    pub fn lo(&self) -> &IBig {
        &self.lo
    }

    /// Upper end in units of 2^-256.
    pub fn hi(&self) -> &IBig {
        &self.hi
    }

    /// Whether every member is `<= q`.
    pub fn at_most(&self, q: &RBig) -> bool {
        &self.hi * IBig::from(q.denominator().clone()) <= q.numerator() << FRACTION_BITS
    }

    /// Whether every member is `>= q`.
    pub fn at_least(&self, q: &RBig) -> bool {
        &self.lo * IBig::from(q.denominator().clone()) >= q.numerator() << FRACTION_BITS
    }

    /// Whether every member is `> q`.
    pub fn above(&self, q: &RBig) -> bool {
        &self.lo * IBig::from(q.denominator().clone()) > q.numerator() << FRACTION_BITS
    }

    /// Whether every member is `< q`.
    pub fn below(&self, q: &RBig) -> bool {
        &self.hi * IBig::from(q.denominator().clone()) < q.numerator() << FRACTION_BITS
    }

    /// The part within `[lo, hi]`, integers; for quantities known to lie there.
    pub fn within(self, lo: i32, hi: i32) -> Interval {
        let (lo, hi) = (IBig::from(lo) << FRACTION_BITS, IBig::from(hi) << FRACTION_BITS);
        Interval { lo: self.lo.max(lo.clone()).min(hi.clone()), hi: self.hi.min(hi).max(lo) }
    }

    /// `{max(x, 0) : x ∈ self}`.
    pub fn positive_part(&self) -> Interval {
        Interval { lo: self.lo.clone().max(IBig::ZERO), hi: self.hi.clone().max(IBig::ZERO) }
    }

    /// `{x² : x ∈ self}`.
    pub fn square(&self) -> Interval {
        let product = self * self;
        Interval { lo: product.lo.max(IBig::ZERO), hi: product.hi }
    }

    /// `{√x : x ∈ self, x >= 0}`.
    pub fn sqrt(&self) -> Interval {
        let end =
            |n: &IBig| UBig::try_from(n.clone().max(IBig::ZERO)).expect("not negative") << FRACTION_BITS;
        let (lo, hi) = (end(&self.lo), end(&self.hi));
        let root = hi.sqrt();
        let up = if &root * &root == hi { root } else { root + UBig::ONE };
        Interval { lo: lo.sqrt().into(), hi: up.into() }
    }

    /// `{x / y}` for a divisor whose members are all positive.
    pub fn divide(&self, y: &Interval, what: &'static str) -> Result<Interval, Reject> {
        if y.lo <= IBig::ZERO {
            return Err(Reject::NoEnclosure { what, why: "a divisor may be zero" });
        }
        let least = if self.lo >= IBig::ZERO { &y.hi } else { &y.lo };
        let greatest = if self.hi >= IBig::ZERO { &y.lo } else { &y.hi };
        let lo = (&self.lo << FRACTION_BITS).div_euclid(least);
        Ok(Interval { lo, hi: divide_up(&self.hi << FRACTION_BITS, greatest) })
    }

    /// The lower end as a decimal at or below it, and the upper end as one at or above it.
    pub fn decimals(&self) -> (String, String) {
        let text = |n: IBig| {
            let (sign, magnitude) = n.into_parts();
            let minus = if sign == Sign::Negative { "-" } else { "" };
            let digits = format!("{:0>width$}", magnitude.to_string(), width = PLACES + 1);
            let (whole, fraction) = digits.split_at(digits.len() - PLACES);
            format!("{minus}{whole}.{fraction}")
        };
        let power = IBig::from(10).pow(PLACES);
        (
            text(shift_down(&(&self.lo * &power), FRACTION_BITS)),
            text(shift_up(&(&self.hi * power), FRACTION_BITS)),
        )
    }
}

impl Add for &Interval {
    type Output = Interval;
    fn add(self, y: &Interval) -> Interval {
        Interval { lo: &self.lo + &y.lo, hi: &self.hi + &y.hi }
    }
}

impl Sub for &Interval {
    type Output = Interval;
    fn sub(self, y: &Interval) -> Interval {
        Interval { lo: &self.lo - &y.hi, hi: &self.hi - &y.lo }
    }
}

impl Neg for &Interval {
    type Output = Interval;
    fn neg(self) -> Interval {
        Interval { lo: -&self.hi, hi: -&self.lo }
    }
}

impl Mul for &Interval {
    type Output = Interval;
    fn mul(self, y: &Interval) -> Interval {
        // A product of two intervals takes its extremes at ends (Moore 1966).
        let (lo, hi) = if self.lo >= IBig::ZERO && y.lo >= IBig::ZERO {
            (&self.lo * &y.lo, &self.hi * &y.hi)
        } else {
            let (a, b) = (&self.lo * &y.lo, &self.lo * &y.hi);
            let (c, d) = (&self.hi * &y.lo, &self.hi * &y.hi);
            let lo = (&a).min(&b).min((&c).min(&d)).clone();
            (lo, a.max(b).max(c.max(d)))
        };
        Interval { lo: shift_down(&lo, FRACTION_BITS), hi: shift_up(&hi, FRACTION_BITS) }
    }
}

/// The same operations on owned operands.
macro_rules! owned {
    ($($trait:ident $method:ident),*) => {$(
        impl $trait for Interval {
            type Output = Interval;
            fn $method(self, y: Interval) -> Interval {
                (&self).$method(&y)
            }
        }
    )*};
}
owned!(Add add, Sub sub, Mul mul);

impl Neg for Interval {
    type Output = Interval;
    fn neg(self) -> Interval {
        -&self
    }
}

impl std::iter::Sum for Interval {
    fn sum<I: Iterator<Item = Interval>>(terms: I) -> Interval {
        terms.fold(Interval::from_int(0), |sum, term| sum + term)
    }
}

#[cfg(test)]
pub(crate) mod tests;
