//! How many tokens of real models are decided at 0.2: these counts never fall.
//!
//! A row stops as soon as it has its refutations, so the time this takes is that of finding them.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use llmprove::limits::Limits;
use llmprove::model::{ModelFolder, TokenId};
use llmprove::prove::{Arguments, Event, Portfolio};
use llmprove::search::Aim;
use llmprove::spec::{Language, Threshold};
use llmprove::verdict::{Answer, Prover};

/// A row that has not got there in this time has fallen behind.
const PATIENCE: Duration = Duration::from_secs(300);

/// Least number of tokens proved and refuted by head theorem and search, of all prefixes of any length.
struct Row {
    model: &'static str,
    proved: usize,
    refuted: usize,
}

const SHIPPED: [Row; 3] = [
    Row { model: "moby-l1", proved: 28, refuted: 42 },
    Row { model: "moby-l2", proved: 28, refuted: 42 },
    Row { model: "moby-llama", proved: 26, refuted: 46 },
];

const SHARED: [Row; 6] = [
    Row { model: "stories260K", proved: 261, refuted: 227 },
    Row { model: "leangpt-d16-l1", proved: 190, refuted: 40 },
    Row { model: "leangpt-d32-l2-ctx16", proved: 165, refuted: 80 },
    Row { model: "gpt-by-hand", proved: 31, refuted: 1 },
    Row { model: "kjv-char-l1", proved: 1, refuted: 55 },
    Row { model: "kjv-char-l2", proved: 0, refuted: 63 },
];

fn check(folder: &Path, row: &Row) {
    let folder = ModelFolder::open(folder.join(row.model)).unwrap();
    let threshold = [Threshold::parse("0.2").unwrap()];
    let limits = Limits::default().within(PATIENCE);
    let refuted: Mutex<BTreeSet<TokenId>> = Mutex::default();
    let observe = |event: Event<'_>| {
        let Event::Lower { token, witness } = event else { return };
        let mut refuted = refuted.lock().unwrap();
        if threshold[0].exceeded_by(witness.lower) && refuted.insert(token) && refuted.len() >= row.refuted {
            limits.request_stop();
        }
    };
    let tokens: Vec<TokenId> = (0..folder.vocab_size() as TokenId).collect();
    let portfolio = Portfolio::open(&folder, &Language::Any, [Prover::Head, Prover::Search].into()).unwrap();
    let bounds =
        portfolio.bound(&tokens, Aim::Exceed(&threshold), Arguments::Dropped, &limits, &observe).unwrap();
    let count = |answer| bounds.iter().filter(|b| b.answer(&threshold[0]) == answer).count();
    let (proved, refuted) = (count(Answer::Proved), count(Answer::Refuted));
    println!("{}: {proved} proved, {refuted} refuted of {}", row.model, tokens.len());
    assert!(bounds.iter().all(|b| !b.contradict()), "{}: bounds contradict each other", row.model);
    assert!(proved >= row.proved, "{}: {proved} proved, {} before", row.model, row.proved);
    assert!(refuted >= row.refuted, "{}: {refuted} refuted, {} before", row.model, row.refuted);
}

#[test]
fn shipped_models() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    SHIPPED.iter().for_each(|row| check(&folder, row));
}

#[test]
fn shared_models() {
    let Some(folder) = common::shared_models("regression table") else { return };
    SHARED.iter().for_each(|row| check(&folder, row));
}
