//! From the last residual to margins and probabilities.
//!
//! Margins `l_j − l_t` are affine like the logits, and lie within `c_j − c_t ± √d ‖Π(w_j − w_t)‖` whatever the residual is.
//! With them `p_t = 1 / (1 + Σ_{j≠t} e^{l_j − l_t})`; since for every λ in the simplex `ln Σ e^{u_j} >= Σ λ_j u_j + H(λ)` (Gibbs),
//! one more affine functional bounds `p_t` from above without giving every margin its own worst case.

use ndarray::Array2;

use super::form::{Form, Map, Symbols};
use super::network::Network;
use crate::model::TokenId;
use crate::num::{Interval, exp, ln, nonnegative_sum};

/// All logits after the prefixes of a region.
#[derive(Debug, Clone)]
pub struct Logits<'n> {
    network: &'n Network,
    /// `[vocabulary]`.
    linear: Form,
    /// `[vocabulary]`, around zero, to be multiplied by an unknown factor.
    delta: Form,
    /// Bound on the size of the factor.
    gamma: f64,
}

/// What is known about one token after the prefixes of a region.
#[derive(Debug, Clone)]
pub struct Outlook {
    /// Encloses `l_j − l_t` for every token `j`, nats; zero for `t` itself.
    pub margins: Vec<Interval>,
    /// Encloses `p_t`.
    pub probability: Interval,
}

impl<'n> Logits<'n> {
    pub(super) fn new(network: &'n Network, residual: &Form) -> Logits<'n> {
        let (linear, delta, gamma) = match network.last {
            Some(norm) => norm.apply(residual, &mut Symbols::supply(1 << 38)).map(&network.head),
            None => {
                let width = network.vocab;
                (residual.map(&network.head), Form::point(vec![0.0; width]), 0.0)
            }
        };
        Logits { network, linear, delta, gamma }
    }

    /// Margins and probability of one token, which has to exist.
    #[must_use]
    pub fn outlook(&self, token: TokenId) -> Outlook {
        let t = token as usize;
        let mut one = vec![0.0; self.network.vocab];
        one[t] = 1.0;
        // x_j − x_t is x less its mean under weights that are all on t.
        let linear = self.linear.clone().minus_mean(&one);
        let delta = self.delta.clone().minus_mean(&one);
        let spread: Vec<f64> = delta.radius().iter().map(|r| nonnegative_sum(r * self.gamma)).collect();
        let mut margins = linear.clone().widened(&spread).ranges();
        for (j, margin) in margins.iter_mut().enumerate() {
            *margin = meet(*margin, self.network.widest_margin(j, t));
        }
        margins[t] = Interval::ZERO;
        let probability = self.probability(t, &margins, &linear, &delta);
        Outlook { margins, probability }
    }

    fn probability(&self, t: usize, margins: &[Interval], linear: &Form, delta: &Form) -> Interval {
        let others = || margins.iter().enumerate().filter(|(j, _)| *j != t);
        let odds: Interval = others().map(|(_, &m)| exp(m)).sum();
        // λ: the softmax without t at the centre.
        let centre = linear.mid();
        let top = others().map(|(j, _)| centre[j]).fold(f64::NEG_INFINITY, f64::max);
        let mut lambda: Vec<f64> = centre.iter().map(|m| exp(Interval::point(m - top)).mid_rad().0).collect();
        lambda[t] = 0.0;
        let column = Array2::from_shape_fn((lambda.len(), 1), |(j, _)| lambda[j]);
        let functional = Map::new(column, &[Interval::ZERO]);
        let spread = delta.map(&functional).radius()[0] * self.gamma;
        let mean = linear.map(&functional).widened(&[spread]).ranges()[0];
        let sum: Interval = lambda.iter().map(|&l| Interval::point(l)).sum();
        let plogp: Interval =
            lambda.iter().filter(|l| **l > 0.0).map(|&l| Interval::point(l) * ln(Interval::point(l))).sum();
        // With λ/Σλ in the simplex: Σ λ u / Σλ − Σ λ ln λ / Σλ + ln Σλ.
        let gibbs = (mean - plogp) / sum + ln(sum);
        let least = odds.lo().max(exp(gibbs).lo());
        let p = Interval::new(
            (Interval::ONE + Interval::point(odds.hi().max(0.0))).recip().lo(),
            (Interval::ONE + Interval::point(least.max(0.0))).recip().hi(),
        );
        Interval::new(p.lo().max(0.0), p.hi().min(1.0))
    }
}

/// What both say; one of them where rounding makes them disjoint.
fn meet(x: Interval, y: Interval) -> Interval {
    let (lo, hi) = (x.lo().max(y.lo()), x.hi().min(y.hi()));
    if lo <= hi { Interval::new(lo, hi) } else { x }
}
