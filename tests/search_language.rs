//! The witness search within a language: finds planted and true maxima of it, and nothing outside.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use std::time::Duration;

use common::planted::{CONTEXT, PLANTED, VOCAB, planted};
use llmprove::limits::Limits;
use llmprove::model::{Evaluator, TokenId, Vocab};
use llmprove::search::{Aim, Hunt, Incumbent, Leads, Target};
use llmprove::spec::language::Automaton;
use llmprove::spec::{Language, Threshold};
use llmprove::verdict::Witness;

fn automaton(text: &str) -> Automaton {
    Automaton::new(&Language::parse(text, &Vocab::numbered(VOCAB)).unwrap(), VOCAB).unwrap()
}

/// The best witnesses for all tokens within a language.
fn hunt(language: &Automaton, aim: Aim, leads: &Leads, limits: &Limits) -> Vec<Option<Witness>> {
    let model = planted();
    let incumbents: Vec<Incumbent> = (0..VOCAB).map(|_| Incumbent::new()).collect();
    let targets = (0..).zip(&incumbents).map(|(token, incumbent)| Target { token, upper: 1.0, incumbent });
    let hunt = Hunt::new(Evaluator::new(&model), None, targets.collect(), leads, limits);
    hunt.within(language).run(aim, limits, &|_, _| ()).unwrap();
    incumbents.iter().map(Incumbent::best).collect()
}

#[test]
fn a_planted_prefix_is_found_in_every_language_that_holds_it() {
    let most = [Threshold::parse("0.7").unwrap()];
    for text in [
        "any",
        "any{0,7} · [id:6]",
        "any{3,} · [id:3-5] · [id:6|id:8]",
        "[id:0-3] · any{2} · any · [id:5-8] | [id:9]{1,8}",
        "(any · [id:11] | any · [id:4]{3}) · any{0,6}",
        "any{0,2} · [id:0] · any · [id:6] · any{0,3}",
        "any without [id:7]",
        "[id:3] · [id:11] · [id:0] · [id:3] · [id:6]",
    ] {
        let found = hunt(&automaton(text), Aim::Exceed(&most), &Leads::new(), &Limits::default());
        assert_eq!(found[7].as_ref().map(|w| w.prefix.as_slice()), Some(&PLANTED[..]), "{text}");
    }
}

#[test]
fn witnesses_belong_to_the_language_even_if_better_prefixes_are_suggested() {
    let leads = Leads::new();
    for text in ["any without [id:11]", "any{6,8}", "[id:1-3]{1,8} · [id:5]", "[id:6] | any{2} · [id:0]"] {
        let language = automaton(text);
        let limits = Limits::default().within(Duration::from_secs(5));
        leads.offer(PLANTED.to_vec());
        for witness in hunt(&language, Aim::Narrow { gap: 0.0 }, &leads, &limits) {
            let prefix = witness.unwrap().prefix;
            assert!(language.accepts(&prefix) && prefix.len() <= CONTEXT, "{text}: {prefix:?}");
            assert_ne!(prefix, PLANTED);
        }
    }
}

#[test]
fn small_languages_are_searched_exhaustively() {
    let model = planted();
    let evaluator = Evaluator::new(&model);
    for text in ["any{1,2} · [id:6]", "[id:3|id:5] · [id:2-11]{0,2}", "[id:1]{1,8}", "any{3}"] {
        let language = automaton(text);
        let found = hunt(&language, Aim::Narrow { gap: 0.0 }, &Leads::new(), &Limits::default());
        let mut maxima = vec![f32::NEG_INFINITY; VOCAB];
        for length in language.lengths(CONTEXT) {
            let members: Vec<Vec<TokenId>> = language.slice(length).unwrap().members().collect();
            for row in evaluator.log_probs(&members).unwrap().rows() {
                maxima.iter_mut().zip(row).for_each(|(max, log_p)| *max = max.max(*log_p));
            }
        }
        for (token, (found, max)) in found.iter().zip(maxima).enumerate() {
            let (lower, max) = (found.as_ref().unwrap().lower, f64::from(max.exp()));
            assert!((lower - max).abs() < 1e-4 * max, "{text}, token {token}: {lower}, maximum {max}");
        }
    }
}

#[test]
fn a_language_beyond_the_longest_length_gives_nothing() {
    let limits = Limits { max_len: Some(3), ..Limits::default() };
    let found = hunt(&automaton("any{4,}"), Aim::Narrow { gap: 0.0 }, &Leads::new(), &limits);
    assert!(found.iter().all(Option::is_none));
}
