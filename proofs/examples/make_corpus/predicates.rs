//! Cases of the predicates other than the ceiling.

use llmprove_proofs::{Decimal, Language, Part, Predicate, Proof, Simplex, Statement, model_digest};

use crate::AnyError;
use crate::cases::{Accepted, Rejected, model_dir, pair, uniform};

fn about(model: &str, predicate: Predicate) -> Result<Statement, AnyError> {
    Ok(Statement::new(model_digest(&model_dir(model))?, Language::Any, Some(4), predicate))
}

fn decimal(text: &str) -> Result<Decimal, AnyError> {
    Ok(Decimal::parse(text)?)
}

fn set(tokens: &[u32], threshold: &str) -> Result<Predicate, AnyError> {
    Ok(Predicate::SetCeiling { tokens: tokens.to_vec(), threshold: decimal(threshold)?, temperature: None })
}

fn list(tokens: &[u32], threshold: &str) -> Result<Predicate, AnyError> {
    Ok(Predicate::MaxCeiling { tokens: tokens.to_vec(), threshold: decimal(threshold)?, temperature: None })
}

fn continuation(tokens: &[u32], threshold: &str) -> Result<Predicate, AnyError> {
    Ok(Predicate::Continuation { tokens: tokens.to_vec(), threshold: decimal(threshold)?, temperature: None })
}

fn nucleus(token: u32, mass: &str, temperature: Option<&str>) -> Result<Predicate, AnyError> {
    let temperature = temperature.map(decimal).transpose()?;
    Ok(Predicate::NeverInNucleus { token, mass: decimal(mass)?, temperature })
}

/// λ uniform over some tokens.
fn simplex(tokens: &[u32]) -> Simplex {
    let lambda = tokens.iter().map(|token| (*token, 5)).collect();
    Simplex { denominator: 5 * tokens.len() as u64, lambda }
}

/// The ceilings of tokens of `tiny-gpt2`, with uniform λ.
fn parts(tokens: &[u32], threshold: &str) -> Result<Proof, AnyError> {
    let part = |token: &u32| Ok(Some(Part { threshold: decimal(threshold)?, proof: uniform(8, *token) }));
    Ok(Proof::Parts { parts: tokens.iter().map(part).collect::<Result<_, AnyError>>()? })
}

/// λ for the set 0, 3, 5 of 8 tokens.
fn duals() -> Vec<Simplex> {
    vec![simplex(&[1, 2, 4, 6, 7]), simplex(&[1, 7]), simplex(&[2])]
}

fn floor(token: u32, threshold: &str, temperature: Option<&str>) -> Result<Predicate, AnyError> {
    let temperature = temperature.map(decimal).transpose()?;
    Ok(Predicate::Floor { token, threshold: decimal(threshold)?, temperature })
}

fn dominance(over: u32, under: u32, margin: &str) -> Result<Predicate, AnyError> {
    Ok(Predicate::Dominance { over, under, margin: decimal(margin)? })
}

fn witness(prefix: &[u32]) -> Proof {
    Proof::Witness { prefix: prefix.to_vec() }
}

/// Certificates that hold.
pub fn accept(case: Accepted) -> Result<(), AnyError> {
    let refuted = |name: &str, predicate: Predicate| {
        case(name, "tiny-gpt2", "refuted", about("tiny-gpt2", predicate)?, witness(&[1, 2, 3]))
    };
    refuted("witness_set", set(&[0, 3, 5], "0.01")?)?;
    refuted("witness_floor", floor(0, "0.9", None)?)?;
    refuted("witness_floor_hot", floor(0, "0.2", Some("50"))?)?;
    refuted("witness_dominance", dominance(0, 1, "100")?)?;
    refuted("witness_dominance_negative_margin", dominance(LEAST, LIKELIEST, "-0.01")?)?;
    refuted("witness_never_argmax", Predicate::NeverArgmax { token: LIKELIEST })?;
    refuted("witness_never_top_k", Predicate::NeverTopK { token: SECOND, k: 2 })?;
    refuted("witness_never_top_k_largest", Predicate::NeverTopK { token: SECOND, k: 7 })?;
    refuted("witness_always_argmax", Predicate::AlwaysArgmax { token: SECOND })?;
    refuted("witness_list", list(&[LIKELIEST, SECOND], "0.01")?)?;
    refuted("witness_continuation", continuation(&[LIKELIEST, LIKELIEST], "0.0001")?)?;
    refuted("witness_nucleus", nucleus(LIKELIEST, "0.001", None)?)?;
    refuted("witness_nucleus_hot", nucleus(LEAST, "0.9999", Some("7"))?)?;
    let proved = |name: &str, predicate: Predicate, proof: Proof| {
        case(name, "tiny-gpt2", "proved", about("tiny-gpt2", predicate)?, proof)
    };
    proved("set", set(&[0, 3, 5], "0.99999")?, Proof::Set { duals: duals() })?;
    proved("pairs", floor(3, "1e-6", None)?, Proof::Pairs {})?;
    proved("pairs_cold", floor(3, "1e-12", Some("0.5"))?, Proof::Pairs {})?;
    proved("parts_list", list(&[1, 3], "0.999")?, parts(&[1, 3], "0.999")?)?;
    let hot = Predicate::SetCeiling {
        tokens: vec![1, 3],
        threshold: decimal("0.4")?,
        temperature: Some(decimal("50")?),
    };
    proved("parts_set", hot, parts(&[1, 3], "0.2")?)?;
    let mut tail = parts(&[3, 1, 3], "0.98")?;
    if let Proof::Parts { parts } = &mut tail {
        parts[1] = None;
    }
    proved("parts_continuation", continuation(&[3, 1, 3], "0.9604")?, tail)
}

/// Tokens of `tiny-gpt2` after the prefix 1 2 3: the likeliest, the next, and the least likely.
const LIKELIEST: u32 = 0;
const SECOND: u32 = 6;
const LEAST: u32 = 1;

/// Certificates with one defect each.
pub fn reject(case: Rejected) -> Result<(), AnyError> {
    let model = "tiny-gpt2";
    let rejected = |name: &str, expect: &str, predicate: Predicate, proof: Proof| {
        case(name, expect, model, pair(&about(model, predicate)?, proof)?)
    };
    let open = |name: &str, predicate| rejected(name, "NotViolated", predicate, witness(&[1, 2, 3]));
    open("set_not_above", set(&[0, 3, 5], "0.999")?)?;
    open("floor_not_below", floor(0, "1e-9", None)?)?;
    open("dominance_not_below", dominance(0, 1, "-100")?)?;
    open("not_the_argmax", Predicate::NeverArgmax { token: SECOND })?;
    open("not_in_the_top_1", Predicate::NeverTopK { token: SECOND, k: 1 })?;
    open("is_the_argmax", Predicate::AlwaysArgmax { token: LIKELIEST })?;
    let malformed =
        |name: &str, expect: &str, predicate| rejected(name, expect, predicate, witness(&[1, 2, 3]));
    malformed("set_empty", "TokenSet", set(&[], "0.5")?)?;
    malformed("set_of_all_tokens", "TokenSet", set(&[0, 1, 2, 3, 4, 5, 6, 7], "0.5")?)?;
    malformed("set_unsorted", "TokenSet", set(&[3, 1], "0.5")?)?;
    malformed("set_repeated", "TokenSet", set(&[3, 3], "0.5")?)?;
    malformed("set_out_of_vocabulary", "TargetOutOfVocabulary", set(&[3, 8], "0.5")?)?;
    malformed("set_threshold_one", "ThresholdRange", set(&[3], "1")?)?;
    malformed("floor_threshold_zero", "ThresholdRange", floor(3, "0", None)?)?;
    malformed("floor_temperature_zero", "TemperatureRange", floor(3, "0.5", Some("0"))?)?;
    malformed("dominance_of_itself", "SameToken", dominance(3, 3, "0")?)?;
    malformed("dominance_out_of_vocabulary", "TargetOutOfVocabulary", dominance(3, 8, "0")?)?;
    malformed("top_0", "RankRange", Predicate::NeverTopK { token: 3, k: 0 })?;
    malformed("top_of_all_tokens", "RankRange", Predicate::NeverTopK { token: 3, k: 8 })?;
    open("list_not_above", list(&[0, 6], "0.999999")?)?;
    open("continuation_not_above", continuation(&[0, 0], "0.999")?)?;
    open("nucleus_not_below", nucleus(LEAST, "0.0001", None)?)?;
    malformed("list_empty", "TokenSet", list(&[], "0.5")?)?;
    malformed("list_unsorted", "TokenSet", list(&[3, 1], "0.5")?)?;
    malformed("continuation_empty", "NoContinuation", continuation(&[], "0.5")?)?;
    malformed("continuation_out_of_vocabulary", "TargetOutOfVocabulary", continuation(&[0, 8], "0.5")?)?;
    malformed("nucleus_of_everything", "ThresholdRange", nucleus(0, "1", None)?)?;
    let long = continuation(&[0, 0, 0, 0, 0], "1e-9")?;
    rejected("continuation_beyond_the_context", "PrefixTooLong", long, witness(&[1, 2, 3]))?;
    let with = |duals: Vec<Simplex>| Proof::Set { duals };
    let of_set = |name: &str, expect: &str, threshold: &str, duals: Vec<Simplex>| {
        rejected(name, expect, set(&[0, 3, 5], threshold)?, with(duals))
    };
    of_set("set_bound_too_weak", "BoundAboveThreshold", "0.1", duals())?;
    of_set("set_without_a_dual", "DualCount", "0.99999", duals()[..2].to_vec())?;
    of_set("set_with_a_dual_too_many", "DualCount", "0.99999", [duals(), duals()].concat())?;
    let inside = vec![simplex(&[1, 2]), simplex(&[1, 5]), simplex(&[2])];
    of_set("set_with_weight_on_itself", "LambdaInSet", "0.99999", inside)?;
    let mut unbalanced = duals();
    unbalanced[1].denominator = 11;
    of_set("set_lambda_sum", "LambdaSum", "0.99999", unbalanced)?;
    rejected("set_proof_of_a_list", "WrongRule", list(&[0, 3, 5], "0.99999")?, with(duals()))?;
    rejected("pairs_bound_too_weak", "BoundBelowThreshold", floor(3, "0.1", None)?, Proof::Pairs {})?;
    rejected("pairs_of_a_list", "WrongRule", list(&[3], "0.999")?, Proof::Pairs {})?;
    rejected("nucleus_of_too_few", "BoundBelowThreshold", nucleus(3, "0.01", None)?, uniform(8, 3))?;
    rejected("parts_too_few", "PartCount", list(&[1, 3], "0.999")?, parts(&[1], "0.999")?)?;
    rejected("parts_too_large", "PartsAboveThreshold", list(&[1, 3], "0.99")?, parts(&[1, 3], "0.999")?)?;
    rejected("parts_sum", "PartsAboveThreshold", set(&[1, 3], "0.99")?, parts(&[1, 3], "0.5")?)?;
    rejected(
        "parts_product",
        "PartsAboveThreshold",
        continuation(&[1, 3], "0.96")?,
        parts(&[1, 3], "0.98")?,
    )?;
    rejected("parts_of_another_order", "LambdaTarget", list(&[1, 3], "0.999")?, parts(&[3, 1], "0.999")?)?;
    rejected("parts_bound_too_weak", "BoundAboveThreshold", list(&[1, 3], "0.01")?, parts(&[1, 3], "0.01")?)?;
    rejected("parts_of_a_floor", "WrongRule", floor(3, "0.1", None)?, parts(&[3], "0.1")?)?;
    let refuting = Part { threshold: decimal("0.01")?, proof: witness(&[1, 2, 3]) };
    let refuting = Proof::Parts { parts: vec![Some(refuting)] };
    rejected("parts_with_a_witness", "WrongRule", list(&[LIKELIEST], "0.01")?, refuting)?;
    let nested = Part { threshold: decimal("0.999")?, proof: parts(&[3], "0.999")? };
    let nested = Proof::Parts { parts: vec![Some(nested)] };
    rejected("parts_of_parts", "WrongRule", list(&[3], "0.999")?, nested)?;
    let certain = Part { threshold: decimal("1.5")?, proof: uniform(8, 3) };
    let certain = Proof::Parts { parts: vec![Some(certain)] };
    rejected("parts_threshold_range", "PartsAboveThreshold", list(&[3], "0.999")?, certain)?;
    let negative = |threshold: &str| -> Result<Proof, AnyError> {
        let part = Part { threshold: decimal(threshold)?, proof: uniform(8, 3) };
        Ok(Proof::Parts { parts: vec![Some(part)] })
    };
    rejected("parts_threshold_negative", "ThresholdRange", list(&[3], "0.999")?, negative("-0.5")?)?;
    rejected("head_of_a_floor", "WrongRule", floor(3, "0.01", None)?, uniform(8, 3))
}
