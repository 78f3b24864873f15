//! Abstract domains: what a model can do over a whole region of inputs, enclosed in one pass through any number of blocks.
//!
//! * [`form`]: affine forms, linear in shared unknowns up to a proved error, and the transfer functions on them.
//! * [`softmax`]: the exact range of a softmax-weighted sum over boxes of scores and values.
//! * [`network`]: a model prepared for these.
//! * [`forward`]: the network over forms, one form for every alternative of every position.
//! * [`logits`]: margins and probabilities at the end; `ceiling`: upper bounds on many probabilities at once.
//! * [`region`]: token sets position by position, and balls around embeddings.

//!
//! ```no_run
//! use llmprove::domain::network::Network;
//! use llmprove::model::ModelFolder;
//!
//! let model = ModelFolder::open("models/moby-l1")?.load()?;
//! let network = Network::new(&model)?;
//! // Every prefix 5 · {1 or 2 or 3} · {4 or 7}, with 1 and 2 enclosed together: one answer per last token.
//! let known = network.known(&[5])?;
//! for logits in network.over_sets(&known, &[vec![vec![1, 2], vec![3]], vec![vec![4], vec![7]]])? {
//!     assert!(logits.outlook(9).probability.hi() <= 1.0);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ceiling;
pub mod form;
pub mod forward;
pub mod logits;
pub mod network;
pub mod region;
pub mod softmax;
