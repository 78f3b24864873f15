//! The parts rule: ceilings of single tokens, each with a proof of its own, are a ceiling of several.
//!
//! | statement | parts | needed |
//! |---|---|---|
//! | `P(t \| x) <= p` for every t of a list | `P(t \| x) <= p_t` | every `p_t <= p` |
//! | `P(S \| x) <= p` | `P(s \| x) <= p_s` | `Σ p_s <= p` |
//! | `P(t1 .. tk \| x) <= p` | `P(ti \| x t1 .. t(i−1)) <= p_i` | `Π p_i <= p` |
//!
//! Each for every x of the language. A part that is left out stands for the bound 1.

use dashu_ratio::RBig;

use crate::format::{Part, Statement};
use crate::language::Language;
use crate::predicate::Predicate;
use crate::reject::Reject;

/// The statements that the parts have to prove, in order, if they prove `statement` together.
pub(crate) fn part_statements(
    statement: &Statement,
    parts: &[Option<Part>],
) -> Result<Vec<Option<Statement>>, Reject> {
    let (tokens, threshold, temperature) = match &statement.predicate {
        Predicate::MaxCeiling { tokens, threshold, temperature }
        | Predicate::SetCeiling { tokens, threshold, temperature }
        | Predicate::Continuation { tokens, threshold, temperature } => (tokens, threshold, temperature),
        other => return Err(Reject::WrongRule { rule: "parts", claim: other.words() }),
    };
    if parts.len() != tokens.len() {
        return Err(Reject::PartCount { found: parts.len(), expected: tokens.len() });
    }
    let bounds = parts.iter().map(|part| part.as_ref().map_or(RBig::ONE, |p| p.threshold.value().clone()));
    let together = match &statement.predicate {
        Predicate::SetCeiling { .. } => bounds.fold(RBig::ZERO, |a, b| a + b),
        Predicate::Continuation { .. } => bounds.fold(RBig::ONE, |a, b| a * b),
        _ => bounds.max().unwrap_or(RBig::ZERO),
    };
    if together > *threshold.value() {
        return Err(Reject::PartsAboveThreshold { threshold: threshold.to_string() });
    }
    let continues = !statement.predicate.continuation().is_empty();
    let mut before: Vec<Language> = vec![statement.language.clone()];
    let mut statements = Vec::with_capacity(parts.len());
    for (step, (part, token)) in parts.iter().zip(tokens).enumerate() {
        let predicate = |part: &Part| Predicate::Ceiling {
            token: *token,
            threshold: part.threshold.clone(),
            temperature: temperature.clone(),
        };
        let of = |part: &Part| {
            let (mut language, mut max_len) = (statement.language.clone(), statement.max_len);
            if continues && step > 0 {
                language = Language::Seq(before.clone());
                max_len = max_len.map(|n| n.saturating_add(u32::try_from(step).unwrap_or(u32::MAX)));
            }
            Statement::new(statement.model.clone(), language, max_len, predicate(part))
        };
        statements.push(part.as_ref().map(of));
        before.push(Language::Set(vec![[*token, *token]]));
    }
    for statement in statements.iter().flatten() {
        statement.predicate.validate()?;
    }
    Ok(statements)
}
