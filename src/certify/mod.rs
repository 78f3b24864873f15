//! Certificates: a watcher of the provers keeps the best argument for each token, in the checker's format.
//!
//! The provers know nothing of files, and this room knows nothing of proofs but their shape. Formats and digests come from
//! `llmprove-proofs`, the crate of the independent checker.

mod argument;
mod attention;
mod block;
mod predicate;
mod recorder;

pub use argument::{head_proof, part};
pub use attention::proof as attention_proof;
pub use block::proof as block_proof;
pub use recorder::{CertifyError, Files, Recorder, settled, statement_file};
