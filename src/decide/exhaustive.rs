//! Predicates about few prefixes: all of them are evaluated.

use std::collections::BTreeSet;

use llmprove_proofs::Proof;

use super::{DecideError, Decision, Extreme};
use crate::certify::settled;
use crate::limits::Limits;
use crate::model::ModelFolder;
use crate::prove::{Observer, Portfolio};
use crate::spec::Statement;
use crate::verdict::{Answer, Prover, Witness};

/// What the exhaustive prover says; `None` where it may not work, has not the time, or leaves the statement open.
pub fn decide(
    folder: &ModelFolder,
    statement: &Statement,
    provers: &BTreeSet<Prover>,
    limits: &Limits,
    observer: Observer<'_>,
) -> Result<Option<Decision>, DecideError> {
    let predicate = &statement.predicate;
    if !provers.contains(&Prover::Exhaustive) || !predicate.continuation().is_empty() {
        return Ok(None);
    }
    let portfolio = Portfolio::open(folder, &statement.language, provers.clone())?;
    let Some((answer, seen)) = portfolio.decide(predicate, limits, observer)? else { return Ok(None) };
    let Some(extremes) = seen.tally.all.into_iter().next() else { return Ok(None) };
    let witness =
        extremes.best.map(|best| Witness { prefix: best.prefix, lower: best.lower, upper: best.upper });
    let (proof, upper, prover) = match (answer, &witness) {
        (Answer::Proved, _) => (Proof::Exhaustive {}, extremes.upper, Prover::Exhaustive),
        (Answer::Refuted, Some(witness)) => {
            (Proof::Witness { prefix: witness.prefix.clone() }, f64::INFINITY, Prover::None)
        }
        _ => return Ok(None),
    };
    let files = Some(settled(folder.digest(), statement, proof)?);
    let extreme = Extreme::of_excess(predicate, (upper, prover), witness, seen.stopped);
    Ok(Some(Decision { answer, extreme, files }))
}
