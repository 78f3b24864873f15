//! From three inputs to a theorem: binds certificate, statement and model to each other, then applies the rule.

use std::path::Path;

use crate::block::{attention_proves, block_proves};
use crate::decimal::Decimal;
use crate::elementary::sigmoid;
use crate::exhaustive::{MAX_PREFIXES, exhaustion_proves};
use crate::family::{Head, Scope};
use crate::folder::Folder;
use crate::format::{Certificate, Proof, Statement, sha256_hex};
use crate::head::head_margin;
use crate::interval::Interval;
use crate::odds;
use crate::order::order_proves;
use crate::parts::part_statements;
use crate::predicate::Predicate;
use crate::reject::{CheckError, Reject};
use crate::theorem::{Theorem, Verdict};
use crate::witness::witness_refutes;

/// Checks that `certificate` settles `statement` (both as file bytes) about the model in the folder `model`.
///
/// # Errors
/// [`CheckError::Reject`] if the certificate establishes neither the statement nor its refutation,
/// [`CheckError::Input`] if the model folder can't be used.
pub fn check(model: &Path, statement: &[u8], certificate: &[u8]) -> Result<Theorem, CheckError> {
    check_within(model, statement, certificate, MAX_PREFIXES)
}

/// The same, evaluating up to `prefixes` prefixes where the certificate leaves all the work to the checker.
///
/// # Errors
/// As [`check`].
pub fn check_within(
    model: &Path,
    statement: &[u8],
    certificate: &[u8],
    prefixes: usize,
) -> Result<Theorem, CheckError> {
    let statement_hash = sha256_hex(statement);
    let statement = Statement::from_json_bytes(statement)?;
    let certificate = Certificate::from_json_bytes(certificate)?;
    if certificate.statement != statement_hash {
        return Err(Reject::OtherStatement { found: certificate.statement, actual: statement_hash }.into());
    }
    let scope = scope(&certificate.proof);
    let folder = Folder::read(model, scope)?;
    if statement.model != folder.digest {
        return Err(Reject::StatementOfOtherModel { found: statement.model, actual: folder.digest }.into());
    }
    if certificate.model != folder.digest {
        return Err(
            Reject::CertificateOfOtherModel { found: certificate.model, actual: folder.digest }.into()
        );
    }
    let head = folder.head()?;
    if scope == Scope::Head {
        folder.refuse_unused()?;
    }
    let (verdict, quantity) = apply(&folder, &head, &statement, &certificate.proof, prefixes)?;
    Ok(Theorem::new(verdict, &quantity, &statement, &certificate.proof, statement_hash, head.vocabulary()))
}

/// What a proof needs of the model.
fn scope(proof: &Proof) -> Scope {
    match proof {
        Proof::Head { .. } | Proof::Set { .. } | Proof::Pairs {} | Proof::Order(_) => Scope::Head,
        Proof::Witness { .. } | Proof::Block(_) | Proof::Attention { .. } | Proof::Exhaustive {} => {
            Scope::Network
        }
        Proof::Parts { parts } => {
            let network = parts.iter().flatten().any(|part| scope(&part.proof) == Scope::Network);
            if network { Scope::Network } else { Scope::Head }
        }
    }
}

/// Applies the rule that the proof names. The returned interval holds the quantity of the predicate: after every prefix if
/// proved, after the witness if refuted.
fn apply(
    folder: &Folder,
    head: &Head,
    statement: &Statement,
    proof: &Proof,
    prefixes: usize,
) -> Result<(Verdict, Interval), CheckError> {
    let predicate = &statement.predicate;
    predicate.check_tokens(head.vocabulary())?;
    let temperature = predicate.temperature();
    let wrong = |rule| Reject::WrongRule { rule, claim: predicate.words() };
    let proved = |bound: Interval, threshold: &Decimal| {
        Ok((Verdict::Proved, odds::within(predicate, &bound, threshold.value())?))
    };
    match proof {
        Proof::Head { denominator, lambda } => match predicate {
            Predicate::Ceiling { token, threshold, .. } => {
                let margin = head_margin(head, *token, &temperature, *denominator, lambda)?;
                proved(sigmoid(&-margin), threshold)
            }
            Predicate::NeverInNucleus { token, mass, .. } => {
                proved(odds::above_bound(head, *token, &temperature, *denominator, lambda)?, mass)
            }
            _ => Err(wrong("head").into()),
        },
        Proof::Set { duals } => {
            let Predicate::SetCeiling { tokens, threshold, .. } = predicate else {
                return Err(wrong("set").into());
            };
            proved(odds::set_bound(head, tokens, &temperature, duals)?, threshold)
        }
        Proof::Pairs {} => {
            let Predicate::Floor { token, threshold, .. } = predicate else {
                return Err(wrong("pairs").into());
            };
            let others = odds::others_bound(head, *token, &temperature)?;
            proved(&Interval::from_int(1) - &others, threshold)
        }
        Proof::Parts { parts } => {
            let statements = part_statements(statement, parts)?;
            for (part, statement) in parts.iter().zip(&statements) {
                if let (Some(part), Some(statement)) = (part, statement)
                    && apply(folder, head, statement, &part.proof, prefixes)?.0 != Verdict::Proved
                {
                    return Err(wrong("witness").into());
                }
            }
            Ok((Verdict::Proved, predicate.allowed()))
        }
        Proof::Block(proof) => {
            block_proves(folder, head, statement, proof, prefixes)?;
            Ok((Verdict::Proved, predicate.allowed()))
        }
        Proof::Attention { trees } => {
            attention_proves(folder, head, statement, trees)?;
            Ok((Verdict::Proved, predicate.allowed()))
        }
        Proof::Order(proof) => {
            folder.refuse_unused()?;
            Ok((Verdict::Proved, order_proves(head, &statement.predicate, proof)?))
        }
        Proof::Exhaustive {} if !predicate.continuation().is_empty() => Err(wrong("exhaustive").into()),
        Proof::Exhaustive {} => Ok((Verdict::Proved, exhaustion_proves(folder, head, statement, prefixes)?)),
        Proof::Witness { prefix } => {
            Ok((Verdict::Refuted, witness_refutes(folder, head, statement, prefix)?))
        }
    }
}
