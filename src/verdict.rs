//! What a run ends with: PROVED, REFUTED or UNKNOWN, always with certified bounds.

use serde::Serialize;

use crate::model::TokenId;

/// Answer to a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// The statement holds for every prefix of the language.
    Proved,
    /// A concrete prefix violates the statement.
    Refuted,
    /// Neither was established within the limits.
    Unknown,
}

impl Answer {
    /// Process exit code of a deciding command: 0 proved, 1 refuted, 3 unknown (2 is kept for errors).
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Answer::Proved => 0,
            Answer::Refuted => 1,
            Answer::Unknown => 3,
        }
    }
}

/// A concrete prefix with a rigorous enclosure of the target's probability after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Witness {
    /// Token ids of the prefix, first token first.
    pub prefix: Vec<TokenId>,
    /// Probability of the target after the prefix: the exact real value lies in `[lower, upper]`.
    pub lower: f64,
    /// See `lower`.
    pub upper: f64,
}
