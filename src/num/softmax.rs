//! Probabilities of all tokens after sixteen prefixes at once, from logits that are known up to a common radius.
//!
//! A common shift changes nothing, and moving all logits by at most `r` changes the odds `p/(1 − p)` by a factor `m` within `e^(±2r)`,
//! and `p` to `p m/(1 + p (m − 1))`.
//! With `D` the greatest distance of two logits, at most 700 or else cut, a power errs by `D u` and `EXP_EPS`, the sum of
//! `n` by as much and `n u`, and the quotient by `u` (Higham 2002, §3.1).

use std::array::from_fn;

use multiversion::multiversion;

use super::elementary::exp;
use super::interval::{Interval, down, up};
use super::wide::{LANES, Lanes, Number, each};

/// Largest radius of the logits.
const MOST: f64 = 20.0;
/// What powers that are cut may add.
const LOST: f64 = 1e-300;

/// Softmax of middles, and how far off it may be.
#[derive(Debug, Clone)]
pub struct Softmax {
    /// Powers of the logits, `[vocabulary]`.
    powers: Vec<Lanes>,
    /// Their sums; NaN where nothing is known.
    totals: Lanes,
    /// The exact probability divided by its float lies between `1/spread` and `spread`, but for what is lost.
    spread: Lanes,
    /// The part of it that moving the logits has, `e^(2r)`, and the part that rounding has.
    parts: [Lanes; 2],
}

impl Softmax {
    /// `e^l_j / Σ e^l_k` for all logits `[vocabulary]` within `radius` of the middles. What floats do not suffice for is not
    /// known.
    #[must_use]
    pub fn new(middles: Vec<Lanes>, radius: &Lanes) -> Softmax {
        let mut powers = middles;
        let (totals, range) = powers_of(&mut powers);
        let roundings: Lanes =
            each(|l| (powers.len() as f64 + 2.0 * range[l].min(750.0) + 40.0) * f64::EPSILON);
        let moved: Lanes = each(|l| exp(Interval::point(up(2.0 * radius[l]))).hi());
        // 1/(1 − x) <= 1 + 1.02 x.
        let rounded: Lanes = each(|l| up(1.0 + 1.02 * roundings[l]));
        let spread: Lanes = each(|l| {
            let known = radius[l] <= MOST && range[l].is_finite() && roundings[l] < 0.01;
            if known { up(moved[l] * rounded[l]) } else { f64::NAN }
        });
        let totals = each(|l| if spread[l].is_finite() { totals[l] } else { f64::NAN });
        Softmax { powers, totals, spread, parts: [moved, rounded] }
    }

    /// Whether anything is known about the probabilities in a lane.
    #[must_use]
    pub fn knows(&self, lane: usize) -> bool {
        self.totals[lane].is_finite()
    }

    /// Encloses the probability of a token; everything from 0 to 1 if nothing is known.
    pub fn at(&self, token: usize, lane: usize) -> Interval {
        if !self.knows(lane) {
            return Interval::new(0.0, 1.0);
        }
        let p = self.powers[token][lane] / self.totals[lane];
        let [m, rounded] = self.parts.map(|part| part[lane]);
        let (most, least) = (up(p * rounded).min(1.0), down(p / rounded));
        let above = up(up(most * m) / down(1.0 + down(most * down(m - 1.0))));
        let below = down(least / up(least + up(up(1.0 - least) * m)));
        Interval::new((below - LOST).max(0.0), up(above + LOST).min(1.0))
    }

    /// For each `(token, floor)` the lanes, as bits, in which the probability may reach the floor.
    #[must_use]
    pub fn reaching(&self, tokens: &[(usize, f64)]) -> Vec<u16> {
        reaching(&self.powers, &self.totals, &self.spread, tokens)
    }
}

/// `e^(l − max)` in place; their sums, and the distance of the greatest from the least. NaN and ∞ stay in one of them.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn powers_of(logits: &mut [Lanes]) -> (Lanes, Lanes) {
    let (mut top, mut least, mut sum) =
        (Lanes::splat(f64::NEG_INFINITY), Lanes::splat(f64::INFINITY), Lanes::ZERO);
    for x in logits.iter() {
        top = each(|l| if x[l] > top[l] { x[l] } else { top[l] });
        least = each(|l| if x[l] < least[l] { x[l] } else { least[l] });
    }
    let mut lost = Lanes::ZERO;
    for x in logits.iter_mut() {
        // Zero for a number, else NaN.
        lost = each(|l| lost[l] + 0.0 * x[l]);
        *x = Lanes::exp(each(|l| x[l] - top[l]));
        sum = each(|l| sum[l] + x[l]);
    }
    (sum, each(|l| top[l] - least[l] + lost[l]))
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn reaching(powers: &[Lanes], totals: &Lanes, spread: &Lanes, tokens: &[(usize, f64)]) -> Vec<u16> {
    // Rounding down what is compared with covers the roundings of both sides.
    let least: Lanes = each(|l| totals[l] / spread[l] * (1.0 - 1e-14));
    let lost: Lanes = each(|l| LOST * totals[l]);
    let mut out = Vec::with_capacity(tokens.len());
    for &(token, floor) in tokens {
        let power = &powers[token];
        let mut bits = 0u16;
        // A NaN reaches everything.
        let above: [bool; LANES] = from_fn(|l| !(power[l] + lost[l] < floor * least[l]));
        for (l, above) in above.into_iter().enumerate() {
            bits |= u16::from(above) << l;
        }
        out.push(bits);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_known_gives_nothing() {
        let (mut middles, mut radius) = (vec![Lanes::ZERO; 2], Lanes::ZERO);
        middles[1][..3].copy_from_slice(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
        middles[1][7] = 1.0;
        radius[3..8].copy_from_slice(&[f64::NAN, f64::INFINITY, 1e3, 0.0, 1.0]);
        let softmax = Softmax::new(middles, &radius);
        for lane in 0..6 {
            assert!(!softmax.knows(lane), "lane {lane}");
            assert_eq!((softmax.at(0, lane).lo(), softmax.at(0, lane).hi()), (0.0, 1.0));
        }
        assert!(softmax.knows(6) && softmax.knows(7));
        // In the lanes from the eighth on both tokens are as likely as not.
        assert_eq!(softmax.reaching(&[(0, 0.9), (0, 0.5)]), [0b1011_1111, 0xffff]);
    }

    proptest! {
        #[test]
        fn shifted_logits_stay_inside(
            l in prop::collection::vec((-60.0f64..60.0, -1.0f64..1.0), 2..40),
            radius in prop_oneof![0.0f64..1e-12, 0.0f64..0.01, 0.0f64..3.0],
            floor in 0.0f64..1.0,
        ) {
            let softmax = Softmax::new(l.iter().map(|l| Lanes::splat(l.0)).collect(), &Lanes::splat(radius));
            prop_assert!(softmax.knows(3));
            // In intervals, around a point of the box.
            let moved: Vec<Interval> = l.iter().map(|l| Interval::point(l.0 + 0.999_999 * radius * l.1)).collect();
            let sum: Interval = moved.iter().map(|&x| num::exp(x)).sum();
            for (t, &x) in moved.iter().enumerate() {
                let (p, bounds) = (num::exp(x) / sum, softmax.at(t, 3));
                prop_assert!(bounds.lo() <= p.hi() && p.lo() <= bounds.hi(), "{p} outside {bounds}");
                // Next to nothing and nearly certain are narrow both.
                let width = 4.0 * radius * (4.0 * radius).exp() * p.hi() * (1.0 - p.lo());
                prop_assert!(bounds.hi() - bounds.lo() <= width + 1e-9, "{bounds} {width}");
                let reaches = softmax.reaching(&[(t, floor)])[0];
                prop_assert!(reaches == 0xffff || reaches == 0 && p.lo() < floor && bounds.hi() < floor * 1.000_001);
                prop_assert!(reaches == 0xffff || bounds.hi() <= floor * (1.0 + 1e-12));
            }
        }
    }
}
