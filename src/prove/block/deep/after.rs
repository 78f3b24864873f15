//! What a lower block leaves at a position: its hull of residuals, and neurons between parallel lines.
//!
//! Over the arguments `[l, u]` that a position allows, `φ(s) = α s + β ± δ` with the slope of the chord. So with `c_k = D·w2_k`,
//! `v = Σ_k c_k α_k w1_k` and the normalised residual `ŷ = ρ r`
//!
//! ```text
//! D·R = D·r + Σ_k c_k φ(s_k) + D·b2 >= D·r + v·ŷ + Σ_k c_k (α_k b_k + β_k) − Σ_k |c_k| δ_k + D·b2.
//! ```
//!
//! Of `v·ŷ = f ê·ŷ + ρ (v − f ê)·r` the first part is nearly constant ([`Normed`]). The second together with `D·r` is linear in ρ for
//! each prefix: its least value lies at an end of ρ's range, where the oracle of the block knows it.

use std::sync::Arc;

use super::super::direction::Direction;
use super::super::dual::{add_scaled, dot};
use super::super::hull::Hull;
use super::super::network::Network;
use super::{Normed, Stack};
use crate::num::{BallVec, Interval, nonnegative_sum};
use crate::relax::STEPS_PER_UNIT;

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

/// `φ(s) = slope·s + middle ± half` over the range of an argument.
#[derive(Debug, Clone, Copy)]
struct Line {
    slope: f64,
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
        let argument = |k: usize| read.range(&network.up.ball(k), range) + network.up_bias[k];
        let lines = (0..network.neurons).map(|k| Line::new(network, k, argument(k))).collect();
        After { stack: stack.clone(), level, hull, read, lines }
    }

    /// What is known of the normalised residuals that the block above reads.
    pub(super) fn normed(&self) -> Normed {
        let eps = self.stack.reader(self.level + 1).eps;
        Normed::new(self.network().width, eps, |direction| self.range(direction))
    }

    fn network(&self) -> &Network {
        self.stack.floor(self.level)
    }

    /// Encloses `D·R`.
    pub fn range(&self, direction: &BallVec) -> Interval {
        Interval::new(self.proved(direction), -self.proved(&opposite(direction)))
    }

    /// `min D·R` in floats; adds the minimiser to `point`.
    pub fn least(&self, direction: &[f64], point: &mut [f64]) -> f64 {
        let network = self.network();
        let weights: Vec<f64> = network.down.iter().map(|row| dot(row, direction)).collect();
        let mut v = vec![0.0; direction.len()];
        let mut constant = dot(&network.down_bias.mid, direction);
        for (k, (line, &c)) in self.lines.iter().zip(&weights).enumerate() {
            add_scaled(&mut v, c * line.slope, network.up.row(k));
            constant += c * (line.slope * network.up_bias[k].lo() + line.middle) - c.abs() * line.half;
        }
        let part = self.read.part(&v);
        add_scaled(&mut v, -part, self.read.axis());
        let along = if part > 0.0 { self.read.along.lo() } else { self.read.along.hi() };
        let mut table = Direction::default();
        let mut best: Option<(f64, f64, Vec<f64>)> = None;
        for rho in [self.read.rho.lo(), self.read.rho.hi()] {
            let mut aim = direction.to_vec();
            add_scaled(&mut aim, rho, &v);
            let mut r = vec![0.0; direction.len()];
            let value = self.hull.least(network, self.stack.columns(self.level), &aim, &mut table, &mut r);
            if best.as_ref().is_none_or(|best| value < best.0) {
                best = Some((value, rho, r));
            }
        }
        let Some((value, rho, r)) = best else { return f64::NEG_INFINITY };
        add_scaled(point, 1.0, &r);
        add_scaled(point, 1.0, &network.down_bias.mid);
        for (k, (line, &c)) in self.lines.iter().zip(&weights).enumerate() {
            let (row, axis) = (network.up.row(k), self.read.axis());
            let own = self.read.part(row);
            let s = own * along + rho * (dot(row, &r) - own * dot(axis, &r)) + network.up_bias[k].lo();
            let g = line.slope * s + line.middle - c.signum() * line.half;
            add_scaled(point, g, network.down.row(k));
        }
        value + part * along + constant
    }

    /// A proved lower bound on `D·R`.
    pub fn proved(&self, direction: &BallVec) -> f64 {
        let network = self.network();
        let mut constant = network.down_bias.dot(direction).interval();
        let (mut middles, mut off) = (Vec::with_capacity(self.lines.len()), 0.0);
        for (k, line) in self.lines.iter().enumerate() {
            let c = network.down.ball(k).dot(direction).interval();
            let (mid, rad) = (c * line.slope).mid_rad();
            middles.push(mid);
            off += rad;
            let share = network.up_bias[k] * line.slope + Interval::point(line.middle);
            constant = constant + c * share - Interval::point(c.magnitude()) * line.half;
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
        let least = if ends.iter().all(|end| end.is_finite()) { ends[0].min(ends[1]) } else { f64::NEG_INFINITY };
        (constant + Interval::point(least)).lo()
    }
}

/// `−D`.
fn opposite(direction: &BallVec) -> BallVec {
    BallVec { mid: direction.mid.iter().map(|x| -x).collect(), rad: direction.rad }
}

impl Line {
    /// Around neuron `k` of a network over a range of its argument.
    fn new(network: &Network, k: usize, argument: Interval) -> Line {
        let steps = f64::from(STEPS_PER_UNIT);
        let (first, last) = network.range[k];
        // Casts saturate, and a NaN leaves the whole range.
        let end = |x: f64, from: i32| if x.is_nan() { from } else { x as i32 };
        let l = end((argument.lo() * steps).floor(), first).clamp(first, last);
        let u = end((argument.hi() * steps).ceil(), last).clamp(l, last);
        let (low, high) = (f64::from(l) / steps, f64::from(u) / steps);
        let rise = network.graph.sample(high) - network.graph.sample(low);
        let slope = if u > l { rise / (high - low) } else { 0.0 };
        let least = network.graph.lower_bound(1.0, 0.0, slope, l, u);
        let most = -network.graph.lower_bound(-1.0, 0.0, -slope, l, u);
        let (middle, half) = Interval::new(least, most).mid_rad();
        Line { slope, middle, half }
    }
}
