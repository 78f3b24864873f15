//! Cases of the block rule through two blocks.

use llmprove_proofs::{BlockDual, BlockProof, Language, Proof, Split, Statement};

use crate::AnyError;
use crate::block::searched;
use crate::cases::{Accepted, Rejected, about, pair, statement};

const MODEL: &str = "tiny-neox";

/// After prefixes with one of some tokens at each position, `P(token) <= p`.
fn after(positions: &[[u32; 2]], token: u32, threshold: &str) -> Result<Statement, AnyError> {
    let parts = positions.iter().map(|set| Language::Set(vec![*set])).collect();
    let mut statement = about(Language::Seq(parts), statement(MODEL, token, threshold, None)?);
    statement.max_len = None;
    Ok(statement)
}

const ANY: [u32; 2] = [0, u32::MAX];

/// After three free tokens and 1, `P(0) <= p`: splits of ρ, of neurons and of what positions hold. The greatest is 0.115.
fn free(threshold: &str) -> Result<(Statement, BlockProof), AnyError> {
    Ok((after(&[ANY, ANY, ANY, [1, 1]], 0, threshold)?, searched("block_tiny_neox")?))
}

/// After 3, three free tokens, 2 and 1, `P(2) <= 0.9`: some of the prefixes are evaluated.
fn inside() -> Result<(Statement, BlockProof), AnyError> {
    let statement = after(&[[3, 3], ANY, ANY, ANY, [2, 2], [1, 1]], 2, "0.9")?;
    Ok((statement, searched("block_tiny_neox_points")?))
}

/// Certificates that hold.
pub fn accept(case: Accepted<'_>) -> Result<(), AnyError> {
    let (statement, proof) = free("0.9")?;
    case("block_two_blocks", MODEL, "proved", statement, Proof::Block(proof.clone()))?;
    let fewer = after(&[[0, 1], ANY, [4, 4], [1, 1]], 0, "0.9")?;
    case("block_two_blocks_of_fewer_prefixes", MODEL, "proved", fewer, Proof::Block(proof))?;
    let (statement, proof) = inside()?;
    case("block_two_blocks_with_points", MODEL, "proved", statement, Proof::Block(proof))
}

/// Certificates with one defect each.
pub fn reject(case: Rejected<'_>) -> Result<(), AnyError> {
    let write = |name: &str, expect: &str, statement: &Statement, proof: BlockProof| {
        case(&format!("block_two_blocks_{name}"), expect, MODEL, pair(statement, Proof::Block(proof))?)
    };
    let (statement, proof) = free("0.9")?;
    // It holds, but these are not its multipliers; below the greatest probability it does not hold.
    write("of_less", "LiftLength", &free("0.5")?.0, proof.clone())?;
    write("refuted", "LiftLength", &free("0.115")?.0, proof.clone())?;
    write("of_another_last_token", "PairsOpen", &after(&[ANY, ANY, ANY, [4, 4]], 0, "0.9")?, proof.clone())?;
    let longer = after(&[ANY, ANY, ANY, ANY, ANY, [1, 1]], 0, "0.9")?;
    write("of_longer_prefixes", "RhoRange", &longer, proof.clone())?;
    let mut directed = proof.clone();
    directed.directions = vec![vec![1 << 20; 8]];
    write("directed", "NotCovered", &statement, directed)?;
    type Edit = fn(&mut BlockDual);
    let edits: [(&str, &str, Edit); 5] = [
        ("flat", "PairsOpen", |dual| dual.slopes.fill(0)),
        ("steep", "PairsOpen", |dual| dual.slopes.fill(1 << 24)),
        ("short", "VectorLength", |dual| dual.slopes.truncate(7)),
        ("lifted", "LiftLength", |dual| dual.lift.fill(1 << 24)),
        ("raw", "PairsOpen", |dual| dual.raw.fill(1 << 22)),
    ];
    for (name, expect, edit) in edits {
        let mut edited = proof.clone();
        edited.nodes.iter_mut().flat_map(|node| &mut node.duals).for_each(edit);
        write(name, expect, &statement, edited)?;
    }
    let mut dropped = proof.clone();
    dropped.nodes.iter_mut().rev().find(|node| !node.duals.is_empty()).expect("a dual").duals.clear();
    write("without_a_dual", "PairsOpen", &statement, dropped)?;
    let mut narrow = proof.clone();
    narrow.rho[1] = narrow.rho[0] + 1;
    write("of_few_rho", "RhoRange", &statement, narrow)?;
    let mut outside = proof;
    for node in &mut outside.nodes {
        if let Some(Split::Neuron { neuron, .. }) = &mut node.split {
            *neuron = 8;
        }
    }
    write("of_a_lower_neuron", "SplitOutside", &statement, outside)?;
    let (statement, mut proof) = inside()?;
    proof.nodes.iter_mut().for_each(|node| node.points = false);
    write("without_points", "PairsOpen", &statement, proof)
}
