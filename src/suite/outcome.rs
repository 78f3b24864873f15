//! What became of each statement of a suite, and of the suite as a whole.

use llmprove_proofs::Theorem;
use serde::Serialize;

use crate::model::TokenId;
use crate::verdict::Answer;

/// Where the answer to a statement comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// The certificate on disk was accepted as it is.
    Checked,
    /// The argument on disk was made for other weights or another statement, and holds for the present ones too.
    Survived,
    /// Found anew by provers and searchers.
    Searched,
}

impl How {
    /// The word for it, in lower case.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            How::Checked => "checked",
            How::Survived => "survived",
            How::Searched => "searched",
        }
    }
}

/// Whether a statement is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The answer is the expected one.
    Ok,
    /// Decided, and not as expected.
    Broken,
    /// There was a certificate, it no longer holds, and no new one was found within the limits.
    Lost,
    /// Never decided so far.
    Open,
}

impl Status {
    /// Compares an answer with the expected one; `had` is whether there was a certificate for something before.
    #[must_use]
    pub fn of(answer: Answer, expect: Answer, had: bool) -> Status {
        match answer {
            Answer::Unknown if had => Status::Lost,
            Answer::Unknown => Status::Open,
            answer if answer == expect => Status::Ok,
            Answer::Proved | Answer::Refuted => Status::Broken,
        }
    }

    /// The word for it, in lower case.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Broken => "broken",
            Status::Lost => "lost",
            Status::Open => "open",
        }
    }
}

/// A prefix as people read it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WitnessText {
    /// Token ids.
    pub ids: Vec<TokenId>,
    /// Text of each token.
    pub tokens: Vec<String>,
    /// Text of the whole.
    pub text: String,
}

/// One statement after a run.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Name of the statement.
    pub name: String,
    /// Line of the suite file.
    pub line: usize,
    /// The model as the suite names it.
    pub model: String,
    /// The statement in words.
    pub claim: String,
    /// Whether all is well.
    pub status: Status,
    /// The answer.
    pub verdict: Answer,
    /// What it should be.
    pub expect: Answer,
    /// Where the answer comes from.
    pub how: How,
    /// What the independent checker said about the certificate; `None` exactly if the answer is unknown.
    pub theorem: Option<Theorem>,
    /// The prefix that refutes the statement.
    pub witness: Option<WitnessText>,
    /// Certified bounds, where the answer is unknown.
    pub bounds: Option<[f64; 2]>,
    /// The certificate file.
    pub certificate: Option<String>,
    /// SHA-256 of the certificate file.
    pub sha256: Option<String>,
    /// Why the certificate on disk no longer holds, where there was one.
    pub note: Option<String>,
    /// Seconds spent.
    pub seconds: f64,
}

/// How many statements ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// As expected.
    pub ok: usize,
    /// Decided otherwise.
    pub broken: usize,
    /// Lost their certificate.
    pub lost: usize,
    /// Never decided.
    pub open: usize,
    /// Settled by the certificate on disk.
    pub checked: usize,
    /// Settled by an argument on disk that was made for something else.
    pub survived: usize,
    /// Put to provers and searchers.
    pub searched: usize,
}

impl Summary {
    /// Counts.
    #[must_use]
    pub fn of(outcomes: &[Outcome]) -> Summary {
        let status = |s: Status| outcomes.iter().filter(|o| o.status == s).count();
        let how = |h: How| outcomes.iter().filter(|o| o.how == h).count();
        Summary {
            ok: status(Status::Ok),
            broken: status(Status::Broken),
            lost: status(Status::Lost),
            open: status(Status::Open),
            checked: how(How::Checked),
            survived: how(How::Survived),
            searched: how(How::Searched),
        }
    }

    /// 0 if all is as expected, 1 if a statement broke or lost its proof, 3 if some were never decided.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Summary { broken: 0, lost: 0, open: 0, .. } => 0,
            Summary { broken: 0, lost: 0, .. } => 3,
            Summary { .. } => 1,
        }
    }
}
