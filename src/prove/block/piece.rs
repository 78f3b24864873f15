//! Planes above the dual function: what the minimum over a node comes to when its parts are chosen once and for all.
//!
//! The dual function is the least of sums that are linear in `(w, a, q, v″, w″)`, one for every choice of the attention's output, each
//! neuron's argument, a normalised residual and a point of the ball. Any choice that a node allows gives a plane; those found
//! in a node stay choices of its children once they are moved into the children's ranges.

use super::dual::{Region, add_scaled, dot, norm, raw_radius};
use super::network::Network;
use crate::relax::STEPS_PER_UNIT;

/// One choice of everything that the dual function minimises over.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Which end of ρ.
    pub end: usize,
    /// The residual `r`, `[d]`.
    pub r: Vec<f64>,
    /// Arguments of the neurons, `[neurons]`.
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

impl Piece {
    /// The plane of a choice in a node.
    #[must_use]
    pub fn new(network: &Network, region: &Region, choice: Choice) -> Piece {
        let rho = if choice.end == 0 { region.rho.0 } else { region.rho.1 };
        let Choice { r, arguments, normed, raw, .. } = &choice;
        let mut residual = r.clone();
        add_scaled(&mut residual, 1.0, &network.down_bias.mid);
        let mut rest = Vec::with_capacity(2 * (arguments.len() + r.len()));
        for (k, &s) in arguments.iter().enumerate() {
            add_scaled(&mut residual, network.graph.sample(s), network.down.row(k));
            rest.push(rho * dot(network.up.row(k), r) + network.up_bias[k].lo() - s);
        }
        for (k, &s) in arguments.iter().enumerate() {
            let argument = dot(network.up.row(k), normed) + network.up_bias[k].lo();
            rest.push(argument * argument - s * s);
        }
        let radius = raw_radius(network, region.rho.0);
        rest.extend(normed.iter().zip(r).map(|(y, r)| y - rho * r));
        rest.extend(r.iter().zip(raw).map(|(r, e)| -r - radius * e));
        Piece { residual, rest, rho, choice }
    }
}
