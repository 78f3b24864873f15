//! The dual function of one node, in floats: a hint that [`super::sound`] re-evaluates.
//!
//! A counterexample (a prefix with `p_t > p`) makes `g_λ·R + A_λ κ < 0` for every λ in the simplex over the other tokens,
//! where `g_λ = Σ λ_j (a_j − a_t)`, `A_λ = H(λ) + Σ λ_j (c_j − c_t) − τ(p)`, `κ = sqrt(‖R‖²/d + ε') >= m'·R/√d` for every unit
//! vector. So with `A_λ >= 0`, `‖m‖ <= A_λ/√d` and `w = g_λ + m`, it makes `w·R < 0`. Now
//!
//! ```text
//! w·R = w·r + Σ_k c_k φ(s_k) + w·b2          c_k = w·w2_k,  s_k = ρ w1_k·r + b_k
//!    >= (w + ρ v)·r + Σ_k (a_k b_k + β_k) + w·b2     v = Σ a_k w1_k,  β_k = min over the node of c_k φ(s) − a_k s
//! ```
//!
//! for any slopes `a`. Any parts `w″`, `v″` of `w`, `v` may be bounded by the ball instead: `w″·r >= −‖w″‖ R₁` with
//! `R₁ = sqrt(d(1/ρ₁² − ε))` and `ρ v″·r >= −√d ‖v″‖`. What remains is linear in ρ for each prefix, so over `[ρ₁, ρ₂]` the
//! smaller of the two ends counts, each bounded by the attention oracle. If the sum is positive there is no
//! counterexample in the node. Maximising over `(λ, m, a, w″, v″)` is a concave problem; at the optimum λ and `m` both come from
//! one vector ẑ (`λ = softmax` of its logits without `t`, `m = A_λ ẑ/d`), so `(ẑ, a/c, w″, v″)` are the variables.

use super::hull::{Columns, Direction, Hull};
use super::network::Network;

/// What is asked: `p_t <= p`, as the target and `τ(p) = ln(1/p − 1)`.
#[derive(Debug, Clone, Copy)]
pub struct Query {
    /// Target token.
    pub target: usize,
    /// τ(p) rounded up: a lower threshold asks for more.
    pub tau: f64,
}

/// Part of the search space in continuous terms.
#[derive(Debug, Clone)]
pub struct Region {
    /// `[ρ₁, ρ₂]`, positive, exact floats.
    pub rho: (f64, f64),
    /// Grid range of every neuron's argument.
    pub range: Vec<(i32, i32)>,
}

/// The dual variables.
#[derive(Debug, Clone)]
pub struct Dual {
    /// ẑ, in the ball of radius `√d`, `[d]`.
    pub point: Vec<f64>,
    /// `a_k / c_k`, `[neurons]`.
    pub slopes: Vec<f64>,
    /// `v″`, `[d]`.
    pub normed: Vec<f64>,
    /// `w″`, `[d]`.
    pub raw: Vec<f64>,
}

/// Value and supergradient of the dual function for one last token.
#[derive(Debug, Clone, Default)]
pub struct Evaluation {
    /// The lower bound on `w·R`.
    pub value: f64,
    /// `A_λ`; the value counts only when it is not negative.
    pub excess: f64,
    /// `‖w‖`, the scale of the ball parts.
    pub scale: f64,
    /// Gradient with respect to each part of [`Dual`].
    pub gradient: [Vec<f64>; 4],
    /// Argument of each neuron at the minimising attention output.
    pub arguments: Vec<f64>,
    /// How much each neuron's line gives away there.
    pub gaps: Vec<f64>,
    /// How much the freedom of ρ gives away.
    pub rho_gap: f64,
}

/// Buffers reused between evaluations.
#[derive(Debug, Default)]
pub struct Workspace {
    directions: [Direction; 2],
    mu: [Vec<f64>; 2],
}

/// λ, its mean logit row, `w` and `A_λ` at a point ẑ, in floats.
pub struct Functional {
    /// λ, zero at the target, `[vocab]`.
    pub lambda: Vec<f64>,
    /// `Σ λ_j a_j`, `[d]`.
    pub mean: Vec<f64>,
    /// `w`, `[d]`.
    pub w: Vec<f64>,
    /// `A_λ`.
    pub excess: f64,
}

impl Functional {
    /// λ as the softmax of the logits at `point` without the target.
    #[must_use]
    pub fn at(network: &Network, query: Query, point: &[f64]) -> Functional {
        let (t, d) = (query.target, network.width);
        let bias = |j: usize| network.logit_bias[j].lo();
        let mut lambda: Vec<f64> =
            network.logit.iter().enumerate().map(|(j, a)| dot(a, point) + bias(j)).collect();
        lambda[t] = f64::NEG_INFINITY;
        let top = lambda.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut sum = 0.0;
        for l in &mut lambda {
            *l = (*l - top).exp();
            sum += *l;
        }
        let (mut mean, mut excess) = (vec![0.0; d], -query.tau - bias(t));
        for (j, l) in lambda.iter_mut().enumerate() {
            *l /= sum;
            if *l > 0.0 {
                add_scaled(&mut mean, *l, network.logit.row(j));
                excess += *l * (bias(j) - l.ln());
            }
        }
        let own = network.logit.row(t);
        let lift = excess.max(0.0) / d as f64;
        let w = (0..d).map(|i| mean[i] - own[i] + lift * point[i]).collect();
        Functional { lambda, mean, w, excess }
    }
}

/// Evaluates the dual function for the pair (hull, last token).
pub fn evaluate(
    network: &Network,
    columns: &Columns,
    query: Query,
    region: &Region,
    hull: &Hull,
    token: usize,
    dual: &Dual,
    space: &mut Workspace,
) -> Evaluation {
    let (d, neurons) = (network.width, network.neurons);
    let f = Functional::at(network, query, &dual.point);
    let mut v = vec![0.0; d];
    let mut constant = dot(&f.w, &network.down_bias.mid);
    let mut lowest = Vec::with_capacity(neurons);
    for k in 0..neurons {
        let c = dot(&f.w, network.down.row(k));
        let a = c * dual.slopes[k];
        let low = network.graph.lowest(c, a, region.range[k].0, region.range[k].1);
        add_scaled(&mut v, a, network.up.row(k));
        constant += a * network.up_bias[k].lo() + low.value;
        lowest.push((c, f64::from(low.index) / f64::from(crate::relax::STEPS_PER_UNIT)));
    }
    let radius = raw_radius(network, region.rho.0);
    let root = (d as f64).sqrt();
    constant -= root * norm(&dual.normed) + radius * norm(&dual.raw);

    // Both ends of ρ; the smaller counts.
    let mut best: Option<(f64, f64, Vec<f64>)> = None;
    let x = network.x.row((hull.length - 1) * network.vocab + token);
    for (end, rho) in [region.rho.0, region.rho.1].into_iter().enumerate() {
        let direction: Vec<f64> =
            (0..d).map(|i| f.w[i] - dual.raw[i] + rho * (v[i] - dual.normed[i])).collect();
        space.directions[end].set(network, columns, &direction, hull.length);
        space.mu[end].resize(network.heads, 0.0);
        let mut output = vec![0.0; d];
        let attention = hull.minimise(network, &space.directions[end], &mut space.mu[end], Some(&mut output));
        let value = attention + dot(&direction, x);
        if best.as_ref().is_none_or(|b| value < b.0) {
            best = Some((value, rho, output));
        }
    }
    let (linear, rho, mut r) = best.unwrap_or_default();
    add_scaled(&mut r, 1.0, x);

    let mut out =
        Evaluation { value: linear + constant, excess: f.excess, scale: norm(&f.w), ..Evaluation::default() };
    let mut toward = r.clone();
    add_scaled(&mut toward, 1.0, &network.down_bias.mid);
    let mut slope_gradient = vec![0.0; neurons];
    for (k, &(c, s)) in lowest.iter().enumerate() {
        let argument = rho * dot(network.up.row(k), &r) + network.up_bias[k].lo();
        let alpha = dual.slopes[k];
        add_scaled(&mut toward, network.graph.sample(s) + alpha * (argument - s), network.down.row(k));
        slope_gradient[k] = c * (argument - s);
        let steps = f64::from(crate::relax::STEPS_PER_UNIT);
        let (l, u) = (f64::from(region.range[k].0) / steps, f64::from(region.range[k].1) / steps);
        let held = argument.clamp(l, u);
        let line = c * network.graph.sample(s) + c * alpha * (argument - s);
        out.gaps.push((c * network.graph.sample(held) - line).max(0.0));
        out.arguments.push(argument);
    }
    out.rho_gap = dot(&v, &r).abs() * (region.rho.1 - region.rho.0);
    // dw = Cov_λ(a) dẑ + ẑ dA/d + (A/d) dẑ with dA = −ẑ·Cov dẑ.
    let along = dot(&toward, &dual.point) / d as f64;
    let inward: Vec<f64> = (0..d).map(|i| toward[i] - dual.point[i] * along).collect();
    let mut point_gradient: Vec<f64> = toward.iter().map(|t| t * f.excess.max(0.0) / d as f64).collect();
    let centre = dot(&f.mean, &inward);
    for (j, &l) in f.lambda.iter().enumerate().filter(|(_, l)| **l > 1e-12) {
        let a = network.logit.row(j);
        add_scaled(&mut point_gradient, l * (dot(a, &inward) - centre), a);
    }
    let normed =
        (0..d).map(|i| -rho * r[i] - root * dual.normed[i] / norm(&dual.normed).max(1e-12)).collect();
    let raw = (0..d).map(|i| -r[i] - radius * dual.raw[i] / norm(&dual.raw).max(1e-12)).collect();
    out.gradient = [point_gradient, slope_gradient, normed, raw];
    out
}

/// `R₁ = sqrt(d (1/ρ₁² − ε))`, the largest `‖r‖` of a node, in floats.
#[must_use]
pub fn raw_radius(network: &Network, rho: f64) -> f64 {
    (network.width as f64 * (1.0 / (rho * rho) - network.eps)).max(0.0).sqrt()
}

/// `x·y`.
pub(super) fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}

/// `y += factor · x`.
pub(super) fn add_scaled(y: &mut [f64], factor: f64, x: &[f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += factor * x;
    }
}

/// `‖x‖₂`.
pub(super) fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}
