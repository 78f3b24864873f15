//! Colours of the text reports.

use anstyle::{AnsiColor, Style};

use crate::verdict::Answer;

/// What names a line of a report.
pub const LABEL: Style = Style::new().dimmed();
/// The part that the eye should find first.
pub const STRONG: Style = Style::new().bold();

/// Green for proved, red for refuted, yellow for unknown.
pub fn of_answer(answer: Answer) -> Style {
    let color = match answer {
        Answer::Proved => AnsiColor::Green,
        Answer::Refuted => AnsiColor::Red,
        Answer::Unknown => AnsiColor::Yellow,
    };
    STRONG.fg_color(Some(color.into()))
}

/// `text` in a style.
pub fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// One labelled line of a report.
pub fn line(label: &str, text: &str) -> String {
    format!("  {LABEL}{label:<12}{LABEL:#}{text}\n")
}
