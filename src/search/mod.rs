//! Search for witnesses: concrete prefixes after which the target is likely.
//!
//! Searchers propose prefixes by any means; one counts only once its probability has been enclosed rigorously, and then
//! goes into the [`Incumbent`], which provers read as a floor below which no bound can go.
//!
//! A [`Hunt`] is the whole portfolio: all shortest prefixes, samples of the model, coordinate ascent and walks along gradients,
//! for any number of targets over one pool of evaluations.

mod climb;
mod gauge;
mod hunt;
pub mod incumbent;
mod leads;
mod pool;
mod probe;
mod target;

pub use hunt::{Hunt, OnWitness};
pub use incumbent::Incumbent;
pub use leads::Leads;
pub use target::{Aim, Target};
