//! The graph of an activation as a table, and exact minima of `c φ(s) − a s − q s²` over ranges of grid points.
//!
//! φ is replaced by the chords of a table T on the grid `i / 512`. Between neighbours `|φ − chord of φ| <= M h²/8` where
//! `|φ''| <= M`, and `|T_i − φ(s_i)|` is measured. On the table `c T_i − a s_i` is an exact integer; T is built so that its
//! slopes decrease, then increase, then decrease, so that on each part the sequence is convex (one stationary point,
//! found by bisection) or concave (least at an end); with a square all points are looked at. Between grid points `q s²` deviates
//! from its chord by at most `|q| h²/4`. Bounds on `|φ''|`:
//!
//! * ReLU: 0 on either side of 0, which is a grid point.
//! * erf GELU: `φ'' = pdf(x)(2 − x²)`, between −0.11 (x = ±2) and `2/√(2π) < 0.798` (x = 0).
//! * tanh GELU, `k = γ(x + βx³)`, `γ = √(2/π)`, `β = 0.044715`: `φ'' = sech²k (γ(1 + 6βx²) − x k'² tanh k)`, a difference of
//!   numbers that are not negative. The first is at most γ < 0.8, as `cosh²k >= 1 + γ²x² >= 1 + 6βx²`. The second: for
//!   `|x| <= 2` it is at most `2 k'(2)² · max tanh k sech²k < 3.01 · 0.385 < 1.2`; for `|x| > 2`, where `k > 1.88`, use
//!   `x k' <= 3k`, `k' <= γ + 3βk²/γ`, `sech²k <= 4e^(−2k)`: `12k (0.8 + 0.17k²) e^(−2k)` falls, from 0.75 at 1.88.
//! * SiLU: `φ'' = σ'(x) (2 − x tanh(x/2))`, a difference of numbers that are not negative. `2σ' <= 1/2`; with `y = x/2` the second is
//!   `y tanh y sech²y / 2 <= tanh²y / 2 < 1/2`, as `y <= sinh y cosh y`.
//!
//! A gated neuron gives `c φ(s) u − a s − q s² − e u − h s u`, linear in u: it is least at an end of the range of u, where it is
//! `(c u) φ(s) − (a + h u) s − q s² − e u`.

use dashu_int::IBig;

use crate::forward::activate;
use crate::interval::{FRACTION_BITS, Interval, shift_down, shift_up};
use crate::network::Activation;
use crate::parallel::each;
use crate::reject::Reject;
use crate::softmax::Digits;

use super::fixed::too_large;

/// `log2` of the grid points per unit.
pub(super) const GRID_BITS: u32 = 9;
/// Fractional bits of table entries and of the factor `c`.
pub(super) const TABLE_PLACES: u32 = 40;
/// Fractional bits of multipliers, and of the slope `a`, which may be the product of one and a grid point.
const PLACES: u32 = crate::format::BLOCK_BITS;
const SLOPE_PLACES: u32 = PLACES + GRID_BITS;
/// Above all grid points: arguments up to 2048.
pub(super) const LAST: i32 = 1 << 20;

/// Table of an activation on the grid points `first..`.
#[derive(Debug)]
pub(super) struct Graph {
    first: i32,
    /// In units of `2^-TABLE_PLACES`.
    table: Vec<i64>,
    /// Offsets of the ends of the convex part.
    convex: [usize; 2],
    /// Bound on the distance of φ and the chords of T, in the same unit.
    error: i128,
    /// Largest `|T_i|`.
    largest: i128,
}

impl Graph {
    /// Tabulates from `−last` to `last`.
    pub fn new(activation: Activation, last: i32) -> Result<Graph, Reject> {
        // M · 2^20, rounded up.
        let curvature: i128 = match activation {
            Activation::Relu => 0,
            Activation::GeluErf => 836_764,
            Activation::GeluTanh => 1_258_292,
            Activation::Silu => 524_288,
            Activation::SquaredRelu => {
                return Err(Reject::NotCovered { why: format!("the activation {activation:?}") });
            }
        };
        if last >= LAST {
            return Err(Reject::NotCovered { why: "neurons whose arguments may exceed 2047".into() });
        }
        // φ(−s) = φ(s) − s for each of them.
        let ends = each(&(0..=last).collect::<Vec<_>>(), |i| {
            let value = activate(activation, &Interval::scaled(&IBig::from(*i), -9), Digits::All);
            let unit = FRACTION_BITS - 40;
            let end = |n: IBig| i64::try_from(n).map_err(|_| too_large());
            Ok([end(shift_down(value.lo(), unit))?, end(shift_up(value.hi(), unit))?])
        });
        let ends: Vec<[i64; 2]> = ends.into_iter().collect::<Result<_, Reject>>()?;
        let mirrored = |i: i32| {
            let at = |i: i32| ends[usize::try_from(i).expect("not negative")];
            let s = i64::from(i) << (TABLE_PLACES - GRID_BITS);
            if i < 0 { at(-i).map(|y| y + s) } else { at(i) }
        };
        let exact: Vec<[i64; 2]> = (-last..=last).map(mirrored).collect();
        let slopes: Vec<i64> = exact.windows(2).map(|w| w[1][0] - w[0][0]).collect();
        let least = first_extreme(&slopes, |a, b| a < b);
        let greatest = first_extreme(&slopes, |a, b| a > b).max(least);
        let (mut table, mut previous) = (vec![exact[0][0]], i64::MAX);
        for (i, slope) in slopes.iter().enumerate() {
            previous = match i {
                i if i == least => *slope,
                i if i < least || i > greatest => previous.min(*slope),
                _ => previous.max(*slope),
            };
            table.push(table[i] + previous);
        }
        let apart = |(t, [lo, hi]): (&i64, &[i64; 2])| i128::from((hi - t).max(t - lo));
        let at_points = table.iter().zip(&exact).map(apart).max().unwrap_or(0);
        let convex = [least, (greatest + 1).min(table.len() - 1)];
        // M h²/8 = M 2^-21 in units of 2^-40, and M is in units of 2^-20.
        let error = at_points + ((curvature + 1) >> 1);
        let largest = table.iter().map(|t| i128::from(*t).abs()).max().unwrap_or(0);
        Ok(Graph { first: -last, table, convex, error, largest })
    }

    /// A lower bound on a neuron's share for every c within `radius` of `c` and all real arguments of its ranges, in units of
    /// `2^-(2 TABLE_PLACES)`; `second` is the range of a gated neuron's u. `|c| < 2^57`, `radius < 2^56`, `|a|, |e| <= 2^50`,
    /// `|q|, |h| <= 2^40`.
    pub fn lower_bound(
        &self,
        [c, radius]: [i64; 2],
        [a, e]: [i64; 2],
        [q, h]: [i64; 2],
        first: [i32; 2],
        second: Option<[i32; 2]>,
    ) -> Result<i128, Reject> {
        let a = a << GRID_BITS;
        let Some(ends) = second else { return Ok(self.plain([c, radius], [a, q], first)) };
        let mut least = i128::MAX;
        for u in ends.map(i64::from) {
            let times = |x: i64| i64::try_from((i128::from(x) * i128::from(u)) >> GRID_BITS);
            let (Ok(c), Ok(radius)) = (times(c), times(radius)) else { return Err(too_large()) };
            // Both were rounded down by less than one.
            let radius = radius.abs() + 2;
            if c.unsigned_abs() >= 1 << 57 || radius >= 1 << 56 {
                return Err(too_large());
            }
            let rest = (i128::from(e) * i128::from(u)) << (2 * TABLE_PLACES - SLOPE_PLACES);
            least = least.min(self.plain([c, radius], [a + h * u, q], first) - rest);
        }
        Ok(least)
    }

    /// About the slope of the chord between two grid points, in units of `2^-PLACES`; none between a point and itself.
    pub fn chord(&self, l: i32, u: i32) -> i64 {
        let at = |i: i32| {
            i128::from(self.table[usize::try_from(i - self.first).expect("ranges lie on the table")])
        };
        let Some(steps) = u.checked_sub(l).filter(|n| *n > 0) else { return 0 };
        // Rounded to the nearest.
        let rise = (at(u) - at(l)) << (GRID_BITS + 1);
        let slope = (rise.div_euclid(i128::from(steps)) + (1 << (TABLE_PLACES - PLACES)))
            >> (TABLE_PLACES - PLACES + 1);
        i64::try_from(slope).expect("slopes of activations are small")
    }

    /// The same of `c φ(s) − a s − q s²`.
    fn plain(&self, [c, radius]: [i64; 2], [a, q]: [i64; 2], [l, u]: [i32; 2]) -> i128 {
        let least = match q {
            0 => self.least(c, a, l, u),
            // |q| 2^-20 2^-18 / 4 in units of 2^-80.
            q => self.least_curved(c, a, q, l, u) - (i128::from(q).abs() << 40),
        };
        let (c, radius) = (i128::from(c), i128::from(radius));
        least - (c.abs() + radius) * self.error - radius * self.largest
    }

    /// The least `c T_i − a s_i − q s_i²`. The last product stays below 2^40 · 2^40 · 2^42. It is added up: from one point to the
    /// next it grows by an amount that grows by `2 q`.
    fn least_curved(&self, c: i64, a: i64, q: i64, l: i32, u: i32) -> i128 {
        let from = usize::try_from(l - self.first).expect("ranges lie on the table");
        let step = i128::from(a) << (2 * TABLE_PLACES - SLOPE_PLACES - GRID_BITS);
        let curve = i128::from(q) << (2 * TABLE_PLACES - PLACES - 2 * GRID_BITS);
        let first = i128::from(l);
        let (mut line, mut slope) = (first * (step + curve * first), step + curve * (2 * first + 1));
        let mut least = i128::MAX;
        for t in &self.table[from..=from + usize::try_from(u - l).expect("l <= u")] {
            least = least.min(i128::from(c) * i128::from(*t) - line);
            line += slope;
            slope += 2 * curve;
        }
        least
    }

    /// The least `c T_i − a s_i`. The products stay below 2^57 · 2^51 and 2^61 · 2^42 · 2^20.
    fn least(&self, c: i64, a: i64, l: i32, u: i32) -> i128 {
        let offset = |i: i32| usize::try_from(i - self.first).expect("ranges lie on the table");
        let step = i128::from(a) << (2 * TABLE_PLACES - SLOPE_PLACES - GRID_BITS);
        let at = |i: usize| {
            let s = i128::from(self.first) + i128::try_from(i).expect("an offset fits");
            i128::from(c) * i128::from(self.table[i]) - step * s
        };
        let (l, u) = (offset(l), offset(u));
        let [p, q] = self.convex;
        let mut least = at(l).min(at(u));
        let end = self.table.len() - 1;
        // The parts on which c T is convex; the others are least at their ends, which are ends of these or of the range.
        let parts = if c >= 0 { [Some((p, q)), None] } else { [Some((0, p)), Some((q, end))] };
        for (from, to) in parts.into_iter().flatten() {
            let (mut lo, mut hi) = (from.max(l), to.min(u));
            if lo > hi {
                continue;
            }
            while lo < hi {
                let mid = lo + (hi - lo) / 2;
                if at(mid + 1) >= at(mid) { hi = mid } else { lo = mid + 1 }
            }
            least = least.min(at(lo));
        }
        least
    }
}

fn first_extreme(xs: &[i64], better: impl Fn(i64, i64) -> bool) -> usize {
    (0..xs.len()).fold(0, |best, i| if better(xs[i], xs[best]) { i } else { best })
}
