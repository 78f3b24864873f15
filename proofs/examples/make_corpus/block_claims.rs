//! Cases of the block rule on claims other than a plain ceiling, and of prefixes that are evaluated one by one.

use llmprove_proofs::{
    BlockDual, BlockNode, BlockProof, Decimal, Language, Predicate, Proof, Split, Statement,
};

use crate::AnyError;
use crate::block::searched;
use crate::cases::{Accepted, Rejected, about, pair, statement};

/// A claim about every single token.
fn about_single(predicate: Predicate) -> Result<Statement, AnyError> {
    let mut single = statement("tiny-gpt2", 3, "0.5", None)?;
    (single.predicate, single.max_len) = (predicate, Some(1));
    Ok(single)
}

/// After at most one free token and 6, `l_1 − l_4 >= margin`. The least such difference is above 1.1; at 0.5 A is negative.
fn lead(margin: &str) -> Result<Statement, AnyError> {
    let all = Language::Set(vec![[0, u32::MAX]]);
    let free = Language::Repeat { of: Box::new(all), min: 0, max: Some(1) };
    let language = Language::Seq(vec![free, Language::Set(vec![[6, 6]])]);
    let mut lead = about(language, statement("tiny-gpt2", 3, "0.5", None)?);
    lead.predicate = Predicate::Dominance { over: 1, under: 4, margin: Decimal::parse(margin)? };
    Ok(lead)
}

fn warm(temperature: &str) -> Result<Statement, AnyError> {
    let (threshold, temperature) = (Decimal::parse("0.6")?, Some(Decimal::parse(temperature)?));
    about_single(Predicate::Ceiling { token: 3, threshold, temperature })
}

/// After at most one free token and 4 or 5, `P(3) <= p`; the greatest is 0.4632.
fn few(threshold: &str) -> Result<Statement, AnyError> {
    let all = Language::Set(vec![[0, u32::MAX]]);
    let free = Language::Repeat { of: Box::new(all), min: 0, max: Some(1) };
    let language = Language::Seq(vec![free, Language::Set(vec![[4, 5]])]);
    let mut few = about(language, statement("tiny-gpt2", 3, threshold, None)?);
    few.max_len = Some(2);
    Ok(few)
}

/// All of them evaluated where `last` is the last token, and the others left to a second node.
fn evaluated(last: u32, others: bool) -> Proof {
    let node = |points, split| BlockNode { regroup: false, duals: vec![], points, split };
    let nodes = vec![node(false, Some(Split::Peel { peel: last })), node(true, None), node(others, None)];
    Proof::Block(BlockProof { rho: [1, 1 << 29], directions: vec![], nodes })
}

/// Certificates that hold.
pub fn accept(case: Accepted<'_>) -> Result<(), AnyError> {
    let never = about_single(Predicate::NeverArgmax { token: 4 })?;
    let proof = |name| Ok::<_, AnyError>(Proof::Block(searched(name)?));
    case("block_never_argmax", "tiny-gpt2", "proved", never, proof("block_tiny_gpt2_argmax")?)?;
    case("block_lead", "tiny-gpt2", "proved", lead("0.5")?, proof("block_tiny_gpt2_lead")?)?;
    case("block_lead_by_less", "tiny-gpt2", "proved", lead("-0.5")?, proof("block_tiny_gpt2_lead")?)?;
    case("block_at_a_temperature", "tiny-gpt2", "proved", warm("2")?, proof("block_tiny_gpt2_warm")?)?;
    case("block_of_points", "tiny-gpt2", "proved", few("0.464")?, evaluated(4, true))
}

/// Certificates with one defect each.
pub fn reject(case: Rejected<'_>) -> Result<(), AnyError> {
    let write = |name: &str, expect: &str, statement: Statement, proof: &str| {
        case(name, expect, "tiny-gpt2", pair(&statement, Proof::Block(searched(proof)?))?)
    };
    let [argmax, led] = ["block_tiny_gpt2_argmax", "block_tiny_gpt2_lead"];
    // Of token 2 it is true, but these are not its multipliers.
    let other = about_single(Predicate::NeverArgmax { token: 2 })?;
    write("block_never_argmax_of_another", "LambdaTarget", other, argmax)?;
    let mut longer = about_single(Predicate::NeverArgmax { token: 4 })?;
    longer.max_len = Some(2);
    write("block_never_argmax_of_longer_prefixes", "PairsOpen", longer, argmax)?;
    let among_two = about_single(Predicate::NeverTopK { token: 4, k: 2 })?;
    write("block_never_among_two", "WrongRule", among_two, argmax)?;
    let floor = Predicate::Floor { token: 4, threshold: Decimal::parse("0.01")?, temperature: None };
    write("block_floor", "WrongRule", about_single(floor)?, argmax)?;
    write("block_lead_by_more", "PairsOpen", lead("1")?, led)?;
    write("block_cooler", "LiftLength", warm("1")?, "block_tiny_gpt2_warm")?;
    let points = |name: &str, expect: &str, statement: &Statement, proof: Proof| {
        case(name, expect, "tiny-gpt2", pair(statement, proof)?)
    };
    points("block_points_above_the_threshold", "NotMet", &few("0.463")?, evaluated(4, true))?;
    points("block_points_of_one_child", "PairsOpen", &few("0.464")?, evaluated(4, false))?;
    let mut many = few("0.464")?;
    (many.language, many.max_len) = (Language::Any, Some(5));
    points("block_points_of_many", "TooManyPrefixes", &many, evaluated(4, true))?;
    let edited = |name: &str, expect: &str, edit: fn(&mut BlockDual)| -> Result<(), AnyError> {
        let mut proof = searched(led)?;
        let mut duals = proof.nodes.iter_mut().flat_map(|node| &mut node.duals);
        edit(duals.find(|dual| !dual.lambda.is_empty()).expect("a dual with a lambda"));
        case(name, expect, "tiny-gpt2", pair(&lead("0.5")?, Proof::Block(proof))?)
    };
    edited("block_lead_of_another", "NamedLambda", |dual| dual.lambda = vec![(2, 1 << 20)])?;
    edited("block_lead_of_two", "NamedLambda", |dual| dual.lambda = vec![(1, 1 << 19), (2, 1 << 19)])?;
    edited("block_lift_below_zero", "LiftLength", |dual| dual.lift[0] = 1)
}
