//! An audit as bars, one line per token: solid up to the certified lower bound, hatched up to the proved upper bound.

use super::audit::Document;
use super::bar;
use super::style::{self, line, paint};
use crate::num::decimal::{round_down, round_up};
use crate::verdict::Answer;

/// Significant digits of printed bounds.
const DIGITS: usize = 3;
/// Characters of a token's text.
const TEXT_WIDTH: usize = 12;

/// The bars, coloured by the answers: red if a threshold is refuted, green if all are proved, yellow otherwise.
#[must_use]
pub fn bars(audit: &Document) -> String {
    let most = audit.tokens.iter().map(|row| row.upper).fold(0.0, f64::max);
    let scale = bar::scale(most);
    let mut text = String::new();
    for row in &audit.tokens {
        let answers = row.verdicts.values();
        let answer = answers.copied().fold(Answer::Proved, |all, one| match (all, one) {
            (Answer::Refuted, _) | (_, Answer::Refuted) => Answer::Refuted,
            (Answer::Unknown, _) | (_, Answer::Unknown) => Answer::Unknown,
            (Answer::Proved, Answer::Proved) => Answer::Proved,
        });
        let name: String = format!("\"{}\"", row.text).chars().take(TEXT_WIDTH).collect();
        let bar = paint(style::of_answer(answer), &bar::cells(row.lower, row.upper, None, scale));
        let (lower, upper) = (round_down(row.lower, DIGITS), round_up(row.upper, DIGITS));
        text += &format!("{:>7}  {name:<TEXT_WIDTH$}  {bar}  {lower} .. {upper}\n", row.id);
    }
    text += "\n";
    text += &line("model", &audit.model);
    text += &line("scale", &format!("each bar is 0 to {}", scale.1));
    text + &line("mean gap", &format!("{:.4} between lower and upper", audit.mean_gap))
}
