//! Search for witnesses: concrete prefixes after which the target is likely.
//!
//! Searchers propose prefixes by any means; one counts only once its probability has been enclosed rigorously, and then
//! goes into the [`Incumbent`], which provers read as a floor below which no bound can go.

pub mod incumbent;

pub use incumbent::Incumbent;
