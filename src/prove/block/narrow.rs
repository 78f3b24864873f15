//! What the hulls of a node allow: ranges of ρ and of all arguments, met with those that the node inherits.
//!
//! Attention moves `D·r` within a range that the oracle knows, for every argument's row and for every coordinate. With the last
//! tokens' own parts they give ranges of arguments, `s_i = ρ w1_i·r + b_i`, and of `‖r‖²`, coordinate by coordinate, and so of
//! `ρ = 1/√(‖r‖²/d + ε)`: wide over free positions, exact where a prefix is known.

use super::Block;
use super::direction::Columns;
use super::hull::Hull;
use super::network::Network;
use super::sound::{along, attention_range};
use super::tree::Node;
use crate::num::{Ball, BallVec, Interval};
use crate::relax::STEPS_PER_UNIT;

/// Ranges of the attention part of functionals of `r` over a hull.
#[derive(Debug, Clone)]
pub struct Reach {
    /// Of `w1_i·r`, per argument.
    arguments: Vec<(f64, f64)>,
    /// Of each coordinate of `r`.
    coordinates: Vec<(f64, f64)>,
}

impl Reach {
    /// Over all prefixes of a hull.
    #[must_use]
    pub fn new(network: &Network, columns: &Columns, hull: &Hull) -> Reach {
        let range = |direction: &BallVec| attention_range(network, columns, hull, direction);
        let unit = |i: usize| {
            let mut unit = vec![0.0; network.width];
            unit[i] = 1.0;
            BallVec::exact(unit)
        };
        Reach {
            arguments: (0..network.arguments()).map(|k| range(&network.up.ball(k))).collect(),
            coordinates: (0..network.width).map(|i| range(&unit(i))).collect(),
        }
    }

    /// Encloses `r` after prefixes of a length that end in one of `tokens`, `[d]`.
    pub(super) fn residual(&self, network: &Network, length: usize, tokens: &[usize]) -> Vec<Interval> {
        let coordinate = |(i, &(lo, hi)): (usize, &(f64, f64))| {
            let x = |u: &usize| {
                let row = network.x.row((length - 1) * network.vocab + u);
                Ball { mid: row[i], rad: network.x.rad }.interval()
            };
            let own = tokens.iter().map(x).reduce(Interval::hull).unwrap_or(Interval::ENTIRE);
            own + Interval::new(lo, hi)
        };
        self.coordinates.iter().enumerate().map(coordinate).collect()
    }
}

/// Encloses `‖r‖²` given what encloses r.
pub(super) fn square(residual: &[Interval]) -> Interval {
    residual.iter().map(|r| r.square()).sum()
}

/// Encloses ρ given what encloses `‖r‖²`.
pub(super) fn rho(network: &Network, square: Interval) -> Interval {
    let mean = square.max(Interval::ZERO) / Interval::point(network.width as f64);
    (mean + Interval::point(network.eps)).sqrt().recip()
}

/// Meets ρ and every argument's range with what the hulls of the open pairs allow.
pub(super) fn tighten(block: &Block, node: &mut Node) {
    tighten_norm(&block.network, node);
    let (low, high) = (Interval::point(node.region.rho.0), Interval::point(node.region.rho.1));
    for k in 0..block.network.arguments() {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for cell in &node.cells {
            let (a, b) = cell.reach.arguments[k];
            for &u in &cell.open {
                let x = along_up(&block.network, k, cell.hull.length, u);
                least = least.min((x + Interval::point(a)).lo());
                most = most.max((x + Interval::point(b)).hi());
            }
        }
        let bias = block.network.up_bias[k];
        let lo = (low * least).min(high * least) + bias;
        let hi = (low * most).max(high * most) + bias;
        // Slack far above the checker's own rounding: its range is never the wider one.
        let steps = f64::from(STEPS_PER_UNIT);
        let (l, u) = ((lo.lo() - 1e-9) * steps, (hi.hi() + 1e-9) * steps);
        let range = &mut node.region.range[k];
        if l.is_finite() && l > f64::from(range.0) {
            range.0 = (l.floor() as i32).min(range.1);
        }
        if u.is_finite() && u < f64::from(range.1) {
            range.1 = (u.ceil() as i32).max(range.0);
        }
    }
}

fn tighten_norm(network: &Network, node: &mut Node) {
    let residuals: Vec<Vec<Interval>> =
        node.cells.iter().map(|cell| cell.reach.residual(network, cell.hull.length, &cell.open)).collect();
    let Some(squares) = residuals.iter().map(|r| square(r)).reduce(Interval::hull) else { return };
    let coordinate = |i: usize| residuals.iter().map(|r| r[i]).reduce(Interval::hull);
    node.region.residual = (0..network.width).filter_map(coordinate).collect();
    let allowed = rho(network, squares);
    // Slack as for arguments.
    let (l, u) = (super::unit_floor(allowed.lo() - 1e-9), super::unit_ceil(allowed.hi() + 1e-9));
    let (low, high) = &mut node.region.rho;
    if l.is_finite() && l > *low {
        *low = l.min(*high);
    }
    if u.is_finite() && u < *high {
        *high = u.max(*low);
    }
}

/// `w1_k·x(n,u)`.
fn along_up(network: &Network, k: usize, length: usize, token: usize) -> Interval {
    along(&network.up.ball(k), &network.x.ball((length - 1) * network.vocab + token)).interval()
}
