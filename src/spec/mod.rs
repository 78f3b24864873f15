//! Statements: for every prefix of a *language*, a *predicate* of the next-token distribution holds.

mod decimal;
pub mod language;
mod predicate;
mod statement;
mod threshold;

pub use decimal::{Decimal, DecimalError};
pub use language::{Language, LanguageError};
pub use predicate::{Limit, Predicate, PredicateError};
pub use statement::Statement;
pub use threshold::{Threshold, ThresholdError};
