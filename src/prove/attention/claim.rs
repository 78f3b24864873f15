//! Predicates as linear inequalities between logits.
//!
//! | predicate | holds after a prefix if |
//! |---|---|
//! | always the likeliest | `l_t − l_j > 0` for every other j |
//! | dominance | `l_over − l_under > c` |
//! | never the likeliest | `Σ λ_j l_j − l_t > 0` for some mixture λ of the other tokens |
//! | ceiling | `Σ λ_j l_j − l_t > T (ln(1/p − 1) − H(λ))` for some λ (Gibbs' inequality) |
//!
//! For the first two these are (but for equality) necessary too; for the others the best λ depends on the prefix, and a part
//! of the search tree has to do with one.

use crate::model::TokenId;
use crate::num::{Interval, ln};
use crate::spec::Predicate;

/// λ is a vector of multiples of `2^-LAMBDA_BITS`.
pub const LAMBDA_BITS: u32 = 20;

/// `Σ weight · logit > floor`.
#[derive(Debug, Clone, PartialEq)]
pub struct Margin {
    /// Tokens and weights.
    pub weights: Vec<(TokenId, f64)>,
    /// What has to be exceeded.
    pub floor: f64,
}

impl Margin {
    /// `l_over − l_under > floor`.
    fn between(over: TokenId, under: TokenId, floor: f64) -> Margin {
        Margin { weights: vec![(over, 1.0), (under, -1.0)], floor }
    }
}

/// A mixture of tokens, numerators of `2^LAMBDA_BITS`, tokens increasing.
pub type Lambda = Vec<(TokenId, u32)>;

/// What has to be shown for every prefix.
#[derive(Debug, Clone)]
pub enum Claim {
    /// All of these.
    All {
        /// Each is to hold.
        margins: Vec<Margin>,
        /// Any of these means that the claim fails.
        opposites: Vec<Margin>,
    },
    /// A mixture of the other tokens outweighs one.
    Mixture {
        /// The token.
        token: TokenId,
        /// `(T, ln(1/p − 1))` of a ceiling; `None` asks for a greater logit.
        ceiling: Option<(Interval, Interval)>,
    },
}

impl Claim {
    /// `None` for predicates that are not covered.
    #[must_use]
    pub fn new(predicate: &Predicate, vocab: usize) -> Option<Claim> {
        match predicate {
            Predicate::AlwaysArgmax { token } => {
                // A vocabulary that fits in memory has ids far below 2^32.
                let others = || (0..vocab as TokenId).filter(|j| j != token);
                Some(Claim::All {
                    margins: others().map(|j| Margin::between(*token, j, 0.0)).collect(),
                    opposites: others().map(|j| Margin::between(j, *token, 0.0)).collect(),
                })
            }
            Predicate::Dominance { over, under, margin } => {
                let margin = margin.enclosure();
                Some(Claim::All {
                    margins: vec![Margin::between(*over, *under, margin.hi())],
                    opposites: vec![Margin::between(*under, *over, (-margin).hi())],
                })
            }
            Predicate::NeverArgmax { token } => Some(Claim::Mixture { token: *token, ceiling: None }),
            Predicate::Ceiling { token, threshold, .. } => {
                Some(Claim::ceiling(*token, predicate.temperature(), -threshold.log_odds()))
            }
            Predicate::SetCeiling { .. }
            | Predicate::Floor { .. }
            | Predicate::MaxCeiling { .. }
            | Predicate::Continuation { .. }
            | Predicate::NeverInNucleus { .. }
            | Predicate::NeverTopK { .. } => None,
        }
    }

    /// `P(token) <= p` at a temperature, with `limit` = ln(1/p − 1).
    #[must_use]
    pub fn ceiling(token: TokenId, temperature: Interval, limit: Interval) -> Claim {
        Claim::Mixture { token, ceiling: Some((temperature, limit)) }
    }

    /// A good λ where the logits are these: their softmax without the token, at a low temperature if only the order matters.
    #[must_use]
    pub fn lambda(&self, logits: &[f64]) -> Lambda {
        let Claim::Mixture { token, ceiling } = self else { return Vec::new() };
        let temperature = ceiling.map_or(0.05, |(t, _)| t.mid_rad().0);
        let others = || (0..).zip(logits).filter(|&(j, _): &(TokenId, _)| j != *token);
        let top = others().map(|(_, &l)| l).fold(f64::NEG_INFINITY, f64::max);
        let weight = |l: f64| ((l - top) / temperature).exp();
        let sum: f64 = others().map(|(_, &l)| weight(l)).sum();
        let unit = f64::from(1u32 << LAMBDA_BITS);
        // Rounded down, they sum to at most the unit; the likeliest gets the rest.
        let numerator = |l: f64| (weight(l) / sum * unit).floor() as u32;
        let mut lambda: Lambda = others().map(|(j, &l)| (j, numerator(l))).collect();
        let used: u32 = lambda.iter().fold(0, |sum, (_, n)| sum.saturating_add(*n));
        if let Some(best) = lambda.iter_mut().max_by_key(|(_, n)| *n) {
            best.1 = (best.1 + (1 << LAMBDA_BITS)).saturating_sub(used);
        }
        lambda.retain(|(_, n)| *n > 0);
        lambda
    }

    /// What λ has to show; `None` if it is no mixture or has no use.
    #[must_use]
    pub fn margin(&self, lambda: &Lambda) -> Option<Margin> {
        let Claim::Mixture { token, ceiling } = self else { return None };
        if lambda.iter().map(|(_, n)| u64::from(*n)).sum::<u64>() != 1 << LAMBDA_BITS {
            return None;
        }
        let unit = f64::from(1u32 << LAMBDA_BITS);
        let mut weights: Vec<(TokenId, f64)> =
            lambda.iter().map(|&(j, n)| (j, f64::from(n) / unit)).collect();
        let floor = ceiling.map_or(0.0, |(t, limit)| {
            let term = |w: f64| ln(Interval::point(w)) * w;
            let negentropy: Interval = weights.iter().map(|&(_, w)| term(w)).sum();
            ((limit + negentropy) * t).hi()
        });
        weights.push((*token, -1.0));
        floor.is_finite().then_some(Margin { weights, floor })
    }
}
