//! The text report of `check`, `bound` and `search`.

mod predicate;

use std::path::Path;

use super::bar;
use super::style::{self, line, paint};
use super::subject::Subject;
use crate::limits::StopReason;
use crate::model::TokenId;
use crate::num::decimal::{round_down, round_up};
use crate::spec::Threshold;
use crate::verdict::{Answer, Bounds, Prover, Witness};

pub use predicate::{PredicateDocument, predicate, predicate_document};

/// Significant digits of printed bounds.
const DIGITS: usize = 4;
/// Most token ids printed on the ids line.
const MAX_IDS: usize = 64;

/// Where a certificate went.
#[derive(Debug, Clone, Copy)]
pub enum Certificate<'a> {
    /// The command does not write any.
    NotOffered,
    /// Undecided: nothing to certify.
    Nothing,
    /// The user did not ask for one.
    NotAsked,
    /// Written, with the statement beside it.
    Written {
        /// The certificate file.
        certificate: &'a Path,
        /// The statement file.
        statement: &'a Path,
    },
}

/// The report of `llmprove check`.
#[must_use]
pub fn check(
    subject: &Subject<'_>,
    threshold: &Threshold,
    bounds: &Bounds,
    files: Certificate<'_>,
) -> String {
    let answer = bounds.answer(threshold);
    let (token, prefixes) = (subject.quoted(), subject.prefixes());
    let headline = match answer {
        Answer::Proved => format!("no prefix drives P({token}) above {threshold}"),
        Answer::Refuted => format!("a prefix drives P({token}) above {threshold}"),
        Answer::Unknown => format!("whether a prefix drives P({token}) above {threshold} stays open"),
    };
    let meaning = match answer {
        Answer::Proved => {
            format!("After {prefixes}, the next token is {token} with probability at most {threshold}.")
        }
        Answer::Refuted => {
            format!("After the prefix below, the next token is {token} with a probability above {threshold}.")
        }
        Answer::Unknown => {
            "No proof and no counterexample within the limits; the bounds below hold all the same.".into()
        }
    };
    let word = paint(style::of_answer(answer), &answer.word().to_uppercase());
    let headline = paint(style::STRONG, &headline);
    let mut text = format!("{word}: {headline}\n{meaning}\n\n");
    text += &body(subject, Some(threshold), bounds);
    text += &certificate_line(files, subject.model);
    text += &closing(subject, bounds);
    text
}

/// The report of `llmprove bound`.
#[must_use]
pub fn bound(subject: &Subject<'_>, bounds: &Bounds) -> String {
    let headline = format!(
        "{} <= max P({}) <= {}",
        round_down(bounds.lower(), DIGITS),
        subject.quoted(),
        round_up(bounds.upper, DIGITS)
    );
    let meaning = format!("The maximum is over {}; both ends are certified.", subject.prefixes());
    format!("{}\n{meaning}\n\n", paint(style::STRONG, &headline))
        + &body(subject, None, bounds)
        + &closing(subject, bounds)
}

/// The report of `llmprove search`.
#[must_use]
pub fn search(subject: &Subject<'_>, bounds: &Bounds) -> String {
    let headline = match &bounds.witness {
        Some(w) => format!("P({}) >= {} after this prefix", subject.quoted(), round_down(w.lower, DIGITS)),
        None => format!("no prefix evaluated for {} within the limits", subject.quoted()),
    };
    let mut text = format!("{}\n\n", paint(style::STRONG, &headline));
    text += &line("model", subject.model);
    if let Some(witness) = &bounds.witness {
        text += &witness_lines(subject, witness);
    }
    text + &closing(subject, bounds)
}

fn body(subject: &Subject<'_>, threshold: Option<&Threshold>, bounds: &Bounds) -> String {
    let mut text = line("model", subject.model);
    text += &line("token", &format!("{} {}", subject.token, subject.quoted()));
    let (lower, upper) = (round_down(bounds.lower(), DIGITS), round_up(bounds.upper, DIGITS));
    text += &line("bounds", &format!("{lower} <= max P <= {upper}"));
    text += &line("", &bar::draw(bounds.lower(), bounds.upper, threshold.map(Threshold::nearest)));
    if let Some(witness) = &bounds.witness {
        text += &witness_lines(subject, witness);
    }
    let refuted = threshold.is_some_and(|t| bounds.answer(t) == Answer::Refuted);
    text + &line(if refuted { "upper bound" } else { "proof" }, meaning_of(bounds.prover))
}

fn meaning_of(prover: Prover) -> &'static str {
    match prover {
        Prover::None => "none: no upper bound below 1 was proved",
        Prover::Head => "head theorem: whatever the layers below do, for every prefix of every length",
        Prover::Block => "block prover: every prefix spoken of, whatever its free positions hold",
        Prover::Attention => "attention prover: every prefix of the language, by exact extremes of attention",
        Prover::Exhaustive => "exhaustive prover: every prefix of the language was evaluated rigorously",
        Prover::Branch => {
            "branch prover: every prefix of the language, by bounds on token sets; without a certificate"
        }
        Prover::Deep => {
            "deep prover: every prefix spoken of, by bounds through all blocks; without a certificate"
        }
        Prover::Search => "rigorous evaluation of the prefix",
    }
}

fn witness_lines(subject: &Subject<'_>, witness: &Witness) -> String {
    let (_, reencodes) = subject.read(&witness.prefix);
    let (lo, hi) = (round_down(witness.lower, DIGITS), round_up(witness.upper, DIGITS));
    let encoding = if reencodes { "the text encodes to these ids" } else { "the text encodes to other ids" };
    prefix_lines(subject, &witness.prefix) + &line("", &format!("P is in [{lo}, {hi}] after it; {encoding}"))
}

/// A prefix as text and ids.
fn prefix_lines(subject: &Subject<'_>, prefix: &[TokenId]) -> String {
    let (read, _) = subject.read(prefix);
    let ids: Vec<String> = prefix.iter().take(MAX_IDS).map(u32::to_string).collect();
    let rest = prefix.len().saturating_sub(MAX_IDS);
    let more = if rest > 0 { format!(" and {rest} more, see --json") } else { String::new() };
    line("witness", &quoted(&read)) + &line("", &format!("token ids {}{more}", ids.join(" ")))
}

/// In double quotes on one line, with control characters, quotes and backslashes escaped.
fn quoted(text: &str) -> String {
    let escaped = |c: char| if c == '\'' { c.to_string() } else { c.escape_debug().to_string() };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

fn certificate_line(files: Certificate<'_>, model: &str) -> String {
    match files {
        Certificate::NotOffered => String::new(),
        Certificate::Nothing => line("certificate", "none: nothing was decided"),
        Certificate::NotAsked => line("certificate", "not written; --certificate FILE writes one"),
        Certificate::Written { certificate, statement } => {
            let (certificate, statement) = (certificate.display(), statement.display());
            line("certificate", &format!("{certificate}; check it independently with"))
                + &line(
                    "",
                    &format!(
                        "llmprove-check --model {model} --statement {statement} --certificate {certificate}"
                    ),
                )
        }
    }
}

fn closing(subject: &Subject<'_>, bounds: &Bounds) -> String {
    closing_line(subject.seconds, bounds.stopped)
}

fn closing_line(seconds: f64, stopped: Option<StopReason>) -> String {
    let note = match stopped {
        None => "",
        Some(StopReason::Time) => ", the time limit; more --time may narrow the bounds",
        Some(StopReason::Stopped) => ", stopped early",
    };
    line("time", &format!("{seconds:.2} s{note}"))
}
