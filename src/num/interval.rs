//! Closed intervals of reals with `f64` ends, rounded outward.
//!
//! Each operation computes the ends in round-to-nearest and moves them one ulp outward (`next_down` / `next_up`). IEEE 754
//! `+ − × ÷ √` are correctly rounded, so one ulp encloses the exact result; overflow ends in ±∞, which is a valid end.
//! Source of the operations: Moore, Kearfott, Cloud, *Introduction to Interval Analysis* (2009), ch. 2.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// A closed interval `[lo, hi]` of the extended reals; `lo <= hi`, never NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use]
pub struct Interval {
    /// Greatest number known to lie at or below every member.
    lo: f64,
    /// Least number known to lie at or above every member.
    hi: f64,
}

/// Largest `f64` certainly at or below a result that round-to-nearest gave as `x`.
pub(super) fn down(x: f64) -> f64 {
    if x.is_nan() { f64::NEG_INFINITY } else { x.next_down() }
}

/// Smallest `f64` certainly at or above a result that round-to-nearest gave as `x`.
pub(super) fn up(x: f64) -> f64 {
    if x.is_nan() { f64::INFINITY } else { x.next_up() }
}

impl Interval {
    /// The whole line: what is known when nothing is known.
    pub const ENTIRE: Interval = Interval { lo: f64::NEG_INFINITY, hi: f64::INFINITY };
    /// `[0, 0]`.
    pub const ZERO: Interval = Interval { lo: 0.0, hi: 0.0 };
    /// `[1, 1]`.
    pub const ONE: Interval = Interval { lo: 1.0, hi: 1.0 };

    /// `[lo, hi]`; a NaN end becomes the infinite one, crossed ends give `ENTIRE`.
    pub fn new(lo: f64, hi: f64) -> Interval {
        let lo = if lo.is_nan() { f64::NEG_INFINITY } else { lo };
        let hi = if hi.is_nan() { f64::INFINITY } else { hi };
        if lo <= hi { Interval { lo, hi } } else { Interval::ENTIRE }
    }

    /// The single number `x`, exactly.
    pub fn point(x: f64) -> Interval {
        Interval::new(x, x)
    }

    /// Lower end.
    #[must_use]
    pub fn lo(self) -> f64 {
        self.lo
    }

    /// Upper end.
    #[must_use]
    pub fn hi(self) -> f64 {
        self.hi
    }

    /// Whether both ends are finite.
    #[must_use]
    pub fn is_finite(self) -> bool {
        self.lo.is_finite() && self.hi.is_finite()
    }

    /// Whether `x` is a member.
    #[must_use]
    pub fn contains(self, x: f64) -> bool {
        self.lo <= x && x <= self.hi
    }

    /// The largest `|x|` of a member.
    #[must_use]
    pub fn magnitude(self) -> f64 {
        self.lo.abs().max(self.hi.abs())
    }

    /// Upper bound on `hi − lo`.
    #[must_use]
    pub fn width(self) -> f64 {
        up(self.hi - self.lo)
    }

    /// A float near the middle, and a radius around it that covers the interval.
    #[must_use]
    pub fn mid_rad(self) -> (f64, f64) {
        let mid = self.lo / 2.0 + self.hi / 2.0;
        (mid, up((self.hi - mid).max(mid - self.lo)).max(0.0))
    }

    /// `{x² : x ∈ self}`, never below zero.
    pub fn square(self) -> Interval {
        let (a, b) = (self.lo * self.lo, self.hi * self.hi);
        let lo = if self.contains(0.0) { 0.0 } else { down(a.min(b)).max(0.0) };
        Interval::new(lo, up(a.max(b)))
    }

    /// `{√x : x ∈ self, x >= 0}`. A negative lower end is cut at zero: callers pass sums of squares.
    pub fn sqrt(self) -> Interval {
        Interval::new(down(self.lo.max(0.0).sqrt()).max(0.0), up(self.hi.max(0.0).sqrt()))
    }

    /// Pointwise maximum, `{max(x, y)}`.
    pub fn max(self, other: Interval) -> Interval {
        Interval { lo: self.lo.max(other.lo), hi: self.hi.max(other.hi) }
    }

    /// Pointwise minimum, `{min(x, y)}`.
    pub fn min(self, other: Interval) -> Interval {
        Interval { lo: self.lo.min(other.lo), hi: self.hi.min(other.hi) }
    }

    /// Smallest interval that holds both.
    pub fn hull(self, other: Interval) -> Interval {
        Interval { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi) }
    }

    /// `1 / self`; `ENTIRE` when zero is a member.
    pub fn recip(self) -> Interval {
        Interval::ONE / self
    }
}

impl From<f64> for Interval {
    fn from(x: f64) -> Interval {
        Interval::point(x)
    }
}

impl Neg for Interval {
    type Output = Interval;
    fn neg(self) -> Interval {
        Interval { lo: -self.hi, hi: -self.lo }
    }
}

impl Add for Interval {
    type Output = Interval;
    fn add(self, y: Interval) -> Interval {
        Interval::new(down(self.lo + y.lo), up(self.hi + y.hi))
    }
}

impl Sub for Interval {
    type Output = Interval;
    fn sub(self, y: Interval) -> Interval {
        Interval::new(down(self.lo - y.hi), up(self.hi - y.lo))
    }
}

impl Mul for Interval {
    type Output = Interval;
    fn mul(self, y: Interval) -> Interval {
        // 0 · ∞ is NaN in IEEE arithmetic; as a product of members it is 0.
        let p = |a: f64, b: f64| if a == 0.0 || b == 0.0 { 0.0 } else { a * b };
        let q = [p(self.lo, y.lo), p(self.lo, y.hi), p(self.hi, y.lo), p(self.hi, y.hi)];
        let lo = q.iter().copied().fold(f64::INFINITY, f64::min);
        let hi = q.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Interval::new(down(lo), up(hi))
    }
}

impl Div for Interval {
    type Output = Interval;
    fn div(self, y: Interval) -> Interval {
        if y.contains(0.0) {
            return Interval::ENTIRE;
        }
        let q = [self.lo / y.lo, self.lo / y.hi, self.hi / y.lo, self.hi / y.hi];
        if q.iter().any(|x| x.is_nan()) {
            return Interval::ENTIRE;
        }
        let lo = q.iter().copied().fold(f64::INFINITY, f64::min);
        let hi = q.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Interval::new(down(lo), up(hi))
    }
}

impl Mul<f64> for Interval {
    type Output = Interval;
    fn mul(self, y: f64) -> Interval {
        self * Interval::point(y)
    }
}

impl std::iter::Sum for Interval {
    fn sum<I: Iterator<Item = Interval>>(iter: I) -> Interval {
        iter.fold(Interval::ZERO, |a, b| a + b)
    }
}

impl std::fmt::Display for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}, {}]", self.lo, self.hi)
    }
}
