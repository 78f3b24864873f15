//! Head theorem: an upper bound on a token's probability after **any** prefix of any length, from the final norm and
//! the unembedding alone.
//!
//! With `l_j = a_j·ẑ + c_j` on the ball `‖ẑ‖ <= √d` (see `problem`), for every `λ` in the simplex over the other
//! tokens
//!
//! `P(t | x) <= 1 / (1 + exp( H(λ) + (Σλ_j (c_j − c_t) − √d ‖Π Σλ_j (a_j − a_t)‖) / T ))`   for all prefixes `x`.
//!
//! Maximising over `λ` is the exact dual of maximising `P(t)` over the ball, a convex problem, so the bound has no
//! gap but the solver's. The solver (`descent`) is float arithmetic and only proposes `λ`; `dual` evaluates the bound
//! rigorously.

mod centre;
mod certificate;
mod descent;
mod dual;
mod evaluate;
mod goal;
mod memory;
mod odds;
mod problem;
mod prover;
mod real;

use crate::model::TokenId;
use crate::num::Interval;

pub use certificate::HeadCertificate;
pub use goal::Goal;
pub use odds::OddsProof;
pub(super) use problem::Problem;
pub use prover::{HeadProof, HeadProver};

/// Why the head theorem says nothing about a model.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum HeadError {
    /// Without a final norm the residual is unbounded.
    #[error(
        "the model has no final norm, so nothing bounds what reaches its head and the head theorem does not apply; \
         provers that look into the layers do (block, exhaustive)"
    )]
    NoFinalNorm,
    /// A tensor contradicts the unembedding.
    #[error("{what} has {found} entries, the unembedding asks for {expected}")]
    Shape {
        /// Which tensor.
        what: &'static str,
        /// Its length.
        found: usize,
        /// Length that fits.
        expected: usize,
    },
    /// No two tokens, no width, or ids beyond [`TokenId`].
    #[error(
        "a head of {vocab_size} tokens and width {width} has no probabilities to bound; at least 2 tokens and width 1 are needed"
    )]
    Size {
        /// Rows of the unembedding.
        vocab_size: usize,
        /// Columns of the unembedding.
        width: usize,
    },
    /// A NaN or an infinity in the weights.
    #[error(
        "the row of token {token} in the unembedding, its bias or the final norm is not finite (or overflows f64): nothing can be proved"
    )]
    NotFinite {
        /// First such token.
        token: TokenId,
    },
    /// A negative or non-finite `ε`, for which `‖ẑ‖ <= √d` fails.
    #[error("the final norm has epsilon {eps}; the head theorem needs a finite epsilon >= 0")]
    Epsilon {
        /// As found.
        eps: f64,
    },
    /// Not a positive finite temperature.
    #[error("temperature {temperature} is not a positive finite number")]
    Temperature {
        /// As given.
        temperature: Interval,
    },
    /// A token id beyond the vocabulary.
    #[error("token {token} is not in the vocabulary of {vocab_size} tokens (ids 0 to {})", vocab_size - 1)]
    Token {
        /// As given.
        token: TokenId,
        /// Number of tokens.
        vocab_size: usize,
    },
}
