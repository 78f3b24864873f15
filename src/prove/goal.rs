//! When a run has found out enough about a token.

use crate::spec::Threshold;
use crate::verdict::{Answer, Bounds};

/// What a run about one token is for.
#[derive(Debug, Clone, Copy)]
pub enum Goal<'a> {
    /// Proving or refuting `P <= threshold`.
    Decide(&'a Threshold),
    /// Bounds that are at most `gap` apart.
    Narrow {
        /// Largest acceptable `upper − lower`.
        gap: f64,
    },
}

impl Goal<'_> {
    /// Whether the bounds satisfy the goal.
    #[must_use]
    pub fn reached(self, bounds: &Bounds) -> bool {
        match self {
            Goal::Decide(threshold) => bounds.answer(threshold) != Answer::Unknown,
            Goal::Narrow { gap } => bounds.upper - bounds.lower() <= gap,
        }
    }
}
