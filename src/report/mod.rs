//! Verdicts as text, JSON and CSV. Every printed probability is rounded outward.
//!
//! Text carries ANSI colours; whoever writes it to something else than a terminal strips them.

pub mod audit;
mod bar;
pub mod bounds;
mod claim;
pub mod diff;
pub mod explain;
pub mod html;
pub mod inspect;
pub mod json;
pub mod language;
pub mod local;
mod style;
mod subject;
pub mod suite;
pub mod terminal;

pub use claim::claim;
pub use subject::Subject;
