//! The guide, as pages of the documentation. Its commands are run by a test.
//!
//! | page | |
//! |---|---|
//! | [`quick_start`] | install, ask, read the answer |
//! | [`statements`] | what can be claimed, by example |
//! | [`proofs`] | how proofs work |
//! | [`trust`] | how to trust a certificate |
//! | [`ci`] | statements about a model in continuous integration |
//! | [`python`] | the same from Python |
//! | [`families`] | add a model family |
//! | [`verifiability`] | which training makes models provable? an experiment |

#[doc = include_str!("../docs/guide/quick-start.md")]
pub mod quick_start {}

#[doc = include_str!("../docs/guide/statements.md")]
pub mod statements {}

#[doc = include_str!("../docs/guide/proofs.md")]
pub mod proofs {}

#[doc = include_str!("../docs/guide/trust.md")]
pub mod trust {}

#[doc = include_str!("../docs/guide/ci.md")]
pub mod ci {}

#[doc = include_str!("../docs/guide/python.md")]
pub mod python {}

#[doc = include_str!("../docs/guide/families.md")]
pub mod families {}

#[doc = include_str!("../docs/guide/verifiability.md")]
pub mod verifiability {}
