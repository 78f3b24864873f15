//! From three inputs to a theorem: binds certificate, statement and model to each other, then applies the rule.

use std::path::Path;

use crate::block::{attention_proves, block_proves};
use crate::family::{Head, Scope};
use crate::folder::Folder;
use crate::format::{Certificate, Proof, Statement, sha256_hex};
use crate::head::{head_bound, index};
use crate::interval::Interval;
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
    let statement_hash = sha256_hex(statement);
    let statement = Statement::from_json_bytes(statement)?;
    let certificate = Certificate::from_json_bytes(certificate)?;
    if certificate.statement != statement_hash {
        return Err(Reject::OtherStatement { found: certificate.statement, actual: statement_hash }.into());
    }
    let scope = match certificate.proof {
        Proof::Head { .. } => Scope::Head,
        Proof::Witness { .. } | Proof::Block(_) | Proof::Attention { .. } => Scope::Network,
    };
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
    let (verdict, quantity) = apply(&folder, &head, &statement, &certificate.proof)?;
    Ok(Theorem::new(verdict, &quantity, &statement, &certificate.proof, statement_hash, head.vocabulary()))
}

/// Applies the rule that the proof names. The returned interval holds the quantity of the predicate: after every prefix if
/// proved, after the witness if refuted.
fn apply(
    folder: &Folder,
    head: &Head,
    statement: &Statement,
    proof: &Proof,
) -> Result<(Verdict, Interval), CheckError> {
    statement.predicate.check_tokens(head.vocabulary())?;
    let ceiling = |rule| match &statement.predicate {
        Predicate::Ceiling { token, threshold, .. } => Ok((*token, threshold)),
        other => Err(Reject::WrongRule { rule, claim: other.words() }),
    };
    let temperature = statement.predicate.temperature();
    match proof {
        Proof::Head { denominator, lambda } => {
            let (token, threshold) = ceiling("head")?;
            folder.refuse_unused()?;
            let bound = head_bound(head, token, &temperature, *denominator, lambda)?;
            if !bound.at_most(threshold.value()) {
                let (_, bound) = bound.decimals();
                return Err(Reject::BoundAboveThreshold { bound, threshold: threshold.to_string() }.into());
            }
            Ok((Verdict::Proved, Interval::from_ends(0.into(), bound.hi().clone())))
        }
        Proof::Block(proof) => {
            let (token, threshold) = ceiling("block")?;
            let max_len = statement.max_len.map(index);
            block_proves(folder, head, token, threshold.value(), &temperature, max_len, proof)?;
            let bound = Interval::rational(threshold.value());
            Ok((Verdict::Proved, Interval::from_ends(0.into(), bound.hi().clone())))
        }
        Proof::Attention { trees } => {
            attention_proves(folder, head, statement, trees)?;
            let bound = match &statement.predicate {
                Predicate::Ceiling { threshold, .. } => Interval::rational(threshold.value()).hi().clone(),
                _ => 0.into(),
            };
            Ok((Verdict::Proved, Interval::from_ends(0.into(), bound)))
        }
        Proof::Witness { prefix } => {
            Ok((Verdict::Refuted, witness_refutes(folder, head, statement, prefix)?))
        }
    }
}
