//! What provers and searchers tell whoever watches: progress lines, writers of certificates.

use crate::model::TokenId;
use crate::verdict::{Prover, Witness};

use super::attention::AttentionProof;
use super::block::BlockProof;
use super::head::HeadCertificate;
use super::order::OrderProof;

/// Something that happened during a run.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// What is being done now, for people.
    Stage(&'a str),
    /// How far an enumeration has come, for people.
    Progress(&'a str),
    /// A better upper bound for a token, and the argument that proves it.
    Upper {
        /// The token.
        token: TokenId,
        /// Proved: `P(token | prefix) <= upper` for every prefix spoken of; the excess of predicates other than ceilings.
        upper: f64,
        /// Why.
        argument: Argument<'a>,
    },
    /// A better witness for a token.
    Lower {
        /// The token.
        token: TokenId,
        /// Evaluated rigorously.
        witness: &'a Witness,
    },
}

impl Event<'_> {
    /// Writes the event to the log.
    pub fn log(&self) {
        match self {
            Event::Stage(stage) => tracing::debug!(stage, "stage"),
            Event::Progress(_) => {}
            Event::Upper { token, upper, .. } => tracing::debug!(token, upper, "better upper bound"),
            Event::Lower { token, witness } => {
                tracing::debug!(token, lower = witness.lower, "better witness")
            }
        }
    }
}

/// Data that lets somebody else repeat the proof of an upper bound.
#[derive(Debug, Clone, Copy)]
pub enum Argument<'a> {
    /// The weights λ of the head theorem.
    Head {
        /// Sum of all numerators.
        denominator: u64,
        /// λ as token and numerator, tokens strictly increasing, numerators at least 1, the target absent.
        lambda: &'a [(TokenId, u64)],
    },
    /// The weights λ of the head theorem for each token of a set, outside of it.
    Set(&'a [HeadCertificate]),
    /// The head theorem where λ has no choice.
    Pairs,
    /// The tree of the block prover.
    Block(&'a BlockProof),
    /// The trees of the attention prover.
    Attention(&'a AttentionProof),
    /// Sums and tree of a claim about the order of logits.
    Order(&'a OrderProof),
    /// Every prefix was evaluated; there is nothing to say but that.
    Exhaustive,
}

impl Argument<'_> {
    /// Whose argument it is.
    #[must_use]
    pub fn prover(&self) -> Prover {
        match self {
            Argument::Head { .. } | Argument::Set(_) | Argument::Pairs | Argument::Order(_) => Prover::Head,
            Argument::Block(_) => Prover::Block,
            Argument::Attention(_) => Prover::Attention,
            Argument::Exhaustive => Prover::Exhaustive,
        }
    }
}

/// A watcher; called from several threads.
pub type Observer<'a> = &'a (dyn Fn(Event<'_>) + Sync);
