//! Matrix products and dot products of balls.

use ndarray::ArrayView2;

use super::super::gamma::nonnegative;
use super::{Fixed, Precise};

/// Fraction bits of a digit.
const DIGIT_BITS: u32 = 56;
/// Terms of a sum, so that products of 64·L − 24 and 63 bits have room in 64·(L + 1) bits.
const MAX_TERMS: usize = 1 << 23;

/// An exact weight matrix, prepared for products with balls.
///
/// A weight is a whole number of `2^−56` below 2⁶³ in magnitude; the few that are not (`f32` below `2^−33` or above 127) are
/// kept aside and multiplied as balls.
#[derive(Debug)]
pub struct Digits {
    /// `[out][in]`, magnitude in units of `2^−56`, zero for those kept aside.
    magnitudes: Vec<u64>,
    /// `[out][in]`, all ones where the weight is negative.
    signs: Vec<u64>,
    /// `[out][in]`, magnitudes of all weights.
    sizes: Vec<f32>,
    /// `(out, in, weight)`.
    aside: Vec<(usize, usize, f32)>,
    n_in: usize,
    n_out: usize,
}

impl Digits {
    /// Prepares weights `[in, out]`.
    #[must_use]
    pub fn new(weight: ArrayView2<f32>) -> Digits {
        let (n_in, n_out) = weight.dim();
        let mut digits = Digits {
            magnitudes: Vec::with_capacity(weight.len()),
            signs: Vec::with_capacity(weight.len()),
            sizes: Vec::with_capacity(weight.len()),
            aside: Vec::new(),
            n_in,
            n_out,
        };
        let unit = (1u64 << DIGIT_BITS) as f64;
        for (o, column) in weight.columns().into_iter().enumerate() {
            for (i, &w) in column.iter().enumerate() {
                // Scaling by a power of two is exact.
                let scaled = f64::from(w.abs()) * unit;
                let fits = scaled < (1u64 << 63) as f64 && scaled.fract() == 0.0;
                if !fits {
                    digits.aside.push((o, i, w));
                }
                digits.magnitudes.push(if fits { scaled as u64 } else { 0 });
                digits.signs.push(if w < 0.0 { u64::MAX } else { 0 });
                digits.sizes.push(w.abs());
            }
        }
        digits
    }

    /// `x W` for `x` `[in]`: `[out]`. Sums are exact but for the last step, which cuts at the last place.
    #[must_use]
    pub fn apply<const L: usize>(&self, x: &[Precise<L>]) -> Vec<Precise<L>> {
        assert!(x.len() == self.n_in, "a vector must be as long as the matrix has rows");
        if self.n_in > MAX_TERMS {
            return vec![Precise::ENTIRE; self.n_out];
        }
        let mids: Vec<[u64; L]> = x.iter().map(|x| *x.mid.limbs()).collect();
        let rads: Vec<f64> = x.iter().map(|x| x.rad).collect();
        let row = |o: usize| {
            let row = o * self.n_in..(o + 1) * self.n_in;
            let mid = weighted_sum(&mids, &self.magnitudes[row.clone()], &self.signs[row.clone()]);
            let rad: f64 = self.sizes[row].iter().zip(&rads).map(|(&w, r)| f64::from(w) * r).sum();
            // One rounding and one underflow, below the last place, in each product.
            let rad = nonnegative(rad, self.n_in + 1).hi();
            Precise::new(mid, rad).widen(Fixed::<L>::ULP).widen(self.n_in as f64 * f64::MIN_POSITIVE)
        };
        let mut y: Vec<Precise<L>> = (0..self.n_out).map(row).collect();
        for &(o, i, w) in &self.aside {
            y[o] = y[o] + x[i].middle() * Precise::float(f64::from(w));
        }
        y
    }
}

/// `Σ ± magnitude · mid / 2^56`, cut downwards.
fn weighted_sum<const L: usize>(mids: &[[u64; L]], magnitudes: &[u64], signs: &[u64]) -> Option<Fixed<L>> {
    // Limbs of the sum, and one more above them.
    let (mut sum, mut above) = ([0u64; L], 0u64);
    for ((mid, &w), &sign) in mids.iter().zip(magnitudes).zip(signs) {
        // sum ± w · mid: two's complement of the product by inverting its bits and carrying one in.
        let mut product_carry = 0u64;
        let mut carry = u128::from(sign & 1);
        for (sum, &limb) in sum.iter_mut().zip(mid) {
            let product = u128::from(limb) * u128::from(w) + u128::from(product_carry);
            product_carry = (product >> 64) as u64;
            let total = u128::from(*sum) + u128::from(product as u64 ^ sign) + carry;
            *sum = total as u64;
            carry = total >> 64;
        }
        // The limb above those of a negative middle is all ones: its product with w is −w.
        let extension = if (mid[L - 1] as i64) < 0 { w.wrapping_neg() } else { 0 };
        let top = product_carry.wrapping_add(extension);
        above = above.wrapping_add(top ^ sign).wrapping_add(carry as u64);
    }
    let mut limbs = [0; L];
    for (i, limb) in limbs.iter_mut().enumerate() {
        let next = if i + 1 < L { sum[i + 1] } else { above };
        *limb = sum[i] >> DIGIT_BITS | next << (64 - DIGIT_BITS);
    }
    // What is shifted out above must only repeat the sign.
    let rest = (above as i64) >> DIGIT_BITS;
    let sign = if (limbs[L - 1] as i64) < 0 { -1 } else { 0 };
    if rest == sign { Fixed::from_limbs(limbs) } else { None }
}

/// `Σ x_i y_i`.
pub fn dot<const L: usize>(x: &[Precise<L>], y: &[Precise<L>]) -> Precise<L> {
    x.iter().zip(y).map(|(&x, &y)| x * y).sum()
}
