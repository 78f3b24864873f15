//! SARIF 2.1.0, which code scanning reads: one result per statement that is not as it should be, at its line of the suite.

use serde_json::{Value, json};

use super::{Report, complaint};
use crate::suite::{Outcome, Status};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

impl Report<'_> {
    /// The JSON document.
    #[must_use]
    pub fn sarif(&self) -> String {
        let rule =
            |status: Status, text: &str| json!({"id": status.word(), "shortDescription": {"text": text}});
        let results: Vec<Value> = self.outcomes.iter().filter_map(|outcome| self.result(outcome)).collect();
        let document = json!({
            "$schema": SCHEMA,
            "version": "2.1.0",
            "runs": [{
                "tool": {"driver": {
                    "name": "llmprove",
                    "version": env!("CARGO_PKG_VERSION"),
                    "informationUri": env!("CARGO_PKG_REPOSITORY"),
                    "rules": [
                        rule(Status::Broken, "A statement about the model is decided, and not as expected"),
                        rule(Status::Lost, "A statement about the model lost its proof"),
                        rule(Status::Open, "A statement about the model was never decided"),
                    ],
                }},
                "results": results,
            }],
        });
        format!("{document:#}\n")
    }

    fn result(&self, outcome: &Outcome) -> Option<Value> {
        let level = match outcome.status {
            Status::Ok => return None,
            Status::Broken | Status::Lost => "error",
            Status::Open => "warning",
        };
        Some(json!({
            "ruleId": outcome.status.word(),
            "level": level,
            "message": {"text": complaint(outcome)?},
            "locations": [{"physicalLocation": {
                "artifactLocation": {"uri": uri(self.suite)},
                "region": {"startLine": outcome.line},
            }}],
            "partialFingerprints": {"statement/v1": outcome.name},
        }))
    }
}

/// A path as a relative reference: every byte but the unreserved ones and `/` in percent form.
fn uri(path: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    path.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn odd_paths_are_escaped() {
        assert_eq!(uri("proofs/a b#1.toml"), "proofs/a%20b%231.toml");
    }
}
