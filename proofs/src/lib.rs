//! Certificate format of llmprove and the independent checker.
//!
//! The prover writes a statement (what is claimed about a model) and a certificate (why it is so). [`check`] reads
//! both, recomputes the argument from the weights in exact and outward-rounded integer arithmetic, and returns the
//! theorem. It shares no code with the prover, holds no floating-point number, no tolerance and no step that is
//! trusted without a check.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        clippy::float_arithmetic
    )
)]

mod ball;
mod block;
mod check;
mod config;
mod decimal;
mod elementary;
mod exhaustive;
mod exponential;
mod family;
mod family_head;
mod folder;
mod format;
mod forward;
mod head;
mod interval;
mod language;
mod linear;
mod neox;
mod network;
mod odds;
mod order;
mod parallel;
mod parts;
mod predicate;
mod quantity;
mod recurrence;
mod recurrent;
mod reject;
mod softmax;
mod tensor;
mod theorem;
mod trees;
mod witness;

pub use block::Quadratic;
pub use check::{check, check_within};
pub use decimal::{Decimal, NotDecimal};
pub use exhaustive::MAX_PREFIXES;
pub use folder::model_digest;
pub use format::{
    AttentionNode, AttentionTree, BLOCK_BITS, BlockDual, BlockNode, BlockProof, Certificate, GRID_STEPS,
    MAX_CERTIFICATE_BYTES, MAX_DENOMINATOR, MAX_MULTIPLIER, MAX_STATEMENT_BYTES, OrderProof, Part, Proof,
    Simplex, Split, Statement, TokenSplit, sha256_hex,
};
pub use language::Language;
pub use predicate::Predicate;
pub use reject::{CheckError, InputError, Reject};
pub use theorem::{Theorem, Verdict};
