//! The greatest scale `κ = √(‖R‖²/d + ε')` of a final residual in a node: what a negative `A_λ` counts by.
//!
//! `R = r + Σ g_k w2_k + b2`, where `‖r‖ <= R₁` at the least ρ of the node and `g_k = m_k ± δ_k` over the range of its arguments. So
//! with `M = Σ m_k w2_k + b2`
//!
//! ```text
//! ‖R‖ <= √(R₁² + 2 M·r + ‖M‖²) + √(Σ_i (Σ_k δ_k |w2_ki|)²),    M·r <= R₁ ‖M‖  and  M·r <= Σ_i M_i r_i
//! ```
//!
//! with each coordinate of r at one end of its range.

use super::dual::Region;
use super::network::Network;
use super::neuron::{self, Weights};
use crate::num::{Ball, BallVec, Interval};

/// Upper bound on κ over all prefixes of a node; infinite or NaN where nothing is known.
#[must_use]
pub fn greatest(network: &Network, region: &Region) -> f64 {
    let d = network.width;
    let none = Weights { slopes: [0.0; 2], curves: [0.0; 2] };
    let least = |k: usize, sign: f64| {
        Interval::point(neuron::lower_bound(network, k, Ball { mid: sign, rad: 0.0 }, none, &region.range))
    };
    let outputs = (0..network.neurons).map(|k| {
        let (low, high) = (least(k, 1.0), -least(k, -1.0));
        Interval::new(low.lo(), high.hi()).mid_rad()
    });
    let (middles, spreads): (Vec<f64>, Vec<f64>) = outputs.unzip();
    let middle = BallVec::combine(&middles, network.down.iter(), network.down.rad, d);
    let sizes: Vec<Vec<f64>> = network.down.iter().map(|row| row.iter().map(|w| w.abs()).collect()).collect();
    let spread = BallVec::combine(&spreads, sizes.iter().map(Vec::as_slice), network.down.rad, d);
    let rho = Interval::point(region.rho.0);
    let width = Interval::point(d as f64);
    let residual = (width * (rho.square().recip() - Interval::point(network.eps))).sqrt();
    let middle = middle.plus_scaled(1.0, &network.down_bias);
    let size = Interval::point(middle.norm2());
    let by_coordinates: Interval = middle
        .mid
        .iter()
        .zip(&region.residual)
        .map(|(&mid, &r)| Ball { mid, rad: middle.rad }.interval() * r)
        .sum();
    // Where a coordinate has no range the sum is not finite.
    let cross = Interval::point((residual * size).hi().min(by_coordinates.hi()));
    let square = (residual.square() + Interval::point(2.0) * cross + size.square()).max(Interval::ZERO);
    let length = square.sqrt() + Interval::point(spread.norm2());
    (length.square() / width + Interval::point(network.last_eps)).sqrt().hi()
}
