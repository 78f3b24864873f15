//! The operations of a network on sixteen columns, each compiled for several instruction sets.

use super::normal::normal;
use super::{Lanes, Number, Weights, Wide, each};
use multiversion::multiversion;
use multiversion::target::target_cfg_f;

/// `y_r = b_r + Σ_i w_ri x_i`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub fn map<N: Number>(weights: &Weights, bias: &[(f64, f64)], x: &[N]) -> Vec<N> {
    let mut out = vec![N::ZERO; weights.n_padded()];
    // Sixteen numbers take two registers of 512 bits, of which there are 32, or four of 256 bits, of which there are 16.
    if target_cfg_f!(target_feature = "avx512f") {
        N::rows::<6>(weights, bias, x, &mut out);
    } else {
        N::rows::<2>(weights, bias, x, &mut out);
    }
    out.truncate(bias.len());
    out
}

/// `x += y`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub fn add_to<N: Number>(x: &mut [N], y: &[N]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x = x.plus(*y));
}

/// Sum of products, an error of `(n + 2) EPS Σ|x||y|`.
#[inline(always)]
pub fn dot<N: Number>(x: &[N], y: &[N]) -> N {
    x.iter().zip(y).fold(N::ZERO, |sum, (x, y)| sum.plus(x.times(*y)))
}

/// Euclidean length of each lane, up to a factor of `1 ± 1e-9`; NaN or ∞ where a number is.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub fn length<N: Number>(x: &[N]) -> Lanes {
    length_of(x)
}

/// The same within a kernel.
#[inline(always)]
pub fn length_of<N: Number>(x: &[N]) -> Lanes {
    let mut sum = Lanes::ZERO;
    for x in x {
        let x = x.hi();
        sum = each(|l| x[l].mul_add(x[l], sum[l]));
    }
    each(|l| sum[l].sqrt())
}

/// Euclidean distance of `x` from the floats `y`, up to a factor of `1 ± 1e-9` and to `1e-14` of both lengths.
#[inline(always)]
pub fn distance<N: Number>(x: &[N], y: &[Lanes]) -> Lanes {
    let mut sum = Lanes::ZERO;
    for (x, y) in x.iter().zip(y) {
        let x = x.hi();
        sum = each(|l| sum[l] + (x[l] - y[l]) * (x[l] - y[l]));
    }
    each(|l| sum[l].sqrt())
}

/// A normalised vector.
#[derive(Debug)]
pub struct Normed<N> {
    /// `(x − m) / √(mean square + ε)`.
    pub out: Vec<N>,
    /// `√(mean square + ε)` up to a factor of `1 ± 1e-9`.
    pub root: Lanes,
}

/// Divides by the root of the mean square; subtracts the mean before if `centred`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub fn norm<N: Number>(x: &[N], centred: bool, eps: f64) -> Normed<N> {
    let inverse_n = N::splat(x.len() as f64).recip();
    let mut mean = N::ZERO;
    if centred {
        mean = x.iter().fold(mean, |sum, x| sum.plus(*x)).times(inverse_n);
    }
    let mut out: Vec<N> = x.iter().map(|x| x.plus(mean.negated())).collect();
    let squares = out.iter().fold(N::ZERO, |sum, x| sum.plus(x.times(*x)));
    let inverse = squares.times(inverse_n).plus(N::splat(eps)).rsqrt();
    out.iter_mut().for_each(|x| *x = x.times(inverse));
    Normed { out, root: each(|l| 1.0 / inverse.hi()[l]) }
}

/// Rotates elements `i` and `i + n` by the `i`-th of `n` angles with these `(sin, cos)`; others stay.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub fn rotate<N: Number>(head: &mut [N], turns: &[[(f64, f64); 2]]) {
    for (i, [sin, cos]) in turns.iter().enumerate() {
        let (sin, cos) = (N::constant(*sin), N::constant(*cos));
        let (a, b) = (head[i], head[i + turns.len()]);
        head[i] = a.times(cos).plus(b.times(sin).negated());
        head[i + turns.len()] = b.times(cos).plus(a.times(sin));
    }
}

/// `e^(s − max)` and their sum, for the scores of each lane: softmax without its division.
#[inline(always)]
pub fn exp<N: Number>(scores: &mut [N]) -> N {
    let top = scores.iter().fold(Lanes::splat(f64::NEG_INFINITY), |top, s| each(|l| top[l].max(s.hi()[l])));
    let mut sum = N::ZERO;
    for s in scores {
        *s = s.plus(N::floats(each(|l| -top[l]))).exp();
        sum = sum.plus(*s);
    }
    sum
}

/// What an activation multiplies `x` by.
#[derive(Debug, Clone, Copy)]
pub enum Wave {
    /// `1` above zero, `0` below.
    Step,
    /// `σ(x)`.
    Sigmoid,
    /// `σ(x (a + b x²))`.
    Cubic((f64, f64), (f64, f64)),
    /// `Φ(x)`.
    Normal,
}

/// `σ(t)`.
#[inline(always)]
fn sigmoid<N: Number>(t: N) -> N {
    N::splat(1.0).plus(t.negated().exp()).recip()
}

/// `x` times its wave, and roughly (to `1e-9 + 1e-14 |x|`) its slope there.
///
/// Errs by `4 EXP_EPS |x|`: an argument `t` of σ that errs by `8 EPS |t|` moves it by at most `8 EPS |t| σ(1 − σ) <= 2 EPS`.
#[inline(always)]
pub fn activated<N: Number>(wave: Wave, x: N) -> (N, Lanes) {
    let at = *x.hi();
    match wave {
        Wave::Step => {
            let keep: Lanes = each(|l| if at[l] > 0.0 { 1.0 } else { 0.0 });
            (x.times_float(keep), keep)
        }
        Wave::Sigmoid => {
            let s = sigmoid(x);
            let slope = each(|l| s.hi()[l] * (1.0 + at[l] * (1.0 - s.hi()[l])));
            (x.times(s), slope)
        }
        Wave::Cubic(a, b) => {
            let inner = N::constant(a).plus(N::constant(b).times(x.times(x)));
            let s = sigmoid(x.times(inner));
            let slope = each(|l| {
                let steep = a.0 + 3.0 * b.0 * at[l] * at[l];
                s.hi()[l] * (1.0 + at[l] * steep * (1.0 - s.hi()[l]))
            });
            (x.times(s), slope)
        }
        Wave::Normal => {
            let (whole, density) = normal(x);
            // Where the argument was cut the density is next to nothing.
            let slope = each(|l| whole.hi()[l] + at[l].clamp(-12.0, 12.0) * density[l]);
            (x.times(whole), slope)
        }
    }
}

/// `ln 2` in three parts; the first has 40 bits, so that its products with whole numbers below 2¹³ are exact.
pub(super) const LN_2: [f64; 3] = [0.6931471805592082, 7.371002565167799e-13, 1.94704509238075e-31];
/// Arguments are cut to this magnitude.
pub(super) const MOST: f64 = 700.0;
/// Adding and subtracting 1.5·2⁵² rounds to a whole number, which then sits in the low bits.
pub(super) const ROUND: f64 = 6_755_399_441_055_744.0;
/// `1/k!` for k from 12 down to 1, as sums of two floats.
const COEFFICIENTS: [(f64, f64); 12] = [
    (2.08767569878681e-09, -1.20734505911326e-25),
    (2.505210838544172e-08, -1.448814070935912e-24),
    (2.755731922398589e-07, 2.3767714622250297e-23),
    (2.7557319223985893e-06, -1.858393274046472e-22),
    (2.48015873015873e-05, 2.1511947866775882e-23),
    (0.0001984126984126984, 1.7209558293420705e-22),
    (0.001388888888888889, -5.300543954373577e-20),
    (0.008333333333333333, 1.1564823173178714e-19),
    (0.041666666666666664, 2.3129646346357427e-18),
    (0.16666666666666666, 9.25185853854297e-18),
    (0.5, 0.0),
    (1.0, 0.0),
];

/// `e^x`: `2^n e^r`, and `e^r − 1` by its series at `r/64` and six steps `p <- 2p + p²`.
///
/// The series is cut after twelve terms, below `2^−120` of the value. An argument reduced exactly but for one operation,
/// twelve of Horner's steps on numbers below 0.006, and six squarings, each of which adds `8u²` and passes on at most 1.2 of
/// the relative error before: less than `64u²` in all, and `EXP_EPS` is `256u²`. Below −700 the value is as small as
/// [`TINY`](super::TINY).
#[inline(always)]
pub(super) fn exp_wide(x: Wide) -> Wide {
    let inside: Lanes = each(|l| if x.hi[l].abs() <= MOST { 1.0 } else { 0.0 });
    // A NaN stays one.
    let x = Wide { hi: each(|l| x.hi[l].clamp(-MOST, MOST)), lo: each(|l| inside[l] * x.lo[l]) };
    let shifted: Lanes = each(|l| x.hi[l] * std::f64::consts::LOG2_E + ROUND);
    let n: Lanes = each(|l| shifted[l] - ROUND);
    let (high, low) = (each(|l| -n[l] * LN_2[0]), Wide::constant((LN_2[1], LN_2[2])).times_float(n));
    let r = x.plus(Wide::floats(high)).plus(low.negated());
    let r = r.times_float(Lanes::splat(1.0 / 64.0));
    let mut p = Wide::constant(COEFFICIENTS[0]);
    for &c in &COEFFICIENTS[1..] {
        p = p.times(r).plus(Wide::constant(c));
    }
    p = p.times(r);
    for _ in 0..6 {
        p = p.times_float(Lanes::splat(2.0)).plus(p.times(p));
    }
    let power: Lanes = each(|l| f64::from_bits((shifted[l].to_bits() << 52).wrapping_add(1023 << 52)));
    let p = Wide::splat(1.0).plus(p);
    Wide { hi: each(|l| p.hi[l] * power[l]), lo: each(|l| p.lo[l] * power[l]) }
}
