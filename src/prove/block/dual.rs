//! The dual function of one node, in floats: a hint that [`super::sound`] re-evaluates.
//!
//! A counterexample (a prefix for which the claim fails) makes `g_λ·R + A_λ κ <= 0` for every λ in the simplex over the other tokens
//! ([`super::functional`]), with `κ = sqrt(‖R‖²/d + ε') >= m'·R/√d` for every unit vector. So with `‖m‖ <= A_λ/√d` and
//! `w = g_λ + m`, it makes `w·R + (A_λ − √d‖m‖) κ <= 0`, where `κ >= √ε'`. Where `A_λ < 0`, m is zero and κ is at most its greatest
//! value in the node ([`super::scale`]). Now
//!
//! ```text
//! w·R = w·r + Σ_k c_k g_k + w·b2             c_k = w·w2_k,  g_k = φ(s_k) or φ(s_k) s_{n+k},  s_i = ρ w1_i·r + b_i
//!    >= (w + ρ v)·r + Σ_i (a_i b_i + q_i s_i s_j) + Σ_k β_k + w·b2     v = Σ a_i w1_i
//!                                                β_k = min over the node of c_k g_k − Σ (a_i s_i + q_i s_i s_j)
//! ```
//!
//! for any slopes `a` and curves `q`, where `s_i s_j` are the squares `s_k²` and, of gated neurons, the products `s_k s_{n+k}`
//! ([`Network::product`]; the minima are in `neuron`). The products are bounded with the part `ρ v″·r` over all normalised
//! residuals (`sphere`), so what neurons have in common counts. Any parts `w″`, `v″` of `w`, `v` may be bounded by the ball instead:
//! `w″·r >= −‖w″‖ R₁` with `R₁ = sqrt(d(1/ρ₁² − ε))` and `ρ v″·r >= −√d ‖v″‖` (without products). What remains is linear in ρ
//! for each prefix, so over `[ρ₁, ρ₂]` the smaller of the two ends counts, each bounded by the attention oracle. If the sum, with
//! what is said of κ added, is positive there is no counterexample in the node. Maximising over `(λ, m, a, q, w″, v″)` is a
//! concave problem; at the optimum λ and `m` both come from one vector ẑ (`λ = softmax` of its logits without `t`,
//! `m = A_λ ẑ/d`), so `(ẑ, a, q, w″, v″)` are the variables.

use multiversion::multiversion;

use super::direction::{Columns, Direction};
use super::functional::{Functional, Query};
use super::hull::Hull;
use super::network::Network;
use super::neuron::{Weights, lowest};
use super::piece::Choice;
use super::sphere;
use crate::num::Interval;

/// Part of the search space in continuous terms.
#[derive(Debug, Clone)]
pub struct Region {
    /// `[ρ₁, ρ₂]`, positive, exact floats.
    pub rho: (f64, f64),
    /// Grid range of every argument.
    pub range: Vec<(i32, i32)>,
    /// Range of each coordinate of the residual before the MLP, infinite where nothing is known, `[d]`.
    pub residual: Vec<Interval>,
}

impl Region {
    /// All of a range of ρ, with nothing else known than what holds for every residual.
    #[must_use]
    pub fn of_rho(network: &Network, rho: (f64, f64)) -> Region {
        Region { rho, range: network.range.clone(), residual: vec![Interval::ENTIRE; network.width] }
    }
}

/// The dual variables.
#[derive(Debug, Clone)]
pub struct Dual {
    /// ẑ, in the ball of radius `√d`, `[d]`.
    pub point: Vec<f64>,
    /// `a_i`, `[arguments]`.
    pub slopes: Vec<f64>,
    /// `q_i`, `[arguments]`.
    pub curves: Vec<f64>,
    /// `v″`, `[d]`.
    pub normed: Vec<f64>,
    /// `w″`, `[d]`.
    pub raw: Vec<f64>,
}

impl Dual {
    /// `a`, `q`, `v″`, `w″` in one vector.
    #[must_use]
    pub fn rest(&self) -> Vec<f64> {
        [&self.slopes, &self.curves, &self.normed, &self.raw].into_iter().flatten().copied().collect()
    }

    /// A dual point from ẑ, brought back into its ball, and the rest.
    #[must_use]
    pub fn new(mut point: Vec<f64>, rest: &[f64]) -> Dual {
        let d = point.len();
        let arguments = rest.len() / 2 - d;
        let (length, root) = (norm(&point), (d as f64).sqrt());
        if length > root {
            point.iter_mut().for_each(|z| *z *= root / length);
        }
        let (slopes, rest) = rest.split_at(arguments);
        let (curves, balls) = rest.split_at(arguments);
        let (slopes, curves) = (slopes.to_vec(), curves.to_vec());
        Dual { point, slopes, curves, normed: balls[..d].to_vec(), raw: balls[d..].to_vec() }
    }
}

/// Value and supergradients of the dual function for one last token.
#[derive(Debug, Clone, Default)]
pub struct Evaluation {
    /// The lower bound on `w·R`, plus `A_λ κ` where that is negative: the smaller of those at the two ends of ρ.
    pub value: f64,
    /// `A_λ`.
    pub excess: f64,
    /// `‖w‖`, the scale of the ball parts.
    pub scale: f64,
    /// `c_k`, `[neurons]`.
    pub weights: Vec<f64>,
    /// `w`, `[d]`.
    pub w: Vec<f64>,
    /// What was least at each end of ρ, and the value there.
    pub choices: [(Choice, f64); 2],
    /// `v = Σ a_i w1_i`, `[d]`.
    pub v: Vec<f64>,
}

/// Buffers reused between evaluations.
#[derive(Debug, Default)]
pub struct Workspace {
    directions: [Direction; 2],
    mu: [Vec<f64>; 2],
    theta: f64,
}

/// One pair in one node: whose dual function it is.
#[derive(Debug, Clone, Copy)]
pub struct Problem<'a> {
    /// The folded model.
    pub network: &'a Network,
    /// Its value tables, transposed.
    pub columns: &'a Columns,
    /// What is asked.
    pub query: Query,
    /// The node's box.
    pub region: &'a Region,
    /// Its greatest κ.
    pub scale: f64,
    /// The prefixes spoken of.
    pub hull: &'a Hull,
    /// The last token, one of the hull's.
    pub token: usize,
}

/// Evaluates the dual function of a pair.
pub fn evaluate(problem: &Problem<'_>, dual: &Dual, space: &mut Workspace) -> Evaluation {
    let Problem { network, columns, query, region, scale, hull, token } = *problem;
    let d = network.width;
    let f = Functional::at(network, query, &dual.point);
    let mut v = vec![0.0; d];
    let mut constant = dot(&f.w, &network.down_bias.mid);
    if f.excess < 0.0 {
        constant += f.excess * scale;
    }
    let (mut weights, mut arguments) = (Vec::with_capacity(network.neurons), dual.slopes.clone());
    for k in 0..network.neurons {
        let c = dot(&f.w, network.down.row(k));
        let low = lowest(network, k, c, Weights::of(network, k, &dual.slopes, &dual.curves), &region.range);
        constant += low.value;
        weights.push(c);
        arguments[k] = low.arguments[0];
        if let Some(second) = arguments.get_mut(network.neurons + k) {
            *second = low.arguments[1];
        }
    }
    for (i, &a) in dual.slopes.iter().enumerate() {
        add_scaled(&mut v, a, network.up.row(i));
        constant += a * network.up_bias[i].lo();
    }
    let mut tilt = dual.normed.clone();
    constant += sphere::tilt(network, &dual.curves, &mut tilt);
    let radius = raw_radius(network, region.rho.0);
    let inner = d as f64 * (1.0 - network.eps * region.rho.1 * region.rho.1).max(0.0);
    let least = sphere::minimise(network, &dual.curves, &tilt, inner, space.theta);
    space.theta = least.theta;
    let raw_length = norm(&dual.raw);
    constant += least.value - radius * raw_length;
    let unit: Vec<f64> = dual.raw.iter().map(|x| x / raw_length.max(1e-12)).collect();

    // Both ends of ρ; the smaller counts.
    let x = network.x.row((hull.length - 1) * network.vocab + token);
    let mut out = Evaluation { excess: f.excess, scale: norm(&f.w), ..Evaluation::default() };
    out.weights = weights;
    let rhos = [region.rho.0, region.rho.1];
    let directions: [Vec<f64>; 2] =
        rhos.map(|rho| (0..d).map(|i| f.w[i] - dual.raw[i] + rho * (v[i] - dual.normed[i])).collect());
    if hull.deep.is_some() {
        for (direction, table) in directions.iter().zip(&mut space.directions) {
            hull.aim(network, columns, direction, table);
        }
    } else {
        let tables = space.directions.each_mut();
        Direction::set_all(tables, network, columns, directions.each_ref().map(Vec::as_slice), hull.length);
    }
    for (end, direction) in directions.iter().enumerate() {
        space.mu[end].resize(network.heads, 0.0);
        let mut r = x.to_vec();
        let mut reads = Vec::with_capacity(network.heads * hull.length);
        let (table, mu) = (&mut space.directions[end], &mut space.mu[end]);
        let attention = hull.minimise(network, table, mu, Some(&mut r), Some(&mut reads));
        let value = attention + dot(direction, x) + constant;
        let (normed, raw) = (least.point.clone(), unit.clone());
        let arguments = arguments.clone();
        out.choices[end] = (Choice { end, r, reads, arguments, normed, raw }, value);
    }
    out.value = f64::min(out.choices[0].1, out.choices[1].1);
    out.w = f.w;
    out.v = v;
    out
}

/// `R₁ = sqrt(d (1/ρ₁² − ε))`, the largest `‖r‖` of a node, in floats.
#[must_use]
pub fn raw_radius(network: &Network, rho: f64) -> f64 {
    (network.width as f64 * (1.0 / (rho * rho) - network.eps)).max(0.0).sqrt()
}

/// `x·y`.
#[multiversion(targets("x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn dot(x: &[f64], y: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut lanes = [0.0; LANES];
    let (a, b) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let rest: f64 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        for k in 0..LANES {
            lanes[k] += a[k] * b[k];
        }
    }
    lanes.iter().sum::<f64>() + rest
}

/// `y += factor · x`.
#[multiversion(targets("x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn add_scaled(y: &mut [f64], factor: f64, x: &[f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += factor * x;
    }
}

/// `‖x‖₂`.
pub(super) fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}
