//! Cases of the block rule.

use std::fs;
use std::path::Path;

use llmprove_proofs::{
    BlockDual, BlockNode, BlockProof, Decimal, Language, Predicate, Proof, Quadratic, Split, Statement,
};

use crate::AnyError;
use crate::cases::{Accepted, Rejected, about, pair, statement};

/// A proof found by a search: tokens other than 3 keep their share after any single token, `P(3) <= 0.7`.
fn block() -> Result<BlockProof, AnyError> {
    searched("block_tiny_gpt2")
}

/// One that goes on where nothing is open.
fn needless() -> Result<BlockProof, AnyError> {
    let mut proof = block()?;
    let leaf = || BlockNode { regroup: false, duals: vec![], points: false, split: None };
    let inner = |split| BlockNode { split: Some(split), ..leaf() };
    let last = proof.nodes.last_mut().expect("a node");
    last.split = Some(Split::Peel { peel: 3 });
    proof.nodes.extend([inner(Split::Neuron { neuron: 0, at: 0 }), leaf(), leaf(), leaf()]);
    Ok(proof)
}

/// The same of a model with gated neurons and rotations, `P(3) <= 0.7`.
fn gated_block() -> Result<BlockProof, AnyError> {
    searched("block_tiny_llama")
}

/// The same of a language: after at most one free token, then one of 2, 3 and 5, then 3, `P(1) <= 0.25`; ending in others it may
/// be 0.44. Its range of ρ has been made somewhat wider, so that it holds for other languages too.
fn suffix_block() -> Result<BlockProof, AnyError> {
    searched("block_tiny_qwen2_suffix")
}

/// The same with splits of what positions before the last hold, `P(1) <= 0.2`.
fn slots() -> Result<BlockProof, AnyError> {
    searched("block_tiny_qwen2_slots")
}

/// A proof that uses the range of a direction without a neuron: `P(5) <= 0.4` after at most three tokens.
fn directed() -> Result<(Statement, BlockProof), AnyError> {
    let mut statement = statement("tiny-gpt2", 5, "0.4", None)?;
    statement.max_len = Some(3);
    Ok((statement, searched("block_tiny_gpt2_directions")?))
}

/// At most one free token, then one of `before`, then 3.
fn suffix_statement(before: &[[u32; 2]]) -> Result<Statement, AnyError> {
    ending_in(before, [3, 3])
}

/// The same with other last tokens.
fn ending_in(before: &[[u32; 2]], last: [u32; 2]) -> Result<Statement, AnyError> {
    let all = Language::Set(vec![[0, u32::MAX]]);
    let free = Language::Repeat { of: Box::new(all), min: 0, max: Some(1) };
    let language = Language::Seq(vec![free, Language::Set(before.to_vec()), Language::Set(vec![last])]);
    let mut statement = about(language, statement("tiny-qwen2", 1, "0.25", None)?);
    statement.max_len = Some(3);
    Ok(statement)
}

fn with_threshold(mut statement: Statement, threshold: &str) -> Result<Statement, AnyError> {
    let threshold = Decimal::parse(threshold)?;
    statement.predicate = Predicate::Ceiling { token: 1, threshold, temperature: None };
    Ok(statement)
}

/// A proof that a search has found.
pub fn searched(name: &str) -> Result<BlockProof, AnyError> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proofs").join(name).with_extension("json");
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

fn gated_statement() -> Result<Statement, AnyError> {
    let mut statement = statement("tiny-llama", 3, "0.7", None)?;
    statement.max_len = Some(1);
    Ok(statement)
}

fn block_statement(threshold: &str) -> Result<Statement, AnyError> {
    let mut statement = statement("tiny-gpt2", 3, threshold, None)?;
    statement.max_len = Some(1);
    Ok(statement)
}

/// Certificates that hold.
pub fn accept(case: Accepted<'_>) -> Result<(), AnyError> {
    case("block_tree", "tiny-gpt2", "proved", block_statement("0.7")?, Proof::Block(block()?))?;
    case(
        "block_split_of_a_closed_node",
        "tiny-gpt2",
        "proved",
        block_statement("0.7")?,
        Proof::Block(needless()?),
    )?;
    case("block_tree_gated", "tiny-llama", "proved", gated_statement()?, Proof::Block(gated_block()?))?;
    let suffix = suffix_statement(&[[2, 3], [5, 5]])?;
    case("block_tree_of_a_suffix", "tiny-qwen2", "proved", suffix, Proof::Block(suffix_block()?))?;
    let lower = with_threshold(suffix_statement(&[[2, 3], [5, 5]])?, "0.2")?;
    case("block_tree_with_slots", "tiny-qwen2", "proved", lower, Proof::Block(slots()?))?;
    let (statement, proof) = directed()?;
    case("block_tree_with_directions", "tiny-gpt2", "proved", statement, Proof::Block(proof))?;
    // Of fewer prefixes it holds as well.
    let slot = suffix_statement(&[[5, 5]])?;
    case("block_tree_of_a_longer_suffix", "tiny-qwen2", "proved", slot, Proof::Block(suffix_block()?))
}

/// Certificates with one defect each.
pub fn reject(case: Rejected<'_>) -> Result<(), AnyError> {
    let nothing = Proof::Block(BlockProof { rho: [1, 1 << 20], directions: vec![], nodes: vec![] });
    let hooked = statement("tiny-hooked", 3, "0.97", None)?;
    case("block_not_covered", "NotCovered", "tiny-hooked", pair(&hooked, nothing)?)?;
    // What the second arguments of gated neurons add.
    let gated = |edit: &dyn Fn(&mut BlockDual)| -> Result<_, AnyError> {
        let mut proof = gated_block()?;
        proof.nodes.iter_mut().flat_map(|node| &mut node.duals).for_each(edit);
        assert!(proof != gated_block()?, "an edit changes something");
        pair(&gated_statement()?, Proof::Block(proof))
    };
    let plain = gated(&|dual| dual.slopes.truncate(8))?;
    case("block_gated_slopes_of_a_plain_model", "VectorLength", "tiny-llama", plain)?;
    let flat = gated(&|dual| dual.slopes[8..].fill(1 << 22))?;
    case("block_gated_second_slopes", "PairsOpen", "tiny-llama", flat)?;
    for (name, expect, slot, tokens) in [
        ("block_slot_of_the_last", "SplitOutside", 0, vec![[2, 2]]),
        ("block_slot_before_the_first", "SplitOutside", 3, vec![[2, 2]]),
        ("block_slots_of_no_tokens", "PairsOpen", 1, vec![]),
    ] {
        let mut proof = slots()?;
        for node in &mut proof.nodes {
            if let Some(Split::Slot { .. }) = node.split {
                node.split = Some(Split::Slot { slot, tokens: tokens.clone() });
            }
        }
        let lower = with_threshold(suffix_statement(&[[2, 3], [5, 5]])?, "0.2")?;
        case(name, expect, "tiny-qwen2", pair(&lower, Proof::Block(proof))?)?;
    }
    directions(case)?;
    // After 4 it may be 0.446.
    let mut proof = suffix_block()?;
    proof.rho[0] /= 10;
    let wider = pair(&ending_in(&[[2, 3], [5, 5]], [3, 4])?, Proof::Block(proof))?;
    case("block_of_more_than_its_language", "PairsOpen", "tiny-qwen2", wider)?;
    let nothing = pair(&suffix_statement(&[])?, Proof::Block(suffix_block()?))?;
    case("block_of_no_prefix", "LanguageEmpty", "tiny-qwen2", nothing)?;
    let mut any = suffix_statement(&[])?;
    any.language = Language::Any;
    let any = pair(&any, Proof::Block(suffix_block()?))?;
    case("block_of_a_suffix_for_all_prefixes", "RhoRange", "tiny-qwen2", any)?;
    block_defects(&|name, expect, statement, proof| {
        case(name, expect, "tiny-gpt2", pair(&statement, Proof::Block(proof))?)
    })
}

/// Defects of directions.
fn directions(case: Rejected<'_>) -> Result<(), AnyError> {
    let mut gated = gated_block()?;
    gated.directions = vec![vec![0; 8]];
    case(
        "block_directions_gated",
        "NotCovered",
        "tiny-llama",
        pair(&gated_statement()?, Proof::Block(gated))?,
    )?;
    type Edit = fn(&mut Vec<Vec<i64>>);
    let edits: [(&str, &str, Edit); 5] = [
        ("block_directions_dropped", "VectorLength", Vec::clear),
        ("block_directions_twice", "VectorLength", |all| all.push(all[0].clone())),
        ("block_direction_short", "VectorLength", |all| all[0].truncate(3)),
        ("block_direction_huge", "MultiplierRange", |all| all[0][0] = i64::MIN),
        ("block_direction_of_another_length", "Indefinite", |all| all[0].iter_mut().for_each(|x| *x *= 64)),
    ];
    for (name, expect, edit) in edits {
        let (statement, mut proof) = directed()?;
        edit(&mut proof.directions);
        case(name, expect, "tiny-gpt2", pair(&statement, Proof::Block(proof))?)?;
    }
    Ok(())
}

/// Writes a case: name, expected reason, statement, proof.
type Writer<'a> = &'a dyn Fn(&str, &str, Statement, BlockProof) -> Result<(), AnyError>;

/// Block proofs with one defect each.
fn block_defects(case: Writer) -> Result<(), AnyError> {
    let edited = |name: &str, expect: &str, edit: &dyn Fn(&mut BlockProof)| -> Result<(), AnyError> {
        let mut proof = block()?;
        edit(&mut proof);
        assert!(proof != block()?, "{name} changes nothing");
        case(name, expect, block_statement("0.7")?, proof)
    };
    let node = |split| BlockNode { regroup: false, duals: vec![], points: false, split };
    let dual = |edit: fn(&mut BlockDual)| {
        move |proof: &mut BlockProof| {
            let duals = proof.nodes.iter_mut().flat_map(|node| &mut node.duals);
            edit(duals.into_iter().find(|dual| !dual.lambda.is_empty()).expect("a dual with a lambda"));
        }
    };
    case("block_lower_threshold", "LiftLength", block_statement("0.4")?, block()?)?;
    case("block_of_longer_prefixes", "PairsOpen", statement("tiny-gpt2", 3, "0.7", None)?, block()?)?;
    let mut beyond = block_statement("0.7")?;
    beyond.max_len = Some(7);
    case("block_beyond_context", "NotCovered", beyond, block()?)?;
    edited("block_without_nodes", "NodeMissing", &|proof| proof.nodes.clear())?;
    edited("block_without_last_node", "NodeMissing", &|proof| drop(proof.nodes.pop()))?;
    edited("block_with_extra_node", "NodeExtra", &|proof| proof.nodes.push(node(None)))?;
    edited("block_root_is_a_leaf", "PairsOpen", &|proof| proof.nodes = vec![node(None)])?;
    edited("block_without_duals", "PairsOpen", &|proof| {
        proof.nodes.iter_mut().for_each(|node| node.duals.clear());
    })?;
    edited("block_slopes_of_zero", "PairsOpen", &|proof| {
        let duals = proof.nodes.iter_mut().flat_map(|node| &mut node.duals);
        duals.for_each(|dual| dual.slopes.fill(0));
    })?;
    edited("block_rho_above_the_least", "RhoRange", &|proof| proof.rho[0] = proof.rho[1])?;
    edited("block_rho_below_the_greatest", "RhoRange", &|proof| proof.rho[1] = 2 * proof.rho[0])?;
    edited("block_rho_zero", "RhoRange", &|proof| proof.rho[0] = 0)?;
    edited("block_rho_negative", "RhoRange", &|proof| proof.rho[0] = -5)?;
    edited("block_rho_huge", "RhoRange", &|proof| proof.rho[1] = i64::MAX)?;
    for (name, split) in [
        ("block_peel_of_no_token", Split::Peel { peel: 8 }),
        ("block_rho_cut_outside", Split::Rho { rho: 1 }),
        ("block_no_such_neuron", Split::Neuron { neuron: 8, at: 0 }),
        ("block_neuron_cut_outside", Split::Neuron { neuron: 0, at: i32::MIN }),
    ] {
        edited(name, "SplitOutside", &|proof| proof.nodes[0].split = Some(split.clone()))?;
    }
    edited("block_lift_too_long", "LiftLength", &dual(|dual| dual.lift[0] += 1 << 24))?;
    edited("block_vector_short", "VectorLength", &dual(|dual| dual.slopes.truncate(7)))?;
    edited("block_vector_long", "VectorLength", &dual(|dual| dual.lift.push(0)))?;
    edited("block_multiplier_huge", "MultiplierRange", &dual(|dual| dual.raw[0] = i64::MIN))?;
    edited("block_lambda_sum", "LambdaSum", &dual(|dual| dual.lambda[0].1 += 1))?;
    edited("block_lambda_has_target", "LambdaTarget", &dual(|dual| dual.lambda = vec![(3, 1 << 20)]))?;
    edited("block_lambda_empty_with_lift", "LiftLength", &|proof| {
        let duals = proof.nodes.iter_mut().flat_map(|node| &mut node.duals);
        for dual in duals.filter(|dual| dual.lift.iter().any(|m| *m != 0)) {
            dual.lambda.clear();
        }
    })?;
    edited("block_slopes_huge", "PairsOpen", &dual(|dual| dual.slopes.fill(1 << 50)))?;
    quadratic_defects(&edited)
}

/// A change of a proof that makes it wrong.
type Defect<'a> = &'a dyn Fn(&mut BlockProof);

/// Defects of the quadratic part of a dual vector.
fn quadratic_defects(
    edited: &dyn Fn(&str, &str, Defect<'_>) -> Result<(), AnyError>,
) -> Result<(), AnyError> {
    let quadratic = |edit: fn(&mut Quadratic)| {
        move |proof: &mut BlockProof| {
            let duals = proof.nodes.iter_mut().flat_map(|node| &mut node.duals);
            edit(duals.filter_map(|dual| dual.quadratic.as_mut()).next().expect("a quadratic part"));
        }
    };
    edited("block_curves_short", "VectorLength", &quadratic(|q| q.curves.truncate(7)))?;
    edited("block_curves_huge", "MultiplierRange", &quadratic(|q| q.curves[0] = (1 << 40) + 1))?;
    edited("block_centre_with_a_mean", "CentreMean", &quadratic(|q| q.centre[0] += 1))?;
    edited("block_theta_too_small", "Indefinite", &quadratic(|q| q.theta = -(1 << 30)))?;
    edited("block_theta_huge", "PairsOpen", &quadratic(|q| q.theta = 1 << 50))?;
    edited(
        "block_centre_elsewhere",
        "PairsOpen",
        &quadratic(|q| {
            q.centre[0] += 1 << 30;
            q.centre[1] -= 1 << 30;
        }),
    )
}
