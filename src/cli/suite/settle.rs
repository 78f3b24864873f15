//! One statement of a suite: the certificate that is there, the same argument about the present weights, or a new search.
//!
//! The independent checker has the last word on all three, so nothing is reported as decided that it would not accept.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use llmprove::certify::{Files, statement_file};
use llmprove::decide::decide;
use llmprove::limits::Limits;
use llmprove::num::decimal::signed_below;
use llmprove::prove::Observer;
use llmprove::report::claim;
use llmprove::spec::Statement;
use llmprove::suite::{Entry, How, Outcome, Status, WitnessText};
use llmprove::verdict::{Answer, Prover};
use llmprove_proofs::{Certificate, CheckError, Proof, Theorem, Verdict, check, sha256_hex};

use super::models::Opened;
use crate::cli::error::CliError;

/// A statement, ready to be settled.
pub struct Task<'a> {
    /// As the suite has it.
    pub entry: &'a Entry,
    model: &'a Opened,
    statement: Statement,
    /// The statement file that belongs to the present weights.
    file: Vec<u8>,
    /// The certificate on disk, whatever it is worth.
    old: Option<Vec<u8>>,
}

/// A statement that was settled, or not.
pub struct Settled {
    /// Where the answer comes from.
    pub how: How,
    /// Statement and certificate; `None` exactly if the answer is unknown.
    pub files: Option<Files>,
    theorem: Option<Theorem>,
    bounds: Option<[f64; 2]>,
    note: Option<String>,
    seconds: f64,
}

impl<'a> Task<'a> {
    /// Finds the statement's tokens in its model, and its certificate in the folder `certificates`.
    pub fn new(
        suite: &str,
        entry: &'a Entry,
        model: &'a Opened,
        certificates: Option<&Path>,
    ) -> Result<Task<'a>, CliError> {
        let statement = model.statement(suite, entry)?;
        let file = statement_file(&statement, model.folder.digest())?;
        let old = certificates.map(|dir| read(&dir.join(format!("{}.json", entry.name)))).transpose()?;
        Ok(Task { entry, model, statement, file, old: old.flatten() })
    }

    /// Settles the statement: cheap ways first.
    pub fn settle(&self, limits: &Limits, observer: Observer<'_>) -> Result<Settled, CliError> {
        let start = Instant::now();
        let mut note = None;
        if let Some(old) = &self.old {
            match self.reuse(old)? {
                Ok(settled) => return Ok(Settled { seconds: start.elapsed().as_secs_f64(), ..settled }),
                Err(why) => note = Some(why),
            }
        }
        let limits = limits.within(Duration::from_secs_f64(self.entry.seconds));
        let settled = self.search(&limits, observer)?;
        let note = settled.note.clone().or(note);
        Ok(Settled { note, seconds: start.elapsed().as_secs_f64(), ..settled })
    }

    /// The argument on disk, as it is or about the present weights; or why it does not hold.
    fn reuse(&self, old: &[u8]) -> Result<Result<Settled, String>, CliError> {
        let files = |certificate| Files { statement: self.file.clone(), certificate };
        let certificate = match Certificate::from_json_bytes(old) {
            Ok(certificate) => certificate,
            Err(e) => return Ok(Err(format!("the certificate on disk is not one: {e}"))),
        };
        let digest = self.model.folder.digest();
        let (how, bytes) = if certificate.statement == sha256_hex(&self.file) && certificate.model == digest {
            (How::Checked, old.to_vec())
        } else {
            let again = Certificate::new(digest.into(), &self.file, certificate.proof);
            (How::Survived, again.to_json_bytes())
        };
        Ok(self.checked(&bytes)?.map(|theorem| Settled {
            how,
            files: Some(files(bytes)),
            theorem: Some(theorem),
            bounds: None,
            note: None,
            seconds: 0.0,
        }))
    }

    fn search(&self, limits: &Limits, observer: Observer<'_>) -> Result<Settled, CliError> {
        let decision = decide(&self.model.folder, &self.statement, Prover::WORKERS.into(), limits, observer)?;
        let range = decision.extreme.range;
        let bounds = [signed_below(range.lo()), -signed_below(-range.hi())];
        let open = |note| Settled {
            how: How::Searched,
            files: None,
            theorem: None,
            bounds: Some(bounds),
            note,
            seconds: 0.0,
        };
        let Some(files) = decision.files else { return Ok(open(None)) };
        Ok(match self.checked(&files.certificate)? {
            Ok(theorem) => Settled { files: Some(files), theorem: Some(theorem), bounds: None, ..open(None) },
            // Not a mistake: there are more prefixes than the checker evaluates unasked.
            Err(why) if decision.extreme.prover == Prover::Exhaustive => {
                open(Some(format!("{} by enumeration, but not checked: {why}", decision.answer.word())))
            }
            Err(why) => open(Some(format!(
                "the prover says {}, but its own certificate is rejected, so nothing is claimed: {why}; \
                 this is a mistake in llmprove: please report it",
                decision.answer.word()
            ))),
        })
    }

    /// What the independent checker says; the inner error is a rejection.
    fn checked(&self, certificate: &[u8]) -> Result<Result<Theorem, String>, CliError> {
        match check(self.model.folder.dir(), &self.file, certificate) {
            Ok(theorem) => Ok(Ok(theorem)),
            Err(CheckError::Reject(reject)) => Ok(Err(reject.to_string())),
            Err(CheckError::Input(e)) => Err(CliError {
                message: format!("the checker cannot read {}: {e}", self.model.folder.dir().display()),
                help: None,
            }),
        }
    }
}

impl Settled {
    /// Everything that reports say; `certificate` is where it lies, if it does.
    pub fn outcome(self, task: &Task<'_>, certificate: Option<PathBuf>) -> Outcome {
        let Task { entry, model, statement, .. } = task;
        let verdict = match self.theorem.as_ref().map(|theorem| theorem.verdict) {
            None => Answer::Unknown,
            Some(Verdict::Proved) => Answer::Proved,
            Some(Verdict::Refuted) => Answer::Refuted,
        };
        let proof = self.files.as_ref().and_then(|f| Certificate::from_json_bytes(&f.certificate).ok());
        let witness = match proof.map(|certificate| certificate.proof) {
            Some(Proof::Witness { prefix }) => Some(WitnessText {
                tokens: prefix.iter().map(|&id| model.vocab.text(id)).collect(),
                text: model.vocab.decode(&prefix),
                ids: prefix,
            }),
            Some(_) | None => None,
        };
        Outcome {
            name: entry.name.clone(),
            line: entry.line,
            model: entry.model.clone().unwrap_or_else(|| model.folder.dir().display().to_string()),
            claim: claim(statement, &entry.prefix, &model.vocab),
            status: Status::of(verdict, entry.expect, task.old.is_some()),
            verdict,
            expect: entry.expect,
            how: self.how,
            theorem: self.theorem,
            witness,
            bounds: self.bounds,
            certificate: certificate.map(|path| path.display().to_string()),
            sha256: self.files.map(|files| sha256_hex(&files.certificate)),
            note: self.note,
            seconds: self.seconds,
        }
    }
}

/// A file, or nothing where there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>, CliError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(CliError::new(
            format!("cannot read the certificate {}: {e}", path.display()),
            "make it readable, or move it away to prove the statement anew",
        )),
    }
}
