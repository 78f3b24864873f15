//! A summary in GitHub's Markdown, as a job of CI shows it.

use super::{Report, complaint};
use crate::suite::Status;

impl Report<'_> {
    /// The summary.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("## llmprove: {}\n\n{}\n\n", escaped(self.suite), self.headline());
        text += "| | statement | claim | verdict | how | certificate |\n|---|---|---|---|---|---|\n";
        for o in self.outcomes {
            let sign = match o.status {
                Status::Ok => "✅",
                Status::Broken | Status::Lost => "❌",
                Status::Open => "❔",
            };
            let digest = o.sha256.as_deref().map_or(String::new(), |hash| format!("`{}`", &hash[..12]));
            text += &format!(
                "| {sign} | {} | {} | {} | {} | {digest} |\n",
                escaped(&o.name),
                escaped(&o.claim),
                o.verdict.word().to_uppercase(),
                o.how.word()
            );
        }
        for outcome in self.outcomes {
            if let Some(complaint) = complaint(outcome) {
                text += &format!("\n**{}**: {}\n", outcome.status.word(), escaped(&complaint));
            }
        }
        text
    }
}

/// Text that stays text: every sign that Markdown or HTML could take for its own is written as a character reference.
fn escaped(text: &str) -> String {
    let reference = |c: char| match c {
        c if c.is_control() => ' '.to_string(),
        '&' | '<' | '>' | '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '~' | '#' | '!' | '$' | '@' => {
            format!("&#{};", u32::from(c))
        }
        c => c.to_string(),
    };
    text.chars().map(reference).collect()
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn text_stays_text() {
        assert_eq!(escaped("a|b\n<img src=x>"), "a&#124;b &#60;img src=x&#62;");
        assert_eq!(escaped("P(\"X\") = 0.2"), "P(\"X\") = 0.2");
    }
}
