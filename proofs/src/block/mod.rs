//! The block rule: a claim about one logit among the others for every prefix of a language, by branch and bound through the one block
//! of a network.
//!
//! Of each length it speaks of the prefixes that hold at every position a token which some member of the language holds there: of
//! all members, and of others where positions depend on each other. A node of the proof stands for the prefixes whose ρ and neurons
//! lie in its ranges, that hold at every position one of its tokens, and whose length and last token form one of its *open*
//! pairs. A dual vector ([`dual`]) shows for some pairs that no prefix of the node violates the claim;
//! a node may have its last few prefixes evaluated one by one; a split divides the rest into two nodes that cover it. When no pair
//! is open in any leaf, no prefix violates it.

mod after;
mod attention;
mod batches;
mod deep;
mod dual;
mod enclosed;
mod fixed;
mod folded;
mod graph;
mod heads;
mod hull;
mod narrow;
mod normed;
mod pairs;
mod product;
mod scale;
mod sphere;
mod tables;
mod tree;
mod weights;

use dashu_ratio::RBig;

use crate::elementary::ln;
use crate::exhaustive::all_meet;
use crate::family::Head;
use crate::folder::Folder;
use crate::format::{BlockProof, Statement};
use crate::head::index;
use crate::interval::Interval;
use crate::predicate::Predicate;
use crate::reject::{CheckError, Reject};

pub(crate) use attention::attention_proves;
use dual::{Claim, Query};
pub use sphere::Quadratic;
use tables::Network;

/// Checks that the proof shows what the statement claims for every prefix of its language: a ceiling, that a token is never the argmax,
/// or that one logit leads another. Evaluates up to `limit` prefixes.
pub(crate) fn block_proves(
    folder: &Folder,
    head: &Head,
    statement: &Statement,
    proof: &BlockProof,
    limit: usize,
) -> Result<(), CheckError> {
    let (target, claim) = match &statement.predicate {
        Predicate::Ceiling { token, threshold, .. } => {
            let temperature = Interval::rational(&statement.predicate.temperature());
            (*token, Claim::Ceiling { temperature, tau: log_odds(threshold.value())? })
        }
        Predicate::NeverArgmax { token } => (*token, Claim::NeverArgmax),
        Predicate::Dominance { over, under, margin } => {
            (*under, Claim::Lead { over: *over, margin: Interval::rational(margin.value()) })
        }
        other => return Err(Reject::WrongRule { rule: "block", claim: other.words() }.into()),
    };
    debug_assert!(index(target) < head.vocabulary(), "the caller has checked the target");
    let network = Network::new(folder, head, statement.max_len.map(index), &proof.directions)?;
    let query = Query { target, claim };
    let points = tree::check(&network, &query, &statement.language, proof, limit)?;
    all_meet(folder, head, &statement.predicate, &points)?;
    Ok(())
}

/// `τ = ln(1/p − 1)` for `0 < p < 1`.
fn log_odds(p: &RBig) -> Result<Interval, Reject> {
    let odds = (RBig::ONE - p) / p;
    if odds >= RBig::ONE {
        ln(&Interval::rational(&odds))
    } else {
        Ok(-ln(&Interval::rational(&(RBig::ONE / odds)))?)
    }
}

#[cfg(test)]
mod tests;
