//! The pool: for every target and every length, the likeliest prefix that any evaluation has met.
//!
//! One run of the network gives the probabilities of the whole vocabulary, so whatever is evaluated for one target may
//! improve all others. Keeping one prefix per length keeps the starts of later climbs apart from each other.

use std::collections::BTreeMap;

use crate::model::TokenId;

/// A prefix and the target's log-probability after it, or the excess of a predicate, in nats, as the fast evaluation gives
/// it: a hint, not a bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Nats.
    pub log_p: f32,
    /// Token ids, first token first.
    pub prefix: Vec<TokenId>,
}

impl Candidate {
    /// Whether `self` is the better one; at equal values the shorter, then the lexicographically smaller prefix is, so
    /// that the order of evaluation does not matter.
    #[must_use]
    pub fn beats(&self, other: &Candidate) -> bool {
        let key = |c: &Candidate| c.prefix.len();
        self.log_p > other.log_p
            || self.log_p == other.log_p && (key(self), &self.prefix) < (key(other), &other.prefix)
    }
}

/// Best candidates per target and length.
#[derive(Debug)]
pub struct Pool {
    /// Per target: length to best prefix of that length.
    best: Vec<BTreeMap<usize, Candidate>>,
}

impl Pool {
    /// Nothing known about `n_targets` targets.
    #[must_use]
    pub fn new(n_targets: usize) -> Pool {
        Pool { best: vec![BTreeMap::new(); n_targets] }
    }

    /// Takes `log_p` after `prefix()`, a prefix of `len` tokens, into account for the target with index `target`.
    pub fn offer(&mut self, target: usize, log_p: f32, len: usize, prefix: impl FnOnce() -> Vec<TokenId>) {
        let of_target = &mut self.best[target];
        let promising = of_target.get(&len).is_none_or(|old| log_p >= old.log_p);
        if !promising || log_p.is_nan() {
            return;
        }
        let new = Candidate { log_p, prefix: prefix() };
        if of_target.get(&len).is_none_or(|old| new.beats(old)) {
            of_target.insert(len, new);
        }
    }

    /// The best candidate of any length.
    #[must_use]
    pub fn best(&self, target: usize) -> Option<&Candidate> {
        self.best[target].values().reduce(|a, b| if b.beats(a) { b } else { a })
    }

    /// The best candidate of each length, the best first.
    #[must_use]
    pub fn by_length(&self, target: usize) -> Vec<&Candidate> {
        let mut all: Vec<&Candidate> = self.best[target].values().collect();
        all.sort_by(|a, b| b.log_p.total_cmp(&a.log_p).then(a.prefix.len().cmp(&b.prefix.len())));
        all
    }
}
