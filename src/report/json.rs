//! The JSON documents of the commands. Field names and meanings are a contract with scripts.

use std::path::Path;

use serde::Serialize;

use super::subject::Subject;
use crate::model::TokenId;
use crate::num::decimal::{printable_above, printable_below};
use crate::spec::Threshold;
use crate::verdict::{Answer, Bounds, Prover, Witness};

/// A token by number and text.
#[derive(Debug, Serialize)]
pub struct Token {
    id: TokenId,
    text: String,
}

/// A prefix and what was found after it.
#[derive(Debug, Serialize)]
pub struct WitnessDocument {
    ids: Vec<TokenId>,
    text: String,
    probability: [f64; 2],
    reencodes: bool,
}

/// Document of `check`.
#[derive(Debug, Serialize)]
pub struct CheckDocument<'a> {
    verdict: Answer,
    token: Token,
    threshold: f64,
    language: String,
    max_len: Option<usize>,
    lower: f64,
    upper: f64,
    witness: Option<WitnessDocument>,
    prover: Prover,
    certificate: Option<&'a Path>,
    statement: Option<&'a Path>,
    model: &'a str,
    seconds: f64,
}

/// Document of `bound`.
#[derive(Debug, Serialize)]
pub struct BoundDocument<'a> {
    token: Token,
    language: String,
    max_len: Option<usize>,
    lower: f64,
    upper: f64,
    witness: Option<WitnessDocument>,
    prover: Prover,
    model: &'a str,
    seconds: f64,
}

fn token(subject: &Subject<'_>) -> Token {
    Token { id: subject.token, text: subject.vocab.text(subject.token) }
}

fn witness(subject: &Subject<'_>, witness: &Witness) -> WitnessDocument {
    let (text, reencodes) = subject.read(&witness.prefix);
    let probability = [printable_below(witness.lower), printable_above(witness.upper).min(1.0)];
    WitnessDocument { ids: witness.prefix.clone(), text, probability, reencodes }
}

/// The document of `check`; `files` are certificate and statement, where they were written.
#[must_use]
pub fn check<'a>(
    subject: &Subject<'a>,
    threshold: &Threshold,
    bounds: &Bounds,
    files: Option<(&'a Path, &'a Path)>,
) -> CheckDocument<'a> {
    CheckDocument {
        verdict: bounds.answer(threshold),
        token: token(subject),
        threshold: threshold.nearest(),
        language: subject.language.to_string(),
        max_len: subject.max_len,
        lower: printable_below(bounds.lower()),
        upper: printable_above(bounds.upper),
        witness: bounds.witness.as_ref().map(|w| witness(subject, w)),
        prover: bounds.decided_by(threshold),
        certificate: files.map(|f| f.0),
        statement: files.map(|f| f.1),
        model: subject.model,
        seconds: subject.seconds,
    }
}

/// The document of `bound`.
#[must_use]
pub fn bound<'a>(subject: &Subject<'a>, bounds: &Bounds) -> BoundDocument<'a> {
    BoundDocument {
        token: token(subject),
        language: subject.language.to_string(),
        max_len: subject.max_len,
        lower: printable_below(bounds.lower()),
        upper: printable_above(bounds.upper),
        witness: bounds.witness.as_ref().map(|w| witness(subject, w)),
        prover: bounds.prover,
        model: subject.model,
        seconds: subject.seconds,
    }
}
