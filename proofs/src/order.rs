//! The order rule: claims about the order of logits after every prefix, whatever the network below the final norm.
//!
//! The final norm puts `z` into a ball (see the head rule), on which every weighted sum of logits has a least value in closed
//! form. If `Σ w_j (l_j − l_t) > 0` on the whole ball, then wherever all tokens with negative weights lie above t (have a
//! greater logit), some token with a positive weight does: otherwise no term of the sum were positive.
//!
//! *At least k tokens lie above t.* A node of the tree assumes that the tokens of a set A are above t and those of B are not,
//! and lists such sums, their negative weights on A, their positive ones outside. The *open* tokens of a sum have positive
//! weights and are not in B, so one of them is above. A node is closed if a sum has no open token, since then nothing fits
//! its assumptions; or if it lists k − |A| sums that share no open token, which put that many others above. Any other node
//! has a child for each open token x_i of its first sum, in order: x_i joins A, and x_1 .. x_(i−1) join B. These cover the
//! node. k is 1 for *never the argmax*.
//!
//! *Always the likeliest* and *dominance* need no tree: they are sums of two logits.

use std::collections::BTreeSet;

use crate::ball::Ball;
use crate::family::Head;
use crate::format::{MAX_DENOMINATOR, OrderProof};
use crate::head::index;
use crate::interval::Interval;
use crate::predicate::Predicate;
use crate::reject::Reject;

/// Checks that `proof` proves the claim for every prefix of any length. The returned interval is the least lead of the token
/// that is claimed to lie above, over all pairs; zero where the claim names no such token.
pub(crate) fn order_proves(head: &Head, claim: &Predicate, proof: &OrderProof) -> Result<Interval, Reject> {
    let ball = Ball::new(head)?;
    let n = head.vocabulary();
    let lead = |over: u32, under: u32| ball.least(&[(over, 1), (under, -1)]);
    let below =
        |over, under, least: Interval| Err(Reject::OrderOfPair { over, under, least: least.decimals().0 });
    if matches!(claim, Predicate::Dominance { .. } | Predicate::AlwaysArgmax { .. })
        && !(proof.sums.is_empty() && proof.nodes.is_empty())
    {
        return Err(Reject::OrderNotEmpty);
    }
    match claim {
        Predicate::Dominance { over, under, margin } => {
            let lead = lead(*over, *under);
            if (-&lead).at_most(&-margin.value().clone()) { Ok(lead) } else { below(*over, *under, lead) }
        }
        Predicate::AlwaysArgmax { token } => {
            let mut smallest = None::<Interval>;
            let others = u32::try_from(n).expect("token ids have 32 bits");
            for under in (0..others).filter(|under| under != token) {
                let lead = lead(*token, under);
                if *lead.lo() <= 0.into() {
                    return below(*token, under, lead);
                }
                smallest = Some(smallest.filter(|other| other.lo() <= lead.lo()).unwrap_or(lead));
            }
            Ok(smallest.unwrap_or_else(|| Interval::from_int(0)))
        }
        Predicate::NeverArgmax { token } => never_among(&ball, n, *token, 1, proof),
        Predicate::NeverTopK { token, k } => never_among(&ball, n, *token, index(*k), proof),
        other => Err(Reject::WrongRule { rule: "order", claim: other.words() }),
    }
}

/// What a node assumes of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Assumed {
    Nothing,
    Above,
    NotAbove,
}

/// A node whose children are being visited.
struct Branching {
    /// Its open tokens, one child each.
    tokens: Vec<u32>,
    /// The token of the present child, by index.
    child: usize,
}

/// Walks the tree.
fn never_among(
    ball: &Ball,
    vocabulary: usize,
    target: u32,
    k: usize,
    proof: &OrderProof,
) -> Result<Interval, Reject> {
    for (sum, weights) in proof.sums.iter().enumerate() {
        check_sum(ball, vocabulary, target, sum, weights)?;
    }
    let mut assumed = vec![Assumed::Nothing; vocabulary];
    let mut path: Vec<Branching> = Vec::new();
    let mut nodes = proof.nodes.iter().enumerate();
    loop {
        let Some((node, sums)) = nodes.next() else {
            return Err(Reject::NodeMissing { node: proof.nodes.len() });
        };
        let tokens = open_tokens(proof, node, sums, &assumed, k - path.len())?;
        if !tokens.is_empty() {
            assumed[index(tokens[0])] = Assumed::Above;
            path.push(Branching { tokens, child: 0 });
            continue;
        }
        // The next sibling, or that of the nearest ancestor that has one.
        while let Some(Branching { tokens, child }) = path.last_mut() {
            assumed[index(tokens[*child])] = Assumed::NotAbove;
            *child += 1;
            if let Some(next) = tokens.get(*child) {
                assumed[index(*next)] = Assumed::Above;
                break;
            }
            tokens.iter().for_each(|token| assumed[index(*token)] = Assumed::Nothing);
            path.pop();
        }
        if path.is_empty() {
            return match nodes.next() {
                Some((node, _)) => Err(Reject::NodeExtra { node }),
                None => Ok(Interval::from_int(0)),
            };
        }
    }
}

/// The tokens to branch on; none if the node is closed.
fn open_tokens(
    proof: &OrderProof,
    node: usize,
    sums: &[u32],
    assumed: &[Assumed],
    missing: usize,
) -> Result<Vec<u32>, Reject> {
    let refuse = |why| Err(Reject::OrderNode { node, why });
    let mut used = BTreeSet::new();
    let mut first = None;
    for sum in sums {
        let Some(weights) = proof.sums.get(index(*sum)) else {
            return refuse("no such sum");
        };
        let mut open = Vec::new();
        for (token, weight) in weights {
            match (*weight > 0, assumed[index(*token)]) {
                (false, Assumed::Above) | (true, Assumed::NotAbove) => {}
                (false, _) => return refuse("a negative weight of a token that is not assumed to be above"),
                (true, Assumed::Above) => {
                    return refuse("a positive weight of a token that is above already");
                }
                (true, Assumed::Nothing) => open.push(*token),
            }
        }
        if open.is_empty() {
            return Ok(Vec::new());
        }
        if !open.iter().all(|token| used.insert(*token)) {
            return refuse("two sums share an open token");
        }
        first.get_or_insert(open);
    }
    match first {
        Some(_) if sums.len() >= missing => Ok(Vec::new()),
        Some(open) if missing > 1 => Ok(open),
        _ => refuse("no sum"),
    }
}

/// Checks the form of a sum, and that it is positive on the whole ball.
fn check_sum(
    ball: &Ball,
    vocabulary: usize,
    target: u32,
    sum: usize,
    weights: &[(u32, i64)],
) -> Result<(), Reject> {
    let refuse = |why| Err(Reject::SumMalformed { sum, why });
    if !weights.windows(2).all(|pair| pair[0].0 < pair[1].0) {
        return refuse("its tokens do not increase strictly");
    }
    if weights.iter().any(|(token, weight)| *token == target || *weight == 0) {
        return refuse("it holds the target token or a weight of 0");
    }
    if weights.iter().any(|(token, _)| index(*token) >= vocabulary) {
        return refuse("it holds a token that is not in the vocabulary");
    }
    let size: u128 = weights.iter().map(|(_, weight)| u128::from(weight.unsigned_abs())).sum();
    if size > u128::from(MAX_DENOMINATOR) {
        return refuse("its weights sum to more than 2^53 in magnitude");
    }
    let mut all = weights.to_vec();
    all.push((target, -weights.iter().map(|(_, weight)| weight).sum::<i64>()));
    let least = ball.least(&all);
    if *least.lo() <= 0.into() {
        return Err(Reject::SumNotPositive { sum, least: least.decimals().0 });
    }
    Ok(())
}
