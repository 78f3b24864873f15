//! From a statement to its answer and, if it is decided, to the two files that settle it.
//!
//! The one place that knows which question to put to whom for which statement; `check`, suites and comparisons of models all
//! come through here. Plain ceilings go to the portfolio; every other predicate is a bound on its excess (see
//! [`Predicate`]): `head` proves what the final norm and the head alone can prove, and a search looks for a prefix whose
//! excess is beyond the limit.

mod attention;
mod block;
mod compound;
mod excess;
mod exhaustive;
mod extreme;

use std::collections::BTreeSet;

use crate::certify::{CertifyError, Files, Recorder};
use crate::limits::Limits;
use crate::model::{LoadError, ModelFolder, PrefixError, TokenId};
use crate::prove::head::HeadError;
use crate::prove::{Arguments, Event, Observer, Portfolio, PortfolioError};
use crate::search::Aim;
use crate::spec::language::{Automaton, LanguageError};
use crate::spec::{Predicate, PredicateError, Statement, Threshold};
use crate::verdict::{Answer, Prover};

pub use extreme::Extreme;

/// What became of a statement.
#[derive(Debug)]
pub struct Decision {
    /// The answer within the limits.
    pub answer: Answer,
    /// Certified bounds on the number that the statement speaks of.
    pub extreme: Extreme,
    /// Statement and certificate; `None` exactly if the answer is unknown.
    pub files: Option<Files>,
}

/// Why a statement could not be worked on.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// The model, or what the statement says about it.
    #[error(transparent)]
    Portfolio(#[from] PortfolioError),
    /// A predicate that makes no sense for the model.
    #[error(transparent)]
    Predicate(#[from] PredicateError),
    /// A certificate that cannot be written.
    #[error(transparent)]
    Certify(#[from] CertifyError),
    /// A mistake in a prover, found before it could do harm.
    #[error(
        "two certified bounds contradict each other: lower {lower} and upper {upper}; nothing is claimed; \
         this is a mistake in llmprove: please report it with the statement and the model"
    )]
    Contradiction {
        /// Certified lower bound.
        lower: f64,
        /// Certified upper bound.
        upper: f64,
    },
}

impl From<LoadError> for DecideError {
    fn from(error: LoadError) -> DecideError {
        PortfolioError::from(error).into()
    }
}

impl From<HeadError> for DecideError {
    fn from(error: HeadError) -> DecideError {
        PortfolioError::from(error).into()
    }
}

impl From<PrefixError> for DecideError {
    fn from(error: PrefixError) -> DecideError {
        PortfolioError::from(error).into()
    }
}

impl From<LanguageError> for DecideError {
    fn from(error: LanguageError) -> DecideError {
        PortfolioError::from(error).into()
    }
}

/// Works on a statement until it is decided or the limits are reached. The statement's `max_len` counts, not the limits'.
///
/// # Errors
/// [`DecideError`] for a model that cannot be read, a token that it does not have, or bounds that contradict each other.
pub fn decide(
    folder: &ModelFolder,
    statement: &Statement,
    provers: BTreeSet<Prover>,
    limits: &Limits,
    observer: Observer<'_>,
) -> Result<Decision, DecideError> {
    statement.predicate.check(folder.vocab_size())?;
    let limits = Limits { max_len: statement.max_len, ..limits.clone() };
    match &statement.predicate {
        Predicate::Ceiling { token, threshold, temperature: None } => {
            ceiling(folder, (statement, *token, threshold), provers, &limits, observer)
        }
        _ => {
            let language = language(folder, statement)?;
            if provers.contains(&Prover::Attention)
                && let Some(decision) = attention::decide(folder, statement, &language, &limits, observer)?
            {
                return Ok(decision);
            }
            if let Some(decision) = exhaustive::decide(folder, statement, &provers, &limits, observer)? {
                return Ok(decision);
            }
            excess::Question { folder, statement, language: &language, provers, limits, observer }.decide()
        }
    }
}

/// The language of a statement, compiled; an error if it has no prefixes.
fn language(folder: &ModelFolder, statement: &Statement) -> Result<Automaton, DecideError> {
    let language = Automaton::new(&statement.language, folder.vocab_size())?;
    let room = folder.context().saturating_sub(statement.predicate.continuation().len());
    let longest = statement.max_len.map_or(room, |len| len.min(room));
    if language.lengths(longest).is_empty() {
        return Err(PortfolioError::NoPrefixes { longest }.into());
    }
    Ok(language)
}

/// A plain ceiling is a question about one token's probability.
fn ceiling(
    folder: &ModelFolder,
    (statement, token, threshold): (&Statement, TokenId, &Threshold),
    provers: BTreeSet<Prover>,
    limits: &Limits,
    observer: Observer<'_>,
) -> Result<Decision, DecideError> {
    let recorder = Recorder::default();
    let observe = |event: Event<'_>| {
        recorder.notice(event);
        event.log();
        observer(event);
    };
    let portfolio = Portfolio::open(folder, &statement.language, provers)?;
    let aim = Aim::Exceed(std::slice::from_ref(threshold));
    let found = portfolio.bound(&[token], aim, Arguments::Kept, limits, &observe)?;
    let bounds = found.into_iter().next().expect("one token, one answer");
    if bounds.contradict() {
        return Err(DecideError::Contradiction { lower: bounds.lower(), upper: bounds.upper });
    }
    let answer = bounds.answer(threshold);
    let files = match answer {
        Answer::Unknown => None,
        Answer::Proved | Answer::Refuted => Some(recorder.files(folder.digest(), statement, answer)?),
    };
    Ok(Decision { answer, extreme: bounds.into(), files })
}
