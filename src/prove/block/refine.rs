//! Attempts of the block prover: at a bound, which it may fall back from as time goes by, or at one claim.

use std::cell::Cell;

use super::ascent::Steps;
use super::functional::Query;
use super::tree::prove;
use super::{Block, BlockProof, Scope};
use crate::limits::Limits;
use crate::model::TokenId;
use crate::num::{Interval, ln};
use crate::prove::Attempt;

/// Nodes after which an attempt gives up when no time limit does.
const MOST_NODES: usize = 50_000;
/// The same through several blocks, where a node takes longer.
const MOST_DEEP_NODES: usize = 2_000;

/// Evaluations of the dual function per ascent. With fewer, nodes that one vector would close are split instead, and trees
/// grow out of hand; with more, nodes that no vector closes take longer.
const MOST_STEPS: usize = 100;

/// Tries to prove that no prefix of at most `longest` tokens drives the token above what the attempt asks for when it ends; with
/// the proof comes that probability.
#[must_use]
pub fn prove_at(
    block: &Block,
    token: TokenId,
    attempt: &Attempt,
    longest: usize,
    limits: &Limits,
) -> Option<(f64, BlockProof)> {
    let asked = Cell::new(attempt.probability(0.0));
    let tau = |effort: f64| {
        // By construction never lower than before, whatever rounding does: nodes that are closed stay closed.
        asked.set(attempt.probability(effort).max(asked.get()));
        ln(Interval::ONE / Interval::point(asked.get()) - Interval::ONE).hi()
    };
    if !tau(0.0).is_finite() {
        return None;
    }
    let goal = |effort: f64| Query::ceiling(token as usize, tau(effort));
    let proof = search(block, &goal, longest, limits)?;
    tracing::debug!(token, probability = asked.get(), "the block prover has a bound");
    Some((asked.get(), proof))
}

/// Tries to prove a claim about every prefix of at most `longest` tokens.
#[must_use]
pub fn prove_claim(block: &Block, query: Query, longest: usize, limits: &Limits) -> Option<BlockProof> {
    search(block, &|_| query, longest, limits)
}

fn search(block: &Block, goal: &dyn Fn(f64) -> Query, longest: usize, limits: &Limits) -> Option<BlockProof> {
    // The reserve lets a bound a hair below zero prove (see `functional`).
    let steps = Steps { most: MOST_STEPS, enough: -5e-5 };
    let scope = Scope { shortest: 1, longest };
    let most = if block.is_deep() { MOST_DEEP_NODES } else { MOST_NODES };
    let outcome = prove(block, goal, &scope, steps, limits, most);
    tracing::debug!(
        proved = outcome.proof.is_some(),
        nodes = outcome.nodes,
        evaluations = outcome.evaluations,
        "attempt of the block prover"
    );
    outcome.proof.map(|root| block.proof(root))
}
