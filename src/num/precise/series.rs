//! Elementary functions of balls, from power series whose remainders are bounded in place.
//!
//! A function is computed at the middle of its argument; what the radius adds follows from a bound on the derivative.

use std::ops::Range;

use super::super::elementary;
use super::{Fixed, Interval, Precise, up};

/// Arguments of power series are halved until they are below `2^−8`.
const REDUCED_BITS: i32 = 8;

impl<const L: usize> Precise<L> {
    /// `e^x`. With `|r| < 2^−8`, `r = m / 2^k`, the sum of the series is squared `k` times.
    pub fn exp(self) -> Precise<L> {
        // Wide arguments need no digits, and large ones have no room.
        let enclosure = self.enclose();
        if self.rad > 0.25 || enclosure.hi() > 27.0 {
            return Precise::interval(elementary::exp(enclosure));
        }
        // e^x is below the last place.
        if enclosure.hi() < -(f64::from(Fixed::<L>::FRACTION_BITS)) {
            return Precise::ZERO.widen(Fixed::<L>::ULP);
        }
        let halvings = halvings(self.mid);
        let r = self.middle().div_pow2(halvings);
        let mut term = Precise::int(1);
        let mut sum = Precise::int(1);
        for n in 1.. {
            term = (term * r).div_int(n);
            sum = sum + term;
            if term.mid == Fixed::ZERO {
                break;
            }
        }
        // The terms left out add up to less than the last one, since |r| / n < 1/2.
        sum = sum.widen(term.magnitude());
        for _ in 0..halvings {
            sum = sum.square();
        }
        // |e^x − e^m| <= e^m (e^r − 1) <= e^m · r (1 + r) for r <= 1/4.
        sum.widen(up(sum.magnitude() * up(self.rad * up(1.0 + self.rad))))
    }

    /// `1 / (1 + e^{−x})`, by the exponential of whichever of `±x` is not above zero.
    pub fn sigmoid(self) -> Precise<L> {
        let one = Precise::int(1);
        if self.mid.is_negative() {
            let e = self.exp();
            e * (one + e).recip()
        } else {
            (one + (-self).exp()).recip()
        }
    }

    /// `x · σ(x)`.
    pub fn silu(self) -> Precise<L> {
        self * self.sigmoid()
    }

    /// `ln x` for a positive middle: `y + ln(x e^{−y})`, where `y` is improved by Newton's iteration until the second term
    /// is tiny; `|ln(1 + e)| <= |e| / (1 − |e|) <= 2 |e|` for `|e| <= 1/2`.
    fn ln(self) -> Precise<L> {
        let one = Precise::int(1);
        let mut y = Precise::float(self.mid.approximate().ln());
        for _ in 0..Self::newton_steps() {
            y = (y + self.middle() * (-y).exp() - one).middle();
        }
        let e = (self * (-y).exp() - one).magnitude();
        if e <= 0.5 { y.widen(up(2.0 * e)) } else { Precise::ENTIRE }
    }

    /// `(sin x, cos x)`: the series at `m / 2^k`, then `k` times `sin 2a = 2 sin a cos a`, `cos 2a = 1 − 2 sin² a`. Neither
    /// derivative exceeds one.
    fn sin_cos(self) -> (Precise<L>, Precise<L>) {
        if self.rad > 1.0 {
            let all = Precise::interval(Interval::new(-1.0, 1.0));
            return (all, all);
        }
        let halvings = halvings(self.mid);
        let r = self.middle().div_pow2(halvings);
        let (mut sin, mut cos) = (Precise::ZERO, Precise::ZERO);
        let mut term = Precise::int(1); // r^n / n!
        for n in 1.. {
            // Signs go + + − − with n − 1 = 0, 1, 2, 3.
            let signed = if (n - 1) / 2 % 2 == 0 { term } else { -term };
            if n % 2 == 1 {
                cos = cos + signed
            } else {
                sin = sin + signed
            }
            if term.mid == Fixed::ZERO {
                break;
            }
            term = (term * r).div_int(n);
        }
        (sin, cos) = (sin.widen(term.magnitude()), cos.widen(term.magnitude()));
        for _ in 0..halvings {
            let twice = sin + sin;
            (sin, cos) = (twice * cos, Precise::int(1) - twice * sin);
        }
        (sin.widen(self.rad), cos.widen(self.rad))
    }

    /// `erf x = (2/√π) x e^{−x²} Σ_k (2x²)^k / (1·3·…·(2k+1))` (Abramowitz, Stegun 1964, 7.1.6), all terms positive. They
    /// are scaled by `2^−s ≈ e^{−x²}`, so that none exceeds one, which costs `s` bits; where that is more than half of the
    /// bits, `1 − |erf x| <= e^{−x²}` says enough. The derivative is at most `2/√π < 1.13`.
    fn erf(self, constants: &Gelu<L>) -> Precise<L> {
        if self.rad > 0.25 {
            return Precise::interval(elementary::erf(self.enclose()));
        }
        let x = self.middle();
        let square_enclosure = self.mid.enclose().square();
        let bits = square_enclosure.hi() * std::f64::consts::LOG2_E;
        if bits > f64::from(Fixed::<L>::FRACTION_BITS / 2) {
            let one = if self.mid.is_negative() { -Precise::int(1) } else { Precise::int(1) };
            return one.widen(elementary::exp(-square_enclosure).hi()).widen(up(1.13 * self.rad));
        }
        let scale = bits.ceil() as u32;
        let square = x.square();
        let twice = square + square;
        // A power of two within half of the bits, hence exact.
        let mut term = Precise::float(0.5f64.powi(scale as i32));
        let mut sum = term;
        for n in 1u32.. {
            term = (term * twice).div_int(u64::from(2 * n + 1));
            sum = sum + term;
            // From here on each term is at most half of the one before.
            if term.mid == Fixed::ZERO && twice.magnitude() <= f64::from(n) {
                break;
            }
        }
        sum = sum.widen(term.magnitude());
        let correction = (constants.ln_2 * Precise::int(scale) - square).exp();
        (constants.two_over_root_pi * x * sum * correction).widen(up(1.13 * self.rad))
    }
}

/// How often `x` is halved to lie below `2^−8`.
fn halvings<const L: usize>(x: Fixed<L>) -> u32 {
    let size = x.magnitude();
    if size == 0.0 { 0 } else { (size.log2().ceil() as i32 + 1 + REDUCED_BITS).max(0).unsigned_abs() }
}

/// π by Machin's formula, `16 atan(1/5) − 4 atan(1/239)`.
fn pi<const L: usize>() -> Precise<L> {
    let atan_inverse = |n: u32| {
        let square = u64::from(n * n);
        let mut power = Precise::<L>::int(1).div_int(u64::from(n));
        let mut sum = power;
        for k in 1.. {
            power = power.div_int(square);
            let term = power.div_int(2 * k + 1);
            sum = if k % 2 == 1 { sum - term } else { sum + term };
            if power.mid == Fixed::ZERO {
                // An alternating series of falling terms: the rest is at most the next term.
                return sum.widen(power.magnitude());
            }
        }
        Precise::ENTIRE
    };
    Precise::int(16) * atan_inverse(5) - Precise::int(4) * atan_inverse(239)
}

/// The two GELU functions with the constants they need.
#[derive(Debug, Clone, Copy)]
pub struct Gelu<const L: usize> {
    /// `√(8/π)`, twice the factor of the inner polynomial.
    slope: Precise<L>,
    /// `0.044715`.
    cubic: Precise<L>,
    /// `2/√π`.
    two_over_root_pi: Precise<L>,
    /// `1/√2`.
    root_half: Precise<L>,
    /// `ln 2`.
    ln_2: Precise<L>,
}

impl<const L: usize> Default for Gelu<L> {
    /// Computes the constants.
    fn default() -> Gelu<L> {
        let pi = pi();
        Gelu {
            slope: pi.div_int(8).rsqrt(),
            cubic: Precise::int(44_715).div_int(1_000_000),
            two_over_root_pi: Precise::int(2) * pi.rsqrt(),
            root_half: Precise::int(2).rsqrt(),
            ln_2: Precise::int(2).ln(),
        }
    }
}

impl<const L: usize> Gelu<L> {
    /// `x/2 · (1 + tanh u) = x · σ(2u)`, `u = √(2/π)(x + 0.044715 x³)`.
    pub fn tanh_form(&self, x: Precise<L>) -> Precise<L> {
        let twice_u = self.slope * (x * (Precise::int(1) + self.cubic * x.square()));
        x * twice_u.sigmoid()
    }

    /// `a` and `b` of the tanh form as `x · σ(x (a + b x²))`.
    pub fn cubic(&self) -> (Precise<L>, Precise<L>) {
        (self.slope, self.slope * self.cubic)
    }

    /// Distribution function and density of the normal law: `(1 + erf(x/√2))/2` and `e^{−x²/2}/√(2π)`.
    pub fn normal(&self, x: Precise<L>) -> (Precise<L>, Precise<L>) {
        let whole = (Precise::int(1) + (x * self.root_half).erf(self)).div_pow2(1);
        let density = (-x.square().div_pow2(1)).exp() * self.two_over_root_pi * self.root_half;
        (whole, density.div_pow2(1))
    }

    /// `x/2 · (1 + erf(x/√2))`.
    pub fn erf_form(&self, x: Precise<L>) -> Precise<L> {
        let erf = (x * self.root_half).erf(self);
        (x * (Precise::int(1) + erf)).div_pow2(1)
    }
}

/// `(sin, cos)` of the rotary angles `position · theta^(−2i/dim)` for `i < dim/2`, `[positions][dim/2]`.
#[must_use]
pub fn rotation<const L: usize>(
    theta: f64,
    dim: usize,
    positions: Range<u32>,
) -> Vec<Vec<(Precise<L>, Precise<L>)>> {
    let ln_theta = Precise::float(theta).ln();
    let frequency = |i: usize| (-(ln_theta * Precise::int(2 * i as u32)).div_int(dim as u64)).exp();
    let frequencies: Vec<Precise<L>> = (0..dim / 2).map(frequency).collect();
    let at = |position| frequencies.iter().map(|&f| (Precise::int(position) * f).sin_cos()).collect();
    positions.map(at).collect()
}
