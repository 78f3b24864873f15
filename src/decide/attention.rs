//! The attention prover on predicates other than the plain ceiling.

use super::{DecideError, Decision, Extreme};
use crate::certify::{attention_proof, settled};
use crate::limits::Limits;
use crate::model::{ModelFolder, rigorous};
use crate::prove::attention::{Outcome, Tables, prove};
use crate::prove::{Event, Observer};
use crate::spec::Statement;
use crate::spec::language::Automaton;
use crate::verdict::{Answer, Prover, Witness};

/// What it says of any predicate that it covers; `None` where it doesn't apply or leaves the statement open.
pub fn decide(
    folder: &ModelFolder,
    statement: &Statement,
    language: &Automaton,
    limits: &Limits,
    observer: Observer<'_>,
) -> Result<Option<Decision>, DecideError> {
    let predicate = &statement.predicate;
    let model = folder.load()?;
    let Ok(tables) = Tables::new(&model) else { return Ok(None) };
    observer(Event::Stage("attention prover"));
    let longest = limits.longest_prefix(model.context);
    let (answer, proof, upper, witness) = match prove(&tables, predicate, language, longest, limits).0 {
        Outcome::Proved(proof) => {
            let upper = (predicate.limit().value.hi(), Prover::Attention);
            (Answer::Proved, attention_proof(&proof), upper, None)
        }
        Outcome::Counterexample(prefix) => {
            let excess = predicate.excess(&[rigorous::logits(&model, &prefix)?]);
            if predicate.answer(excess.lo(), f64::INFINITY) != Answer::Refuted {
                return Ok(None);
            }
            let witness = Witness { prefix: prefix.clone(), lower: excess.lo(), upper: excess.hi() };
            let proof = llmprove_proofs::Proof::Witness { prefix };
            (Answer::Refuted, proof, (f64::INFINITY, Prover::None), Some(witness))
        }
        Outcome::Open | Outcome::NotCovered => return Ok(None),
    };
    let extreme = Extreme::of_excess(predicate, upper, witness, None);
    let files = Some(settled(folder.digest(), statement, proof)?);
    Ok(Some(Decision { answer, extreme, files }))
}
