//! The table for people; what is not as it should be comes last, where a terminal shows it.

use super::{Report, complaint};
use crate::report::style::{self, line, paint};
use crate::suite::{Outcome, Status};
use crate::verdict::Answer;

impl Report<'_> {
    /// The table.
    #[must_use]
    pub fn text(&self) -> String {
        let width = self.outcomes.iter().map(|o| o.name.len()).max().unwrap_or(0);
        let header = format!("{:<8}  {:<8}  {:<width$}  claim", "verdict", "how", "statement");
        let mut text = paint(style::STRONG, &header) + "\n";
        for o in self.outcomes {
            let verdict =
                paint(style::of_answer(o.verdict), &format!("{:<8}", o.verdict.word().to_uppercase()));
            text += &format!("{verdict}  {:<8}  {:<width$}  {}\n", o.how.word(), o.name, o.claim);
        }
        for outcome in self.outcomes.iter().filter(|o| o.status != Status::Ok) {
            text += &self.details(outcome);
        }
        text += "\n";
        text += &line("suite", self.suite);
        text += &line("statements", &self.headline());
        text + &line("time", &format!("{:.2} s", self.seconds))
    }

    fn details(&self, outcome: &Outcome) -> String {
        let color = if outcome.status == Status::Open { Answer::Unknown } else { Answer::Refuted };
        let word = paint(style::of_answer(color), &outcome.status.word().to_uppercase());
        let complaint = complaint(outcome).unwrap_or_default();
        let mut text = format!("\n{word}: {complaint}\n");
        text += &line("where", &format!("{}:{}", self.suite, outcome.line));
        text += &line("model", &outcome.model);
        text += &line("claim", &format!("{}, expected to be {}", outcome.claim, outcome.expect.word()));
        if let Some(witness) = &outcome.witness {
            text += &line("witness", &format!("{:?}", witness.text));
            let ids: Vec<String> = witness.ids.iter().map(ToString::to_string).collect();
            text += &line("", &format!("token ids {}", ids.join(" ")));
        }
        if let Some([lower, upper]) = outcome.bounds {
            text += &line("bounds", &format!("{lower} <= max P <= {upper}"));
        }
        text
    }
}
