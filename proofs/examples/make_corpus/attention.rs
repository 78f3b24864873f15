//! Cases of the attention rule, about `tiny-hooked`.

use std::fs;
use std::path::Path;

use llmprove_proofs::{
    AttentionNode, AttentionTree, Decimal, Language, Predicate, Proof, Statement, TokenSplit, model_digest,
};

use crate::AnyError;
use crate::cases::{Accepted, Rejected, model_dir, pair};

const MODEL: &str = "tiny-hooked";

fn statement(language: Language, predicate: Predicate) -> Result<Statement, AnyError> {
    Ok(Statement::new(model_digest(&model_dir(MODEL))?, language, Some(4), predicate))
}

/// `[id:0-3]{0,2} · [id:4] · [id:0-4]?`
fn language() -> Language {
    let up_to =
        |last, max| Language::Repeat { of: Box::new(Language::Set(vec![[0, last]])), min: 0, max: Some(max) };
    Language::Seq(vec![up_to(3, 2), Language::Set(vec![[4, 4]]), up_to(4, 1)])
}

fn ceiling(token: u32, threshold: &str) -> Result<Predicate, AnyError> {
    Ok(Predicate::Ceiling { token, threshold: Decimal::parse(threshold)?, temperature: None })
}

fn dominance(margin: &str) -> Result<Predicate, AnyError> {
    Ok(Predicate::Dominance { over: 0, under: 1, margin: Decimal::parse(margin)? })
}

/// Found by a search: `P(0) <= 0.35` after the prefixes of the language.
fn found() -> Result<Vec<AttentionTree>, AnyError> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proofs/attention_tiny_hooked.json");
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

fn node(bound: bool, split: Option<TokenSplit>) -> AttentionNode {
    AttentionNode { bound, lambda: Vec::new(), split }
}

/// One bounded node for every length.
fn roots() -> Vec<AttentionTree> {
    (1..=4).map(|length| AttentionTree { length, nodes: vec![node(true, None)] }).collect()
}

/// Token 5 never wins after the prefix 3: the other prefixes of one token are cut off.
fn never() -> (Language, Predicate, Vec<AttentionTree>) {
    let split = TokenSplit { position: 0, tokens: vec![[3, 3]] };
    let lambda = vec![(0, 209_716), (1, 209_715), (2, 209_715), (3, 209_715), (4, 209_715)];
    let bounded = AttentionNode { bound: true, lambda, split: None };
    let nodes = vec![node(false, Some(split)), bounded, node(false, None)];
    let tree = AttentionTree { length: 1, nodes };
    (Language::Set(vec![[3, 3]]), Predicate::NeverArgmax { token: 5 }, vec![tree])
}

/// Certificates that hold.
pub fn accept(case: Accepted) -> Result<(), AnyError> {
    let proved = |name: &str, language, predicate, trees| {
        case(name, MODEL, "proved", statement(language, predicate)?, Proof::Attention { trees })
    };
    proved("attention_ceiling", language(), ceiling(0, "0.35")?, found()?)?;
    proved("attention_dominance", Language::Any, dominance("-100")?, roots())?;
    let (language, predicate, trees) = never();
    proved("attention_never_argmax", language, predicate, trees)
}

/// Certificates with one defect each.
pub fn reject(case: Rejected) -> Result<(), AnyError> {
    let rejected = |name: &str, expect: &str, language, predicate, trees| {
        case(name, expect, MODEL, pair(&statement(language, predicate)?, Proof::Attention { trees })?)
    };
    let edited = |name: &str, expect: &str, edit: &dyn Fn(&mut Vec<AttentionTree>)| {
        let mut trees = found()?;
        edit(&mut trees);
        assert!(trees != found()?, "{name} changes nothing");
        rejected(name, expect, language(), ceiling(0, "0.35")?, trees)
    };
    let floor = Predicate::Floor { token: 0, threshold: Decimal::parse("0.1")?, temperature: None };
    rejected("attention_of_a_floor", "WrongRule", language(), floor, found()?)?;
    let gpt2 =
        Statement::new(model_digest(&model_dir("tiny-gpt2"))?, language(), Some(4), ceiling(0, "0.35")?);
    let proof = Proof::Attention { trees: found()? };
    case("attention_not_covered", "NotCovered", "tiny-gpt2", pair(&gpt2, proof)?)?;
    rejected("attention_lower_threshold", "MarginsOpen", language(), ceiling(0, "0.05")?, found()?)?;
    rejected("attention_of_more_prefixes", "MarginsOpen", Language::Any, ceiling(0, "0.35")?, found()?)?;
    rejected("attention_margin_too_large", "MarginsOpen", Language::Any, dominance("100")?, roots())?;
    edited("attention_without_last_tree", "TreeMissing", &|trees| drop(trees.pop()))?;
    edited("attention_trees_swapped", "TreeMissing", &|trees| trees.swap(0, 1))?;
    edited("attention_with_extra_tree", "TreeExtra", &|trees| trees.push(trees[3].clone()))?;
    edited("attention_without_last_node", "NodeMissing", &|trees| drop(trees[3].nodes.pop()))?;
    edited("attention_with_extra_node", "NodeExtra", &|trees| trees[3].nodes.push(node(false, None)))?;
    edited("attention_root_is_a_leaf", "MarginsOpen", &|trees| trees[3].nodes = vec![node(false, None)])?;
    edited("attention_without_bounds", "MarginsOpen", &|trees| {
        trees[3].nodes.iter_mut().for_each(|node| node.bound = false);
    })?;
    edited("attention_no_such_position", "SplitOutside", &|trees| {
        trees[0].nodes[0].split = Some(TokenSplit { position: 1, tokens: vec![[0, 0]] });
    })?;
    let with_lambda = |lambda: &'static [(u32, u32)]| {
        move |trees: &mut Vec<AttentionTree>| {
            let bounded = trees.iter_mut().flat_map(|tree| &mut tree.nodes).filter(|node| node.bound);
            bounded.for_each(|node| node.lambda = lambda.to_vec());
        }
    };
    edited("attention_lambda_sum", "LambdaSum", &with_lambda(&[(1, 7)]))?;
    edited("attention_lambda_has_target", "LambdaTarget", &with_lambda(&[(0, 1 << 20)]))?;
    edited("attention_lambda_weak", "MarginsOpen", &with_lambda(&[(1, 1 << 20)]))?;
    let mut closed = roots();
    let split = TokenSplit { position: 0, tokens: vec![[0, 0]] };
    closed[0].nodes = vec![node(true, Some(split)), node(true, None), node(true, None)];
    rejected("attention_split_of_a_closed_node", "SplitClosed", Language::Any, dominance("-100")?, closed)
}
