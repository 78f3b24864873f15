//! The reports of `audit`: a table for people, JSON, and comma-separated values.

mod document;

use super::style::{self, line, paint};
use crate::model::{TokenId, Vocab};
use crate::num::decimal::{printable_above, printable_below, round_down, round_up};
use crate::spec::Threshold;
use crate::verdict::{Answer, Bounds};

pub use document::{Counts, Document, Row};

/// Significant digits of printed bounds.
const DIGITS: usize = 4;
/// Characters of a token's text in the table.
const TEXT_WIDTH: usize = 16;

/// A finished audit.
#[derive(Debug)]
pub struct Audit<'a> {
    /// The model as the user named it.
    pub model: &'a str,
    /// Texts of tokens.
    pub vocab: &'a Vocab,
    /// The prefixes spoken of, as the user wrote them.
    pub language: &'a str,
    /// Longest prefix spoken of, in tokens; `None` for every length.
    pub max_len: Option<usize>,
    /// Thresholds in the order given.
    pub thresholds: &'a [Threshold],
    /// Certified bounds for each token.
    pub rows: &'a [(TokenId, Bounds)],
    /// Seconds the audit took.
    pub seconds: f64,
}

impl Audit<'_> {
    /// The answer to "no token of the audit exceeds any of the thresholds".
    #[must_use]
    pub fn answer(&self) -> Answer {
        let counts = self.thresholds.iter().map(|t| self.counts(t));
        counts.fold(Answer::Proved, |all, one| match (all, one) {
            (Answer::Refuted, _) => Answer::Refuted,
            (_, Counts { refuted: 1.., .. }) => Answer::Refuted,
            (_, Counts { unknown: 1.., .. }) => Answer::Unknown,
            (all, _) => all,
        })
    }

    fn counts(&self, threshold: &Threshold) -> Counts {
        let mut counts = Counts::default();
        for (_, bounds) in self.rows {
            match bounds.answer(threshold) {
                Answer::Proved => counts.proved += 1,
                Answer::Refuted => counts.refuted += 1,
                Answer::Unknown => counts.unknown += 1,
            }
        }
        counts
    }

    /// Mean of `upper − lower` over the tokens; a figure of merit, rounded to nearest.
    fn mean_gap(&self) -> f64 {
        let sum: f64 = self.rows.iter().map(|(_, b)| b.upper - b.lower()).sum();
        sum / self.rows.len().max(1) as f64
    }

    /// The JSON document.
    #[must_use]
    pub fn document(&self) -> Document {
        Document {
            model: self.model.into(),
            language: self.language.to_string(),
            max_len: self.max_len,
            thresholds: self.thresholds.iter().map(Threshold::nearest).collect(),
            tokens: self.rows.iter().map(|(id, bounds)| self.row(*id, bounds)).collect(),
            summary: self.thresholds.iter().map(|t| (t.text().into(), self.counts(t))).collect(),
            mean_gap: self.mean_gap(),
            seconds: self.seconds,
        }
    }

    fn row(&self, id: TokenId, bounds: &Bounds) -> Row {
        Row {
            id,
            text: self.vocab.text(id),
            lower: printable_below(bounds.lower()),
            upper: printable_above(bounds.upper),
            witness: bounds.witness.as_ref().map(|w| w.prefix.clone()),
            prover: bounds.prover.name().into(),
            verdicts: self.thresholds.iter().map(|t| (t.text().into(), bounds.answer(t))).collect(),
        }
    }

    /// Comma-separated values (RFC 4180) with a header line.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut text = String::from("id,text,lower,upper,witness,prover");
        for threshold in self.thresholds {
            text += &format!(",{threshold}");
        }
        text += "\n";
        for (id, bounds) in self.rows {
            let row = self.row(*id, bounds);
            let witness: Vec<String> =
                row.witness.unwrap_or_default().iter().map(TokenId::to_string).collect();
            let quoted = row.text.replace('"', "\"\"");
            let (lower, upper, witness, prover) = (row.lower, row.upper, witness.join(" "), row.prover);
            text += &format!("{id},\"{quoted}\",{lower},{upper},{witness},{prover}");
            for threshold in self.thresholds {
                text += &format!(",{}", bounds.answer(threshold).word());
            }
            text += "\n";
        }
        text
    }

    /// The table for people; the summary comes last, where a terminal shows it.
    #[must_use]
    pub fn text(&self) -> String {
        let header =
            format!("{:>7}  {:<TEXT_WIDTH$}  {:>10}  {:>10}  prover", "id", "token", "lower", "upper");
        let columns: String = self.thresholds.iter().map(|t| format!("  {:<8}", t.text())).collect();
        let mut text = paint(style::STRONG, &format!("{header}{columns}")) + "\n";
        for (id, bounds) in self.rows {
            let name = fitted(&format!("\"{}\"", self.vocab.text(*id)));
            let (lower, upper) = (round_down(bounds.lower(), DIGITS), round_up(bounds.upper, DIGITS));
            text += &format!("{id:>7}  {name}  {lower:>10}  {upper:>10}  {:<6}", bounds.prover.name());
            for threshold in self.thresholds {
                let answer = bounds.answer(threshold);
                text += &format!("  {}", paint(style::of_answer(answer), &format!("{:<8}", answer.word())));
            }
            text += "\n";
        }
        text + &self.summary()
    }

    fn summary(&self) -> String {
        let mut text = String::from("\n") + &line("model", self.model);
        let longest = self.max_len.map_or("every length".into(), |n| format!("1 to {n} tokens"));
        text += &line("prefixes", &format!("{}, {longest}", self.language));
        for threshold in self.thresholds {
            let Counts { proved, refuted, unknown } = self.counts(threshold);
            let count =
                |n: usize, answer: Answer| paint(style::of_answer(answer), &format!("{n} {}", answer.word()));
            let counts = [(proved, Answer::Proved), (refuted, Answer::Refuted), (unknown, Answer::Unknown)];
            let counts = counts.map(|(n, answer)| count(n, answer)).join(", ");
            text += &line(&format!("P <= {threshold}"), &format!("{counts} of {} tokens", self.rows.len()));
        }
        text += &line("mean gap", &format!("{:.4} between lower and upper", self.mean_gap()));
        text + &line("time", &format!("{:.2} s", self.seconds))
    }
}

/// Cut or filled to the width of the column.
fn fitted(text: &str) -> String {
    if text.chars().count() <= TEXT_WIDTH {
        return format!("{text:<TEXT_WIDTH$}");
    }
    text.chars().take(TEXT_WIDTH - 1).chain(['…']).collect()
}
