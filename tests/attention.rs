//! The attention prover against enumeration, and its certificates against the checker.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::path::PathBuf;

use dashu_int::UBig;
use llmprove::decide::decide;
use llmprove::limits::Limits;
use llmprove::model::{Evaluator, Model, ModelFolder, TokenId};
use llmprove::prove::attention::{Outcome, Tables, prove, prove_ceiling, tally};
use llmprove::spec::language::Automaton;
use llmprove::spec::{Decimal, Language, Predicate, Statement, Threshold};
use llmprove::verdict::{Answer, Prover};
use llmprove_proofs::{Verdict, check};
use proptest::prelude::*;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Two heads, biases, 6 tokens, context 4: 1554 prefixes.
fn tiny() -> ModelFolder {
    ModelFolder::open(root().join("proofs/tests/models/tiny-hooked")).unwrap()
}

fn max_of_4() -> ModelFolder {
    ModelFolder::open(root().join("models/max-of-4")).unwrap()
}

/// Logits after every prefix of the language with at most `longest` tokens.
fn enumerate(model: &Model, language: &Automaton, longest: usize) -> Vec<(Vec<TokenId>, Vec<f32>)> {
    let lengths = language.lengths(longest);
    let prefixes: Vec<Vec<TokenId>> =
        lengths.iter().flat_map(|&n| language.slice(n).unwrap().members().collect::<Vec<_>>()).collect();
    let logits = Evaluator::new(model).next_logits(&prefixes).unwrap();
    prefixes.into_iter().zip(logits.rows()).map(|(prefix, row)| (prefix, row.to_vec())).collect()
}

fn automaton(language: &Language, tables: &Tables) -> Automaton {
    Automaton::new(language, tables.vocab).unwrap()
}

#[test]
fn ceilings_close_in_on_the_enumerated_maximum_and_never_go_below() {
    let model = tiny().load().unwrap();
    let tables = Tables::new(&model).unwrap();
    let language = automaton(&Language::Any, &tables);
    let all = enumerate(&model, &language, 4);
    for token in 0..6u32 {
        let probability = |row: &Vec<f32>| {
            let sum: f32 = row.iter().map(|l| (l - row[token as usize]).exp()).sum();
            f64::from(1.0 / sum)
        };
        let largest = all.iter().map(|(_, row)| probability(row)).fold(0.0, f64::max);
        let at = |p: f64| prove_ceiling(&tables, token, p, &language, 4, &Limits::default());
        assert!(at(largest + 1e-4).is_some(), "token {token} at {largest}");
        assert!(at(largest - 1e-5).is_none(), "token {token} at {largest}");
    }
}

/// Languages that a random choice of predicates is asked about.
const LANGUAGES: [&str; 5] = [
    "any",
    "[id:0-2]{1,4}",
    "[id:1,3]{2} · [id:0-5]{0,2}",
    "[id:0-3]{0,3} · [id:4] · [id:0-4]{0,2}",
    "[id:2] | [id:0]{3}",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn counts_and_answers_equal_the_enumeration(
        which in 0..LANGUAGES.len(), over in 0u32..6, other in 1u32..6, margin in -3.0f64..3.0, kind in 0..3
    ) {
        let folder = tiny();
        let model = folder.load().unwrap();
        let tables = Tables::new(&model).unwrap();
        let language = Language::parse(LANGUAGES[which], &llmprove::model::Vocab::numbered(6)).unwrap();
        let predicate = match kind {
            0 => Predicate::AlwaysArgmax { token: over },
            1 => Predicate::NeverArgmax { token: over },
            _ => Predicate::Dominance {
                over, under: (over + other) % 6, margin: Decimal::parse(&format!("{margin:.3}")).unwrap()
            },
        };
        let automaton = automaton(&language, &tables);
        let all = enumerate(&model, &automaton, 4);
        let limit = predicate.limit().value.mid_rad().0 as f32;
        // Prefixes so close to the limit that f32 does not tell are left out by the assumption.
        prop_assume!(all.iter().all(|(_, row)| (predicate.score(std::slice::from_ref(row)) - limit).abs() > 1e-4));
        let holds = |row: &Vec<f32>| predicate.score(std::slice::from_ref(row)) < limit;
        if kind != 1 {
            for length in automaton.lengths(4) {
                let (found, _) = tally(&tables, &predicate, &automaton, length, &Limits::default()).unwrap();
                let right = all.iter().filter(|(prefix, row)| prefix.len() == length && holds(row)).count();
                prop_assert_eq!(&found.holds, &UBig::from(right));
                prop_assert_eq!(&found.open, &UBig::ZERO);
            }
        }
        let statement = Statement { language, max_len: Some(4), predicate: predicate.clone() };
        let expected = all.iter().all(|(_, row)| holds(row));
        let (outcome, _) = prove(&tables, &statement.predicate, &automaton, 4, &Limits::default());
        match outcome {
            Outcome::Proved(_) => prop_assert!(expected),
            Outcome::Counterexample(prefix) => {
                let row = all.iter().find(|(x, _)| *x == prefix).map(|(_, row)| row);
                prop_assert!(row.is_some_and(|row| !holds(row)));
            }
            Outcome::Open | Outcome::NotCovered => prop_assert!(false, "not decided"),
        }
        // Statement and certificate stand by themselves.
        let provers = [Prover::Attention].into();
        let decision = decide(&folder, &statement, provers, &Limits::default(), &|_| {}).unwrap();
        prop_assert_eq!(decision.answer, if expected { Answer::Proved } else { Answer::Refuted });
        let files = decision.files.unwrap();
        let theorem = check(folder.dir(), &files.statement, &files.certificate).map_err(|e| e.to_string());
        prop_assert_eq!(theorem.unwrap().verdict, if expected { Verdict::Proved } else { Verdict::Refuted });
    }
}

/// Four numbers up to `m`, with an `m` among them.
fn greatest_is(m: TokenId) -> Language {
    let text = format!(
        "[id:{m}] · [id:0-{m}]{{3}} | [id:0-{m}] · [id:{m}] · [id:0-{m}]{{2}} | \
         [id:0-{m}]{{2}} · [id:{m}] · [id:0-{m}] | [id:0-{m}]{{3}} · [id:{m}]"
    );
    Language::parse(&text, &llmprove::model::Vocab::numbered(64)).unwrap()
}

#[test]
fn the_greatest_of_four_is_a_theorem_with_a_certificate() {
    let folder = max_of_4();
    for m in [0, 1, 40, 63] {
        let language = greatest_is(m);
        let statement =
            Statement { language, max_len: Some(4), predicate: Predicate::AlwaysArgmax { token: m } };
        let decision =
            decide(&folder, &statement, Prover::WORKERS.into(), &Limits::default(), &|_| {}).unwrap();
        assert_eq!(decision.answer, Answer::Proved, "{m}");
        let files = decision.files.unwrap();
        assert!(files.certificate.len() < 20_000, "{m}: {} bytes", files.certificate.len());
        let theorem = check(folder.dir(), &files.statement, &files.certificate).unwrap();
        assert_eq!(theorem.verdict, Verdict::Proved, "{m}");
        // The same certificate says nothing about another number.
        let other = Statement { predicate: Predicate::AlwaysArgmax { token: m ^ 1 }, ..statement };
        let decision = decide(&folder, &other, Prover::WORKERS.into(), &Limits::default(), &|_| {}).unwrap();
        assert_eq!(decision.answer, Answer::Refuted, "{m}");
    }
}

#[test]
fn a_broken_head_is_counted_as_the_enumeration_counts_it() {
    let mut model = max_of_4().load().unwrap();
    model.head.unembed.row_mut(7).mapv_inplace(|w| 0.5 * w);
    let tables = Tables::new(&model).unwrap();
    let (mut right, mut wrong) = (UBig::ZERO, UBig::ZERO);
    let (mut expected, mut all) = (0usize, 0usize);
    for m in [6u32, 7, 8] {
        let language = automaton(&greatest_is(m), &tables);
        let predicate = Predicate::AlwaysArgmax { token: m };
        let (found, _) = tally(&tables, &predicate, &language, 4, &Limits::default()).unwrap();
        right += found.holds;
        wrong += found.fails;
        let rows = enumerate(&model, &language, 4);
        all += rows.len();
        expected += rows.iter().filter(|(_, row)| predicate.score(std::slice::from_ref(row)) < 0.0).count();
    }
    assert_eq!(right, UBig::from(expected));
    assert_eq!(wrong, UBig::from(all - expected));
    assert!(expected < all && expected > 0, "the row matters to some inputs: {expected} of {all}");
}

#[test]
fn a_ceiling_of_a_model_without_final_norm_has_an_upper_bound_after_all() {
    let folder = tiny();
    let statement = Statement {
        language: Language::Any,
        max_len: Some(4),
        predicate: Predicate::Ceiling {
            token: 1,
            threshold: Threshold::parse("0.9").unwrap(),
            temperature: None,
        },
    };
    let decision = decide(&folder, &statement, Prover::WORKERS.into(), &Limits::default(), &|_| {}).unwrap();
    let files = decision.files.expect("decided");
    let theorem = check(folder.dir(), &files.statement, &files.certificate).unwrap();
    assert_eq!(theorem.verdict == Verdict::Proved, decision.answer == Answer::Proved);
}
