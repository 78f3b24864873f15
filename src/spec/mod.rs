//! Statements: for every prefix of a *language*, a *predicate* of the next-token distribution holds.

mod language;
mod statement;
mod threshold;

pub use language::{Language, LanguageError};
pub use statement::{Predicate, Statement};
pub use threshold::{Threshold, ThresholdError};
