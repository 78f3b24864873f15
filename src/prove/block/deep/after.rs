//! What a lower block leaves at a position: its hull of residuals, and neurons between parallel lines.
//!
//! Over the arguments `[l, u]` that a position allows, `φ(s) = α s + β ± δ` with the slope of the chord; a gated neuron
//! `φ(s) u` lies as close to `ū φ(s) + φ̄ (u − ū)` as `φ` and `u` do to their middles. So with `c_k = D·w2_k`,
//! `v = Σ_k c_k α_k w1_k` and the normalised residual `ŷ = ρ r`
//!
//! ```text
//! D·R = D·r + Σ_k c_k φ(s_k) + D·b2 >= D·r + v·ŷ + Σ_k c_k (α_k b_k + β_k) − Σ_k |c_k| δ_k + D·b2.
//! ```
//!
//! Of `v·ŷ = f ê·ŷ + ρ (v − f ê)·r` the first part is nearly constant ([`Normed`]). The second together with `D·r` is linear in ρ for
//! each prefix: its least value lies at an end of ρ's range, where the oracle of the block knows it.

use std::sync::Arc;

use super::super::UNITS;
use super::super::direction::Direction;
use super::super::dual::{add_scaled, dot};
use super::super::hull::Hull;
use super::super::network::Network;
use super::{Normed, Stack};
use crate::num::{BallVec, Interval, nonnegative_sum};
use crate::relax::STEPS_PER_UNIT;

/// Far above the rounding of anybody's ranges.
const SLACK: f64 = 1e-9;

/// Residuals after a lower block, for one last token.
#[derive(Debug)]
pub(in super::super) struct After {
    stack: Arc<Stack>,
    level: usize,
    hull: Hull,
    /// Of the residuals that the neurons read.
    read: Normed,
    lines: Vec<Line>,
}

/// `g = Σ slope·argument + middle ± half` over the ranges of a neuron's arguments: one, or two where it is gated.
#[derive(Debug, Clone, Copy)]
struct Line {
    slopes: [f64; 2],
    middle: f64,
    half: f64,
}

impl After {
    /// Of the block at `level`, before whose MLP `hull` holds the residuals.
    pub fn new(stack: &Arc<Stack>, level: usize, hull: Hull) -> After {
        let network = stack.floor(level);
        let range = |direction: &BallVec| {
            let least = |direction: &BallVec| hull.proved_least(network, stack.columns(level), direction);
            Interval::new(least(direction), -least(&opposite(direction)))
        };
        let read = Normed::new(network.width, network.eps, range);
        let argument = |i: usize| read.range(&network.up.ball(i), range) + network.up_bias[i];
        let line = |k: usize| match network.gated {
            false => Line::new(network, k, argument(k)),
            true => Line::gated(network, k, argument(k), argument(network.neurons + k)),
        };
        let lines = (0..network.neurons).map(line).collect();
        After { stack: stack.clone(), level, hull, read, lines }
    }

    /// What is known of the normalised residuals that the block above reads.
    pub(super) fn normed(&self) -> Normed {
        let eps = self.stack.reader(self.level + 1).eps;
        Normed::new(self.network().width, eps, |direction| self.range(direction))
    }

    /// The arguments of a neuron and its slopes along them.
    fn slopes(&self, k: usize) -> impl Iterator<Item = (usize, f64)> + use<> {
        let (network, line) = (self.network(), self.lines[k]);
        let n = if network.gated { 2 } else { 1 };
        let neurons = network.neurons;
        (0..n).map(move |i| (k + i * neurons, line.slopes[i]))
    }

    fn network(&self) -> &Network {
        self.stack.floor(self.level)
    }

    /// Encloses `D·R`.
    pub fn range(&self, direction: &BallVec) -> Interval {
        Interval::new(self.proved(direction), -self.proved(&opposite(direction)))
    }

    /// `min D·R` in floats and the minimiser, `[d]`, given room.
    pub fn least(&self, direction: &[f64], room: &mut Vec<Direction>) -> (f64, Vec<f64>) {
        let network = self.network();
        let weights: Vec<f64> = network.down.iter().map(|row| dot(row, direction)).collect();
        let mut v = vec![0.0; direction.len()];
        let mut constant = dot(&network.down_bias.mid, direction);
        for (k, (line, &c)) in self.lines.iter().zip(&weights).enumerate() {
            for (i, slope) in self.slopes(k) {
                add_scaled(&mut v, c * slope, network.up.row(i));
                constant += c * slope * network.up_bias[i].lo();
            }
            constant += c * line.middle - c.abs() * line.half;
        }
        let part = self.read.part(&v);
        add_scaled(&mut v, -part, self.read.axis());
        let along = if part > 0.0 { self.read.along.lo() } else { self.read.along.hi() };
        room.resize(2, Direction::default());
        let [low, high] = room.as_mut_slice() else { return (f64::NEG_INFINITY, direction.to_vec()) };
        let rhos = [self.read.rho.lo(), self.read.rho.hi()];
        let aims = rhos.map(|rho| {
            let mut aim = direction.to_vec();
            add_scaled(&mut aim, rho, &v);
            aim
        });
        let aims = aims.each_ref().map(Vec::as_slice);
        let [low, high] = self.hull.least(network, self.stack.columns(self.level), aims, [low, high]);
        let ((value, r), rho) = if low.0 < high.0 { (low, rhos[0]) } else { (high, rhos[1]) };
        let mut point = r.clone();
        add_scaled(&mut point, 1.0, &network.down_bias.mid);
        for (k, (line, &c)) in self.lines.iter().zip(&weights).enumerate() {
            let argument = |i: usize| {
                let (row, axis) = (network.up.row(i), self.read.axis());
                let own = self.read.part(row);
                own * along + rho * (dot(row, &r) - own * dot(axis, &r)) + network.up_bias[i].lo()
            };
            let linear: f64 = self.slopes(k).map(|(i, slope)| slope * argument(i)).sum();
            add_scaled(&mut point, linear + line.middle - c.signum() * line.half, network.down.row(k));
        }
        (value + part * along + constant, point)
    }

    /// A proved lower bound on `D·R`.
    pub fn proved(&self, direction: &BallVec) -> f64 {
        let network = self.network();
        let mut constant = network.down_bias.dot(direction).interval();
        let (mut middles, mut off) = (vec![0.0; network.arguments()], 0.0);
        for (k, line) in self.lines.iter().enumerate() {
            let c = network.down.ball(k).dot(direction).interval();
            for (i, slope) in self.slopes(k) {
                let (mid, rad) = (c * slope).mid_rad();
                middles[i] = mid;
                off += rad;
                constant = constant + c * (network.up_bias[i] * slope);
            }
            constant = constant + c * line.middle - Interval::point(c.magnitude()) * line.half;
        }
        let mut v = BallVec::combine(&middles, network.up.iter(), network.up.rad, network.width);
        v.rad = nonnegative_sum(v.rad + nonnegative_sum(off) * (network.up.longest + network.up.rad));
        let (part, rest) = self.read.parts(&v);
        constant = constant + self.read.along * part;
        let ends = [self.read.rho.lo(), self.read.rho.hi()].map(|rho| {
            let aim = direction.plus_scaled(rho, &rest);
            self.hull.proved_least(network, self.stack.columns(self.level), &aim)
        });
        // A minimum drops a NaN.
        let least =
            if ends.iter().all(|end| end.is_finite()) { ends[0].min(ends[1]) } else { f64::NEG_INFINITY };
        (constant + Interval::point(least)).lo()
    }
}

/// `−D`.
fn opposite(direction: &BallVec) -> BallVec {
    BallVec { mid: direction.mid.iter().map(|x| -x).collect(), rad: direction.rad }
}

impl Line {
    /// Around a plain neuron `k` over a range of its argument.
    fn new(network: &Network, k: usize, argument: Interval) -> Line {
        let [l, u] = grid(network, k, argument);
        let (low, high) = (at(l), at(u));
        let rise = network.graph.sample(high) - network.graph.sample(low);
        // Rounded, so that a checker finds the same line.
        let slope = if u > l { (rise / (high - low) * UNITS).round() / UNITS } else { 0.0 };
        let (middle, half) = off(network, slope, [l, u]).mid_rad();
        Line { slopes: [slope, 0.0], middle, half }
    }

    /// Around a gated one over ranges of both.
    fn gated(network: &Network, k: usize, argument: Interval, factor: Interval) -> Line {
        let plain = Line::new(network, k, argument);
        let ends = grid(network, k, argument);
        let ((value, spread), (u, reach)) = (off(network, 0.0, ends).mid_rad(), factor.mid_rad());
        let (slope, lost) = (Interval::point(u) * plain.slopes[0]).mid_rad();
        let furthest = at(ends[0]).abs().max(at(ends[1]).abs());
        let constant = Interval::point(u) * plain.middle - Interval::point(value) * u;
        let (middle, rounded) = constant.mid_rad();
        let half = Interval::point(u.abs()) * plain.half
            + Interval::point(spread) * reach
            + Interval::point(lost) * furthest
            + Interval::point(rounded);
        Line { slopes: [slope, value], middle, half: half.hi() }
    }
}

/// Grid points around a range of argument `k`, within what is known of it.
fn grid(network: &Network, k: usize, argument: Interval) -> [i32; 2] {
    let steps = f64::from(STEPS_PER_UNIT);
    let (first, last) = network.range[k];
    // A checker's range is never the wider one. Casts saturate, and a NaN leaves the whole range.
    let end = |x: f64, other: i32| if x.is_nan() { other } else { x as i32 };
    let l = end(((argument.lo() - SLACK) * steps).floor(), first).clamp(first, last);
    [l, end(((argument.hi() + SLACK) * steps).ceil(), last).clamp(l, last)]
}

/// The number of a grid point, exactly.
fn at(index: i32) -> f64 {
    f64::from(index) / f64::from(STEPS_PER_UNIT)
}

/// Encloses `φ(s) − slope s` between two grid points.
fn off(network: &Network, slope: f64, [l, u]: [i32; 2]) -> Interval {
    let least = network.graph.lower_bound(1.0, 0.0, slope, l, u);
    Interval::new(least, -network.graph.lower_bound(-1.0, 0.0, -slope, l, u))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::prove::block::network::tests::shipped;

    proptest! {
        #[test]
        fn neurons_stay_between_their_lines(
            gated in prop::bool::ANY,
            k in 0usize..40,
            middle in -3.0f64..3.0,
            half in prop_oneof![Just(0.0), 1e-6f64..2.0],
            factor in prop_oneof![-4.0f64..4.0, -1e6f64..1e6],
            reach in prop_oneof![Just(0.0), 1e-6f64..3.0],
            points in prop::collection::vec(prop::array::uniform2(-1.0f64..=1.0), 30),
        ) {
            let network = shipped(gated);
            // Within what is known of the argument anyhow.
            let (first, last) = (at(network.range[k].0), at(network.range[k].1));
            let argument = Interval::new((middle - half).max(first).min(last), (middle + half).min(last).max(first));
            let other = Interval::new(factor - reach, factor + reach);
            let line = match gated {
                false => Line::new(network, k, argument),
                true => Line::gated(network, k, argument, other),
            };
            for [x, y] in points {
                let s = (0.5 * (argument.lo() + argument.hi()) + 0.5 * argument.width() * x)
                    .clamp(argument.lo(), argument.hi());
                let u = (factor + reach * y).clamp(other.lo(), other.hi());
                let g = network.graph.sample(s) * if gated { u } else { 1.0 };
                let on = line.slopes[0] * s + line.slopes[1] * u + line.middle;
                let slack = (network.graph.error() + 1e-12) * (1.0 + u.abs());
                prop_assert!((g - on).abs() <= line.half + slack, "{g} {on} ± {}", line.half);
            }
        }
    }

    #[test]
    fn what_is_not_known_leaves_the_whole_range() {
        let network = shipped(false);
        let line = Line::new(network, 0, Interval::ENTIRE);
        let whole = Interval::new(at(network.range[0].0), at(network.range[0].1));
        let same = Line::new(network, 0, whole);
        assert_eq!((line.slopes, line.middle, line.half), (same.slopes, same.middle, same.half));
        let gated = shipped(true);
        assert!(!Line::gated(gated, 0, Interval::ONE, Interval::ENTIRE).half.is_finite());
    }
}
