//! llmprove: proofs and bounds about what a small language model can be made to say.
//!
//! The question: for a GPT-style model with its real, trained weights, is it true that **no prefix** drives
//! `P(token | prefix)` above `p`? The answer is PROVED with a certificate, REFUTED with a prefix, or UNKNOWN with
//! certified `lower <= max P <= upper`. Theorems are about the exact real function of the stored weights.

pub mod certify;
pub mod checkpoint;
pub mod compare;
pub mod decide;
pub mod domain;
pub mod explain;
pub mod guide;
pub mod heap;
pub mod limits;
pub mod model;
pub mod num;
pub mod prove;
pub mod relax;
pub mod report;
pub mod search;
pub mod spec;
pub mod suite;
pub mod verdict;
