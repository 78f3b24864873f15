//! Gauges: the numbers that a search drives up, read off the log-probabilities that the fast evaluation gives.
//!
//! One number per target: the log-probability of its token, or the excess of a predicate, which may need the
//! log-probabilities after some continuations of the prefix too.

use ndarray::Array2;

use crate::model::TokenId;
use crate::spec::Predicate;

/// What is read off an evaluation.
#[derive(Debug)]
pub struct Gauges<'a> {
    /// Tokens whose log-probability is read.
    tokens: Vec<TokenId>,
    /// The predicate whose excess is read in place of the first token's log-probability.
    predicate: Option<&'a Predicate>,
}

/// The numbers of several prefixes.
#[derive(Debug)]
pub struct Readings<'a> {
    tokens: &'a [TokenId],
    /// Log-probabilities, `[prefixes, vocabulary]`, in nats.
    log_p: &'a Array2<f32>,
    /// One per prefix where there is a predicate; otherwise none.
    excess: Vec<f32>,
}

impl<'a> Gauges<'a> {
    /// The log-probabilities of tokens.
    pub fn of_tokens(tokens: Vec<TokenId>) -> Gauges<'a> {
        Gauges { tokens, predicate: None }
    }

    /// The excess of a predicate in place of the first of these tokens.
    pub fn of_predicate(predicate: &'a Predicate, tokens: Vec<TokenId>) -> Gauges<'a> {
        Gauges { tokens, predicate: Some(predicate) }
    }

    /// The tokens, one per target.
    pub fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    /// The predicate that takes the place of the first token.
    pub fn predicate(&self) -> Option<&'a Predicate> {
        self.predicate
    }

    /// A certified bound that is sought, on the scale of the readings: in nats.
    pub fn scale(&self, bound: f64) -> f64 {
        if self.predicate.is_some() { bound } else { bound.ln() }
    }

    /// The continuations of a prefix, one token longer each, after which the predicate needs log-probabilities too.
    pub fn continuation(&self) -> &'a [TokenId] {
        self.predicate.map_or(&[], Predicate::continuation)
    }

    /// Reads log-probabilities: after the prefixes themselves, then after each continuation of them.
    pub fn read<'r>(&'r self, log_p: &'r [Array2<f32>]) -> Readings<'r> {
        let excess = |predicate: &Predicate| {
            let rows = |i: usize| -> Vec<Vec<f32>> { log_p.iter().map(|l| l.row(i).to_vec()).collect() };
            (0..log_p[0].nrows()).map(|i| predicate.score(&rows(i))).collect()
        };
        Readings {
            tokens: &self.tokens,
            log_p: &log_p[0],
            excess: self.predicate.map_or_else(Vec::new, excess),
        }
    }
}

impl Readings<'_> {
    /// Number of prefixes.
    pub fn n_prefixes(&self) -> usize {
        self.log_p.nrows()
    }

    /// Number of targets.
    pub fn n_targets(&self) -> usize {
        self.tokens.len()
    }

    /// The number of a target after a prefix.
    pub fn value(&self, prefix: usize, target: usize) -> f32 {
        match self.excess.get(prefix) {
            Some(excess) if target == 0 => *excess,
            _ => self.log_p[[prefix, self.tokens[target] as usize]],
        }
    }
}
