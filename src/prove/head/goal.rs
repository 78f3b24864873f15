//! When the bound of a token is good enough.

use super::dual::Dual;

/// How far to go with each token. Bounds are sound at any time; a goal only says when to stop improving them.
#[derive(Debug, Clone)]
pub struct Goal {
    /// Largest distance of the upper bound from the least possible one, as a part of the upper bound. What floats
    /// lose by rounding is not counted: it cannot be won back.
    pub tolerance: f64,
    /// Probabilities of interest: a token is finished as soon as each of them either is an upper bound or is reached
    /// within the ball. Empty where the bound itself is asked for.
    pub thresholds: Vec<f64>,
}

impl Goal {
    /// Bounds within a millionth of the best that the theorem can give.
    #[must_use]
    pub fn tight() -> Goal {
        Goal { tolerance: 1e-6, thresholds: Vec::new() }
    }

    /// Only decide on which side of these probabilities the bound lies. For a rigorous verdict the thresholds have to
    /// be at or below the exact ones ([`Threshold::floor`](crate::spec::Threshold::floor)).
    #[must_use]
    pub fn decide(thresholds: &[f64]) -> Goal {
        Goal { thresholds: thresholds.to_vec(), ..Goal::tight() }
    }

    /// Whether a target with this dual and this least `LSE_{j≠t}(l_j − l_t)` needs no further evaluation.
    pub(super) fn reached(&self, dual: &Dual, log_odds: f64) -> bool {
        let upper = dual.probability();
        let reached = 1.0 / (1.0 + log_odds.exp());
        let without_rounding = 1.0 / (1.0 + (dual.log_odds + dual.rounding).exp());
        let decided = |&threshold: &f64| upper <= threshold || reached > threshold;
        without_rounding - reached <= self.tolerance * without_rounding
            || (!self.thresholds.is_empty() && self.thresholds.iter().all(decided))
    }
}
