//! The witness search finds planted and true maxima, keeps its limits, and does not depend on the number of threads.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use std::time::{Duration, Instant};

use common::planted::{CONTEXT, PLANTED, VOCAB, planted};
use common::shared_models;
use llmprove::limits::{Limits, StopReason};
use llmprove::model::{Evaluator, Model, ModelFolder, TokenId};
use llmprove::search::{Aim, Hunt, Incumbent, Leads, Target};
use llmprove::spec::Threshold;
use llmprove::verdict::Witness;

/// Runs a search for `tokens` and gives its witnesses, in the order of the tokens, and why it stopped.
fn hunt(
    model: &Model,
    tokens: &[TokenId],
    aim: Aim,
    leads: &Leads,
    limits: &Limits,
) -> (Vec<Option<Witness>>, Option<StopReason>) {
    let incumbents: Vec<Incumbent> = tokens.iter().map(|_| Incumbent::new()).collect();
    let targets =
        tokens.iter().zip(&incumbents).map(|(&token, incumbent)| Target { token, upper: 1.0, incumbent });
    let mut hunt = Hunt::new(Evaluator::new(model), None, targets.collect(), leads, limits);
    let stopped = hunt.run(aim, limits, &|_, _| ()).unwrap();
    (incumbents.iter().map(Incumbent::best).collect(), stopped)
}

/// As many limits as keep a search of a small model short.
fn up_to(len: usize) -> Limits {
    Limits { max_len: Some(len), ..Limits::default() }
}

/// The greatest probability of every token over all prefixes of at most `len` tokens, by enumeration.
fn maxima(model: &Model, len: usize) -> Vec<f32> {
    let evaluator = Evaluator::new(model);
    let vocab_size = model.head.vocab_size();
    let mut maxima = vec![f32::NEG_INFINITY; vocab_size];
    let mut words: Vec<Vec<TokenId>> = vec![vec![]];
    for _ in 0..len {
        words = words
            .iter()
            .flat_map(|w| (0..vocab_size as TokenId).map(move |t| [w.as_slice(), &[t]].concat()))
            .collect();
        for row in evaluator.log_probs(&words).unwrap().rows() {
            maxima.iter_mut().zip(row).for_each(|(max, log_p)| *max = max.max(*log_p));
        }
    }
    maxima.into_iter().map(f32::exp).collect()
}

#[test]
fn a_planted_prefix_is_found_and_confirmed() {
    let most = [Threshold::parse("0.7").unwrap()];
    let (found, stopped) = hunt(&planted(), &[7], Aim::Exceed(&most), &Leads::new(), &Limits::default());
    let witness = found[0].as_ref().unwrap();
    let exact = 4f64.exp() / (4f64.exp() + 11.0);
    assert_eq!(witness.prefix, PLANTED);
    assert!(
        witness.lower <= exact && exact <= witness.upper && witness.upper - witness.lower < 1e-9,
        "{witness:?}"
    );
    assert_eq!(stopped, None);
}

#[test]
fn nothing_is_found_above_the_maximum() {
    let high = [Threshold::parse("0.84").unwrap()];
    let (found, stopped) = hunt(&planted(), &[7], Aim::Exceed(&high), &Leads::new(), &Limits::default());
    assert_eq!(found[0].as_ref().map(|w| w.prefix.as_slice()), Some(PLANTED.as_slice()));
    assert_eq!(stopped, None, "the search gives up by itself");
}

#[test]
fn a_lead_is_the_first_thing_tried_and_bad_ones_do_no_harm() {
    let model = planted();
    let leads = Leads::new();
    for bad in [vec![], vec![99], vec![1; CONTEXT + 1]] {
        leads.offer(bad);
    }
    leads.offer(PLANTED.to_vec());
    let incumbent = Incumbent::new();
    let targets = vec![Target { token: 7, upper: 1.0, incumbent: &incumbent }];
    let mut hunt = Hunt::new(Evaluator::new(&model), None, targets, &leads, &Limits::default());
    let seen = std::cell::RefCell::new(Vec::new());
    let half = [Threshold::parse("0.5").unwrap()];
    hunt.run(Aim::Exceed(&half), &Limits::default(), &|_, w| seen.borrow_mut().push(w.prefix.clone()))
        .unwrap();
    assert_eq!(*seen.borrow(), [PLANTED.to_vec()]);
}

#[test]
fn short_prefixes_are_searched_exhaustively() {
    let Some(models) = shared_models("exhaustive comparison") else { return };
    for (name, len) in [("nanogpt-sort-abc", 6), ("gpt-by-hand", 3)] {
        let model = ModelFolder::open(models.join(name)).unwrap().load().unwrap();
        let tokens: Vec<TokenId> = (0..model.head.vocab_size() as TokenId).collect();
        let (found, _) = hunt(&model, &tokens, Aim::Narrow { gap: 0.0 }, &Leads::new(), &up_to(len));
        for (token, (found, max)) in found.iter().zip(maxima(&model, len)).enumerate() {
            let found = found.as_ref().unwrap();
            let max = f64::from(max);
            assert!(
                (found.lower - max).abs() < 1e-4 * max,
                "{name}, token {token}: {found:?}, maximum {max}"
            );
        }
    }
}

#[test]
fn climbing_finds_nearly_all_true_maxima() {
    let Some(models) = shared_models("comparison with enumeration") else { return };
    let model = ModelFolder::open(models.join("kjv-char-l1")).unwrap().load().unwrap();
    let tokens: Vec<TokenId> = (0..73).collect();
    // 73³ prefixes are more than the seeds enumerate.
    let (found, _) = hunt(&model, &tokens, Aim::Narrow { gap: 0.0 }, &Leads::new(), &up_to(3));
    let maxima = maxima(&model, 3);
    let missed: Vec<_> = found
        .iter()
        .zip(&maxima)
        .enumerate()
        .filter(|(_, (found, max))| found.as_ref().is_none_or(|w| w.lower < f64::from(**max) * 0.9999))
        .collect();
    assert!(missed.len() <= 3, "{} of 73 maxima missed: {missed:?}", missed.len());
    for (token, (found, max)) in found.iter().zip(&maxima).enumerate() {
        let found = found.as_ref().unwrap();
        assert!(found.lower <= f64::from(*max) * 1.0001, "token {token}: {found:?} beyond the maximum {max}");
    }
}

#[test]
fn the_number_of_threads_changes_no_witness() {
    let model = planted();
    let tokens: Vec<TokenId> = (0..VOCAB as TokenId).collect();
    let run = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| hunt(&model, &tokens, Aim::Narrow { gap: 0.0 }, &Leads::new(), &Limits::default()))
    };
    assert_eq!(run(1), run(3));
    let Some(models) = shared_models("determinism on a real model") else { return };
    let model = ModelFolder::open(models.join("kjv-char-l2")).unwrap().load().unwrap();
    let run = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        let limits = Limits { seed: 5, ..up_to(4) };
        pool.install(|| hunt(&model, &[5, 10, 40], Aim::Narrow { gap: 0.0 }, &Leads::new(), &limits))
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn limits_are_honoured() {
    let model = planted();
    let tokens: Vec<TokenId> = (0..VOCAB as TokenId).collect();
    let all = |limits: &Limits| hunt(&model, &tokens, Aim::Narrow { gap: 0.0 }, &Leads::new(), limits);
    for len in [1, 2, 4] {
        let (found, _) = all(&up_to(len));
        assert!(found.iter().flatten().all(|w| (1..=len).contains(&w.prefix.len())), "{len}: {found:?}");
    }
    let (found, stopped) = all(&up_to(0));
    assert!(found.iter().all(Option::is_none) && stopped.is_none());
    let (_, stopped) = all(&Limits::default().within(Duration::ZERO));
    assert_eq!(stopped, Some(StopReason::Time));
    let limits = Limits::default();
    limits.request_stop();
    assert_eq!(all(&limits).1, Some(StopReason::Stopped));
    let start = Instant::now();
    all(&Limits::default().within(Duration::from_millis(300)));
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn a_search_cut_short_says_so_and_keeps_what_it_found() {
    let Some(models) = shared_models("a search cut short") else { return };
    let model = ModelFolder::open(models.join("kjv-char-l2")).unwrap().load().unwrap();
    let tokens: Vec<TokenId> = (0..73).collect();
    let limits = Limits::default().within(Duration::from_secs(1));
    let (found, stopped) = hunt(&model, &tokens, Aim::Narrow { gap: 0.0 }, &Leads::new(), &limits);
    assert_eq!(stopped, Some(StopReason::Time));
    assert!(found.iter().flatten().count() > 0, "time for rigorous evaluations is kept back");
}

#[test]
fn a_token_that_does_not_exist_is_an_error() {
    let model = planted();
    let incumbent = Incumbent::new();
    let leads = Leads::new();
    let targets = vec![Target { token: 12, upper: 1.0, incumbent: &incumbent }];
    let mut hunt = Hunt::new(Evaluator::new(&model), None, targets, &leads, &Limits::default());
    let error = hunt.run(Aim::Narrow { gap: 0.0 }, &Limits::default(), &|_, _| ()).unwrap_err();
    assert_eq!(error.to_string(), "token id 12 is not in the vocabulary, which ends at 11");
}
