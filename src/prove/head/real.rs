//! The two float types of the solver: `f64` for small heads, `f32` for large ones.

use multiversion::multiversion;
use ndarray::LinalgScalar;

use crate::num::gamma::{ROUNDOFF_F32, ROUNDOFF_F64};

/// A float type to multiply matrices in. Law: `+ − ×` are IEEE operations of roundoff `ROUNDOFF`.
pub trait Real: LinalgScalar + Send + Sync {
    /// Unit roundoff `u`.
    const ROUNDOFF: f64;
    /// Bounds the error of a product that underflows.
    const SMALLEST: f64;
    /// Longest sum to form in this type before going over to `f64`.
    const RUN: usize;
    /// The nearest number.
    fn from_f64(x: f64) -> Self;
    /// The same number.
    fn to_f64(self) -> f64;
    /// The largest number, `−∞` of none.
    fn largest(xs: &[Self]) -> f64;
    /// Replaces logits `l` by weights `e^l / 2^unit`, the negligible ones by zero. The unit is near the largest
    /// logit. Any error is harmless: weights may be whatever they are, as long as they are not negative.
    fn exponentials(logits: &mut [Self], unit: i32);
}

/// The unit for logits of which this is the largest: `n` with `e^largest` near `2^n`.
pub fn exponent(largest: f64) -> i32 {
    // The cast saturates; a head whose logits leave this range gets no bound, but no panic either.
    if largest.is_finite() { (largest * std::f64::consts::LOG2_E).ceil() as i32 } else { 0 }
}

impl Real for f64 {
    const ROUNDOFF: f64 = ROUNDOFF_F64;
    const SMALLEST: f64 = f64::MIN_POSITIVE;
    const RUN: usize = 2048;

    fn from_f64(x: f64) -> f64 {
        x
    }

    fn to_f64(self) -> f64 {
        self
    }

    fn largest(xs: &[f64]) -> f64 {
        xs.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    fn exponentials(logits: &mut [f64], unit: i32) {
        let shift = f64::from(unit) * std::f64::consts::LN_2;
        for l in logits {
            let x = (*l - shift).exp();
            *l = if x > 1e-18 { x } else { 0.0 };
        }
    }
}

impl Real for f32 {
    const ROUNDOFF: f64 = ROUNDOFF_F32;
    const SMALLEST: f64 = f32::MIN_POSITIVE as f64;
    const RUN: usize = 256;

    fn from_f64(x: f64) -> f32 {
        x as f32
    }

    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    fn largest(xs: &[f32]) -> f64 {
        f64::from(largest_f32(xs))
    }

    fn exponentials(logits: &mut [f32], unit: i32) {
        exponentials_f32(logits, unit as f32);
    }
}

/// See [`Real::largest`].
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn largest_f32(xs: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut largest = [f32::NEG_INFINITY; LANES];
    for xs in xs.chunks(LANES) {
        largest.iter_mut().zip(xs).for_each(|(a, &x)| *a = if *a < x { x } else { *a });
    }
    largest.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

/// See [`Real::exponentials`].
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn exponentials_f32(logits: &mut [f32], unit: f32) {
    logits.iter_mut().for_each(|l| *l = power_of_two(*l * std::f32::consts::LOG2_E - unit));
}

/// `2^x` to about 7 digits for `x <= 100`, zero below `2^−36`: 2^17 tokens of that weight have a mass of `2e-6`.
/// Without branches, so that loops over it become vector code.
#[inline(always)]
fn power_of_two(x: f32) -> f32 {
    /// Adding and subtracting it rounds to an integer, which is then found in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-40.0, 100.0);
    let rounded = clamped + ROUND;
    let f = clamped - (rounded - ROUND);
    // Taylor polynomial of e^(f ln 2) for |f| <= 1/2.
    let p = 1.540_353e-4;
    let p = p * f + 1.333_355_8e-3;
    let p = p * f + 9.618_129e-3;
    let p = p * f + 5.550_411e-2;
    let p = p * f + 2.402_265e-1;
    let p = p * f + 6.931_472e-1;
    let p = p * f + 1.0;
    let integer = rounded.to_bits().wrapping_sub(ROUND.to_bits());
    let power = f32::from_bits(p.to_bits().wrapping_add(integer << 23));
    if x > -36.0 { power } else { 0.0 }
}
