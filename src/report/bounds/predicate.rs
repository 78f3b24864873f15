//! The report and the document of `check` for predicates other than the plain ceiling.

use std::path::Path;

use serde::Serialize;

use super::{Certificate, DIGITS, certificate_line, closing_line, meaning_of, prefix_lines};
use crate::decide::Extreme;
use crate::model::TokenId;
use crate::num::decimal::{round_down, round_up, signed_below};
use crate::report::claim;
use crate::report::style::{self, line, paint};
use crate::report::subject::Subject;
use crate::spec::{Predicate, Statement};
use crate::verdict::{Answer, Prover};

/// The report.
#[must_use]
pub fn predicate(
    subject: &Subject<'_>,
    statement: &Statement,
    (answer, extreme): (Answer, &Extreme),
    files: Certificate<'_>,
) -> String {
    let claim = claim(statement, subject.language, subject.vocab);
    let meaning = match answer {
        Answer::Proved => "This holds after every prefix spoken of.",
        Answer::Refuted => "This does not hold after the prefix below.",
        Answer::Unknown => {
            "No proof and no counterexample within the limits; the bounds below hold all the same."
        }
    };
    let word = paint(style::of_answer(answer), &answer.word().to_uppercase());
    let mut text = format!("{word}: {}\n{meaning}\n\n", paint(style::STRONG, &claim));
    text += &line("model", subject.model);
    let (lower, upper) = (below(extreme.range.lo()), above(extreme.range.hi()));
    let name = quantity(&statement.predicate);
    text += &line("bounds", &format!("{lower} <= {name} <= {upper}"));
    if let Some(witness) = &extreme.witness {
        text += &prefix_lines(subject, &witness.prefix);
        let (lower, upper) = (below(witness.lower), above(witness.upper));
        let (_, what) = name.split_once(' ').unwrap_or(("", name));
        text += &line("", &format!("{what} is in [{lower}, {upper}] after it"));
    }
    let refuted = answer == Answer::Refuted;
    let argument = match extreme.prover {
        Prover::None => "none: no bound was proved",
        prover => meaning_of(prover),
    };
    text += &line(if refuted { "other bound" } else { "proof" }, argument);
    text + &certificate_line(files, subject.model) + &closing_line(subject.seconds, extreme.stopped)
}

/// What is bounded.
fn quantity(predicate: &Predicate) -> &'static str {
    match predicate {
        Predicate::Ceiling { .. }
        | Predicate::SetCeiling { .. }
        | Predicate::MaxCeiling { .. }
        | Predicate::Continuation { .. } => "max P",
        Predicate::Floor { .. } => "min P",
        Predicate::NeverInNucleus { .. } => "min P(above)",
        Predicate::Dominance { .. } => "min difference",
        Predicate::NeverArgmax { .. } | Predicate::NeverTopK { .. } => "max lead",
        Predicate::AlwaysArgmax { .. } => "min lead",
    }
}

fn below(x: f64) -> String {
    match x {
        x if x.is_infinite() => x.to_string(),
        x if x < 0.0 => format!("-{}", round_up(-x, DIGITS)),
        x => round_down(x, DIGITS),
    }
}

fn above(x: f64) -> String {
    match x {
        x if x.is_infinite() => x.to_string(),
        x if x < 0.0 => format!("-{}", round_down(-x, DIGITS)),
        x => round_up(x, DIGITS),
    }
}

/// The document. `lower` and `upper` enclose the extreme of what `quantity` names, over the prefixes spoken of; null where an
/// end is not known.
#[derive(Debug, Serialize)]
pub struct PredicateDocument<'a> {
    verdict: Answer,
    predicate: &'static str,
    claim: String,
    tokens: Vec<Token>,
    threshold: Option<String>,
    temperature: Option<&'a str>,
    margin: Option<&'a str>,
    rank: Option<usize>,
    language: &'a str,
    max_len: Option<usize>,
    quantity: &'static str,
    lower: f64,
    upper: f64,
    witness: Option<WitnessDocument>,
    prover: Prover,
    certificate: Option<&'a Path>,
    statement: Option<&'a Path>,
    model: &'a str,
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct Token {
    id: TokenId,
    text: String,
}

#[derive(Debug, Serialize)]
struct WitnessDocument {
    ids: Vec<TokenId>,
    text: String,
    value: [f64; 2],
    reencodes: bool,
}

/// The document; `files` are certificate and statement, where they were written.
#[must_use]
pub fn predicate_document<'a>(
    subject: &Subject<'a>,
    statement: &'a Statement,
    (answer, extreme): (Answer, &Extreme),
    files: Option<(&'a Path, &'a Path)>,
) -> PredicateDocument<'a> {
    let predicate = &statement.predicate;
    let token = |id: TokenId| Token { id, text: subject.vocab.text(id) };
    let witness = extreme.witness.as_ref().map(|witness| {
        let (text, reencodes) = subject.read(&witness.prefix);
        let value = [signed_below(witness.lower), -signed_below(-witness.upper)];
        WitnessDocument { ids: witness.prefix.clone(), text, value, reencodes }
    });
    PredicateDocument {
        verdict: answer,
        predicate: predicate.kind(),
        claim: claim(statement, subject.language, subject.vocab),
        tokens: predicate.tokens().into_iter().map(token).collect(),
        threshold: predicate.threshold().map(|p| p.text().into()),
        temperature: predicate.temperature_text().map(crate::spec::Decimal::text),
        margin: if let Predicate::Dominance { margin, .. } = predicate { Some(margin.text()) } else { None },
        rank: if let Predicate::NeverTopK { k, .. } = predicate { Some(*k) } else { None },
        language: subject.language,
        max_len: subject.max_len,
        quantity: quantity(predicate),
        lower: signed_below(extreme.range.lo()),
        upper: -signed_below(-extreme.range.hi()),
        witness,
        prover: if answer == Answer::Refuted { Prover::Search } else { extreme.prover },
        certificate: files.map(|f| f.0),
        statement: files.map(|f| f.1),
        model: subject.model,
        seconds: subject.seconds,
    }
}
