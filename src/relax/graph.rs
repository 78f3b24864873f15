//! The graph of an activation as a table, and exact minima of `c φ(s) − a s` over ranges of it.
//!
//! For a slope `a`, `β = min_{s ∈ [l,u]} (c φ(s) − a s)` makes `a s + β` the best line of that slope below `c φ` on
//! `[l, u]`: the concave conjugate, of which chord and tangents are special cases (α-CROWN, Xu et al. 2021, optimises the
//! slope). Here `l`, `u` are grid points `i / STEPS_PER_UNIT`, and φ is replaced by the chords of a table `T`:
//! between grid points `|φ − chord| <= M h²/8` with `M` from [`curvature`], and `|T_i − φ(s_i)|` is measured when the
//! table is built. On the table the minimum is found by bisection: φ is concave, then convex, then concave (each part
//! may be empty), so on each part `c T_i − a s_i` is convex (one stationary point) or concave (the ends). `T` holds
//! multiples of 2^−40 and its slopes are made monotone part by part, so this holds exactly, not just up to rounding.

use super::{curvature, value};
use multiversion::multiversion;

use crate::model::Activation;
use crate::num::{Interval, nonnegative_sum};

/// Grid points per unit of the argument.
pub const STEPS_PER_UNIT: i32 = 512;

/// Distance of the entries that hints look at first.
const STRIDE: usize = 8;

/// Unit of the table entries.
const UNIT: f64 = 1.0 / (1u64 << 40) as f64;

/// Table of an activation on `[first, last] / STEPS_PER_UNIT`.
#[derive(Debug, Clone)]
pub struct Graph {
    first: i32,
    /// Multiples of [`UNIT`]: sums and differences of neighbours are exact.
    table: Vec<f64>,
    /// Every [`STRIDE`]-th entry.
    coarse: Vec<f64>,
    /// Offsets into the table where the convex part begins and ends.
    convex: (usize, usize),
    /// Bound on `|T − φ|` along the whole curve, chords included.
    error: f64,
    /// Largest `|T_{i+1} − T_i|`.
    steepest: f64,
    /// Largest `|T_i|`.
    largest: f64,
}

/// Result of [`Graph::lowest`].
#[derive(Debug, Clone, Copy)]
pub struct Lowest {
    /// `c T_i − a s_i` at the minimising grid point, a float hint.
    pub value: f64,
    /// The minimising grid point.
    pub index: i32,
}

impl Graph {
    /// Tabulates an activation between two grid points, `first <= 0 <= last`.
    #[must_use]
    pub fn new(activation: Activation, first: i32, last: i32) -> Graph {
        debug_assert!(first <= 0 && last >= 0, "the kink of ReLU must be a grid point");
        let exact: Vec<Interval> = (first..=last).map(|i| value(activation, point(i))).collect();
        let rounded: Vec<f64> = exact.iter().map(|x| (x.mid_rad().0 / UNIT).round() * UNIT).collect();
        let slopes: Vec<f64> = rounded.windows(2).map(|w| w[1] - w[0]).collect();
        // The inflection points are where the slope is least and greatest.
        let least = extreme(&slopes, |a, b| a < b);
        let greatest = extreme(&slopes, |a, b| a > b).max(least);
        let mut table = vec![rounded[0]];
        let mut previous = f64::INFINITY;
        for (i, &slope) in slopes.iter().enumerate() {
            let convex_part = least <= i && i <= greatest;
            previous = match convex_part {
                true if i == least => slope,
                true => slope.max(previous),
                false => slope.min(previous),
            };
            table.push(table[i] + previous);
        }
        let apart =
            |(t, x): (&f64, &Interval)| (*x - Interval::point(*t)).hi().max((Interval::point(*t) - *x).hi());
        let at_points = table.iter().zip(&exact).map(apart).fold(0.0, f64::max);
        let step = 1.0 / f64::from(STEPS_PER_UNIT);
        Graph {
            first,
            convex: (least, (greatest + 1).min(table.len() - 1)),
            error: nonnegative_sum(at_points + curvature(activation) * step * step / 8.0),
            steepest: slopes.iter().fold(0.0, |m, s| f64::max(m, s.abs())) + at_points * 2.0,
            largest: table.iter().fold(0.0, |m, t| f64::max(m, t.abs())),
            coarse: table.iter().copied().step_by(STRIDE).collect(),
            table,
        }
    }

    /// Float value of the table at any real, by interpolation; a hint.
    #[must_use]
    pub fn sample(&self, s: f64) -> f64 {
        let x =
            (s * f64::from(STEPS_PER_UNIT) - f64::from(self.first)).clamp(0.0, (self.table.len() - 1) as f64);
        let i = (x as usize).min(self.table.len().saturating_sub(2));
        self.table[i] + (x - i as f64) * (self.table[i + 1] - self.table[i])
    }

    /// Minimum of `c T_i − a s_i` over the grid points `l <= i <= u`.
    #[must_use]
    pub fn lowest(&self, c: f64, a: f64, l: i32, u: i32) -> Lowest {
        let offset = |i: i32| (i - self.first) as usize;
        let (l, u) = (offset(l), offset(u));
        let at =
            |i: usize| c * self.table[i] - a * (i as i32 + self.first) as f64 / f64::from(STEPS_PER_UNIT);
        let mut best = (at(l), l);
        let mut offer = |i: usize| {
            let v = at(i);
            if v < best.0 {
                best = (v, i);
            }
        };
        offer(u);
        let (p, q) = self.convex;
        // Parts on which c T − a s is convex: stationary point or an end.
        let parts = if c >= 0.0 { [(p, q), (q, p)] } else { [(0, p), (q, self.table.len() - 1)] };
        for (from, to) in parts {
            let (from, to) = (from.max(l), to.min(u));
            if from > to {
                continue;
            }
            let step = a / f64::from(STEPS_PER_UNIT);
            let (mut lo, mut hi) = (from, to);
            while lo < hi {
                let mid = lo + (hi - lo) / 2;
                if c * (self.table[mid + 1] - self.table[mid]) >= step { hi = mid } else { lo = mid + 1 }
            }
            offer(lo);
        }
        Lowest { value: best.0, index: best.1 as i32 + self.first }
    }

    /// A hint of the minimum of `c T_i − a s_i − q s_i²` over the grid points `l <= i <= u`: a scan of every `STRIDE`-th,
    /// then of the neighbours of the least.
    #[must_use]
    pub fn lowest_curved(&self, c: f64, a: f64, q: f64, l: i32, u: i32) -> Lowest {
        let (l, u) = ((l - self.first) as usize, (u - self.first) as usize);
        let at = |i: usize| {
            let s = (i as i32 + self.first) as f64 / f64::from(STEPS_PER_UNIT);
            c * self.table[i] - s * (a + q * s)
        };
        let (from, to) = (l.div_ceil(STRIDE), u / STRIDE);
        let mut best = if at(u) < at(l) { u } else { l };
        if from <= to {
            let start = f64::from((from * STRIDE) as i32 + self.first) / f64::from(STEPS_PER_UNIT);
            let step = STRIDE as f64 / f64::from(STEPS_PER_UNIT);
            let coarse = (from + scan(&self.coarse[from..=to], c, a, q, start, step).1) * STRIDE;
            if at(coarse) < at(best) {
                best = coarse;
            }
        }
        for i in best.saturating_sub(STRIDE).max(l)..=(best + STRIDE).min(u) {
            if at(i) < at(best) {
                best = i;
            }
        }
        Lowest { value: at(best), index: best as i32 + self.first }
    }

    /// A proved lower bound on `c φ(s) − a s − q s²` over all real `s` between the grid points `l` and `u`, for every `c` within
    /// `c_rad` of `c`: least on the grid, less what `q s²` may deviate from its chords, `|q| h²/4`.
    #[must_use]
    pub fn lower_bound_curved(&self, c: f64, c_rad: f64, a: f64, q: f64, l: i32, u: i32) -> f64 {
        let h = 1.0 / f64::from(STEPS_PER_UNIT);
        let range = (l - self.first) as usize..=(u - self.first) as usize;
        let least = scan(&self.table[range], c, a, q, f64::from(l) * h, h).0;
        let far = f64::from(u.abs().max(l.abs())) * h;
        let slack = (c.abs() + c_rad) * self.error
            + c_rad * self.largest
            + q.abs() * h * h / 4.0
            + 8.0 * f64::EPSILON * (c.abs() * self.largest + a.abs() * far + q.abs() * far * far);
        (Interval::point(least) - Interval::point(nonnegative_sum(slack))).lo()
    }

    /// A proved lower bound on `c φ(s) − a s` over all real `s` between the grid points `l` and `u`, for every `c`
    /// within `c_rad` of `c`.
    #[must_use]
    pub fn lower_bound(&self, c: f64, c_rad: f64, a: f64, l: i32, u: i32) -> f64 {
        let best = self.lowest(c, a, l, u);
        let t = self.table[(best.index - self.first) as usize];
        let exact = Interval::point(c) * t - Interval::point(a) * point(best.index);
        // Bisection compares float slopes: a wrong turn costs at most their rounding at every grid point passed.
        let turns = f64::from(u - l + 1) * 4.0 * f64::EPSILON;
        let step = a.abs() / f64::from(STEPS_PER_UNIT);
        let slack = turns * (c.abs() * self.steepest + step)
            + (c.abs() + c_rad) * self.error
            + c_rad * self.largest
            + 4.0 * f64::EPSILON * (c.abs() * self.largest + (a * f64::from(u.abs().max(l.abs()))).abs());
        (exact - Interval::point(nonnegative_sum(slack))).lo()
    }

    /// Upper bound on how far the table curve lies from φ, chords included.
    #[must_use]
    pub fn error(&self) -> f64 {
        self.error
    }
}

/// Least `c T_i − a s − q s²` of consecutive entries, `s = start + i step`, and its index. `s` is exact for steps that are powers
/// of two.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2", "aarch64+neon"))]
fn scan(table: &[f64], c: f64, a: f64, q: f64, start: f64, step: f64) -> (f64, usize) {
    const LANES: usize = 8;
    let value = |t: f64, s: f64| c * t - s * (a + q * s);
    let (mut least, mut block) = (f64::INFINITY, 0);
    for (b, part) in table.chunks(LANES * 4).enumerate() {
        let base = start + (b * LANES * 4) as f64 * step;
        let mut lanes = [f64::INFINITY; LANES];
        let whole = part.chunks_exact(LANES);
        for (i, &t) in whole.remainder().iter().enumerate() {
            let at = part.len() / LANES * LANES + i;
            lanes[0] = lanes[0].min(value(t, base + at as f64 * step));
        }
        for (i, entries) in whole.enumerate() {
            for k in 0..LANES {
                let v = value(entries[k], base + (i * LANES + k) as f64 * step);
                lanes[k] = if v < lanes[k] { v } else { lanes[k] };
            }
        }
        let here = lanes.into_iter().fold(f64::INFINITY, f64::min);
        if here < least {
            (least, block) = (here, b * LANES * 4);
        }
    }
    let end = (block + LANES * 4).min(table.len());
    let at = |i: usize| value(table[i], start + i as f64 * step);
    let index = (block..end).fold(block, |best, i| if at(i) < at(best) { i } else { best });
    (least, index)
}

/// The grid point `i` as a real number; exact.
fn point(i: i32) -> Interval {
    Interval::point(f64::from(i) / f64::from(STEPS_PER_UNIT))
}

/// Index of the first extreme element.
fn extreme(xs: &[f64], better: impl Fn(f64, f64) -> bool) -> usize {
    (0..xs.len()).fold(0, |best, i| if better(xs[i], xs[best]) { i } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Activation; 5] = [
        Activation::Relu,
        Activation::SquaredRelu,
        Activation::GeluTanh,
        Activation::GeluErf,
        Activation::Silu,
    ];

    fn graphs() -> &'static [(Activation, Graph)] {
        static GRAPHS: std::sync::OnceLock<Vec<(Activation, Graph)>> = std::sync::OnceLock::new();
        GRAPHS.get_or_init(|| ALL.map(|a| (a, Graph::new(a, -20 * 512, 20 * 512))).into_iter().collect())
    }

    #[test]
    fn tables_stay_close_to_the_function() {
        for (activation, graph) in graphs() {
            let bound = if *activation == Activation::SquaredRelu { 2e-6 } else { 1e-6 };
            assert!(graph.error() <= bound, "{activation:?} {}", graph.error());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn bisection_finds_the_minimum_of_the_scan(c in -5.0f64..5.0, alpha in -0.4f64..1.4, l in -9000i32..9000, w in 0i32..4000) {
            let u = (l + w).min(20 * 512);
            for (activation, graph) in graphs() {
                let a = c * alpha;
                let scan = (l..=u).map(|i| c * graph.table[(i - graph.first) as usize] - a * f64::from(i) / 512.0)
                    .fold(f64::INFINITY, f64::min);
                let found = graph.lowest(c, a, l, u).value;
                prop_assert!((found - scan).abs() <= 1e-9 * (1.0 + scan.abs()), "{activation:?} {found} {scan}");
            }
        }

        #[test]
        fn the_lower_bound_holds_at_sampled_points(c in -5.0f64..5.0, a in -9.0f64..9.0, l in -9000i32..9000, w in 0i32..4000, x in 0.0f64..1.0) {
            let u = (l + w).min(20 * 512);
            let s = (f64::from(l) + x * f64::from(u - l)) / 512.0;
            for (activation, graph) in graphs() {
                let bound = graph.lower_bound(c, 0.0, a, l, u);
                let truth = value(*activation, Interval::point(s)) * c - Interval::point(s) * a;
                prop_assert!(bound <= truth.hi(), "{activation:?} {bound} {truth}");
                prop_assert!(graph.lowest(c, a, l, u).value - bound <= 1e-4);
            }
        }
    }

    #[test]
    fn extreme_coefficients_stay_sound() {
        for (activation, graph) in graphs() {
            for c in [1e12, -1e12, 1e-300, 0.0] {
                let bound = graph.lower_bound(c, 0.0, c, -10_000, 10_000);
                for s in [-19.0, -0.75, 0.0, 0.7, 19.0] {
                    let truth = value(*activation, Interval::point(s)) * c - Interval::point(s) * c;
                    assert!(bound <= truth.hi(), "{activation:?} {c} {s} {bound} {truth}");
                }
            }
            let lost = graph.lower_bound(f64::NAN, 0.0, 1.0, -10, 10);
            assert!(lost == f64::NEG_INFINITY || lost.is_nan(), "{activation:?} {lost}");
        }
    }
}
