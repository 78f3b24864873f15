//! The JSON document of `audit`: a contract with scripts, written by the audit and read back by `report`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::TokenId;
use crate::verdict::Answer;

/// A finished audit. Probabilities are rounded outward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// The model as the user named it.
    pub model: String,
    /// The prefixes spoken of.
    pub language: String,
    /// Longest prefix spoken of, in tokens; `None` for every length.
    pub max_len: Option<usize>,
    /// Thresholds in the order given, to nearest.
    pub thresholds: Vec<f64>,
    /// One per token.
    pub tokens: Vec<Row>,
    /// Counts per threshold, keyed by its exact text.
    pub summary: BTreeMap<String, Counts>,
    /// Mean of `upper − lower`.
    pub mean_gap: f64,
    /// Seconds the audit took.
    pub seconds: f64,
}

/// One token of an audit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The token.
    pub id: TokenId,
    /// Its text.
    pub text: String,
    /// The greatest probability is at least this.
    pub lower: f64,
    /// The greatest probability is at most this.
    pub upper: f64,
    /// Prefix after which the probability is at least `lower`.
    pub witness: Option<Vec<TokenId>>,
    /// Whose argument `upper` rests on.
    pub prover: String,
    /// Answers, keyed by the exact text of the threshold.
    pub verdicts: BTreeMap<String, Answer>,
}

/// How many tokens got which answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Tokens that no prefix drives above the threshold.
    pub proved: usize,
    /// Tokens with a witness above the threshold.
    pub refuted: usize,
    /// The others.
    pub unknown: usize,
}
