//! Solvers behind one small interface each: [`lp`] for linear programs, and `smt` (feature `z3`) for linear real arithmetic
//! with counting.
//!
//! Every answer given here is a *hint*. Solvers calculate in floats and stop within tolerances, so that "infeasible" and
//! "optimal" are opinions; what an answer is worth is found out by whoever re-checks its vectors with sound arithmetic.

pub mod lp;
#[cfg(feature = "z3")]
pub mod smt;
