//! One attempt of the block prover at a bound.

use super::ascent::Steps;
use super::dual::Query;
use super::tree::prove;
use super::{Block, BlockProof, Draft, Scope};
use crate::limits::Limits;
use crate::model::TokenId;
use crate::num::{Interval, ln};
use crate::prove::Attempt;

/// Nodes after which an attempt gives up when no time limit does.
const MOST_NODES: usize = 50_000;

/// Evaluations of the dual function per ascent. With fewer, nodes that one vector would close are split instead, and trees
/// grow out of hand; with more, nodes that no vector closes take longer.
const MOST_STEPS: usize = 150;

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
