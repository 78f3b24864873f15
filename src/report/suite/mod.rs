//! Reports on a suite of statements: a table for people, JSON, JUnit, SARIF, Markdown.

mod junit;
mod markdown;
mod sarif;
mod text;

use serde::Serialize;

use crate::suite::{Outcome, Summary};

/// A suite after a run.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// The suite file as the user named it.
    pub suite: &'a str,
    /// One per statement, in the order of the file.
    pub outcomes: &'a [Outcome],
    /// Seconds the run took.
    pub seconds: f64,
}

#[derive(Serialize)]
struct Document<'a> {
    suite: &'a str,
    summary: Summary,
    statements: &'a [Outcome],
    seconds: f64,
}

impl Report<'_> {
    /// How many statements ended how.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary::of(self.outcomes)
    }

    /// The JSON document.
    #[must_use]
    pub fn document(&self) -> impl Serialize {
        Document {
            suite: self.suite,
            summary: self.summary(),
            statements: self.outcomes,
            seconds: self.seconds,
        }
    }

    /// The summary in one line.
    fn headline(&self) -> String {
        let s = self.summary();
        let mut parts = vec![format!("{} of {} as expected", s.ok, self.outcomes.len())];
        for (n, word) in [(s.broken, "broken"), (s.lost, "lost their proof"), (s.open, "open")] {
            if n > 0 {
                parts.push(format!("{n} {word}"));
            }
        }
        format!(
            "{} ({} checked, {} survived, {} searched)",
            parts.join(", "),
            s.checked,
            s.survived,
            s.searched
        )
    }
}

/// Why a statement is not as it should be, in one sentence; `None` if it is.
fn complaint(outcome: &Outcome) -> Option<String> {
    use crate::suite::Status;
    let (name, expect) = (&outcome.name, outcome.expect.word());
    let note = outcome.note.as_ref().map_or(String::new(), |note| format!("; {note}"));
    match outcome.status {
        Status::Ok => None,
        Status::Broken => {
            let theorem = outcome.theorem.as_ref().map_or("", |t| &t.theorem);
            let witness = outcome.witness.as_ref();
            let witness = witness.map_or(String::new(), |w| format!("; the prefix reads {:?}", w.text));
            Some(format!("{name} is {}, expected {expect}: {theorem}{witness}{note}", outcome.verdict.word()))
        }
        Status::Lost => Some(format!("{name} lost its certificate and was not {expect} again{note}")),
        Status::Open => Some(format!("{name} is undecided, expected {expect}{note}")),
    }
}
