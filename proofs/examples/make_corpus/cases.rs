//! The accept and reject cases.
//!
//! A case is one file with a model, a statement and a certificate (as texts, so that they may be malformed) and what is
//! expected: the verdict, or the name of the rejection. A reject case has one defect and is named by it.

use std::fs;
use std::path::{Path, PathBuf};

use llmprove_proofs::{Certificate, Decimal, Language, Predicate, Proof, Statement, model_digest};
use serde_json::json;

use crate::{AnyError, attention, block, block_claims, order, predicates, two_blocks};

pub fn model_dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(name)
}

pub fn statement(
    model: &str,
    token: u32,
    threshold: &str,
    temperature: Option<&str>,
) -> Result<Statement, AnyError> {
    let temperature = temperature.map(Decimal::parse).transpose()?;
    let predicate = Predicate::Ceiling { token, threshold: Decimal::parse(threshold)?, temperature };
    Ok(Statement::new(model_digest(&model_dir(model))?, Language::Any, Some(4), predicate))
}

/// λ uniform over all tokens but the target.
pub fn uniform(vocabulary: u32, target: u32) -> Proof {
    let lambda: Vec<_> = (0..vocabulary).filter(|j| *j != target).map(|j| (j, 5)).collect();
    Proof::Head { denominator: 5 * u64::from(vocabulary - 1), lambda }
}

fn text(bytes: Vec<u8>) -> Result<String, AnyError> {
    Ok(String::from_utf8(bytes)?)
}

/// At most two free tokens, then one of 2, 3 and 5, then 3.
fn suffix() -> Language {
    let all = Language::Set(vec![[0, u32::MAX]]);
    let free = Language::Repeat { of: Box::new(all), min: 0, max: Some(2) };
    Language::Seq(vec![free, Language::Set(vec![[2, 3], [5, 5]]), Language::Set(vec![[3, 3]])])
}

pub fn about(language: Language, mut statement: Statement) -> Statement {
    statement.language = language;
    statement
}

/// Statement and certificate as file texts.
pub fn pair(statement: &Statement, proof: Proof) -> Result<[String; 2], AnyError> {
    let bytes = statement.to_json_bytes();
    let certificate = Certificate::new(statement.model.clone(), &bytes, proof);
    Ok([text(bytes)?, text(certificate.to_json_bytes())?])
}

fn write(
    path: &Path,
    model: &str,
    expect: &str,
    [statement, certificate]: [String; 2],
) -> Result<(), AnyError> {
    let case = json!({"model": model, "expect": expect, "statement": statement, "certificate": certificate});
    Ok(fs::write(path, serde_json::to_string_pretty(&case)? + "\n")?)
}

/// Writes a case that holds: name, model, verdict, statement, proof.
pub type Accepted<'a> = &'a dyn Fn(&str, &str, &str, Statement, Proof) -> Result<(), AnyError>;
/// Writes a case with a defect: name, reason, model, the two texts.
pub type Rejected<'a> = &'a dyn Fn(&str, &str, &str, [String; 2]) -> Result<(), AnyError>;

/// Certificates that hold.
pub fn accept(folder: &Path) -> Result<(), AnyError> {
    let case = |name: &str, model: &str, expect: &str, statement: Statement, proof: Proof| {
        write(&folder.join(format!("{name}.json")), model, expect, pair(&statement, proof)?)
    };
    let sparse = Proof::Head { denominator: 1 << 53, lambda: vec![(0, (1 << 53) - 1), (7, 1)] };
    case("head_layer_norm", "tiny-gpt2", "proved", statement("tiny-gpt2", 3, "0.97", None)?, uniform(8, 3))?;
    case(
        "head_largest_denominator",
        "tiny-gpt2",
        "proved",
        statement("tiny-gpt2", 3, "0.9999", None)?,
        sparse,
    )?;
    let single = Proof::Head { denominator: 1, lambda: vec![(5, 1)] };
    case("head_single_token", "tiny-gpt2", "proved", statement("tiny-gpt2", 3, "0.9999", None)?, single)?;
    case("head_hot", "tiny-gpt2", "proved", statement("tiny-gpt2", 3, "0.7", Some("3.5"))?, uniform(8, 3))?;
    case(
        "head_bias",
        "tiny-gpt2-erf",
        "proved",
        statement("tiny-gpt2-erf", 2, "0.97", None)?,
        uniform(6, 2),
    )?;
    case(
        "head_rms_norm",
        "tiny-llama",
        "proved",
        statement("tiny-llama", 0, "0.9999", None)?,
        uniform(8, 0),
    )?;
    case(
        "head_tied_rms_norm",
        "tiny-qwen2",
        "proved",
        statement("tiny-qwen2", 6, "0.9999", None)?,
        uniform(7, 6),
    )?;
    block::accept(&case)?;
    block_claims::accept(&case)?;
    two_blocks::accept(&case)?;
    let witness = |prefix: &[u32]| Proof::Witness { prefix: prefix.to_vec() };
    case(
        "witness_gpt2",
        "tiny-gpt2",
        "refuted",
        statement("tiny-gpt2", 0, "0.001", None)?,
        witness(&[1, 2, 3]),
    )?;
    case(
        "witness_cold",
        "tiny-gpt2",
        "refuted",
        statement("tiny-gpt2", 0, "1e-9", Some("0.5"))?,
        witness(&[1]),
    )?;
    case(
        "witness_gpt2_erf",
        "tiny-gpt2-erf",
        "refuted",
        statement("tiny-gpt2-erf", 1, "1e-4", None)?,
        witness(&[5, 4, 3, 2]),
    )?;
    case(
        "witness_llama",
        "tiny-llama",
        "refuted",
        statement("tiny-llama", 1, "1e-6", None)?,
        witness(&[7, 0, 7]),
    )?;
    case(
        "witness_qwen2",
        "tiny-qwen2",
        "refuted",
        statement("tiny-qwen2", 1, "1e-6", None)?,
        witness(&[0, 6]),
    )?;
    let in_language = |language| -> Result<Statement, AnyError> {
        Ok(about(language, statement("tiny-gpt2", 0, "0.001", None)?))
    };
    case("witness_in_language", "tiny-gpt2", "refuted", in_language(suffix())?, witness(&[1, 7, 2, 3]))?;
    let repeat = Language::Repeat { of: Box::new(suffix()), min: 0, max: None };
    let union = Language::Union(vec![Language::Any, repeat]);
    case("witness_in_union", "tiny-gpt2", "refuted", in_language(union)?, witness(&[2, 3, 5, 3]))?;
    let of_language = about(suffix(), statement("tiny-gpt2", 3, "0.97", None)?);
    case("head_of_language", "tiny-gpt2", "proved", of_language, uniform(8, 3))?;
    case(
        "witness_attention_only",
        "tiny-hooked",
        "refuted",
        statement("tiny-hooked", 1, "1e-4", None)?,
        witness(&[2, 3, 2]),
    )?;
    attention::accept(&case)?;
    predicates::accept(&case)?;
    order::accept(&case)?;
    for (name, model, predicate, language, max_len) in exhaustive()? {
        let statement = Statement::new(model_digest(&model_dir(model))?, language, Some(max_len), predicate);
        case(name, model, "proved", statement, Proof::Exhaustive {})?;
    }
    Ok(())
}

/// Statements that hold after each of few prefixes.
type Few = (&'static str, &'static str, Predicate, Language, u32);

fn exhaustive() -> Result<Vec<Few>, AnyError> {
    let ceiling = |token, threshold| -> Result<Predicate, AnyError> {
        Ok(Predicate::Ceiling { token, threshold: Decimal::parse(threshold)?, temperature: None })
    };
    let floor = Predicate::Floor { token: 1, threshold: Decimal::parse("1e-9")?, temperature: None };
    Ok(vec![
        ("exhaustive_gpt2", "tiny-gpt2", ceiling(3, "0.97")?, suffix(), 3),
        ("exhaustive_llama", "tiny-llama", ceiling(0, "0.9999999")?, Language::Any, 2),
        ("exhaustive_floor", "tiny-qwen2", floor, Language::Any, 1),
        ("exhaustive_attention_only", "tiny-hooked", ceiling(1, "0.9999999")?, Language::Any, 1),
    ])
}

/// Certificates with one defect each.
pub fn reject(folder: &Path) -> Result<(), AnyError> {
    let model = "tiny-gpt2";
    let case = |name: &str, expect: &str, model: &str, pair: [String; 2]| {
        write(&folder.join(format!("{name}.json")), model, expect, pair)
    };
    let good = || statement(model, 3, "0.97", None);
    // A defect of the certificate: one replacement in its text, the statement untouched.
    let edited = |name: &str, expect: &str, from: &str, to: &str| -> Result<(), AnyError> {
        let [statement, certificate] = pair(&good()?, uniform(8, 3))?;
        assert_eq!(certificate.matches(from).count(), 1, "{name}: {from} in {certificate}");
        case(name, expect, model, [statement, certificate.replace(from, to)])
    };
    // A defect of the statement; the certificate refers to the defective text.
    let stated = |name: &str, expect: &str, from: &str, to: &str| -> Result<(), AnyError> {
        let good = good()?;
        let bytes = text(good.to_json_bytes())?;
        assert_eq!(bytes.matches(from).count(), 1, "{name}: {from} in {bytes}");
        let bytes = bytes.replace(from, to);
        let certificate = Certificate::new(good.model.clone(), bytes.as_bytes(), uniform(8, 3));
        case(name, expect, model, [bytes, text(certificate.to_json_bytes())?])
    };
    let lambda = "[[0,5],[1,5],[2,5],[4,5],[5,5],[6,5],[7,5]]";
    let other = model_digest(&model_dir("tiny-llama"))?;
    let own = model_digest(&model_dir(model))?;

    edited("certificate_empty_object", "CertificateMalformed", "\"kind\":\"head\",", "")?;
    edited("certificate_unknown_kind", "CertificateMalformed", "\"head\"", "\"trust-me\"")?;
    edited(
        "certificate_unknown_field",
        "CertificateMalformed",
        "\"version\"",
        "\"verdict\":\"proved\",\"version\"",
    )?;
    edited("certificate_carries_a_claim", "CertificateMalformed", "\"kind\"", "\"bound\":0.1,\"kind\"")?;
    edited(
        "certificate_repeated_field",
        "CertificateMalformed",
        "\"denominator\":35",
        "\"denominator\":35,\"denominator\":35",
    )?;
    edited("certificate_trailing_text", "CertificateMalformed", "}}", "}} {}")?;
    edited("certificate_wrong_format", "WrongFormat", "llmprove-certificate", "llmprove-statement")?;
    edited("certificate_version_2", "WrongVersion", "\"version\":1", "\"version\":2")?;
    edited("certificate_of_other_model", "CertificateOfOtherModel", &own, &other)?;
    edited("certificate_of_no_model", "CertificateOfOtherModel", &own, "")?;
    edited("denominator_zero", "DenominatorRange", "\"denominator\":35", "\"denominator\":0")?;
    edited("denominator_negative", "CertificateMalformed", "\"denominator\":35", "\"denominator\":-35")?;
    edited("denominator_fraction", "CertificateMalformed", "\"denominator\":35", "\"denominator\":35.0")?;
    edited(
        "denominator_above_2_53",
        "DenominatorRange",
        "\"denominator\":35",
        "\"denominator\":9007199254740993",
    )?;
    edited(
        "denominator_above_2_64",
        "CertificateMalformed",
        "\"denominator\":35",
        "\"denominator\":36893488147419103232",
    )?;
    edited("lambda_sum_too_small", "LambdaSum", "[7,5]", "[7,4]")?;
    edited("lambda_sum_too_large", "LambdaSum", "[7,5]", "[7,6]")?;
    edited("lambda_sum_wraps", "LambdaSum", "[6,5],[7,5]", "[6,18446744073709551615],[7,11]")?;
    edited("lambda_empty", "LambdaSum", lambda, "[]")?;
    edited("lambda_numerator_zero", "LambdaZero", "[6,5],[7,5]", "[6,0],[7,10]")?;
    edited("lambda_numerator_negative", "CertificateMalformed", "[6,5],[7,5]", "[6,-5],[7,15]")?;
    edited("lambda_numerator_huge", "CertificateMalformed", "[7,5]", "[7,500000000000000000000000000000]")?;
    edited("lambda_has_target", "LambdaTarget", "[2,5],[4,5]", "[3,5],[4,5]")?;
    edited("lambda_out_of_vocabulary", "LambdaOutOfVocabulary", "[7,5]", "[8,5]")?;
    edited("lambda_token_above_2_32", "CertificateMalformed", "[7,5]", "[4294967296,5]")?;
    edited("lambda_repeated_token", "LambdaOrder", "[6,5],[7,5]", "[6,5],[6,5]")?;
    edited("lambda_unsorted", "LambdaOrder", "[6,5],[7,5]", "[7,5],[6,5]")?;
    edited("lambda_triple", "CertificateMalformed", "[7,5]", "[7,5,1]")?;
    stated("bound_above_threshold", "BoundAboveThreshold", "\"0.97\"", "\"0.6\"")?;

    let [text_of_statement, certificate] = pair(&good()?, uniform(8, 3))?;
    let cut = |text: &str| text[..text.len() / 2].to_string();
    case(
        "certificate_truncated",
        "CertificateMalformed",
        model,
        [text_of_statement.clone(), cut(&certificate)],
    )?;
    case("certificate_empty", "CertificateMalformed", model, [text_of_statement.clone(), String::new()])?;
    case("statement_truncated", "StatementMalformed", model, [cut(&text_of_statement), certificate.clone()])?;
    let deep = "[".repeat(1_000);
    case("certificate_deeply_nested", "CertificateMalformed", model, [text_of_statement.clone(), deep])?;
    // One more blank changes nothing but the hash.
    let spaced = text_of_statement.replace("\"token\":", "\"token\": ");
    case("other_statement_bytes", "OtherStatement", model, [spaced, certificate.clone()])?;
    let [lower, _] = pair(&statement(model, 3, "0.1", None)?, uniform(8, 3))?;
    case("other_statement_threshold", "OtherStatement", model, [lower, certificate.clone()])?;
    case("both_of_other_model", "StatementOfOtherModel", "tiny-llama", [text_of_statement, certificate])?;

    stated("statement_unknown_predicate", "StatementMalformed", "\"ceiling\"", "\"roof\"")?;
    stated("statement_unknown_language", "StatementMalformed", "\"any\"", "\"some\"")?;
    let any = "\"any\"";
    stated("language_set_unordered", "LanguageSet", any, "{\"set\":[[3,4],[1,2]]}")?;
    stated("language_set_overlapping", "LanguageSet", any, "{\"seq\":[{\"set\":[[1,3],[3,4]]}]}")?;
    stated("language_set_backwards", "LanguageSet", any, "{\"set\":[[2,1]]}")?;
    let repeat =
        |min: &str, max: &str| format!("{{\"repeat\":{{\"of\":\"any\",\"min\":{min},\"max\":{max}}}}}");
    stated("language_repeat_impossible", "LanguageRepeat", any, &repeat("3", "2"))?;
    stated("language_repeat_negative", "StatementMalformed", any, &repeat("-1", "2"))?;
    stated("language_unknown_field", "StatementMalformed", any, &repeat("1", "2,\"x\":0"))?;
    stated("language_two_kinds", "StatementMalformed", any, "{\"seq\":[],\"union\":[]}")?;
    let nested = |n: usize| format!("{}\"any\"{}", "{\"seq\":[".repeat(n), "]}".repeat(n));
    stated("language_nested_40_deep", "LanguageDepth", any, &nested(40))?;
    stated("language_nested_70_deep", "StatementMalformed", any, &nested(70))?;
    stated("statement_unknown_field", "StatementMalformed", "\"max_len\":4", "\"max_len\":4,\"min_len\":2")?;
    stated("statement_without_threshold", "StatementMalformed", ",\"threshold\":\"0.97\"", "")?;
    stated("statement_wrong_format", "WrongFormat", "llmprove-statement", "llmprove-certificate")?;
    stated("statement_version_0", "WrongVersion", "\"version\":1", "\"version\":0")?;
    stated("statement_of_other_model", "StatementOfOtherModel", &own, &other)?;
    stated("threshold_zero", "ThresholdRange", "\"0.97\"", "\"0\"")?;
    stated("threshold_one", "ThresholdRange", "\"0.97\"", "\"1.0\"")?;
    stated("threshold_negative", "ThresholdRange", "\"0.97\"", "\"-0.5\"")?;
    stated("threshold_number", "StatementMalformed", "\"0.97\"", "0.97")?;
    stated("threshold_nan", "StatementMalformed", "\"0.97\"", "\"NaN\"")?;
    stated("threshold_huge_exponent", "StatementMalformed", "\"0.97\"", "\"1e-999999999\"")?;
    stated("temperature_zero", "TemperatureRange", "\"0.97\"", "\"0.97\",\"temperature\":\"0\"")?;
    stated("temperature_negative", "TemperatureRange", "\"0.97\"", "\"0.97\",\"temperature\":\"-1\"")?;
    stated("max_len_zero", "NoPrefixes", "\"max_len\":4", "\"max_len\":0")?;
    stated("max_len_negative", "StatementMalformed", "\"max_len\":4", "\"max_len\":-1")?;
    stated("target_out_of_vocabulary", "TargetOutOfVocabulary", "\"token\":3", "\"token\":8")?;

    let witness = |name: &str, expect: &str, threshold: &str, prefix: &[u32]| -> Result<(), AnyError> {
        let proof = Proof::Witness { prefix: prefix.to_vec() };
        case(name, expect, model, pair(&statement(model, 0, threshold, None)?, proof)?)
    };
    witness("prefix_empty", "PrefixEmpty", "0.001", &[])?;
    witness("prefix_longer_than_statement", "PrefixTooLong", "0.001", &[1, 2, 3, 4, 5])?;
    witness("prefix_out_of_vocabulary", "PrefixOutOfVocabulary", "0.001", &[1, 8])?;
    witness("probability_not_above", "NotViolated", "0.999", &[1, 2, 3])?;
    let outside = |name: &str, prefix: &[u32]| -> Result<(), AnyError> {
        let statement = about(suffix(), statement(model, 0, "0.001", None)?);
        let proof = Proof::Witness { prefix: prefix.to_vec() };
        case(name, "PrefixOutsideLanguage", model, pair(&statement, proof)?)
    };
    outside("prefix_outside_language", &[1, 2, 4])?;
    outside("prefix_only_begins_in_language", &[2])?;
    let mut long = statement(model, 0, "0.001", None)?;
    long.max_len = None;
    let proof = Proof::Witness { prefix: vec![1; 7] };
    case("prefix_longer_than_context", "PrefixTooLong", model, pair(&long, proof)?)?;
    block::reject(&case)?;
    block_claims::reject(&case)?;
    two_blocks::reject(&case)?;
    let hooked = statement("tiny-hooked", 3, "0.97", None)?;
    case("head_without_final_norm", "NoFinalNorm", "tiny-hooked", pair(&hooked, uniform(6, 3))?)?;
    attention::reject(&case)?;
    predicates::reject(&case)?;
    order::reject(&case)?;
    let enumerated =
        |name: &str, expect: &str, language: Language, threshold: &str| -> Result<(), AnyError> {
            let statement = about(language, statement(model, 3, threshold, None)?);
            case(name, expect, model, pair(&statement, Proof::Exhaustive {})?)
        };
    enumerated("exhaustive_above_threshold", "NotMet", suffix(), "0.001")?;
    let mut many = statement(model, 3, "0.97", None)?;
    many.max_len = None;
    case("exhaustive_of_too_many", "TooManyPrefixes", model, pair(&many, Proof::Exhaustive {})?)?;
    enumerated("exhaustive_of_nothing", "LanguageEmpty", Language::Union(vec![]), "0.97")?;
    let few = about(suffix(), good()?);
    let [few, certificate] = pair(&few, Proof::Exhaustive {})?;
    let claiming = certificate.replace("\"exhaustive\"", "\"exhaustive\",\"prefixes\":1");
    case("exhaustive_carries_a_claim", "CertificateMalformed", model, [few, claiming])
}
