//! The block rule: a ceiling for every prefix up to a length, by branch and bound through the one block of a network.
//!
//! A node of the proof stands for the prefixes whose ρ and neurons lie in its ranges and whose length and last token form
//! one of its *open* pairs. A dual vector ([`dual`]) shows for some pairs that no prefix of the node violates the ceiling;
//! a split divides the rest into two nodes that cover it. When no pair is open in any leaf, no prefix violates it.

mod attention;
mod dual;
mod exponential;
mod fixed;
mod graph;
mod hull;
mod product;
mod sphere;
mod tables;
mod tree;

use dashu_ratio::RBig;

use crate::elementary::ln;
use crate::family::Head;
use crate::folder::Folder;
use crate::format::BlockProof;
use crate::head::index;
use crate::interval::Interval;
use crate::reject::{CheckError, Reject};

pub(crate) use attention::attention_proves;
use dual::Query;
pub use sphere::Quadratic;
use tables::Network;

/// Checks that the proof shows `P(target | prefix) <= threshold` for every prefix of up to `max_len` tokens.
pub(crate) fn block_proves(
    folder: &Folder,
    head: &Head,
    target: u32,
    threshold: &RBig,
    temperature: &RBig,
    max_len: Option<usize>,
    proof: &BlockProof,
) -> Result<(), CheckError> {
    debug_assert!(index(target) < head.vocabulary(), "the caller has checked the target");
    let network = Network::new(folder, head, max_len)?;
    let query = Query { target, temperature: Interval::rational(temperature), tau: log_odds(threshold)? };
    Ok(tree::check(&network, &query, proof)?)
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
