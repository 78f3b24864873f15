//! What the block prover's relaxation of one pair gives away before anything is split, by bisection over thresholds.
//!
//! Of the pair (length, last token) at which the best mixture was found, the least probability that one dual vector proves,
//! *undivided*: neurons within all that attention allows, ρ anywhere; and with the *norm known*: ρ within a hundredth of its value
//! at the mixture. Between the mixture and the second lie the neurons' envelopes, between the two the freedom of ρ.

use crate::limits::Limits;
use crate::model::TokenId;
use crate::num::{Interval, ln};
use crate::prove::block::Block;
use crate::prove::block::ascent::Steps;
use crate::prove::block::functional::Query;
use crate::prove::block::tree::closes_undivided;

use super::hull::Mixture;
use super::{log_odds, sigmoid};

/// Halvings of the range between the mixture and the head, in log-odds.
const HALVINGS: usize = 9;
/// How far ρ may be from its value at the mixture.
const KNOWN: f64 = 0.01;
/// Effort at each threshold.
const STEPS: Steps = Steps { most: 200, enough: -5e-5 };

/// Least probabilities that are proved of one pair; certified.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Relaxation {
    /// Length and last token of the pair.
    pub pair: (usize, TokenId),
    /// By one vector for all of it.
    pub undivided: f64,
    /// By one vector for what has the mixture's norm.
    pub norm_known: f64,
}

/// Measures at the pair of a mixture, between its log-odds and the head's bound.
pub(super) fn measure(
    block: &Block,
    target: TokenId,
    mixture: &Mixture,
    head: f64,
    limits: &Limits,
) -> Option<Relaxation> {
    let (length, token) = mixture.pair;
    let least = |rho: (f64, f64)| {
        let (mut low, mut high, mut proved) = (mixture.value, log_odds(head), head);
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            let p = sigmoid(middle);
            let odds = Interval::ONE / Interval::point(p) - Interval::ONE;
            let query = Query::ceiling(target as usize, ln(odds).hi());
            match closes_undivided(block, query, (length, token as usize), rho, STEPS) {
                true => (high, proved) = (middle, p),
                false => low = middle,
            }
            if limits.expired() {
                return None;
            }
        }
        Some(proved)
    };
    let rho = scale(block, &mixture.residual);
    let (lowest, highest) = block.rho;
    let near = ((rho / (1.0 + KNOWN)).max(lowest), (rho * (1.0 + KNOWN)).min(highest));
    let undivided = least(block.rho)?;
    // What is proved of every norm is proved of this one.
    Some(Relaxation { pair: mixture.pair, undivided, norm_known: least(near)?.min(undivided) })
}

/// ρ of a residual, in floats.
fn scale(block: &Block, residual: &[f64]) -> f64 {
    let d = residual.len() as f64;
    let mean = if block.network.centred { residual.iter().sum::<f64>() / d } else { 0.0 };
    let square = residual.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / d;
    (square + block.network.eps).sqrt().recip()
}
