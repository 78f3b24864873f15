//! Every way in which a check ends without a theorem: the certificate is rejected, or its input can't be used.

use std::path::PathBuf;

use thiserror::Error;

/// A defect of the statement or the certificate: one variant per defect.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[non_exhaustive]
pub enum Reject {
    /// Not the JSON that FORMAT.md describes.
    #[error("statement: {0}")]
    StatementMalformed(String),
    /// Not the JSON that FORMAT.md describes.
    #[error("certificate: {0}")]
    CertificateMalformed(String),
    /// The file is over the size limit.
    #[error("the statement has {bytes} bytes, the limit is {limit}")]
    StatementTooLong { bytes: usize, limit: usize },
    /// The file is over the size limit.
    #[error("the certificate has {bytes} bytes, the limit is {limit}")]
    CertificateTooLong { bytes: usize, limit: usize },
    /// Another kind of file.
    #[error("the file says format {found:?} where {expected:?} belongs")]
    WrongFormat { found: String, expected: &'static str },
    /// A format version that this checker doesn't know.
    #[error("format version {found}: this checker knows version {expected} only")]
    WrongVersion { found: u32, expected: u32 },
    /// The threshold is not a probability that can be exceeded and undercut.
    #[error("threshold {threshold} is not strictly between 0 and 1")]
    ThresholdRange { threshold: String },
    /// The temperature is zero or negative.
    #[error("temperature {temperature} is not above 0")]
    TemperatureRange { temperature: String },
    /// A token set that is empty, whole, or not in order.
    #[error(
        "the set of {tokens} tokens must increase strictly and be neither empty nor all {vocabulary} tokens"
    )]
    TokenSet { tokens: usize, vocabulary: usize },
    /// A token compared with itself.
    #[error("token {token} is compared with itself")]
    SameToken { token: u32 },
    /// `k` of a rank is out of range.
    #[error("k is {k}; with {vocabulary} tokens it must be at least 1 and below that")]
    RankRange { k: u32, vocabulary: usize },
    /// `max_len` is zero.
    #[error("max_len is 0, so the statement speaks of no prefix at all")]
    NoPrefixes,
    /// Ranges of a token set that are not in order.
    #[error("a token set of the language is not a list of increasing, disjoint ranges [first,last]")]
    LanguageSet,
    /// A repetition of at least more than at most.
    #[error("the language repeats at least {min} and at most {max} times")]
    LanguageRepeat { min: u32, max: u32 },
    /// Nested too deeply.
    #[error("the language is nested deeper than {limit}")]
    LanguageDepth { limit: usize },
    /// A membership test that takes too long.
    #[error("the language is too large: the test whether it holds the prefix takes more than {limit} steps")]
    LanguageTooLarge { limit: usize },
    /// A witness that the statement does not speak of.
    #[error("the prefix does not belong to the statement's language")]
    PrefixOutsideLanguage,
    /// The statement's target token does not exist.
    #[error("the statement's token {token} is not in the vocabulary of {vocabulary} tokens")]
    TargetOutOfVocabulary { token: u32, vocabulary: usize },
    /// The statement names another model.
    #[error("the statement is about model {found}, this folder is {actual}")]
    StatementOfOtherModel { found: String, actual: String },
    /// The certificate names another model.
    #[error("the certificate is for model {found}, this folder is {actual}")]
    CertificateOfOtherModel { found: String, actual: String },
    /// The certificate belongs to another statement.
    #[error("the certificate is for the statement with SHA-256 {found}, this file has {actual}")]
    OtherStatement { found: String, actual: String },
    /// A head proof for a model that ends without LayerNorm or RMSNorm.
    #[error("a head proof needs a final norm, and this model has none")]
    NoFinalNorm,
    /// The denominator is zero or too large.
    #[error("denominator {found} is not within 1..={limit}")]
    DenominatorRange { found: u64, limit: u64 },
    /// The numerators are not those of a probability vector.
    #[error("the numerators of lambda sum to {sum}, the denominator is {denominator}")]
    LambdaSum { sum: u128, denominator: u64 },
    /// A numerator is zero.
    #[error("lambda gives token {token} the numerator 0; leave the token out")]
    LambdaZero { token: u32 },
    /// The target has weight in lambda.
    #[error("lambda must not contain the target token {token}")]
    LambdaTarget { token: u32 },
    /// A token of lambda does not exist.
    #[error("token {token} of lambda is not in the vocabulary of {vocabulary} tokens")]
    LambdaOutOfVocabulary { token: u32, vocabulary: usize },
    /// Tokens of lambda repeat or are out of order.
    #[error("the tokens of lambda must increase strictly, but {token} follows {previous}")]
    LambdaOrder { previous: u32, token: u32 },
    /// What lambda proves is weaker than the claim.
    #[error("lambda proves P <= {bound}, which is not at or below the threshold {threshold}")]
    BoundAboveThreshold { bound: String, threshold: String },
    /// A witness without tokens.
    #[error("the prefix is empty; a prefix has at least one token")]
    PrefixEmpty,
    /// A witness longer than the statement or the model allows.
    #[error("the prefix has {length} tokens, the {whose} allows {limit}")]
    PrefixTooLong { length: usize, limit: usize, whose: &'static str },
    /// A token of the prefix does not exist.
    #[error(
        "token {token} at position {position} of the prefix is not in the vocabulary of {vocabulary} tokens"
    )]
    PrefixOutOfVocabulary { token: u32, position: usize, vocabulary: usize },
    /// The prefix does not violate the claim, as far as the enclosure tells.
    #[error(
        "after the prefix it still holds that {claim}, or that is open: {measure} is within [{lower}, {upper}]"
    )]
    NotViolated { claim: String, measure: String, lower: String, upper: String },
    /// A continuation without tokens.
    #[error("the continuation of the statement has no tokens")]
    NoContinuation,
    /// A set proof with weights for too few or too many tokens.
    #[error("there are weights for {found} tokens, the set has {expected}")]
    DualCount { found: usize, expected: usize },
    /// A set proof with a weight on the set itself.
    #[error("token {token} has a weight, but belongs to the set")]
    LambdaInSet { token: u32 },
    /// A parts proof with too few or too many parts.
    #[error("there are {found} parts, the statement names {expected} tokens")]
    PartCount { found: usize, expected: usize },
    /// Parts that prove less than the statement.
    #[error("the thresholds of the parts together exceed the threshold {threshold}")]
    PartsAboveThreshold { threshold: String },
    /// A proved bound on the wrong side of the statement's.
    #[error("the certificate proves only that {measure} is at least {bound}, the statement says {threshold}")]
    BoundBelowThreshold { measure: String, bound: String, threshold: String },
    /// More prefixes than the checker is willing to evaluate.
    #[error("the language holds, or is made of, more than {limit} prefixes; allow more with --limit")]
    TooManyPrefixes { limit: usize },
    /// Nothing to evaluate.
    #[error("the language holds no prefix of at most the length spoken of")]
    LanguageEmpty,
    /// After a prefix the claim does not hold, as far as the enclosure tells.
    #[error(
        "after the prefix {prefix:?} the claim does not hold, or that is open: {measure} is within [{lower}, {upper}]"
    )]
    NotMet { prefix: Vec<u32>, measure: String, lower: String, upper: String },
    /// A proof of another kind of claim.
    #[error("a {rule} proof does not prove that {claim}")]
    WrongRule { rule: &'static str, claim: String },
    /// A block proof about something that the rule does not cover.
    #[error("the block rule does not cover this: {why}")]
    NotCovered { why: String },
    /// The range of ρ of a block proof leaves out prefixes.
    #[error("rho is not proved to lie within [{lo}, {hi}] / 2^20 for every prefix")]
    RhoRange { lo: i64, hi: i64 },
    /// A block proof ends before its tree does.
    #[error("node {node} is missing: a split without a child")]
    NodeMissing { node: usize },
    /// A block proof goes on after its tree.
    #[error("node {node} belongs to no split")]
    NodeExtra { node: usize },
    /// A leaf that leaves something unproved.
    #[error("node {node} is a leaf, but {pairs} pairs of length and last token are open: {example}")]
    PairsOpen { node: usize, pairs: usize, example: String },
    /// A leaf that leaves something unproved.
    #[error("node {node} is a leaf, but {margins} margins are not proved there")]
    MarginsOpen { node: usize, margins: usize },
    /// Prefixes that no tree of an attention proof speaks of.
    #[error("the language has prefixes of {length} tokens, but the next tree is not about these")]
    TreeMissing { length: usize },
    /// A tree about prefixes that the statement does not speak of.
    #[error(
        "a tree is about prefixes of {length} tokens, which are not in the statement or are settled already"
    )]
    TreeExtra { length: u32 },
    /// Children of a node that needs none.
    #[error("node {node} has a split although nothing is open")]
    SplitClosed { node: usize },
    /// A split whose children are not two parts of the node.
    #[error("node {node}: the split lies outside of the node: {why}")]
    SplitOutside { node: usize, why: String },
    /// A vector of multipliers of the wrong length.
    #[error("the vector {name} has {found} numbers, the model needs {expected}")]
    VectorLength { name: &'static str, found: usize, expected: usize },
    /// A multiplier beyond the limit.
    #[error("the vector {name} holds {found}, which is out of range")]
    MultiplierRange { name: &'static str, found: i64 },
    /// The centre of a quadratic part has a mean.
    #[error("the vector centre does not sum to zero")]
    CentreMean,
    /// θ is too small for the curves.
    #[error("the quadratic form of the multipliers is not positive definite")]
    Indefinite,
    /// `m` is longer than λ allows.
    #[error("the vector lift is too long for its lambda")]
    LiftLength,
    /// λ that is not all on the token that the claim names.
    #[error("lambda has to be all on token {over}, which the claim names")]
    NamedLambda {
        /// The token.
        over: u32,
    },
    /// Multipliers or a tree where the claim needs neither.
    #[error("a claim about pairs of tokens needs no sums and no nodes")]
    OrderNotEmpty,
    /// A pair of tokens whose order is not proved.
    #[error(
        "the logit of token {over} less that of token {under} goes down to {least} or below, as far as the head tells"
    )]
    OrderOfPair { over: u32, under: u32, least: String },
    /// The weights of a sum are not those of a sum.
    #[error("sum {sum}: {why}")]
    SumMalformed { sum: usize, why: &'static str },
    /// A sum that is not positive on the whole ball.
    #[error("sum {sum} goes down to {least} or below")]
    SumNotPositive { sum: usize, least: String },
    /// A node uses a sum that does not exist, does not hold there, or shares tokens with another one of the node.
    #[error("node {node}: {why}")]
    OrderNode { node: usize, why: &'static str },
    /// A quantity grew so large or a divisor came so close to zero that no enclosure is known.
    #[error("no enclosure of {what}: {why}")]
    NoEnclosure { what: &'static str, why: &'static str },
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
