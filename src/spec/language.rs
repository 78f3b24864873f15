//! Prefix languages: the universe of inputs that a statement speaks of.

use std::fmt;

/// A set of prefixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// Every sequence of one or more tokens that the model accepts.
    #[default]
    Any,
}

/// A text that is no prefix language.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a prefix language this version knows")]
pub struct LanguageError {
    text: String,
}

impl Language {
    /// Reads a language: `any`.
    ///
    /// # Errors
    /// [`LanguageError`] for anything else.
    pub fn parse(text: &str) -> Result<Language, LanguageError> {
        match text.trim() {
            "any" => Ok(Language::Any),
            other => Err(LanguageError { text: other.into() }),
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Language::Any => f.write_str("any"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_reads_and_prints() {
        assert_eq!(Language::parse(" any ").map(|l| l.to_string()), Ok("any".into()));
        assert!(Language::parse("every").is_err());
        assert!(Language::parse("").is_err());
    }
}
