//! Remembers the tightest argument on either side and puts it into the checker's format.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use llmprove_proofs as format;

use crate::model::TokenId;
use crate::prove::Event;
use crate::spec::{Language, Statement};

use crate::verdict::Answer;

/// A watcher of one run.
#[derive(Debug, Default)]
pub struct Recorder {
    best: Mutex<BTreeMap<TokenId, Best>>,
}

/// The best arguments about one token.
#[derive(Debug, Default)]
struct Best {
    /// Tightest upper bound and its proof.
    upper: Option<(f64, format::Proof)>,
    /// Greatest certified probability and its prefix.
    lower: Option<(f64, format::Proof)>,
}

/// The contents of two files that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The statement.
    pub statement: Vec<u8>,
    /// The certificate, bound to the statement and to the model by SHA-256.
    pub certificate: Vec<u8>,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertifyError {
    /// The run decided nothing about this token that a certificate could hold.
    #[error("nothing was {} about token {token}, so there is nothing to certify", answer.word())]
    NoArgument {
        /// The token.
        token: TokenId,
        /// What should have been certified.
        answer: Answer,
    },
    /// A number that the statement format has no room for.
    #[error("the statement cannot be written: {0}; use a shorter threshold or a smaller --max-len")]
    Statement(String),
}

impl Recorder {
    /// Takes note of an event. Of two equally good arguments the first is kept.
    pub fn notice(&self, event: Event<'_>) {
        let mut best = self.best.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Stage(_) | Event::Progress(_) => {}
            Event::Upper { token, upper, argument } => {
                let slot = &mut best.entry(token).or_default().upper;
                if slot.as_ref().is_none_or(|(old, _)| upper < *old) {
                    *slot = Some((upper, super::argument::proof(argument)));
                }
            }
            Event::Lower { token, witness } => {
                let slot = &mut best.entry(token).or_default().lower;
                if slot.as_ref().is_none_or(|(old, _)| witness.lower > *old) {
                    *slot = Some((witness.lower, format::Proof::Witness { prefix: witness.prefix.clone() }));
                }
            }
        }
    }

    /// Takes note of a proof that is in the checker's format already.
    pub fn keep_upper(&self, token: TokenId, upper: f64, proof: format::Proof) {
        let mut best = self.best.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = &mut best.entry(token).or_default().upper;
        if slot.as_ref().is_none_or(|(old, _)| upper < *old) {
            *slot = Some((upper, proof));
        }
    }

    /// The certificate of a decided statement, and the statement.
    ///
    /// # Errors
    /// An undecided statement, or one that the format cannot hold.
    pub fn files(
        &self,
        model_digest: &str,
        statement: &Statement,
        answer: Answer,
    ) -> Result<Files, CertifyError> {
        let token = statement.predicate.tokens().first().copied().unwrap_or_default();
        let best = self.best.lock().unwrap_or_else(PoisonError::into_inner);
        let argument = best.get(&token).and_then(|best| match answer {
            Answer::Proved => best.upper.as_ref(),
            Answer::Refuted => best.lower.as_ref(),
            Answer::Unknown => None,
        });
        let (_, proof) = argument.ok_or(CertifyError::NoArgument { token, answer })?;
        settled(model_digest, statement, proof.clone())
    }
}

/// Statement and certificate of a statement that `proof` settles.
///
/// # Errors
/// A statement that the format cannot hold.
pub fn settled(
    model_digest: &str,
    statement: &Statement,
    proof: format::Proof,
) -> Result<Files, CertifyError> {
    let statement = statement_file(statement, model_digest)?;
    let certificate = format::Certificate::new(model_digest.into(), &statement, proof);
    Ok(Files { certificate: certificate.to_json_bytes(), statement })
}

/// The statement file: what certificates are bound to, and so the name under which an answer can be looked up.
///
/// # Errors
/// A statement that the format cannot hold.
pub fn statement_file(statement: &Statement, model_digest: &str) -> Result<Vec<u8>, CertifyError> {
    Ok(in_file(statement, model_digest)?.to_json_bytes())
}

/// The statement as the checker's format has it.
fn in_file(statement: &Statement, model_digest: &str) -> Result<format::Statement, CertifyError> {
    let language = language_in_file(&statement.language);
    let max_len = statement.max_len.map(u32::try_from).transpose();
    let max_len = max_len.map_err(|e| CertifyError::Statement(e.to_string()))?;
    let predicate = super::predicate::in_file(&statement.predicate)?;
    Ok(format::Statement::new(model_digest.into(), language, max_len, predicate))
}

fn language_in_file(language: &Language) -> format::Language {
    let all = |parts: &[Language]| parts.iter().map(language_in_file).collect();
    match language {
        Language::Any => format::Language::Any,
        Language::Set(set) => format::Language::Set(set.ranges().iter().map(|&(a, b)| [a, b]).collect()),
        Language::Seq(parts) => format::Language::Seq(all(parts)),
        Language::Union(parts) => format::Language::Union(all(parts)),
        Language::Repeat { of, min, max } => {
            format::Language::Repeat { of: Box::new(language_in_file(of)), min: *min, max: *max }
        }
    }
}
