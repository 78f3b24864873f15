//! Sixteen numbers at once in double-double arithmetic: some 106 bits each, at vector speed.
//!
//! A number is the exact sum of two floats, `hi + lo` with `|lo| <= ulp(hi)/2`. Algorithms and bounds: Dekker 1971; Joldes,
//! Muller, Popescu, *Tight and rigorous error bounds for basic building blocks of double-word arithmetic* (2017), theorems
//! 3.1 (sum, `3u²`), 4.3 (product with a float, `2u²`), 5.3 (product, `5u²`), `u = 2^−53`. Every operation here errs by at
//! most `64u²` of its result, plus [`TINY`] where something underflows. An overflow ends in NaN or ∞, and so does
//! every length computed from it. The same kernels serve plain floats, as another [`Number`].
//!
//! A fused multiply-add gives the exact error of a product. Functions are inlined into kernels that are compiled for
//! several instruction sets; without one that has it the library's (slow, and as exact) is called.

mod kernels;
mod normal;
mod single;
mod weights;

use std::fmt::Debug;
use std::ops::{Deref, DerefMut};

use super::precise::Precise;
pub use kernels::{
    Normed, Wave, activated, add_to, distance, dot, exp, length, length_of, map, norm, rotate,
};
pub use weights::Weights;

/// Numbers in a [`Wide`].
pub const LANES: usize = 16;
/// Absolute error of a whole kernel by underflow, with room to spare: a length computed from squares that underflow lacks
/// `√(n 2^−1074)` at most.
pub const TINY: f64 = 1e-150;

/// A float per lane, where a vector register finds them at once.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(align(64))]
pub struct Lanes([f64; LANES]);

impl Lanes {
    /// Zero in every lane.
    pub const ZERO: Lanes = Lanes::splat(0.0);

    /// The same in every lane.
    #[inline(always)]
    #[must_use]
    pub const fn splat(x: f64) -> Lanes {
        Lanes([x; LANES])
    }

    /// What `of` makes of each.
    #[inline(always)]
    #[must_use]
    pub fn map(self, of: impl Fn(f64) -> f64) -> Lanes {
        each(|l| of(self[l]))
    }
}

impl Deref for Lanes {
    type Target = [f64; LANES];

    #[inline(always)]
    fn deref(&self) -> &[f64; LANES] {
        &self.0
    }
}

impl DerefMut for Lanes {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [f64; LANES] {
        &mut self.0
    }
}

/// What `of` says of each lane. Unlike the library's function for arrays, it is inlined wherever it stands, and so compiled for the
/// instructions of the kernel around it.
#[inline(always)]
pub fn each(of: impl Fn(usize) -> f64) -> Lanes {
    let mut out = [0.0; LANES];
    out.iter_mut().enumerate().for_each(|(l, out)| *out = of(l));
    Lanes(out)
}

/// Sixteen numbers of some precision.
///
/// Law: every operation errs by at most [`Number::EPS`] of its result, sums and products by half of that, exponentials by
/// [`Number::EXP_EPS`].
pub trait Number: Copy + Debug + PartialEq + Send + Sync + 'static {
    /// Relative error of one operation.
    const EPS: f64;
    /// Relative error of an exponential.
    const EXP_EPS: f64 = 4.0 * Self::EPS;
    /// Zero in every lane.
    const ZERO: Self;

    /// A factor on `‖row‖ ‖x‖` that bounds the error of one entry of [`map`] with `n` inputs.
    fn product_eps(n: usize) -> f64;
    /// The number nearest to a sum of two floats, in every lane.
    fn constant(parts: (f64, f64)) -> Self;
    /// Floats, exactly.
    fn floats(hi: Lanes) -> Self;
    /// The number nearest to a sum of two floats, the second at most half a unit in the last place of the first, in each lane.
    fn sums(hi: Lanes, lo: Lanes) -> Self;
    /// The same number where `inside` is one, the float `cut` where it is zero.
    #[must_use]
    fn within(self, cut: Lanes, inside: Lanes) -> Self;
    /// Nearest floats.
    fn hi(&self) -> &Lanes;
    /// The numbers in these lanes.
    #[must_use]
    fn select(&self, lanes: [usize; LANES]) -> Self;
    /// `x + y`.
    #[must_use]
    fn plus(self, y: Self) -> Self;
    /// `−x`, exactly.
    #[must_use]
    fn negated(self) -> Self;
    /// Nearest floats of each number, and a bound on how far they lie from these in each lane, NaN or not.
    #[must_use]
    fn into_floats(all: Vec<Self>) -> (Vec<Lanes>, Lanes);
    /// `x y`.
    #[must_use]
    fn times(self, y: Self) -> Self;
    /// `x y` for floats `y`.
    #[must_use]
    fn times_float(self, y: Lanes) -> Self;
    /// `1/x`.
    #[must_use]
    fn recip(self) -> Self;
    /// `1/√x`.
    #[must_use]
    fn rsqrt(self) -> Self;
    /// `e^x`; arguments are cut to `±700`.
    #[must_use]
    fn exp(self) -> Self;
    /// `out_r = b_r + Σ_i w_ri x_i`, at most `AT_ONCE` rows side by side; `out` has room for the padding of the last tile.
    fn rows<const AT_ONCE: usize>(weights: &Weights, bias: &[(f64, f64)], x: &[Self], out: &mut [Self]);

    /// The same float in every lane, exactly.
    #[must_use]
    fn splat(x: f64) -> Self {
        Self::floats(Lanes::splat(x))
    }
}

/// Sixteen double-double numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use]
pub struct Wide {
    /// Nearest floats.
    pub hi: Lanes,
    /// What they lack.
    pub lo: Lanes,
}

/// `a + b` exactly, as a float and its error (Knuth 1969).
#[inline(always)]
fn two_sum(a: Lanes, b: Lanes) -> (Lanes, Lanes) {
    let s: Lanes = each(|l| a[l] + b[l]);
    let t: Lanes = each(|l| s[l] - a[l]);
    (s, each(|l| (a[l] - (s[l] - t[l])) + (b[l] - t[l])))
}

/// The same where `|a| >= |b|` or `a = 0` (Dekker 1971).
#[inline(always)]
fn fast_two_sum(a: Lanes, b: Lanes) -> Wide {
    let s: Lanes = each(|l| a[l] + b[l]);
    Wide { hi: s, lo: each(|l| b[l] - (s[l] - a[l])) }
}

/// `EPS` is `2^−100`.
impl Number for Wide {
    const EPS: f64 = f64::from_bits((1023 - 100) << 52);
    const ZERO: Wide = Wide { hi: Lanes::ZERO, lo: Lanes::ZERO };

    /// The high sum is exact up to what goes into the low one. That one has three terms per input, each at most
    /// `(n + 2) u M` in sum with `M = Σ|w||x|`, and errs by `γ_3n` of them; one operation ends it.
    fn product_eps(n: usize) -> f64 {
        let n = n as f64;
        // u² = EPS / 64
        Self::EPS * ((3.0 * n + 8.0) * (n + 4.0) / 64.0 + n + 6.0)
    }

    #[inline(always)]
    fn constant((hi, lo): (f64, f64)) -> Wide {
        Wide { hi: Lanes::splat(hi), lo: Lanes::splat(lo) }
    }

    #[inline(always)]
    fn floats(hi: Lanes) -> Wide {
        Wide { hi, lo: Lanes::ZERO }
    }

    #[inline(always)]
    fn sums(hi: Lanes, lo: Lanes) -> Wide {
        Wide { hi, lo }
    }

    #[inline(always)]
    fn within(self, cut: Lanes, inside: Lanes) -> Wide {
        Wide { hi: cut, lo: each(|l| inside[l] * self.lo[l]) }
    }

    #[inline(always)]
    fn hi(&self) -> &Lanes {
        &self.hi
    }

    /// Each is off by half a unit in the last place; the bound is twice that of the largest.
    fn into_floats(all: Vec<Wide>) -> (Vec<Lanes>, Lanes) {
        let mut largest = Lanes::ZERO;
        for x in &all {
            largest = each(|l| f64::max(largest[l], x.hi[l].abs()));
        }
        (all.into_iter().map(|x| x.hi).collect(), largest.map(|x| f64::EPSILON * x))
    }

    fn select(&self, lanes: [usize; LANES]) -> Wide {
        Wide { hi: each(|l| self.hi[lanes[l]]), lo: each(|l| self.lo[lanes[l]]) }
    }

    #[inline(always)]
    fn plus(self, y: Wide) -> Wide {
        let (sh, sl) = two_sum(self.hi, y.hi);
        let (th, tl) = two_sum(self.lo, y.lo);
        let v = fast_two_sum(sh, each(|l| sl[l] + th[l]));
        fast_two_sum(v.hi, each(|l| tl[l] + v.lo[l]))
    }

    #[inline(always)]
    fn negated(self) -> Wide {
        Wide { hi: each(|l| -self.hi[l]), lo: each(|l| -self.lo[l]) }
    }

    #[inline(always)]
    fn times(self, y: Wide) -> Wide {
        let c: Lanes = each(|l| self.hi[l] * y.hi[l]);
        let e: Lanes = each(|l| self.hi[l].mul_add(y.hi[l], -c[l]));
        let t: Lanes = each(|l| self.lo[l].mul_add(y.hi[l], self.hi[l] * y.lo[l]));
        fast_two_sum(c, each(|l| e[l] + t[l]))
    }

    #[inline(always)]
    fn times_float(self, y: Lanes) -> Wide {
        let c: Lanes = each(|l| self.hi[l] * y[l]);
        let e: Lanes = each(|l| self.hi[l].mul_add(y[l], -c[l]));
        fast_two_sum(c, each(|l| self.lo[l].mul_add(y[l], e[l])))
    }

    /// With `y ≈ 1/x` to `3u` and `r = 1 − x y`, `y + y r` errs by `r²`, which is `9u²`, and three operations.
    #[inline(always)]
    fn recip(self) -> Wide {
        let y: Lanes = each(|l| 1.0 / self.hi[l]);
        let r = Wide::splat(1.0).plus(self.times_float(y).negated());
        Wide::floats(y).plus(r.times_float(y))
    }

    /// With `y ≈ 1/√x` to `3u` and `r = 1 − x y²`, `y + y r/2` errs by `3r²/8`, which is `14u²`, and four operations.
    #[inline(always)]
    fn rsqrt(self) -> Wide {
        let y: Lanes = each(|l| 1.0 / self.hi[l].sqrt());
        let r = Wide::splat(1.0).plus(self.times_float(y).times_float(y).negated());
        Wide::floats(y).plus(r.times_float(each(|l| 0.5 * y[l])))
    }

    #[inline(always)]
    fn exp(self) -> Wide {
        kernels::exp_wide(self)
    }

    #[inline(always)]
    fn rows<const AT_ONCE: usize>(weights: &Weights, bias: &[(f64, f64)], x: &[Wide], out: &mut [Wide]) {
        for ((row, &(hi, lo)), out) in weights.rows().chunks_exact(x.len()).zip(bias).zip(out) {
            let (mut high, mut low): (Lanes, Lanes) = (Lanes::splat(hi), Lanes::splat(lo));
            for (&w, x) in row.iter().zip(x) {
                let p: Lanes = each(|l| w * x.hi[l]);
                let e: Lanes = each(|l| w.mul_add(x.hi[l], -p[l]));
                let (s, t) = two_sum(high, p);
                high = s;
                low = each(|l| low[l] + (t[l] + w.mul_add(x.lo[l], e[l])));
            }
            let (hi, lo) = two_sum(high, low);
            *out = Wide { hi, lo };
        }
    }
}

/// The number nearest to the middle of a ball, as `(hi, lo)`, and a bound on how far the ball's members lie from it.
#[must_use]
pub fn nearest<const L: usize>(x: Precise<L>) -> ((f64, f64), f64) {
    let (hi, _) = x.enclose().mid_rad();
    let rest = x - Precise::float(hi);
    let (lo, _) = rest.enclose().mid_rad();
    // Summing brings the two into the form `|lo| <= ulp(hi)/2`.
    let sum = hi + lo;
    let low = lo - (sum - hi);
    ((sum, low), (x - Precise::float(sum) - Precise::float(low)).magnitude())
}

#[cfg(test)]
mod tests;
