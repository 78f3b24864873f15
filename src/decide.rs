//! From a statement to its answer and, if it is decided, to the two files that settle it.
//!
//! The one place that knows which question to put to the portfolio for which statement; `check`, suites and comparisons of
//! models all come through here.

use std::collections::BTreeSet;

use crate::certify::{CertifyError, Files, Recorder, attention_proof, settled};
use crate::limits::Limits;
use crate::model::{ModelFolder, rigorous};
use crate::prove::attention::{self, Outcome, Tables};
use crate::prove::{Arguments, Event, Observer, Portfolio, PortfolioError};
use crate::search::Aim;
use crate::spec::language::Automaton;
use crate::spec::{Predicate, Statement};
use crate::verdict::{Answer, Bounds, Prover};

/// What became of a statement.
#[derive(Debug)]
pub struct Decision {
    /// The answer within the limits.
    pub answer: Answer,
    /// Certified bounds on the probability that the statement speaks of.
    pub bounds: Bounds,
    /// Statement and certificate; `None` exactly if the answer is unknown.
    pub files: Option<Files>,
}

/// Why a statement could not be worked on.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// The model, or what the statement says about it.
    #[error(transparent)]
    Portfolio(#[from] PortfolioError),
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
    let recorder = Recorder::default();
    let observe = |event: Event<'_>| {
        recorder.notice(event);
        event.log();
        observer(event);
    };
    let limits = Limits { max_len: statement.max_len, ..limits.clone() };
    let Predicate::Ceiling { token, threshold, temperature: None } = &statement.predicate else {
        if provers.contains(&Prover::Attention)
            && let Some(decision) = by_attention(folder, statement, &limits, observer)?
        {
            return Ok(decision);
        }
        // Nobody works on these yet.
        return Ok(Decision { answer: Answer::Unknown, bounds: Bounds::trivial(), files: None });
    };
    let portfolio = Portfolio::open(folder, &statement.language, provers)?;
    let aim = Aim::Exceed(std::slice::from_ref(threshold));
    let found = portfolio.bound(&[*token], aim, Arguments::Kept, &limits, &observe)?;
    let bounds = found.into_iter().next().expect("one token, one answer");
    if bounds.contradict() {
        return Err(DecideError::Contradiction { lower: bounds.lower(), upper: bounds.upper });
    }
    let answer = bounds.answer(threshold);
    let files = match answer {
        Answer::Unknown => None,
        Answer::Proved | Answer::Refuted => Some(recorder.files(folder.digest(), statement, answer)?),
    };
    Ok(Decision { answer, bounds, files })
}

/// What the attention prover says of any predicate that it covers; `None` where it doesn't apply or leaves it open.
fn by_attention(
    folder: &ModelFolder,
    statement: &Statement,
    limits: &Limits,
    observer: Observer<'_>,
) -> Result<Option<Decision>, DecideError> {
    let model = folder.load().map_err(PortfolioError::from)?;
    let Ok(tables) = Tables::new(&model) else { return Ok(None) };
    observer(Event::Stage("attention prover"));
    let language = Automaton::new(&statement.language, tables.vocab).map_err(PortfolioError::from)?;
    let longest = limits.longest_prefix(model.context);
    let (answer, proof) = match attention::prove(&tables, &statement.predicate, &language, longest, limits).0
    {
        Outcome::Proved(proof) => (Answer::Proved, attention_proof(&proof)),
        Outcome::Counterexample(prefix) => {
            let logits = rigorous::logits(&model, &prefix).map_err(PortfolioError::from)?;
            let excess = statement.predicate.excess(&logits).lo();
            if statement.predicate.answer(excess, f64::INFINITY) != Answer::Refuted {
                return Ok(None);
            }
            (Answer::Refuted, llmprove_proofs::Proof::Witness { prefix })
        }
        Outcome::Open | Outcome::NotCovered => return Ok(None),
    };
    let files = Some(settled(folder.digest(), statement, proof)?);
    Ok(Some(Decision { answer, bounds: Bounds::trivial(), files }))
}
