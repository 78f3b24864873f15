//! The dual function of one node, in floats: a hint that [`super::sound`] re-evaluates.
//!
//! A counterexample (a prefix with `p_t > p`) makes `g_λ·R + A_λ κ < 0` for every λ in the simplex over the other tokens,
//! where `g_λ = Σ λ_j (a_j − a_t)`, `A_λ = H(λ) + Σ λ_j (c_j − c_t) − τ(p)`, `κ = sqrt(‖R‖²/d + ε') >= m'·R/√d` for every unit
//! vector. So with `‖m‖ <= A_λ/√d` and `w = g_λ + m`, it makes `w·R + (A_λ − √d‖m‖) κ < 0`, where `κ >= √ε'`. Now
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
//! `(A_λ − √d‖m‖) √ε'` added, is positive there is no counterexample in the node. Maximising over `(λ, m, a, q, w″, v″)` is a
//! concave problem; at the optimum λ and `m` both come from one vector ẑ (`λ = softmax` of its logits without `t`,
//! `m = A_λ ẑ/d`), so `(ẑ, a, q, w″, v″)` are the variables.

use multiversion::multiversion;

use super::hull::{Columns, Direction, Hull};
use super::network::Network;
use super::neuron::{Weights, lowest};
use super::piece::Choice;
use super::sphere;

/// What is asked: `p_t <= p`, as the target and `τ(p) = ln(1/p − 1)`.
#[derive(Debug, Clone, Copy)]
pub struct Query {
    /// Target token.
    pub target: usize,
    /// τ(p) rounded up: a lower threshold asks for more.
    pub tau: f64,
}

/// Part of the threshold, in nats, that the search leaves unused, so that bounds a hair below zero still prove: the
/// sound evaluation adds `(A_λ − √d‖m‖) √ε'` (see the head of this file). Where the relaxed set of `R` holds the origin no
/// bound can exceed zero, so without a reserve such nodes would never close.
pub const RESERVE: f64 = 0.05;

/// Part of the search space in continuous terms.
#[derive(Debug, Clone)]
pub struct Region {
    /// `[ρ₁, ρ₂]`, positive, exact floats.
    pub rho: (f64, f64),
    /// Grid range of every argument.
    pub range: Vec<(i32, i32)>,
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
    /// The lower bound on `w·R`: the smaller of those at the two ends of ρ.
    pub value: f64,
    /// `A_λ`; the value counts only when it is not negative.
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
        let (mut mean, mut excess) = (vec![0.0; d], -query.tau - RESERVE - bias(t));
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
    /// The prefixes spoken of.
    pub hull: &'a Hull,
    /// The last token, one of the hull's.
    pub token: usize,
}

/// Evaluates the dual function of a pair.
pub fn evaluate(problem: &Problem<'_>, dual: &Dual, space: &mut Workspace) -> Evaluation {
    let Problem { network, columns, query, region, hull, token } = *problem;
    let d = network.width;
    let f = Functional::at(network, query, &dual.point);
    let mut v = vec![0.0; d];
    let mut constant = dot(&f.w, &network.down_bias.mid);
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
    let tables = space.directions.each_mut();
    Direction::set_all(tables, network, columns, directions.each_ref().map(Vec::as_slice), hull.length);
    for (end, direction) in directions.iter().enumerate() {
        space.mu[end].resize(network.heads, 0.0);
        let mut r = x.to_vec();
        let mut reads = Vec::with_capacity(network.heads * hull.length);
        let (table, mu) = (&space.directions[end], &mut space.mu[end]);
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

/// How `w` moves with ẑ: `dw = (Cov_λ(a) (·) − ẑ ẑ'Cov/d + A/d) dẑ`, kept as its transpose applied to vectors.
pub struct Sensitivity {
    covariance: Vec<f64>,
    point: Vec<f64>,
    lift: f64,
    /// `‖R‖/√d` of the best piece there.
    pub kappa: f64,
}

impl Sensitivity {
    /// At a point ẑ.
    #[must_use]
    pub fn at(network: &Network, f: &Functional, point: &[f64], residual: &[f64]) -> Sensitivity {
        let d = network.width;
        let mut covariance = vec![0.0; d * d];
        let mut centred = vec![0.0; d];
        for (j, &l) in f.lambda.iter().enumerate().filter(|(_, l)| **l > 1e-6) {
            for ((c, a), m) in centred.iter_mut().zip(network.logit.row(j)).zip(&f.mean) {
                *c = a - m;
            }
            for i in 0..d {
                add_scaled(&mut covariance[i * d..(i + 1) * d], l * centred[i], &centred);
            }
        }
        Sensitivity {
            covariance,
            point: point.to_vec(),
            lift: f.excess.max(0.0) / d as f64,
            kappa: norm(residual) / (d as f64).sqrt(),
        }
    }

    /// `q` without its part along ẑ.
    #[must_use]
    pub fn inward(&self, q: &[f64]) -> Vec<f64> {
        let along = dot(q, &self.point) / q.len() as f64;
        q.iter().zip(&self.point).map(|(q, z)| q - z * along).collect()
    }

    /// Gradient with respect to ẑ of `q·w`.
    #[must_use]
    pub fn transposed(&self, q: &[f64]) -> Vec<f64> {
        let d = q.len();
        let inward = self.inward(q);
        (0..d).map(|i| dot(&self.covariance[i * d..(i + 1) * d], &inward) + self.lift * q[i]).collect()
    }
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
