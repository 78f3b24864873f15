//! Provers: one folder or file each. A prover turns a model and a statement into a bound that holds for every prefix, with
//! the data of a certificate; it never trusts a float.

mod attempts;
pub mod attention;
pub mod block;
pub mod branch;
mod event;
pub mod exhaustive;
pub mod head;
pub mod order;
mod portfolio;

pub use attempts::Attempt;
pub use event::{Argument, Event, Observer};
pub use portfolio::{Arguments, Portfolio, PortfolioError};
