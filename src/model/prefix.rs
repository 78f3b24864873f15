//! What a model accepts as a prefix.

use thiserror::Error;

use super::{Model, TokenId};

/// A prefix that the model cannot be run on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PrefixError {
    /// Nothing predicts the first token.
    #[error("a prefix needs at least one token")]
    Empty,
    /// Longer than the context.
    #[error("the prefix has {len} tokens, the model accepts at most {context}")]
    TooLong {
        /// Tokens of the prefix.
        len: usize,
        /// Tokens of the context.
        context: usize,
    },
    /// Beyond the vocabulary.
    #[error("token id {token} is not in the vocabulary, which ends at {}", vocab_size - 1)]
    NoSuchToken {
        /// The id.
        token: TokenId,
        /// Number of tokens.
        vocab_size: usize,
    },
    /// A position that is not one of the prefix.
    #[error("position {position} is not in a prefix of {len} tokens")]
    NoSuchPosition {
        /// The position, counted from zero.
        position: usize,
        /// Tokens of the prefix.
        len: usize,
    },
}

impl Model {
    /// Tests that every token is in the vocabulary.
    ///
    /// # Errors
    /// The first one that is not.
    pub fn check_tokens(&self, tokens: &[TokenId]) -> Result<(), PrefixError> {
        let vocab_size = self.head.vocab_size();
        match tokens.iter().find(|&&token| token as usize >= vocab_size) {
            Some(&token) => Err(PrefixError::NoSuchToken { token, vocab_size }),
            None => Ok(()),
        }
    }

    /// Tests that the model can be run on `prefix`.
    ///
    /// # Errors
    /// An empty prefix, one that is longer than the context, or a token that does not exist.
    pub fn check_prefix(&self, prefix: &[TokenId]) -> Result<(), PrefixError> {
        self.check_len(prefix.len())?;
        self.check_tokens(prefix)
    }

    /// Tests that a prefix of this many tokens fits the context.
    ///
    /// # Errors
    /// Zero tokens, or more than the context.
    pub fn check_len(&self, len: usize) -> Result<(), PrefixError> {
        match len {
            0 => Err(PrefixError::Empty),
            len if len > self.context => Err(PrefixError::TooLong { len, context: self.context }),
            _ => Ok(()),
        }
    }
}
