//! Predicates in the checker's format.

use llmprove_proofs as format;

use super::CertifyError;
use crate::spec::{Predicate, Threshold};

/// The predicate as statement files have it.
pub fn in_file(predicate: &Predicate) -> Result<format::Predicate, CertifyError> {
    let refused = |e: &dyn std::fmt::Display| CertifyError::Statement(e.to_string());
    let decimal = |text: &str| format::Decimal::parse(text).map_err(|e| refused(&e));
    let exact = |threshold: &Threshold| decimal(threshold.text());
    let temperature = predicate.temperature_text().map(|t| decimal(t.text())).transpose()?;
    Ok(match predicate {
        Predicate::Ceiling { token, threshold, .. } => {
            format::Predicate::Ceiling { token: *token, threshold: exact(threshold)?, temperature }
        }
        Predicate::SetCeiling { tokens, threshold, .. } => format::Predicate::SetCeiling {
            tokens: tokens.clone(),
            threshold: exact(threshold)?,
            temperature,
        },
        Predicate::Floor { token, threshold, .. } => {
            format::Predicate::Floor { token: *token, threshold: exact(threshold)?, temperature }
        }
        Predicate::MaxCeiling { tokens, threshold, .. } => format::Predicate::MaxCeiling {
            tokens: tokens.clone(),
            threshold: exact(threshold)?,
            temperature,
        },
        Predicate::Continuation { tokens, threshold, .. } => format::Predicate::Continuation {
            tokens: tokens.clone(),
            threshold: exact(threshold)?,
            temperature,
        },
        Predicate::NeverInNucleus { token, mass, .. } => {
            format::Predicate::NeverInNucleus { token: *token, mass: exact(mass)?, temperature }
        }
        Predicate::Dominance { over, under, margin } => {
            format::Predicate::Dominance { over: *over, under: *under, margin: decimal(margin.text())? }
        }
        Predicate::NeverArgmax { token } => format::Predicate::NeverArgmax { token: *token },
        Predicate::NeverTopK { token, k } => {
            format::Predicate::NeverTopK { token: *token, k: u32::try_from(*k).map_err(|e| refused(&e))? }
        }
        Predicate::AlwaysArgmax { token } => format::Predicate::AlwaysArgmax { token: *token },
    })
}
