//! The trees of the attention prover in the checker's format: preorder.

use llmprove_proofs as format;

use crate::prove::attention::AttentionProof;
use crate::prove::attention::tree::Node;

/// Converts a finished proof.
#[must_use]
pub fn proof(attention: &AttentionProof) -> format::Proof {
    // Prefixes that fit in memory have lengths far below 2^32.
    let tree =
        |(length, root): &(usize, Node)| format::AttentionTree { length: *length as u32, nodes: nodes(root) };
    format::Proof::Attention { trees: attention.trees.iter().map(tree).collect() }
}

fn nodes(root: &Node) -> Vec<format::AttentionNode> {
    let (mut nodes, mut stack) = (Vec::new(), vec![root]);
    while let Some(node) = stack.pop() {
        let split = node.split.as_ref().map(|(position, tokens, children)| {
            stack.extend([&children[1], &children[0]]);
            let tokens = tokens.ranges().iter().map(|&(first, last)| [first, last]).collect();
            format::TokenSplit { position: *position as u32, tokens }
        });
        nodes.push(format::AttentionNode { bound: node.bound, lambda: node.lambda.clone(), split });
    }
    nodes
}
