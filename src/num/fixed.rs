//! Fixed-point numbers of `64·L` bits: a whole number times `2^−64(L−1)`.
//!
//! One limb holds the integer part, the others the fraction. Addition is exact; multiplication, division by a small number
//! and shifts to the right cut towards zero, which loses less than one unit in the last place, [`Fixed::ULP`]. Magnitudes
//! stay below 2⁴⁰, so that sums of products have room; what grows beyond is `None`.

use std::cmp::Ordering;

use super::interval::{Interval, down, up};

/// A fixed-point number, `|x| < 2⁴⁰`, in two's complement, least significant limb first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed<const L: usize> {
    limbs: [u64; L],
}

/// Magnitudes stay below this power of two.
const RANGE_BITS: u32 = 40;

impl<const L: usize> Fixed<L> {
    /// Zero.
    pub const ZERO: Fixed<L> = Fixed { limbs: [0; L] };
    /// Bits after the point.
    pub const FRACTION_BITS: u32 = 64 * (L as u32 - 1);
    /// The unit in the last place, `2^−FRACTION_BITS`, exactly. Up to 15 limbs the last 64 bits are normal floats, too.
    pub const ULP: f64 = {
        assert!(2 <= L && L <= 15, "two to fifteen limbs");
        f64::from_bits(((1023 - Self::FRACTION_BITS) as u64) << 52)
    };

    /// Takes limbs that may have grown too large.
    pub fn from_limbs(limbs: [u64; L]) -> Option<Fixed<L>> {
        let integer = limbs[L - 1] as i64;
        (integer.unsigned_abs() < 1 << RANGE_BITS).then_some(Fixed { limbs })
    }

    /// A whole number below 2⁴⁰.
    pub fn from_int(n: u32) -> Fixed<L> {
        let mut limbs = [0; L];
        limbs[L - 1] = u64::from(n);
        Fixed { limbs }
    }

    /// `x`, cut towards zero; `None` for what is too large or not finite.
    pub fn from_f64(x: f64) -> Option<Fixed<L>> {
        if !x.is_finite() || x.abs() >= (1u64 << RANGE_BITS) as f64 {
            return None;
        }
        let biased = (x.to_bits() >> 52) & 0x7ff;
        let stored = x.to_bits() & ((1 << 52) - 1);
        // |x| = mantissa · 2^exponent
        let (mantissa, exponent) =
            if biased == 0 { (stored, -1074) } else { (stored | 1 << 52, biased as i32 - 1075) };
        let shift = exponent + Self::FRACTION_BITS as i32;
        let mut limbs = [0; L];
        limbs[0] = mantissa;
        let magnitude = Fixed { limbs };
        let magnitude =
            if shift >= 0 { magnitude.shl(shift as u32) } else { magnitude.shr(shift.unsigned_abs()) };
        Some(if x < 0.0 { magnitude.neg() } else { magnitude })
    }

    /// The limbs, least significant first.
    pub fn limbs(&self) -> &[u64; L] {
        &self.limbs
    }

    /// Whether the number is below zero.
    pub fn is_negative(&self) -> bool {
        (self.limbs[L - 1] as i64) < 0
    }

    /// `self + y`; both are below 2⁴⁰, so the limbs do not overflow.
    pub fn add(self, y: Fixed<L>) -> Option<Fixed<L>> {
        let mut limbs = [0; L];
        let mut carry = false;
        for ((z, x), y) in limbs.iter_mut().zip(self.limbs).zip(y.limbs) {
            (*z, carry) = carrying_add(x, y, carry);
        }
        Fixed::from_limbs(limbs)
    }

    /// `−self`.
    pub fn neg(self) -> Fixed<L> {
        let mut limbs = [0; L];
        let mut carry = true;
        for (z, x) in limbs.iter_mut().zip(self.limbs) {
            (*z, carry) = carrying_add(!x, 0, carry);
        }
        Fixed { limbs }
    }

    /// `|self|`.
    pub fn abs(self) -> Fixed<L> {
        if self.is_negative() { self.neg() } else { self }
    }

    /// `self · y`, cut towards zero.
    pub fn mul(self, y: Fixed<L>) -> Option<Fixed<L>> {
        let negative = self.is_negative() != y.is_negative();
        let (x, y) = (self.abs().limbs, y.abs().limbs);
        let (mut low, mut high) = ([0u64; L], [0u64; L]);
        for i in 0..L {
            let mut carry = 0u64;
            for j in 0..L {
                let place = if i + j < L { &mut low[i + j] } else { &mut high[i + j - L] };
                let sum = u128::from(x[i]) * u128::from(y[j]) + u128::from(*place) + u128::from(carry);
                *place = sum as u64;
                carry = (sum >> 64) as u64;
            }
            high[i] = carry;
        }
        // Dropping the lowest L − 1 limbs divides by 2^FRACTION_BITS.
        let mut limbs = [0; L];
        limbs[0] = low[L - 1];
        limbs[1..].copy_from_slice(&high[..L - 1]);
        // A magnitude: its uppermost bits are no sign.
        if high[L - 1] != 0 || limbs[L - 1] >> RANGE_BITS != 0 {
            return None;
        }
        let product = Fixed { limbs };
        Some(if negative { product.neg() } else { product })
    }

    /// `self / n`, cut towards zero; `n > 0`.
    pub fn div_int(self, n: u64) -> Fixed<L> {
        let mut limbs = self.abs().limbs;
        let mut remainder = 0u128;
        for limb in limbs.iter_mut().rev() {
            let dividend = remainder << 64 | u128::from(*limb);
            // The remainder is below n, so the quotient fits a limb.
            *limb = (dividend / u128::from(n)) as u64;
            remainder = dividend % u128::from(n);
        }
        let quotient = Fixed { limbs };
        if self.is_negative() { quotient.neg() } else { quotient }
    }

    /// `self / 2^bits`, cut towards zero.
    pub fn div_pow2(self, bits: u32) -> Fixed<L> {
        let quotient = self.abs().shr(bits);
        if self.is_negative() { quotient.neg() } else { quotient }
    }

    fn shl(self, bits: u32) -> Fixed<L> {
        let (skip, bits) = ((bits / 64) as usize, bits % 64);
        let limb = |i: Option<usize>| i.map_or(0, |i| self.limbs[i]);
        let below = |i: Option<usize>| if bits > 0 { limb(i) >> (64 - bits) } else { 0 };
        Fixed {
            limbs: std::array::from_fn(|i| {
                limb(i.checked_sub(skip)) << bits | below(i.checked_sub(skip + 1))
            }),
        }
    }

    fn shr(self, bits: u32) -> Fixed<L> {
        let (skip, bits) = ((bits / 64) as usize, bits % 64);
        let limb = |i: usize| self.limbs.get(i).copied().unwrap_or(0);
        let above = |i: usize| if bits > 0 { limb(i) << (64 - bits) } else { 0 };
        Fixed { limbs: std::array::from_fn(|i| limb(i + skip) >> bits | above(i + skip + 1)) }
    }

    /// Sign of the number.
    pub fn signum(&self) -> Ordering {
        if self.is_negative() {
            Ordering::Less
        } else if *self == Fixed::ZERO {
            Ordering::Equal
        } else {
            Ordering::Greater
        }
    }

    /// An interval with float ends that holds the number.
    pub fn enclose(&self) -> Interval {
        let limbs = self.abs().limbs;
        let Some(top) = limbs.iter().rposition(|&limb| limb != 0) else { return Interval::ZERO };
        // The 64 bits from the highest set one on, as a number in [2⁶³, 2⁶⁴), and what one of them is worth.
        let zeros = limbs[top].leading_zeros();
        let below = if top > 0 && zeros > 0 { limbs[top - 1] >> (64 - zeros) } else { 0 };
        let leading = limbs[top] << zeros | below;
        let exponent = 64 * top as i32 - zeros as i32 - Self::FRACTION_BITS as i32;
        let unit = f64::from_bits(((1023 + exponent) as u64) << 52);
        // Converting rounds by at most 2¹⁰, the bits left out are worth less than one; a step of a float is 2¹¹.
        let (lo, hi) = (down(leading as f64) * unit, up(leading as f64) * unit);
        if self.is_negative() { Interval::new(-hi, -lo) } else { Interval::new(lo, hi) }
    }

    /// The number to about 53 bits, for first guesses.
    pub fn approximate(&self) -> f64 {
        let (mid, _) = self.enclose().mid_rad();
        mid
    }

    /// Upper bound on the magnitude, quickly from the two highest limbs: less than `2^−63` too high, or one step of a float.
    pub fn coarse_magnitude(&self) -> f64 {
        const UNIT: f64 = f64::from_bits((1023 - 64) << 52); // 2^−64
        let limbs = self.abs().limbs;
        // The limbs below are worth less than one of the last bit of these.
        let fraction = up(limbs[L - 2] as f64 + 1.0) * UNIT;
        up(limbs[L - 1] as f64 + fraction)
    }

    /// Upper bound on the magnitude, tight.
    pub fn magnitude(&self) -> f64 {
        self.abs().enclose().hi()
    }
}

fn carrying_add(x: u64, y: u64, carry: bool) -> (u64, bool) {
    let (sum, first) = x.overflowing_add(y);
    let (sum, second) = sum.overflowing_add(u64::from(carry));
    (sum, first || second)
}

#[cfg(test)]
pub(super) mod tests;
