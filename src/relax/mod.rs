//! Relaxations of nonlinearities: what a prover may assume of `φ(s)` for `s` in a range. One file per idea, each with its
//! formula, its source and its soundness argument.

mod activation;
mod graph;

pub use activation::{curvature, fourth_derivative, third_derivative, value};
pub use graph::{Graph, Lowest, STEPS_PER_UNIT};
