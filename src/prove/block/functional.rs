//! What is asked, and what a counterexample satisfies for it: `g_λ·R + A_λ κ <= 0` for every λ of a simplex.
//!
//! With `l_j = a_j·ẑ + c_j` and `R = κ ẑ` every claim below fails only where, for every λ over tokens other than t,
//! `g_λ = Σ λ_j (a_j − a_t)` and
//!
//! | claim | A_λ | λ |
//! |---|---|---|
//! | `P(t) <= p` at temperature T | `T (H(λ) − τ) + Σ λ_j (c_j − c_t)`, `τ = ln(1/p − 1)` | any (Gibbs) |
//! | some other logit is greater than t's by more than a margin | `Σ λ_j (c_j − c_t) − margin` | any |
//! | `l_over − l_t >= margin` | `c_over − c_t − margin` | all on `over` |
//!
//! The best λ at a point ẑ is the softmax of the logits there, divided by T. The second claim is the first one at T = 0, where λ
//! would jump; the search uses a small T instead (`SOFT`), which is a hint like all of it.

use super::dual::{add_scaled, dot, norm};
use super::network::Network;
use crate::num::{Interval, exp};

/// What is asked of every prefix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Query {
    /// Target token, t.
    pub target: usize,
    /// What is claimed of it.
    pub claim: Claim,
}

/// A claim about the target's logit among the others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Claim {
    /// `P(t) <= p`.
    Ceiling {
        /// `τ(p) = ln(1/p − 1)` rounded up: a lower threshold asks for more.
        tau: f64,
        /// T, positive.
        temperature: Interval,
    },
    /// Some other logit is greater by more than a margin, in nats.
    NeverArgmax {
        /// Not negative.
        margin: f64,
    },
    /// `l_over − l_t >= margin`.
    Lead {
        /// The token with the greater logit, not the target.
        over: usize,
        /// In nats.
        margin: Interval,
    },
}

/// Temperature of λ for claims about order.
const SOFT: f64 = 0.2;

/// Part of `A_λ`, in nats, that the search leaves unused, so that bounds a hair below zero still prove: the
/// sound evaluation adds `(A_λ − √d‖m‖) √ε'` (see [`super::dual`]). Where the relaxed set of `R` holds the origin no
/// bound can exceed zero, so without a reserve such nodes would never close.
pub const RESERVE: f64 = 0.05;

impl Query {
    /// A ceiling on a probability at temperature one.
    #[must_use]
    pub fn ceiling(target: usize, tau: f64) -> Query {
        Query { target, claim: Claim::Ceiling { tau, temperature: Interval::ONE } }
    }

    /// Whether every proof of `other` proves this too because it asks for less.
    #[must_use]
    pub fn is_easier_than(&self, other: &Query) -> bool {
        match (self.claim, other.claim) {
            (Claim::Ceiling { tau, .. }, Claim::Ceiling { tau: more, .. }) => tau < more,
            _ => false,
        }
    }

    /// Whether the claim holds for certain after a prefix with these logits.
    #[must_use]
    pub fn holds(&self, logits: &[Interval]) -> bool {
        let own = logits[self.target];
        let mut others = logits.iter().enumerate().filter(|(j, _)| *j != self.target).map(|(_, l)| *l - own);
        match self.claim {
            Claim::Ceiling { tau, temperature } => {
                let odds: Interval = others.map(|lead| exp(lead / temperature)).sum();
                odds.lo() >= exp(Interval::point(tau)).hi()
            }
            Claim::NeverArgmax { margin } => others.any(|lead| lead.lo() > margin),
            Claim::Lead { over, margin } => (logits[over] - own).lo() >= margin.hi(),
        }
    }

    /// Temperature of λ, and whether its entropy counts.
    fn softness(&self) -> (f64, bool) {
        match self.claim {
            Claim::Ceiling { temperature, .. } => (temperature.mid_rad().0, true),
            Claim::NeverArgmax { .. } | Claim::Lead { .. } => (SOFT, false),
        }
    }
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
    /// λ as the softmax of the logits at `point` without the target, or all on the token that the claim names.
    #[must_use]
    pub fn at(network: &Network, query: Query, point: &[f64]) -> Functional {
        let (t, d) = (query.target, network.width);
        let bias = |j: usize| network.logit_bias[j].lo();
        let own = network.logit.row(t);
        let (soft, counts) = query.softness();
        let (mut lambda, entropy) = (vec![0.0; network.vocab], if counts { soft } else { 0.0 });
        let asked = match query.claim {
            Claim::Ceiling { tau, .. } => soft * tau,
            Claim::NeverArgmax { margin } => margin,
            Claim::Lead { margin, .. } => margin.hi(),
        };
        match query.claim {
            Claim::Lead { over, .. } => lambda[over] = 1.0,
            Claim::Ceiling { .. } | Claim::NeverArgmax { .. } => {
                let logits = network.logit.iter().enumerate();
                lambda = logits.map(|(j, a)| (dot(a, point) + bias(j)) / soft).collect();
                lambda[t] = f64::NEG_INFINITY;
                let top = lambda.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                lambda.iter_mut().for_each(|l| *l = (*l - top).exp());
                let sum: f64 = lambda.iter().sum();
                lambda.iter_mut().for_each(|l| *l /= sum);
            }
        }
        let (mut mean, mut excess) = (vec![0.0; d], -asked - RESERVE - bias(t));
        for (j, &l) in lambda.iter().enumerate().filter(|(_, l)| **l > 0.0) {
            add_scaled(&mut mean, l, network.logit.row(j));
            excess += l * (bias(j) - entropy * l.ln());
        }
        let lift = excess.max(0.0) / d as f64;
        let w = (0..d).map(|i| mean[i] - own[i] + lift * point[i]).collect();
        Functional { lambda, mean, w, excess }
    }
}

/// How `w` and `A_λ` move with ẑ: where `A_λ >= 0`, `dw = (Cov_λ(a)/T (·) − ẑ ẑ'Cov/(dT) + A/d) dẑ`, kept as its transpose applied to
/// vectors; below, `dw = Cov/T dẑ` and `dA = −ẑ'Cov/T dẑ`, where A counts by the greatest κ. Where the entropy of λ does not count,
/// its gradient `−Cov_λ(ln λ, a)` is missing from that of A.
pub struct Sensitivity {
    covariance: Vec<f64>,
    point: Vec<f64>,
    lift: f64,
    /// `Cov_λ(ln λ, a)` where the entropy of λ does not count, else zero.
    entropy: Vec<f64>,
    /// The greatest κ where `A_λ < 0`.
    scale: Option<f64>,
    /// `‖R‖/√d` of the best piece there, or the greatest κ.
    pub kappa: f64,
}

impl Sensitivity {
    /// At a point ẑ, with the residual of the best piece there and the greatest κ of the node.
    #[must_use]
    pub fn at(
        network: &Network,
        query: Query,
        f: &Functional,
        point: &[f64],
        (residual, scale): (&[f64], f64),
    ) -> Sensitivity {
        let d = network.width;
        let mut covariance = vec![0.0; d * d];
        let mut centred = vec![0.0; d];
        let mut entropy = vec![0.0; d];
        let (soft, counts) = query.softness();
        for (j, &l) in f.lambda.iter().enumerate().filter(|(_, l)| **l > 1e-6) {
            for ((c, a), m) in centred.iter_mut().zip(network.logit.row(j)).zip(&f.mean) {
                *c = a - m;
            }
            if !counts {
                add_scaled(&mut entropy, l * l.ln(), &centred);
            }
            for i in 0..d {
                add_scaled(&mut covariance[i * d..(i + 1) * d], l * centred[i] / soft, &centred);
            }
        }
        let scale = (f.excess < 0.0).then_some(scale);
        Sensitivity {
            covariance,
            point: point.to_vec(),
            lift: f.excess.max(0.0) / d as f64,
            entropy,
            scale,
            kappa: scale.unwrap_or_else(|| norm(residual) / (d as f64).sqrt()),
        }
    }

    /// `q` without its part along ẑ; with a scale, without that much of ẑ.
    #[must_use]
    pub fn inward(&self, q: &[f64]) -> Vec<f64> {
        let along = self.along(q);
        q.iter().zip(&self.point).map(|(q, z)| q - z * along).collect()
    }

    /// Gradient with respect to ẑ of `q·w`, and of `A_λ` times the scale.
    #[must_use]
    pub fn transposed(&self, q: &[f64]) -> Vec<f64> {
        let d = q.len();
        let (inward, along) = (self.inward(q), self.along(q));
        let of_lambda =
            |i: usize| dot(&self.covariance[i * d..(i + 1) * d], &inward) + along * self.entropy[i];
        (0..d).map(|i| of_lambda(i) + self.lift * q[i]).collect()
    }

    /// What A counts by for `q`: κ, as far as `q` has it.
    fn along(&self, q: &[f64]) -> f64 {
        self.scale.unwrap_or_else(|| dot(q, &self.point) / q.len() as f64)
    }
}
