//! The exhaustive prover against an oracle that is too simple to be wrong, and through the checker.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;
mod exhaustive {
    pub mod oracle;
    pub mod resume;
}

use std::sync::Mutex;

use llmprove::decide::decide;
use llmprove::limits::Limits;
use llmprove::model::{ModelFolder, TokenId, Vocab};
use llmprove::prove::exhaustive::Exhaustive;
use llmprove::prove::{Arguments, Portfolio};
use llmprove::search::Aim;
use llmprove::spec::language::Automaton;
use llmprove::spec::{Language, Predicate, Statement, Threshold};
use llmprove::verdict::{Answer, Prover};
use llmprove_proofs::check;

use common::fixture_models;
use exhaustive::oracle;

/// Languages for any vocabulary of at least six tokens, with a longest length.
const LANGUAGES: [(&str, usize); 4] = [
    ("[id:0-5]{1,2}", 3),
    ("[id:1-3]{0,2} · [id:2] · [id:4]", 4),
    ("[id:5] | [id:0-2]{3}", 3),
    ("[id:1]{1,4}", 4),
];

#[test]
fn bounds_equal_those_of_the_oracle() {
    for folder in fixture_models() {
        let model = folder.load().unwrap();
        let tokens: Vec<TokenId> = (0..4).collect();
        for (text, longest) in LANGUAGES {
            let longest = longest.min(model.context);
            let language = Language::parse(text, &Vocab::numbered(folder.vocab_size())).unwrap();
            let limits = Limits { max_len: Some(longest), ..Limits::default() };
            let portfolio = Portfolio::open(&folder, &language, [Prover::Exhaustive].into()).unwrap();
            let aim = Aim::Narrow { gap: 0.0 };
            let Ok(all) = portfolio.bound(&tokens, aim, Arguments::Kept, &limits, &|_| {}) else {
                assert!(oracle::prefixes(&language, model.head.vocab_size(), longest).is_empty());
                continue;
            };
            for (&token, bounds) in tokens.iter().zip(&all) {
                let (least, most) = oracle::maximum(&model, &language, longest, token);
                assert!(bounds.lower() <= most && least <= bounds.upper, "{text} token {token}");
                assert!(bounds.upper - bounds.lower() < 1e-6, "{text} token {token}: {bounds:?}");
                assert_eq!(bounds.prover, Prover::Exhaustive);
            }
        }
    }
}

#[test]
fn predicates_are_decided_as_the_oracle_says_and_checked() {
    let folder = fixture_models().into_iter().next().unwrap();
    let model = folder.load().unwrap();
    let threshold = |text: &str| Threshold::parse(text).unwrap();
    let predicates = [
        Predicate::Ceiling { token: 1, threshold: threshold("0.9"), temperature: None },
        Predicate::Ceiling { token: 1, threshold: threshold("1e-9"), temperature: None },
        Predicate::Floor { token: 2, threshold: threshold("1e-9"), temperature: None },
        Predicate::Floor { token: 2, threshold: threshold("0.9"), temperature: None },
        Predicate::AlwaysArgmax { token: 0 },
        Predicate::NeverArgmax { token: 3 },
        Predicate::NeverTopK { token: 3, k: 2 },
    ];
    let (text, longest) = LANGUAGES[1];
    let language = Language::parse(text, &Vocab::numbered(folder.vocab_size())).unwrap();
    let mut answers = Vec::new();
    for predicate in predicates {
        let statement =
            Statement { language: language.clone(), max_len: Some(longest), predicate: predicate.clone() };
        let decision =
            decide(&folder, &statement, [Prover::Exhaustive].into(), &Limits::default(), &|_| {}).unwrap();
        let holds = oracle::holds(&model, &language, longest, &predicate);
        let expected = if holds { Answer::Proved } else { Answer::Refuted };
        assert_eq!(decision.answer, expected, "{predicate:?}");
        let files = decision.files.unwrap();
        check(folder.dir(), &files.statement, &files.certificate).unwrap();
        answers.push(expected);
    }
    assert!(answers.contains(&Answer::Proved) && answers.contains(&Answer::Refuted));
}

#[test]
fn a_run_is_the_same_at_any_number_of_threads() {
    let folder = fixture_models().into_iter().next().unwrap();
    let language = Language::parse("[id:0-5]{1,3}", &Vocab::numbered(folder.vocab_size())).unwrap();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let events = Mutex::new(Vec::new());
        let portfolio = Portfolio::open(&folder, &language, [Prover::Exhaustive].into()).unwrap();
        let observe = |event: llmprove::prove::Event<'_>| match event {
            llmprove::prove::Event::Progress(_) => {}
            other => events.lock().unwrap().push(format!("{other:?}")),
        };
        let aim = Aim::Narrow { gap: 0.0 };
        let limits = Limits { max_len: Some(3), ..Limits::default() };
        let all = pool.install(|| portfolio.bound(&[0, 3], aim, Arguments::Kept, &limits, &observe)).unwrap();
        (format!("{all:?}"), events.into_inner().unwrap())
    };
    assert_eq!(run(1), run(3));
}

/// The model sorts six letters of three: after them and the beginning of the sorted sequence, the next letter is right. Each
/// token's statement speaks of all inputs and beginnings that it has to follow.
#[test]
fn a_sorting_model_sorts() {
    let Some(models) = common::shared_models("a_sorting_model_sorts") else { return };
    let folder = ModelFolder::open(models.join("nanogpt-sort-abc")).unwrap();
    let mut after: Vec<Vec<Language>> = vec![Vec::new(); 3];
    for k in 0..3u32.pow(6) {
        let letters: Vec<TokenId> = (0..6).map(|i| k / 3u32.pow(i) % 3).collect();
        let mut sorted = letters.clone();
        sorted.sort_unstable();
        for (n, &next) in sorted.iter().enumerate() {
            after[next as usize].push(Language::word(&[letters.as_slice(), &sorted[..n]].concat()));
        }
    }
    assert_eq!(after.iter().map(Vec::len).sum::<usize>(), 6 * 729);
    assert_always_next(&folder, after);
}

/// The model, a recurrent one, was trained to say digits in reverse order after a comma. After every number of at most two
/// digits, and after what it has to say first, it does.
#[test]
fn a_reversing_model_reverses() {
    let Some(models) = common::shared_models("a_reversing_model_reverses") else { return };
    let folder = ModelFolder::open(models.join("rwkv7-reverse-38K")).unwrap();
    let comma = 10;
    let mut after: Vec<Vec<Language>> = vec![Vec::new(); 10];
    for (a, b) in (0..10u32).flat_map(|a| (0..10u32).map(move |b| (a, b))) {
        after[b as usize].push(Language::word(&[a, b, comma]));
        after[a as usize].push(Language::word(&[a, b, comma, b]));
    }
    (0..10u32).for_each(|a| after[a as usize].push(Language::word(&[a, comma])));
    assert_always_next(&folder, after);
}

/// The exhaustive prover proves of each token that it is always the likeliest one after the words in its place.
fn assert_always_next(folder: &ModelFolder, after: Vec<Vec<Language>>) {
    for (token, words) in (0..).zip(after) {
        let predicate = Predicate::AlwaysArgmax { token };
        let statement = Statement { language: Language::Union(words), max_len: None, predicate };
        let decision =
            decide(folder, &statement, [Prover::Exhaustive].into(), &Limits::default(), &|_| {}).unwrap();
        assert_eq!(decision.answer, Answer::Proved, "token {token}: {:?}", decision.extreme.witness);
    }
}

#[test]
fn the_time_of_a_run_depends_on_its_prefixes_and_not_on_the_context() {
    for folder in fixture_models() {
        let model = folder.load().unwrap();
        let language = Language::parse("[id:0-5]{1,2}", &Vocab::numbered(folder.vocab_size())).unwrap();
        let automaton = Automaton::new(&language, folder.vocab_size()).unwrap();
        let seconds = |longest| Exhaustive::seconds(&model, &automaton, longest);
        assert_eq!(seconds(2).to_bits(), seconds(1000).to_bits());
    }
}
