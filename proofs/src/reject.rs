//! Every way in which a check ends without a theorem: the certificate is rejected, or its input can't be used.

use std::path::PathBuf;

use thiserror::Error;

/// A defect of the statement or the certificate: one variant per defect.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reject {
    /// The statement file is not the JSON that FORMAT.md describes.
    #[error("statement: {0}")]
    StatementMalformed(String),
    /// The certificate file is not the JSON that FORMAT.md describes.
    #[error("certificate: {0}")]
    CertificateMalformed(String),
    /// Statement file over the size limit.
    #[error("the statement has {bytes} bytes, the limit is {limit}")]
    StatementTooLong {
        /// Its size.
        bytes: usize,
        /// Largest accepted size.
        limit: usize,
    },
    /// Certificate file over the size limit.
    #[error("the certificate has {bytes} bytes, the limit is {limit}")]
    CertificateTooLong {
        /// Its size.
        bytes: usize,
        /// Largest accepted size.
        limit: usize,
    },
    /// Another kind of file.
    #[error("the file says format {found:?} where {expected:?} belongs")]
    WrongFormat {
        /// What the file says.
        found: String,
        /// What was expected in its place.
        expected: &'static str,
    },
    /// A format version that this checker doesn't know.
    #[error("format version {found}: this checker knows version {expected} only")]
    WrongVersion {
        /// What the file says.
        found: u32,
        /// The known version.
        expected: u32,
    },
    /// Threshold outside (0, 1).
    #[error("threshold {threshold} is not strictly between 0 and 1")]
    ThresholdRange {
        /// As written.
        threshold: String,
    },
    /// Temperature not positive.
    #[error("temperature {temperature} is not above 0")]
    TemperatureRange {
        /// As written.
        temperature: String,
    },
    /// `max_len` is zero: the statement speaks of no prefix at all.
    #[error("max_len is 0, so the statement speaks of no prefix at all")]
    NoPrefixes,
    /// The target token is not in the vocabulary.
    #[error("the statement's token {token} is not in the vocabulary of {vocabulary} tokens")]
    TargetOutOfVocabulary {
        /// Target.
        token: u32,
        /// Number of tokens.
        vocabulary: usize,
    },
    /// The statement names another model.
    #[error("the statement is about model {found}, this folder is {actual}")]
    StatementOfOtherModel {
        /// Digest in the statement.
        found: String,
        /// Digest of the folder.
        actual: String,
    },
    /// The certificate names another model.
    #[error("the certificate is for model {found}, this folder is {actual}")]
    CertificateOfOtherModel {
        /// Digest in the certificate.
        found: String,
        /// Digest of the folder.
        actual: String,
    },
    /// The certificate belongs to another statement.
    #[error("the certificate is for the statement with SHA-256 {found}, this file has {actual}")]
    OtherStatement {
        /// Hash in the certificate.
        found: String,
        /// Hash of the statement file.
        actual: String,
    },
    /// The head theorem needs a final LayerNorm or RMSNorm.
    #[error("a head proof needs a final norm, and this model has none")]
    NoFinalNorm,
    /// Denominator outside 1..=2^53.
    #[error("denominator {found} is not within 1..={limit}")]
    DenominatorRange {
        /// In the certificate.
        found: u64,
        /// Largest accepted one.
        limit: u64,
    },
    /// The numerators are not those of a probability vector.
    #[error("the numerators of lambda sum to {sum}, the denominator is {denominator}")]
    LambdaSum {
        /// Sum of the numerators.
        sum: u128,
        /// Denominator.
        denominator: u64,
    },
    /// A numerator is zero.
    #[error("lambda gives token {token} the numerator 0; leave the token out")]
    LambdaZero {
        /// Token.
        token: u32,
    },
    /// The target has weight in lambda.
    #[error("lambda must not contain the target token {token}")]
    LambdaTarget {
        /// Target.
        token: u32,
    },
    /// A token of lambda is not in the vocabulary.
    #[error("token {token} of lambda is not in the vocabulary of {vocabulary} tokens")]
    LambdaOutOfVocabulary {
        /// Token.
        token: u32,
        /// Number of tokens.
        vocabulary: usize,
    },
    /// Tokens of lambda repeat or are out of order.
    #[error("the tokens of lambda must increase strictly, but {token} follows {previous}")]
    LambdaOrder {
        /// Earlier token.
        previous: u32,
        /// Token after it.
        token: u32,
    },
    /// What lambda proves is weaker than the claim.
    #[error("lambda proves P <= {bound}, which is not at or below the threshold {threshold}")]
    BoundAboveThreshold {
        /// Proved upper bound.
        bound: String,
        /// Threshold as written.
        threshold: String,
    },
    /// A witness without tokens.
    #[error("the prefix is empty; a prefix has at least one token")]
    PrefixEmpty,
    /// A witness longer than the statement or the model allows.
    #[error("the prefix has {length} tokens, the {whose} allows {limit}")]
    PrefixTooLong {
        /// Its length.
        length: usize,
        /// Largest length.
        limit: usize,
        /// Whose limit it is.
        whose: &'static str,
    },
    /// A token of the prefix is not in the vocabulary.
    #[error(
        "token {token} at position {position} of the prefix is not in the vocabulary of {vocabulary} tokens"
    )]
    PrefixOutOfVocabulary {
        /// Token.
        token: u32,
        /// Where, from 0.
        position: usize,
        /// Number of tokens.
        vocabulary: usize,
    },
    /// The prefix does not violate the ceiling, as far as the enclosure tells.
    #[error("after the prefix P is within [{lower}, {upper}], which is not above the threshold {threshold}")]
    ProbabilityNotAbove {
        /// Lower end of the enclosure.
        lower: String,
        /// Upper end of the enclosure.
        upper: String,
        /// Threshold as written.
        threshold: String,
    },
    /// A quantity grew so large or a divisor came so close to zero that no enclosure is known.
    #[error("no enclosure of {what}: {why}")]
    NoEnclosure {
        /// Quantity.
        what: &'static str,
        /// Reason.
        why: &'static str,
    },
}

impl Reject {
    /// The variant's name, for machines.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{self:?}").chars().take_while(char::is_ascii_alphanumeric).collect()
    }
}

/// The model folder can't be used, so that nothing was decided.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InputError {
    /// A file can't be read.
    #[error("can't read {path}: {source}")]
    Read {
        /// File.
        path: PathBuf,
        /// Reason.
        source: std::io::Error,
    },
    /// A file of the model folder is malformed.
    #[error("{path}: {what}")]
    Malformed {
        /// File.
        path: PathBuf,
        /// Defect.
        what: String,
    },
    /// The configuration lacks a key, or its value can't be used.
    #[error("config.json: {0}")]
    Config(String),
    /// A tensor is missing, has the wrong shape or type, or holds NaN or infinity.
    #[error("tensor {name}: {what}")]
    Tensor {
        /// Name in the file.
        name: String,
        /// Defect.
        what: String,
    },
}

/// Why a check did not end with a theorem.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The certificate does not establish the statement.
    #[error("{0}")]
    Reject(#[from] Reject),
    /// The input can't be used.
    #[error("{0}")]
    Input(#[from] InputError),
}
