//! The block prover on claims about one logit among the others: never the argmax, dominance, ceilings at other temperatures.

use super::DecideError;
use crate::limits::Limits;
use crate::model::{Model, ModelFolder};
use crate::num::{Interval, ln};
use crate::prove::block::functional::{Claim, Query};
use crate::prove::block::{Block, BlockProof, prove_claim};
use crate::prove::{Event, Observer};
use crate::spec::{Predicate, Statement};

/// What a greater logit has to lead by, in nats, so that a strict claim has a bound that is below its limit.
const LEAD: f64 = 1e-6;

/// Whether the prover has anything to say.
pub fn applies(model: &Model, predicate: &Predicate) -> bool {
    query(predicate).is_some() && Block::covers(model)
}

/// An upper bound on the excess within the limit, and its proof; `None` where the prover does not apply or leaves it open.
pub fn prove(
    folder: &ModelFolder,
    statement: &Statement,
    limits: &Limits,
    observer: Observer<'_>,
) -> Result<Option<(f64, BlockProof)>, DecideError> {
    let Some(query) = query(&statement.predicate) else { return Ok(None) };
    if limits.expired() {
        return Ok(None);
    }
    let model = folder.load()?;
    let outline = Block::outline(&statement.language, folder.vocab_size(), folder.context())?;
    let longest = limits.longest_prefix(model.context);
    let Ok(block) = Block::within(&model, &outline, longest, limits) else { return Ok(None) };
    observer(Event::Stage("block prover"));
    let limit = statement.predicate.limit();
    let upper = if limit.strict { -LEAD } else { limit.value.lo() };
    Ok(prove_claim(&block, query, longest, limits).map(|proof| (upper, proof)))
}

/// What to ask for; `None` for predicates that the prover does not speak about.
fn query(predicate: &Predicate) -> Option<Query> {
    let (target, claim) = match predicate {
        Predicate::Ceiling { token, threshold, .. } => {
            let tau = ln(Interval::ONE / threshold.enclosure() - Interval::ONE).hi();
            let claim = Claim::Ceiling { tau, temperature: predicate.temperature() };
            (*token, tau.is_finite().then_some(claim)?)
        }
        Predicate::NeverArgmax { token } => (*token, Claim::NeverArgmax { margin: LEAD }),
        Predicate::Dominance { over, under, margin } => {
            (*under, Claim::Lead { over: *over as usize, margin: margin.enclosure() })
        }
        Predicate::SetCeiling { .. }
        | Predicate::Floor { .. }
        | Predicate::MaxCeiling { .. }
        | Predicate::Continuation { .. }
        | Predicate::NeverInNucleus { .. }
        | Predicate::NeverTopK { .. }
        | Predicate::AlwaysArgmax { .. } => return None,
    };
    Some(Query { target: target as usize, claim })
}
