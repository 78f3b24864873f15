//! Balls of high precision: a fixed-point middle and a radius, for long chains of operations from exact inputs.
//!
//! Intervals with `f64` ends lose about five digits per block of a transformer, because each layer forgets how the errors
//! of its inputs depend on each other; with enough digits to lose, the final enclosure is still as narrow as a float.
//! Every operation computes the middle with an error below one unit in the last place, and a radius that covers it, rounded up; the
//! model is Arb's (Johansson 2017, *Arb: efficient arbitrary-precision midpoint-radius interval arithmetic*). Radii are
//! `∞` after an overflow.

mod linear;
mod series;

use std::ops::{Add, Mul, Neg, Sub};

use super::fixed::Fixed;
use super::interval::{Interval, up};
pub use linear::{Digits, dot};
pub use series::{Gelu, rotation};

/// All reals within `rad` of `mid`.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Precise<const L: usize> {
    mid: Fixed<L>,
    /// At least zero, `∞` when nothing is known.
    rad: f64,
}

impl<const L: usize> Precise<L> {
    /// The whole line.
    pub const ENTIRE: Precise<L> = Precise { mid: Fixed::ZERO, rad: f64::INFINITY };
    /// `{0}`.
    pub const ZERO: Precise<L> = Precise { mid: Fixed::ZERO, rad: 0.0 };

    /// A ball around a middle that may have overflowed; a NaN radius is an infinite one.
    fn new(mid: Option<Fixed<L>>, rad: f64) -> Precise<L> {
        match mid {
            Some(mid) if rad < f64::INFINITY => Precise { mid, rad },
            _ => Precise::ENTIRE,
        }
    }

    /// The whole number `n`, exactly.
    pub fn int(n: u32) -> Precise<L> {
        Precise { mid: Fixed::from_int(n), rad: 0.0 }
    }

    /// The float `x`, exactly where its bits fit.
    pub fn float(x: f64) -> Precise<L> {
        let mid = Fixed::from_f64(x);
        // A float is a multiple of its own last bit; only one below the last place is cut.
        let cut = x != 0.0 && x.abs() < Fixed::<L>::ULP * (1u64 << 53) as f64;
        Precise::new(mid, if cut { Fixed::<L>::ULP } else { 0.0 })
    }

    /// A ball that holds the interval.
    pub fn interval(x: Interval) -> Precise<L> {
        let (mid, rad) = x.mid_rad();
        Precise::float(mid).widen(rad)
    }

    /// An interval that holds the ball.
    pub fn enclose(&self) -> Interval {
        self.mid.enclose() + Interval::new(-self.rad, self.rad)
    }

    /// Radius: every member lies within it of the middle.
    #[must_use]
    pub fn radius(&self) -> f64 {
        self.rad
    }

    /// Upper bound on the magnitude of all members.
    #[must_use]
    pub fn magnitude(&self) -> f64 {
        up(self.mid.magnitude() + self.rad)
    }

    /// Adds `by` to the radius.
    pub fn widen(self, by: f64) -> Precise<L> {
        Precise::new(Some(self.mid), if by == 0.0 { self.rad } else { up(self.rad + by) })
    }

    /// Whether the middle is above zero.
    #[must_use]
    pub fn is_positive(&self) -> bool {
        self.mid.signum().is_gt()
    }

    /// The middle alone; still the whole line where nothing is known.
    pub fn middle(self) -> Precise<L> {
        Precise { mid: self.mid, rad: if self.rad < f64::INFINITY { 0.0 } else { f64::INFINITY } }
    }

    /// `self / n` for `n > 0`.
    pub fn div_int(self, n: u64) -> Precise<L> {
        // Converting n may round it up.
        let rad = up(self.rad / (n as f64).next_down());
        Precise::new(Some(self.mid.div_int(n)), rad).widen(Fixed::<L>::ULP)
    }

    /// `self / 2^bits`.
    fn div_pow2(self, bits: u32) -> Precise<L> {
        let rad = up(self.rad * 0.5f64.powi(bits as i32));
        Precise::new(Some(self.mid.div_pow2(bits)), rad).widen(Fixed::<L>::ULP)
    }

    /// `self²`.
    pub fn square(self) -> Precise<L> {
        self * self
    }

    /// `max(self, 0)`.
    pub fn relu(self) -> Precise<L> {
        let x = self.enclose();
        if x.lo() >= 0.0 {
            self
        } else if x.hi() <= 0.0 {
            Precise::ZERO
        } else {
            Precise::interval(x.max(Interval::ZERO))
        }
    }

    /// `1 / self`; the whole line where zero may be a member.
    ///
    /// Newton's iteration finds `y ≈ 1/x`; whatever it finds, with `e = 1 − x y` and `|e| <= E < 1`,
    /// `|1/x − y| = |y e / (1 − e)| <= |y| E / (1 − E)`.
    pub fn recip(self) -> Precise<L> {
        let one = Precise::int(1);
        let x = self.middle();
        let mut y = Precise::float(1.0 / self.mid.approximate());
        for _ in 0..Self::newton_steps() {
            y = (y + y * (one - x * y)).middle();
        }
        let e = (one - self * y).magnitude();
        if e < 0.5 { y.widen(up(up(y.magnitude() * e) / (1.0 - e).next_down())) } else { Precise::ENTIRE }
    }

    /// `1 / √self`; the whole line where zero or less may be a member.
    ///
    /// As [`Precise::recip`], with `e = 1 − x y²` and `y > 0`: `1/√x = y / √(1 − e)`, and `|1/√(1 − e) − 1| <= |e|` for
    /// `|e| <= 1/2`.
    pub fn rsqrt(self) -> Precise<L> {
        let one = Precise::int(1);
        let x = self.middle();
        let mut y = Precise::float(1.0 / self.mid.approximate().sqrt());
        for _ in 0..Self::newton_steps() {
            y = (y + (y * (one - x * y * y)).div_pow2(1)).middle();
        }
        let e = (one - self * y * y).magnitude();
        if e <= 0.5 && y.is_positive() { y.widen(up(y.magnitude() * e)) } else { Precise::ENTIRE }
    }

    /// Doublings of precision from the 50 bits of a float quotient.
    fn newton_steps() -> u32 {
        (Fixed::<L>::FRACTION_BITS / 50 + 1).ilog2() + 1
    }
}

impl<const L: usize> Add for Precise<L> {
    type Output = Precise<L>;
    fn add(self, y: Precise<L>) -> Precise<L> {
        Precise::new(self.mid.add(y.mid), self.rad).widen(y.rad)
    }
}

impl<const L: usize> Neg for Precise<L> {
    type Output = Precise<L>;
    fn neg(self) -> Precise<L> {
        Precise { mid: self.mid.neg(), rad: self.rad }
    }
}

impl<const L: usize> Sub for Precise<L> {
    type Output = Precise<L>;
    fn sub(self, y: Precise<L>) -> Precise<L> {
        self + -y
    }
}

impl<const L: usize> Mul for Precise<L> {
    type Output = Precise<L>;
    /// `|x y − m m'| <= |m| r' + r (|m'| + r')`.
    fn mul(self, y: Precise<L>) -> Precise<L> {
        let (m, m2) = (self.mid.coarse_magnitude(), y.mid.coarse_magnitude());
        let rad = up(up(m * y.rad) + up(self.rad * up(m2 + y.rad)));
        Precise::new(self.mid.mul(y.mid), up(rad + Fixed::<L>::ULP))
    }
}

impl<const L: usize> std::iter::Sum for Precise<L> {
    fn sum<I: Iterator<Item = Precise<L>>>(iter: I) -> Precise<L> {
        iter.fold(Precise::ZERO, |a, b| a + b)
    }
}

#[cfg(test)]
mod tests;
