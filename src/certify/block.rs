//! The tree of the block prover in the checker's format: preorder, numbers in the format's unit.

use llmprove_proofs as format;

use crate::model::TokenId;
use crate::prove::block::BlockProof;
use crate::prove::block::sound::{Multipliers, SHIFT};
use crate::prove::block::tree::Branch;

/// Converts a finished proof.
#[must_use]
pub fn proof(block: &BlockProof) -> format::Proof {
    let mut nodes = Vec::new();
    let mut stack = vec![&block.root];
    while let Some(node) = stack.pop() {
        let split = node.split.as_ref().map(|(branch, children)| {
            stack.extend([&children[1], &children[0]]);
            split(branch)
        });
        nodes.push(format::BlockNode {
            regroup: node.regroup,
            duals: node.duals.iter().map(dual).collect(),
            points: node.points,
            split,
        });
    }
    let rho = [units(block.rho.0), units(block.rho.1)];
    format::Proof::Block(format::BlockProof { rho, directions: block.directions.clone(), nodes })
}

fn split(branch: &Branch) -> format::Split {
    // Vocabularies and layers that fit in memory have indices far below 2^32.
    match branch {
        Branch::Peel(token) => format::Split::Peel { peel: *token as TokenId },
        Branch::Neuron(k, at) => format::Split::Neuron { neuron: *k as u32, at: *at },
        Branch::Rho(rho) => format::Split::Rho { rho: units(*rho) },
        Branch::Slot(back, tokens) => {
            let tokens = tokens.ranges().iter().map(|&(first, last)| [first, last]).collect();
            format::Split::Slot { slot: *back as u32, tokens }
        }
    }
}

fn dual(multipliers: &Multipliers) -> format::BlockDual {
    format::BlockDual {
        lambda: multipliers.lambda.iter().map(|&(j, n)| (j as TokenId, n)).collect(),
        lift: multipliers.lift.clone(),
        slopes: multipliers.slopes.clone(),
        normed: multipliers.normed.clone(),
        raw: multipliers.raw.clone(),
        quadratic: multipliers.quadratic.as_ref().map(|quadratic| format::Quadratic {
            curves: quadratic.curves.clone(),
            theta: quadratic.theta,
            centre: quadratic.centre.clone(),
        }),
    }
}

/// A number that the prover keeps at a multiple of the unit, in units.
fn units(x: f64) -> i64 {
    (x * f64::from(1u32 << SHIFT)).round() as i64
}
