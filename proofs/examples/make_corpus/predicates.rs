//! Cases of the predicates other than the ceiling.

use llmprove_proofs::{Decimal, Language, Predicate, Proof, Statement, model_digest};

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
    refuted("witness_always_argmax", Predicate::AlwaysArgmax { token: SECOND })
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
    rejected("head_of_a_floor", "WrongRule", floor(3, "0.01", None)?, uniform(8, 3))
}
