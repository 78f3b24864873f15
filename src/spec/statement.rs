//! A statement: a prefix language, a longest length, and a predicate.

use super::{Language, Predicate};

/// What is claimed: after every prefix of the language, of at most `max_len` tokens, the predicate holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// The prefixes spoken of.
    pub language: Language,
    /// Longest prefix spoken of, in tokens; `None` for every length.
    pub max_len: Option<usize>,
    /// What holds after each of them.
    pub predicate: Predicate,
}
