//! What the head theorem proves of predicates other than the ceiling of one token: bounds on the excess, in nats, over the
//! whole ball.
//!
//! With `m_s <= ln Σ_{j∉S} e^((l_j − l_s)/T)` for each s of a set S of tokens, from the dual with weights outside of S,
//! the odds of S are at most `Σ_s e^(−m_s)`. A floor of t is a ceiling of all other tokens, and there the only weight is on t
//! itself: a norm per token. If k tokens J have `ln Σ_J e^((l_j − l_t)/T) >= m` and `x = e^m − k > 0`, then the tokens above t
//! have a probability of at least `x / (x + V)`: those of J that are not above contribute at most 1 each, in units of
//! `e^(l_t/T)`, and so does each of the at most V other tokens that are not above.

use ndarray::Array1;

use super::HeadError;
use super::certificate::HeadCertificate;
use super::dual::{Dual, SumError, Sums};
use super::goal::Goal;
use super::prover::HeadProver;
use crate::limits::Limits;
use crate::model::TokenId;
use crate::num::{self, Interval};

/// A bound on an excess and the weights that prove it.
#[derive(Debug, Clone, PartialEq)]
pub struct OddsProof {
    /// The excess of every prefix of any length is at most this, in nats. Rigorous.
    pub excess: f64,
    /// One certificate per token where a set was asked for, one for the nucleus, none for a floor.
    pub duals: Vec<HeadCertificate>,
}

impl HeadProver<'_> {
    /// Bounds the log-odds of a set of tokens, not all of them.
    ///
    /// # Errors
    /// [`HeadError::Token`] for a token beyond the vocabulary.
    pub fn set(self, tokens: &[TokenId], limits: &Limits) -> Result<OddsProof, HeadError> {
        let prover = self.outside(tokens)?;
        let proofs = prover.bound_all(tokens, &Goal::tight(), limits, &|_| {})?;
        let duals: Vec<HeadCertificate> = proofs.iter().map(|proof| prover.certificate(proof)).collect();
        let excess = log_sum(duals.iter().map(|dual| -dual.log_odds));
        Ok(OddsProof { excess, duals })
    }

    /// Bounds the log-odds of all tokens but one.
    ///
    /// # Errors
    /// [`HeadError::Token`] for a token beyond the vocabulary.
    pub fn others(&self, token: TokenId) -> Result<OddsProof, HeadError> {
        let problem = self.problem();
        self.check(&[token])?;
        let t = token as usize;
        let sums = Sums::of_block(problem, t, &[1.0]);
        let row: Array1<f64> = problem.unembed.row(t).mapv(f64::from);
        let error = SumError { relative: 0.0, wide: 1, absolute: 0.0 };
        let lead = |other| -Dual::evaluate(problem, other, &sums, row.view(), error).log_odds;
        let excess = log_sum((0..problem.vocab_size()).filter(|&other| other != t).map(lead));
        Ok(OddsProof { excess, duals: Vec::new() })
    }

    /// Bounds the log-odds of the tokens that are not above a token; infinite where nothing is known.
    ///
    /// # Errors
    /// [`HeadError::Token`] for a token beyond the vocabulary.
    pub fn not_above(&self, token: TokenId, limits: &Limits) -> Result<OddsProof, HeadError> {
        let proof = self.bound(token, &Goal::tight(), limits)?;
        let all = self.certificate(&proof);
        let mut ranked = all.lambda.clone();
        ranked.sort_by_key(|&(token, weight)| (std::cmp::Reverse(weight), token));
        // Few tokens cost less, many give more: all of the likeliest, in steps.
        let mut best = self.rated(all);
        let mut n = 1;
        while n < ranked.len() {
            let other = self.not_above_by(token, &ranked[..n]);
            if other.excess < best.excess {
                best = other;
            }
            n += n.div_ceil(4);
        }
        Ok(best)
    }

    /// The same from given weights of other tokens, each at most once, such as those of a proof that the token is never the
    /// likeliest: at low temperatures they are the best ones, and hard to descend to.
    #[must_use]
    pub fn not_above_by(&self, token: TokenId, weights: &[(TokenId, u64)]) -> OddsProof {
        let problem = self.problem();
        let mut numerators = vec![0; problem.vocab_size()];
        weights.iter().for_each(|&(j, weight)| numerators[j as usize] = weight);
        self.rated(HeadCertificate::evaluate(problem, token as usize, &numerators))
    }

    /// What weights prove of the tokens that are not above.
    fn rated(&self, dual: HeadCertificate) -> OddsProof {
        let sum = num::exp(Interval::point(dual.log_odds)) - Interval::point(dual.lambda.len() as f64);
        let excess = (num::ln(Interval::point(self.problem().vocab_size() as f64)) - num::ln(sum)).hi();
        OddsProof { excess: if sum.lo() > 0.0 { excess } else { f64::INFINITY }, duals: vec![dual] }
    }
}

/// An upper bound on `ln Σ e^x`; infinite if one of the numbers is not finite.
fn log_sum(numbers: impl Iterator<Item = f64> + Clone) -> f64 {
    let top = numbers.clone().fold(f64::NEG_INFINITY, f64::max);
    if !top.is_finite() {
        return f64::INFINITY;
    }
    let sum: Interval = numbers.map(|x| num::exp(Interval::point(x) - Interval::point(top))).sum();
    let bound = (num::ln(sum) + Interval::point(top)).hi();
    if bound.is_nan() { f64::INFINITY } else { bound }
}
