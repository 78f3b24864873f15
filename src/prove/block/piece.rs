//! Planes above the dual function: what the minimum over a node comes to when its parts are chosen once and for all.
//!
//! The dual function is the least of sums that are linear in `(w, a, q, v″, w″)`, one for every choice of the attention's output, each
//! argument, a normalised residual and a point of the ball. Any choice that a node allows gives a plane; those found
//! in a node stay choices of its children once they are moved into the children's ranges.

use super::dual::{Region, add_scaled, dot, norm, raw_radius};
use super::hull::Read;
use super::network::Network;
use crate::relax::STEPS_PER_UNIT;

/// One choice of everything that the dual function minimises over.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Which end of ρ.
    pub end: usize,
    /// The residual `r`, `[d]`.
    pub r: Vec<f64>,
    /// What the heads read for it.
    pub reads: Vec<Read>,
    /// The arguments, `[arguments]`.
    pub arguments: Vec<f64>,
    /// ŷ, `[d]`.
    pub normed: Vec<f64>,
    /// A vector of length at most one that `R₁` multiplies, `[d]`.
    pub raw: Vec<f64>,
}

/// The plane of a choice: `f <= residual·w + rest·(a, q, v″, w″)`.
#[derive(Debug, Clone)]
pub struct Piece {
    /// `R`: the residual with the neurons at their arguments, `[d]`.
    pub residual: Vec<f64>,
    /// Coefficients of `a`, `q`, `v″` and `w″`.
    pub rest: Vec<f64>,
    /// The end of ρ.
    pub rho: f64,
    /// What was chosen.
    pub choice: Choice,
}

impl Choice {
    /// The same choice brought into a node's ranges.
    #[must_use]
    pub fn within(&self, network: &Network, region: &Region) -> Choice {
        let mut moved = self.clone();
        let step = f64::from(STEPS_PER_UNIT);
        for (s, &(l, u)) in moved.arguments.iter_mut().zip(&region.range) {
            *s = s.clamp(f64::from(l) / step, f64::from(u) / step);
        }
        let inner = network.width as f64 * (1.0 - network.eps * region.rho.1 * region.rho.1).max(0.0);
        let (length, least) = (norm(&moved.normed), inner.sqrt());
        if length < least {
            moved.normed.iter_mut().for_each(|y| *y *= least / length.max(f64::MIN_POSITIVE));
        }
        moved
    }
}

/// `g_k` for some arguments.
pub(super) fn output(network: &Network, arguments: &[f64], k: usize) -> f64 {
    network.graph.sample(arguments[k]) * arguments.get(network.neurons + k).copied().unwrap_or(1.0)
}

impl Piece {
    /// The plane of a choice in a node.
    #[must_use]
    pub fn new(network: &Network, region: &Region, choice: Choice) -> Piece {
        let rho = if choice.end == 0 { region.rho.0 } else { region.rho.1 };
        let Choice { r, arguments, normed, raw, .. } = &choice;
        let mut residual = r.clone();
        add_scaled(&mut residual, 1.0, &network.down_bias.mid);
        let mut rest = Vec::with_capacity(2 * (arguments.len() + r.len()));
        for k in 0..network.neurons {
            add_scaled(&mut residual, output(network, arguments, k), network.down.row(k));
        }
        let along = |i: usize, x: &[f64]| dot(network.up.row(i), x);
        let bias = |i: usize| network.up_bias[i].lo();
        rest.extend(arguments.iter().enumerate().map(|(i, s)| rho * along(i, r) + bias(i) - s));
        rest.extend((0..arguments.len()).map(|p| {
            let (i, j) = network.product(p);
            (along(i, normed) + bias(i)) * (along(j, normed) + bias(j)) - arguments[i] * arguments[j]
        }));
        let radius = raw_radius(network, region.rho.0);
        rest.extend(normed.iter().zip(r).map(|(y, r)| y - rho * r));
        rest.extend(r.iter().zip(raw).map(|(r, e)| -r - radius * e));
        Piece { residual, rest, rho, choice }
    }
}
