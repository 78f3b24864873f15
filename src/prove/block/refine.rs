//! Which thresholds to try on a token, and one attempt at one of them.

use super::ascent::Steps;
use super::dual::Query;
use super::tree::prove;
use super::{Block, BlockProof, Draft, Scope};
use crate::limits::Limits;
use crate::model::TokenId;
use crate::num::{Interval, ln};
use crate::search::Aim;
use crate::verdict::{Answer, Bounds};

/// A probability to prove as an upper bound, strictly between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attempt {
    /// The bound.
    pub probability: f64,
}

/// Nodes after which an attempt gives up when no time limit does.
const MOST_NODES: usize = 50_000;

/// Evaluations of the dual function per ascent. With fewer, nodes that one vector would close are split instead, and trees
/// grow out of hand; with more, nodes that no vector closes take longer.
const MOST_STEPS: usize = 150;

/// How far up from the lower to the upper bound the next attempt is made: high, because a draft makes the way down in steps
/// cheap, and each step that succeeds is a better bound.
const STEP: f64 = 0.7;

/// What to try next, given that `failed` (zero at first) was out of reach. For a gap: a step from the upper bound towards
/// what is known to be out of reach. For thresholds: the largest undecided one; with `refine`, a gap that is worth the
/// time left, that step too, or an undecided threshold close to it. `None` when nothing is worth a try.
#[must_use]
pub fn next_attempt(bounds: &Bounds, aim: Aim<'_>, failed: f64, refine: Option<f64>) -> Option<Attempt> {
    let lower = bounds.lower().max(failed);
    let step = |gap: f64| {
        // It ends at a tenth of the present gap: closer to the witness proofs get long.
        let room = bounds.upper - lower;
        let total = bounds.upper - bounds.lower();
        (total > gap && room > 0.1 * total && room > 1e-3).then_some(lower + STEP * room)
    };
    let probability = match aim {
        Aim::Narrow { gap } => step(gap)?,
        Aim::Exceed(thresholds) => {
            let open = || {
                let unknown = thresholds.iter().filter(|p| bounds.answer(p) == Answer::Unknown);
                unknown.map(|p| p.floor()).filter(|p| *p > failed)
            };
            let far = |p: &f64, step: f64| (p - step).abs();
            match refine.and_then(step) {
                Some(step) => open()
                    .filter(|p| far(p, step) <= 0.3 * (bounds.upper - lower))
                    .min_by(|p, q| far(p, step).total_cmp(&far(q, step)))
                    .unwrap_or(step),
                None => open().reduce(f64::max)?,
            }
        }
        // Bounds on the excess of a predicate are no probabilities.
        Aim::Violate(_) => return None,
    };
    (probability > 0.0 && probability < 1.0).then_some(Attempt { probability })
}

/// Tries to prove that no prefix of at most `longest` tokens drives the token above the attempt's probability. All attempts
/// on a token share a draft.
#[must_use]
pub fn prove_at(
    block: &Block,
    token: TokenId,
    attempt: Attempt,
    longest: usize,
    limits: &Limits,
    draft: &mut Draft,
) -> Option<BlockProof> {
    let odds = Interval::ONE / Interval::point(attempt.probability) - Interval::ONE;
    let query = Query { target: token as usize, tau: ln(odds).hi() };
    if !query.tau.is_finite() {
        return None;
    }
    // The reserve of the threshold lets a bound a hair below zero prove (see `dual`).
    let steps = Steps { most: MOST_STEPS, enough: -5e-5 };
    let scope = Scope { shortest: 1, longest };
    let outcome = prove(block, query, &scope, steps, limits, (draft, MOST_NODES));
    tracing::debug!(
        token,
        probability = attempt.probability,
        proved = outcome.proof.is_some(),
        nodes = outcome.nodes,
        evaluations = outcome.evaluations,
        "attempt of the block prover"
    );
    outcome.proof.map(|root| BlockProof { rho: block.rho, root })
}
