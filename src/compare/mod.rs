//! Two models side by side: how far their next-token probabilities can be apart.
//!
//! [`every_prefix`] speaks of all prefixes of every length and reads final norms and heads; [`short_prefixes`] evaluates all
//! prefixes of a finite language and is exact there.

mod every;
mod short;

pub use every::{Change, Ground, every_prefix};
pub use short::{Largest, short_prefixes};

use crate::model::Model;

/// Why two models cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// Different vocabularies.
    #[error("the models have {a} and {b} tokens; only models of one vocabulary can be compared")]
    Vocabulary {
        /// Tokens of the first.
        a: usize,
        /// Tokens of the second.
        b: usize,
    },
    /// A head about which nothing can be proved.
    #[error(transparent)]
    Head(#[from] crate::prove::head::HeadError),
    /// A prefix that one of the models does not accept.
    #[error(transparent)]
    Prefix(#[from] crate::model::PrefixError),
}

fn check(a: &Model, b: &Model) -> Result<(), CompareError> {
    let (a, b) = (a.head.vocab_size(), b.head.vocab_size());
    if a == b { Ok(()) } else { Err(CompareError::Vocabulary { a, b }) }
}
