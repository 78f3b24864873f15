//! Prefix languages: the universe of inputs that a statement speaks of.
//!
//! A [`Language`] is a regular expression over token ids. [`Automaton`] is its compiled form: deterministic, every state on
//! the way to a member, and without the empty sequence, since a prefix has at least one token. Provers and searchers work
//! with the automaton, or with the members of one length ([`Slice`]): their number, a walk through them in order, the
//! tokens allowed at each position, and a disjoint union of products of token sets.

mod automaton;
mod compile;
mod slice;
mod token_set;

use serde::{Deserialize, Serialize};

pub use automaton::{Automaton, Counts, State};
pub use slice::Slice;
pub use token_set::TokenSet;

/// A set of token sequences. The JSON form is that of statement files.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Language {
    /// Every sequence of one or more tokens.
    #[default]
    Any,
    /// One token out of a set.
    Set(TokenSet),
    /// A member of each part, one after the other; without parts, the empty sequence.
    Seq(Vec<Language>),
    /// A member of one of the parts; without parts, nothing.
    Union(Vec<Language>),
    /// Members of one language, between `min` and `max` of them, one after the other.
    Repeat {
        /// What is repeated.
        of: Box<Language>,
        /// Least number of times.
        min: u32,
        /// Largest number of times; `None` for any.
        max: Option<u32>,
    },
}

/// Why a language cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LanguageError {
    /// A text that is no language.
    #[error("{text:?} is not a prefix language this version knows")]
    Syntax {
        /// What was given.
        text: String,
    },
    /// A repetition `{m,n}` with `m > n`.
    #[error("a repetition of at least {min} and at most {max} times is empty; write {{{max},{min}}}")]
    Repetition {
        /// Least number of times.
        min: u32,
        /// Largest number of times.
        max: u32,
    },
    /// The automaton would be too large.
    #[error(
        "the language needs an automaton of more than {limit} states; use smaller repetitions, or fewer alternatives that begin alike"
    )]
    TooLarge {
        /// Most states.
        limit: usize,
    },
}

impl Language {
    /// Reads a language: `any`.
    ///
    /// # Errors
    /// [`LanguageError`] for anything else.
    pub fn parse(text: &str) -> Result<Language, LanguageError> {
        match text.trim() {
            "any" => Ok(Language::Any),
            other => Err(LanguageError::Syntax { text: other.into() }),
        }
    }

    /// The tokens one after the other.
    #[must_use]
    pub fn word(tokens: &[crate::model::TokenId]) -> Language {
        Language::Seq(tokens.iter().map(|&token| Language::Set(TokenSet::one(token))).collect())
    }

    /// `self` between `min` and `max` times.
    #[must_use]
    pub fn repeat(self, min: u32, max: Option<u32>) -> Language {
        Language::Repeat { of: Box::new(self), min, max }
    }
}

impl std::fmt::Display for Language {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Language::Any => f.write_str("any"),
            other => f.write_str(&serde_json::to_string(other).map_err(|_| std::fmt::Error)?),
        }
    }
}

#[cfg(test)]
mod tests;
