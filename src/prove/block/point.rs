//! Nodes with few prefixes left: each of them is evaluated, as exactly as it takes.
//!
//! What a dual bound gives away does not vanish with splits of tokens alone; where few prefixes are left this does.

use super::Block;
use super::functional::Query;
use super::tree::Node;
use crate::model::{TokenId, rigorous};

/// Most prefixes of a node that are evaluated.
const MOST: usize = 256;
/// Most prefixes of a whole proof, as many as a checker evaluates unless it is asked for more.
pub(super) const MOST_IN_ALL: usize = llmprove_proofs::MAX_PREFIXES;

/// The number of prefixes of a node after all of which the claim holds for certain; `None` where it does not, or where they are many or
/// more than `left`.
pub(super) fn evaluate(block: &Block, query: Query, node: &Node, left: usize) -> Option<usize> {
    let most = MOST.min(left);
    let mut all: Vec<Vec<TokenId>> = Vec::new();
    for cell in &node.cells {
        all.extend(cell.hull.prefixes(&cell.open, most - all.len())?);
    }
    let holds = |prefix: &Vec<TokenId>| {
        rigorous::logits(&block.model, prefix).is_ok_and(|logits| query.holds(&logits))
    };
    all.iter().all(holds).then_some(all.len())
}
