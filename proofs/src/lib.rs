//! Certificate format of llmprove and the independent checker.
#![forbid(unsafe_code)]

mod decimal;
mod folder;
mod format;
mod json;
mod reject;

pub use decimal::{Decimal, NotDecimal};
pub use folder::model_digest;
pub use format::{
    Certificate, Language, MAX_CERTIFICATE_BYTES, MAX_DENOMINATOR, MAX_STATEMENT_BYTES, Predicate, Proof,
    Statement, sha256_hex,
};
pub use reject::{CheckError, InputError, Reject};
