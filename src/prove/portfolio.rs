//! The order in which provers and searchers are let loose on a question.
//!
//! Cheap and strong first: the head theorem needs milliseconds and settles many tokens for good. Each step ends early once
//! the goal is reached, and what was proved stays proved whatever happens later.

use std::collections::BTreeSet;

use rayon::prelude::*;

use crate::limits::Limits;
use crate::model::{Head, LoadError, ModelFolder, TokenId};
use crate::num::Interval;
use crate::verdict::{Bounds, Prover};

use super::head::{self, HeadError, HeadProof, HeadProver};
use super::{Argument, Event, Goal, Observer};

/// All provers and searchers that may work on a model.
#[derive(Debug)]
pub struct Portfolio {
    members: BTreeSet<Prover>,
    head: Head,
}

/// Why a portfolio could not work.
#[derive(Debug, thiserror::Error)]
pub enum PortfolioError {
    /// A model that cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A head about which nothing can be proved.
    #[error(transparent)]
    Head(#[from] HeadError),
}

/// Whether bounds in an audit have to come with data for certificates, which costs some time per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arguments {
    /// Every reported bound is that of an argument that the observer has seen.
    Kept,
    /// Bounds only.
    Dropped,
}

impl Portfolio {
    /// Reads what the first step needs; the rest of the model is read when a later step needs it.
    ///
    /// # Errors
    /// A head that cannot be read.
    pub fn open(folder: &ModelFolder, members: BTreeSet<Prover>) -> Result<Portfolio, LoadError> {
        Ok(Portfolio { members, head: folder.load_head()? })
    }

    /// Bounds for one token, as good as the goal asks for or the limits allow.
    ///
    /// # Errors
    /// [`PortfolioError`] when the model cannot be read or its head is damaged.
    pub fn decide(
        &self,
        token: TokenId,
        goal: Goal<'_>,
        limits: &Limits,
        observer: Observer<'_>,
    ) -> Result<Bounds, PortfolioError> {
        let mut bounds = Bounds::trivial();
        let tighten = |_, upper| bounds.tighten(upper, Prover::Head);
        self.head_bounds(&[token], Arguments::Kept, limits, observer, tighten)?;
        bounds.stopped = limits.reason().filter(|_| !goal.reached(&bounds));
        Ok(bounds)
    }

    /// Bounds for every token of a list, in its order.
    ///
    /// # Errors
    /// [`PortfolioError`] when the model cannot be read or its head is damaged.
    pub fn audit(
        &self,
        tokens: &[TokenId],
        arguments: Arguments,
        limits: &Limits,
        observer: Observer<'_>,
    ) -> Result<Vec<Bounds>, PortfolioError> {
        let mut all = vec![Bounds::trivial(); tokens.len()];
        self.head_bounds(tokens, arguments, limits, observer, |k, upper| {
            all[k].tighten(upper, Prover::Head)
        })?;
        Ok(all)
    }

    /// The head theorem for `tokens`; `take` gets the index into `tokens` and the bound. A model without a final norm has
    /// no such bounds, which is no error.
    fn head_bounds(
        &self,
        tokens: &[TokenId],
        arguments: Arguments,
        limits: &Limits,
        observer: Observer<'_>,
        mut take: impl FnMut(usize, f64),
    ) -> Result<(), PortfolioError> {
        if !self.members.contains(&Prover::Head) {
            return Ok(());
        }
        observer(Event::Stage("head theorem"));
        let prover = match HeadProver::new(&self.head, Interval::ONE) {
            Err(HeadError::NoFinalNorm) => return Ok(()),
            other => other?,
        };
        let proofs = prover.bound_all(tokens, &head::Goal::tight(), limits, &|_| {})?;
        let upper: Vec<f64> = match arguments {
            Arguments::Dropped => proofs.iter().map(|proof| proof.upper).collect(),
            // The certificate's own bound counts: it differs from the solver's by rounding.
            Arguments::Kept => proofs.par_iter().map(|proof| certified(&prover, proof, observer)).collect(),
        };
        upper.into_iter().enumerate().for_each(|(k, upper)| take(k, upper));
        Ok(())
    }
}

/// Makes the certificate of a head proof, shows it to the observer, and gives the bound that it proves.
fn certified(prover: &HeadProver<'_>, proof: &HeadProof, observer: Observer<'_>) -> f64 {
    let certificate = prover.certificate(proof);
    let argument = Argument::Head { denominator: certificate.denominator, lambda: &certificate.lambda };
    observer(Event::Upper { token: proof.token, upper: certificate.upper, argument });
    certificate.upper
}
