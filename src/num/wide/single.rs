//! Sixteen plain floats with the operations of [`Number`].
//!
//! Sums, products and quotients err by `u = 2^−53` of their results, `1/√x` by less than `2u`, and constants that are sums of
//! two floats by `u`; `EPS` is `2u`.

use super::kernels::{LN_2, MOST, ROUND};
use super::weights::TILE;
use super::{LANES, Lanes, Number, Weights, each};
use crate::num::gamma::{ROUNDOFF_F64, gamma};

/// Terms of a product that are summed one after another.
const BLOCK: usize = 16;
/// `1/k!` for k from 13 down to 0.
const COEFFICIENTS: [f64; 14] = [
    1.0 / 6_227_020_800.0,
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
    1.0,
    1.0,
];

impl Number for Lanes {
    const EPS: f64 = f64::EPSILON;
    const ZERO: Lanes = Lanes::ZERO;

    /// Inputs are summed in blocks, and then the blocks: a term goes through no more roundings than a block has terms, and one
    /// for each block. The bias is rounded itself.
    fn product_eps(n: usize) -> f64 {
        gamma(n.min(BLOCK) + n.div_ceil(BLOCK) + 2, ROUNDOFF_F64)
    }

    #[inline(always)]
    fn constant((hi, _): (f64, f64)) -> Lanes {
        Lanes::splat(hi)
    }

    #[inline(always)]
    fn floats(hi: Lanes) -> Lanes {
        hi
    }

    #[inline(always)]
    fn sums(hi: Lanes, _: Lanes) -> Lanes {
        hi
    }

    #[inline(always)]
    fn within(self, cut: Lanes, _: Lanes) -> Lanes {
        cut
    }

    #[inline(always)]
    fn hi(&self) -> &Lanes {
        self
    }

    /// These themselves.
    fn into_floats(all: Vec<Lanes>) -> (Vec<Lanes>, Lanes) {
        (all, Lanes::ZERO)
    }

    fn select(&self, lanes: [usize; LANES]) -> Lanes {
        each(|l| self[lanes[l]])
    }

    #[inline(always)]
    fn plus(self, y: Lanes) -> Lanes {
        each(|l| self[l] + y[l])
    }

    #[inline(always)]
    fn negated(self) -> Lanes {
        each(|l| -self[l])
    }

    #[inline(always)]
    fn times(self, y: Lanes) -> Lanes {
        each(|l| self[l] * y[l])
    }

    #[inline(always)]
    fn times_float(self, y: Lanes) -> Lanes {
        self.times(y)
    }

    #[inline(always)]
    fn recip(self) -> Lanes {
        each(|l| 1.0 / self[l])
    }

    #[inline(always)]
    fn rsqrt(self) -> Lanes {
        each(|l| 1.0 / self[l].sqrt())
    }

    /// `2^n e^r` with `|r| <= 0.347`, and `e^r` by its series to the thirteenth power, which lacks `2^−57` of the value. The
    /// argument is reduced with an error of `0.4u`, and Horner's steps with fused multiply-adds add at most
    /// `u Σ |r|^k 1.42 <= 2.2u` to a value of at least 0.7: less than `4u` in all, and `EXP_EPS` is `8u`.
    #[inline(always)]
    fn exp(self) -> Lanes {
        // A NaN stays one.
        let x: Lanes = each(|l| self[l].clamp(-MOST, MOST));
        let shifted: Lanes = each(|l| x[l] * std::f64::consts::LOG2_E + ROUND);
        let n: Lanes = each(|l| shifted[l] - ROUND);
        let r: Lanes = each(|l| (x[l] - n[l] * LN_2[0]) - n[l] * LN_2[1]);
        let mut p = Lanes::splat(COEFFICIENTS[0]);
        for c in &COEFFICIENTS[1..] {
            p = each(|l| p[l].mul_add(r[l], *c));
        }
        each(|l| p[l] * f64::from_bits((shifted[l].to_bits() << 52).wrapping_add(1023 << 52)))
    }

    /// A tile of weights is read once for `AT_ONCE` rows, whose sums stay in registers and hide the latency of a multiply-add.
    #[inline(always)]
    fn rows<const AT_ONCE: usize>(weights: &Weights, bias: &[(f64, f64)], x: &[Lanes], out: &mut [Lanes]) {
        let tiles = weights.tiles().chunks_exact(x.len());
        for ((tile, bias), out) in tiles.zip(bias.chunks(TILE)).zip(out.chunks_exact_mut(TILE)) {
            for (part, (bias, out)) in bias.chunks(AT_ONCE).zip(out.chunks_exact_mut(AT_ONCE)).enumerate() {
                let mut totals = [Lanes::ZERO; AT_ONCE];
                totals.iter_mut().zip(bias).for_each(|(total, bias)| *total = Lanes::splat(bias.0));
                for (tile, x) in tile.chunks(BLOCK).zip(x.chunks(BLOCK)) {
                    let mut sums = [Lanes::ZERO; AT_ONCE];
                    for (column, x) in tile.iter().zip(x) {
                        for (r, sums) in sums.iter_mut().enumerate() {
                            let w = column[part * AT_ONCE + r];
                            *sums = each(|l| w.mul_add(x[l], sums[l]));
                        }
                    }
                    totals.iter_mut().zip(sums).for_each(|(total, sum)| *total = total.plus(sum));
                }
                // The padding too: a copy of known length stays in line, another one is a call.
                out.iter_mut().zip(&totals).for_each(|(out, total)| *out = *total);
            }
        }
    }
}
