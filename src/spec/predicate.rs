//! Predicates of the next-token distribution, and the one number per prefix that decides each of them.
//!
//! With logits `l`, `T` the temperature and `LSE` the log-sum-exp, the *excess* of a prefix, in nats, is
//!
//! | predicate | claim | excess | limit |
//! |---|---|---|---|
//! | ceiling | `P(t) <= p` | log-odds of `t`: `l_t/T − LSE_{j≠t}(l_j/T)` | `ln(p/(1−p))` |
//! | set ceiling | `P(S) <= p` | log-odds of `S`: `LSE_{s∈S}(l_s/T) − LSE_{j∉S}(l_j/T)` | `ln(p/(1−p))` |
//! | floor | `P(t) >= p` | log-odds of all but `t` | `−ln(p/(1−p))` |
//! | dominance | `l_over − l_under >= c` | `l_under − l_over` | `−c` |
//! | never among the k likeliest | k others have `l_j > l_t` | `l_t −` k-th largest other logit | 0 |
//! | always the likeliest | `l_t > l_j` for all others | largest other logit `− l_t` | 0 |
//!
//! and the claim holds after a prefix if its excess is at most the limit; for the last two, below it. These are strict, so
//! that they do not depend on how ties are broken.

use super::{Decimal, Threshold};
use crate::model::TokenId;
use crate::num::{self, Interval};
use crate::verdict::Answer;

/// A property of the next-token distribution.
#[derive(Debug, Clone, PartialEq)]
pub enum Predicate {
    /// `P(token | prefix) <= threshold`.
    Ceiling {
        /// The token spoken of.
        token: TokenId,
        /// The probability that is not exceeded.
        threshold: Threshold,
        /// Positive number that divides the logits; `None` is 1.
        temperature: Option<Decimal>,
    },
    /// `Σ P(token | prefix) <= threshold`.
    SetCeiling {
        /// The tokens spoken of: increasing, at least one and not all.
        tokens: Vec<TokenId>,
        /// The probability that is not exceeded.
        threshold: Threshold,
        /// See [`Predicate::Ceiling`].
        temperature: Option<Decimal>,
    },
    /// `P(token | prefix) >= threshold`.
    Floor {
        /// The token spoken of.
        token: TokenId,
        /// The probability that is always reached.
        threshold: Threshold,
        /// See [`Predicate::Ceiling`].
        temperature: Option<Decimal>,
    },
    /// `l_over − l_under >= margin`, in nats.
    Dominance {
        /// The token with the greater logit.
        over: TokenId,
        /// The one with the smaller logit.
        under: TokenId,
        /// Least difference.
        margin: Decimal,
    },
    /// Some other token has a greater logit.
    NeverArgmax {
        /// The token spoken of.
        token: TokenId,
    },
    /// At least `k` other tokens have greater logits.
    NeverTopK {
        /// The token spoken of.
        token: TokenId,
        /// At least 1, and fewer than there are tokens.
        k: usize,
    },
    /// Every other token has a smaller logit.
    AlwaysArgmax {
        /// The token spoken of.
        token: TokenId,
    },
}

/// What the excess is compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// Holds the exact limit, in nats.
    pub value: Interval,
    /// Whether an excess equal to the limit is already too much.
    pub strict: bool,
}

/// Why a predicate makes no sense for a vocabulary.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PredicateError {
    /// A token that does not exist.
    #[error("token {token} is not in the vocabulary of {vocab_size} tokens")]
    Token {
        /// As given.
        token: TokenId,
        /// Number of tokens.
        vocab_size: usize,
    },
    /// An empty set, all tokens, or tokens out of order.
    #[error("a set has at least one token, not all {vocab_size}, each once and in increasing order")]
    Set {
        /// Number of tokens.
        vocab_size: usize,
    },
    /// A token compared with itself.
    #[error("token {token} is compared with itself")]
    SameToken {
        /// As given.
        token: TokenId,
    },
    /// A rank that does not exist.
    #[error("k is {k}, and has to be from 1 to {} with this vocabulary", vocab_size - 1)]
    Rank {
        /// As given.
        k: usize,
        /// Number of tokens.
        vocab_size: usize,
    },
    /// Not positive.
    #[error("temperature {0} is not above 0")]
    Temperature(Decimal),
}

impl Limit {
    /// Whether a proved upper bound on the excess proves the claim. False for NaN.
    #[must_use]
    pub fn admits(&self, upper: f64) -> bool {
        if self.strict { upper < self.value.lo() } else { upper <= self.value.lo() }
    }

    /// Whether a certified excess of a prefix breaks the claim. False for NaN.
    #[must_use]
    pub fn exceeded_by(&self, lower: f64) -> bool {
        if self.strict { lower >= self.value.hi() } else { lower > self.value.hi() }
    }
}

impl Predicate {
    /// Whether it makes sense for a vocabulary of this size.
    ///
    /// # Errors
    /// [`PredicateError`] for what is wrong.
    pub fn check(&self, vocab_size: usize) -> Result<(), PredicateError> {
        let tokens = self.tokens();
        if let Some(&token) = tokens.iter().find(|&&t| t as usize >= vocab_size) {
            return Err(PredicateError::Token { token, vocab_size });
        }
        match self {
            Predicate::SetCeiling { .. }
                if tokens.is_empty()
                    || tokens.len() >= vocab_size
                    || tokens.windows(2).any(|w| w[0] >= w[1]) =>
            {
                return Err(PredicateError::Set { vocab_size });
            }
            Predicate::Dominance { over, under, .. } if over == under => {
                return Err(PredicateError::SameToken { token: *over });
            }
            Predicate::NeverTopK { k, .. } if !(1..vocab_size).contains(k) => {
                return Err(PredicateError::Rank { k: *k, vocab_size });
            }
            _ => {}
        }
        match self.temperature_text().filter(|t| !(t.enclosure().lo() > 0.0)) {
            Some(temperature) => Err(PredicateError::Temperature(temperature.clone())),
            None => Ok(()),
        }
    }

    /// The tokens it names; never empty for one that makes sense.
    #[must_use]
    pub fn tokens(&self) -> Vec<TokenId> {
        match self {
            Predicate::SetCeiling { tokens, .. } => tokens.clone(),
            Predicate::Dominance { over, under, .. } => vec![*over, *under],
            Predicate::Ceiling { token, .. }
            | Predicate::Floor { token, .. }
            | Predicate::NeverArgmax { token }
            | Predicate::NeverTopK { token, .. }
            | Predicate::AlwaysArgmax { token } => vec![*token],
        }
    }

    /// The name of its kind, as in statement files.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Predicate::Ceiling { .. } => "ceiling",
            Predicate::SetCeiling { .. } => "set-ceiling",
            Predicate::Floor { .. } => "floor",
            Predicate::Dominance { .. } => "dominance",
            Predicate::NeverArgmax { .. } => "never-argmax",
            Predicate::NeverTopK { .. } => "never-top-k",
            Predicate::AlwaysArgmax { .. } => "always-argmax",
        }
    }

    /// The temperature, if it has one.
    #[must_use]
    pub fn temperature_text(&self) -> Option<&Decimal> {
        match self {
            Predicate::Ceiling { temperature, .. }
            | Predicate::SetCeiling { temperature, .. }
            | Predicate::Floor { temperature, .. } => temperature.as_ref(),
            Predicate::Dominance { .. }
            | Predicate::NeverArgmax { .. }
            | Predicate::NeverTopK { .. }
            | Predicate::AlwaysArgmax { .. } => None,
        }
    }

    /// Holds the temperature; 1 for those that it does not matter to.
    pub fn temperature(&self) -> Interval {
        self.temperature_text().map_or(Interval::ONE, Decimal::enclosure)
    }

    /// What the excess must not exceed.
    #[must_use]
    pub fn limit(&self) -> Limit {
        let (value, strict) = match self {
            Predicate::Ceiling { threshold, .. } | Predicate::SetCeiling { threshold, .. } => {
                (threshold.log_odds(), false)
            }
            Predicate::Floor { threshold, .. } => (-threshold.log_odds(), false),
            Predicate::Dominance { margin, .. } => (-margin.enclosure(), false),
            Predicate::NeverArgmax { .. } | Predicate::NeverTopK { .. } | Predicate::AlwaysArgmax { .. } => {
                (Interval::ZERO, true)
            }
        };
        Limit { value, strict }
    }

    /// The answer that follows from certified `lower <= max excess <= upper`.
    #[must_use]
    pub fn answer(&self, lower: f64, upper: f64) -> Answer {
        let limit = self.limit();
        match (limit.admits(upper), limit.exceeded_by(lower)) {
            (true, false) => Answer::Proved,
            (false, true) => Answer::Refuted,
            // Both at once cannot happen with sound bounds; if it does, nothing is claimed.
            (false, false) | (true, true) => Answer::Unknown,
        }
    }

    /// Encloses the excess of logits `[vocabulary]` that are enclosed themselves.
    pub fn excess(&self, logits: &[Interval]) -> Interval {
        let l = |token: &TokenId| logits[*token as usize];
        match self {
            Predicate::Ceiling { token, .. } => log_odds(logits, &[*token], self.temperature()),
            Predicate::SetCeiling { tokens, .. } => log_odds(logits, tokens, self.temperature()),
            Predicate::Floor { token, .. } => -log_odds(logits, &[*token], self.temperature()),
            Predicate::Dominance { over, under, .. } => l(under) - l(over),
            Predicate::NeverArgmax { token } => l(token) - kth_other(logits, *token, 1),
            Predicate::NeverTopK { token, k } => l(token) - kth_other(logits, *token, *k),
            Predicate::AlwaysArgmax { token } => kth_other(logits, *token, 1) - l(token),
        }
    }

    /// The excess in `f32`, a hint for searches. Logits that are shifted together, such as log-probabilities, do as well.
    #[must_use]
    pub fn score(&self, logits: &[f32]) -> f32 {
        let l = |token: &TokenId| logits[*token as usize];
        let odds = |tokens: &[TokenId]| {
            let t = self.temperature().mid_rad().0 as f32;
            let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let (mut own, mut others) = (0.0f32, 0.0f32);
            for (j, &l) in (0..).zip(logits) {
                let e = ((l - top) / t).exp();
                if tokens.contains(&j) { own += e } else { others += e }
            }
            own.ln() - others.ln()
        };
        let kth = |token: TokenId, k: usize| {
            let others = (0..).zip(logits).filter(|&(j, _): &(TokenId, _)| j != token);
            let mut others: Vec<f32> = others.map(|(_, &l)| l).collect();
            let (_, kth, _) = others.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
            *kth
        };
        match self {
            Predicate::Ceiling { token, .. } => odds(&[*token]),
            Predicate::SetCeiling { tokens, .. } => odds(tokens),
            Predicate::Floor { token, .. } => -odds(&[*token]),
            Predicate::Dominance { over, under, .. } => l(under) - l(over),
            Predicate::NeverArgmax { token } => l(token) - kth(*token, 1),
            Predicate::NeverTopK { token, k } => l(token) - kth(*token, *k),
            Predicate::AlwaysArgmax { token } => kth(*token, 1) - l(token),
        }
    }

    /// Turns bounds on the excess into bounds on the number that people ask for: the probability of a ceiling or a floor,
    /// `l_over − l_under`, or `l_token` less the k-th largest other logit.
    pub fn quantity(&self, excess: Interval) -> Interval {
        match self {
            Predicate::Ceiling { .. } | Predicate::SetCeiling { .. } => num::sigmoid(excess),
            Predicate::Floor { .. } => num::sigmoid(-excess),
            Predicate::Dominance { .. } | Predicate::AlwaysArgmax { .. } => -excess,
            Predicate::NeverArgmax { .. } | Predicate::NeverTopK { .. } => excess,
        }
    }
}

/// Encloses `ln(Σ_{tokens} e^(l/T)) − ln(Σ_{others} e^(l/T))`.
fn log_odds(logits: &[Interval], tokens: &[TokenId], temperature: Interval) -> Interval {
    let is_own = |j: usize| tokens.iter().any(|&t| t as usize == j);
    let log_sum = |own: bool| {
        let part =
            || logits.iter().enumerate().filter(|(j, _)| is_own(*j) == own).map(|(_, &l)| l / temperature);
        // Any finite shift is exact mathematics; this one keeps the exponentials in range.
        let top = Interval::point(part().map(|l| l.mid_rad().0).fold(f64::NEG_INFINITY, f64::max));
        num::ln(part().map(|l| num::exp(l - top)).sum()) + top
    };
    log_sum(true) - log_sum(false)
}

/// Encloses the k-th largest logit of the tokens other than `token`, which are at least `k`.
fn kth_other(logits: &[Interval], token: TokenId, k: usize) -> Interval {
    let kth = |end: fn(Interval) -> f64| {
        let others = logits.iter().enumerate().filter(|(j, _)| *j != token as usize);
        let mut ends: Vec<f64> = others.map(|(_, &l)| end(l)).collect();
        ends.sort_by(|a, b| b.total_cmp(a));
        ends[k - 1]
    };
    // The k-th largest number grows with every number.
    Interval::new(kth(Interval::lo), kth(Interval::hi))
}

#[cfg(test)]
mod tests;
