//! Predicates of the next-token distribution, and the one number per prefix that decides each of them.
//!
//! With logits `l`, `T` the temperature and `LSE` the log-sum-exp, the *excess* of a prefix, in nats, is
//!
//! | predicate | claim | excess | limit |
//! |---|---|---|---|
//! | ceiling | `P(t) <= p` | log-odds of `t`: `l_t/T − LSE_{j≠t}(l_j/T)` | `ln(p/(1−p))` |
//! | set ceiling | `P(S) <= p` | log-odds of `S`: `LSE_{s∈S}(l_s/T) − LSE_{j∉S}(l_j/T)` | `ln(p/(1−p))` |
//! | floor | `P(t) >= p` | log-odds of all but `t` | `−ln(p/(1−p))` |
//! | max ceiling | `P(t) <= p` for every `t` of a list | largest log-odds of a `t` | `ln(p/(1−p))` |
//! | continuation | `P(t1 .. tk) <= p` | `Σ_i ln P(t_i)` after the prefix and `t1 .. t(i−1)` | `ln p` |
//! | never in the nucleus | tokens with greater logits than `t` have `P >= p` together | log-odds of all others | `−ln(p/(1−p))` |
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
    /// `P(token | prefix) <= threshold` for every token of a list.
    MaxCeiling {
        /// The tokens spoken of: increasing, at least one.
        tokens: Vec<TokenId>,
        /// The probability that none of them exceeds.
        threshold: Threshold,
        /// See [`Predicate::Ceiling`].
        temperature: Option<Decimal>,
    },
    /// `P(tokens | prefix) <= threshold`: the product of the probabilities of each token after the prefix and the tokens
    /// before it. Speaks of the prefixes that leave room for all tokens but the last.
    Continuation {
        /// The tokens in order, at least one; repetitions are welcome.
        tokens: Vec<TokenId>,
        /// The probability that is not exceeded.
        threshold: Threshold,
        /// See [`Predicate::Ceiling`]; of every step.
        temperature: Option<Decimal>,
    },
    /// The tokens with greater logits have a probability of at least `mass` together, so that a sampler that draws from the
    /// likeliest tokens that reach `mass` (top-p) never draws this one, however ties are broken.
    NeverInNucleus {
        /// The token spoken of.
        token: TokenId,
        /// Probability of the nucleus.
        mass: Threshold,
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
    #[error("a set has 1 to {most} tokens, each once and in increasing order")]
    Set {
        /// Largest number of tokens that makes sense.
        most: usize,
    },
    /// A continuation without tokens.
    #[error("a continuation has at least one token")]
    NoContinuation,
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
                return Err(PredicateError::Set { most: vocab_size - 1 });
            }
            Predicate::MaxCeiling { .. } if tokens.is_empty() || tokens.windows(2).any(|w| w[0] >= w[1]) => {
                return Err(PredicateError::Set { most: vocab_size });
            }
            Predicate::Continuation { .. } if tokens.is_empty() => {
                return Err(PredicateError::NoContinuation);
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
            Predicate::SetCeiling { tokens, .. }
            | Predicate::MaxCeiling { tokens, .. }
            | Predicate::Continuation { tokens, .. } => tokens.clone(),
            Predicate::Dominance { over, under, .. } => vec![*over, *under],
            Predicate::Ceiling { token, .. }
            | Predicate::Floor { token, .. }
            | Predicate::NeverInNucleus { token, .. }
            | Predicate::NeverArgmax { token }
            | Predicate::NeverTopK { token, .. }
            | Predicate::AlwaysArgmax { token } => vec![*token],
        }
    }

    /// The first of its tokens.
    #[must_use]
    pub fn first_token(&self) -> TokenId {
        self.tokens().first().copied().unwrap_or_default()
    }

    /// The probability it names, if it names one.
    #[must_use]
    pub fn threshold(&self) -> Option<&Threshold> {
        match self {
            Predicate::Ceiling { threshold, .. }
            | Predicate::SetCeiling { threshold, .. }
            | Predicate::Floor { threshold, .. }
            | Predicate::MaxCeiling { threshold, .. }
            | Predicate::Continuation { threshold, .. }
            | Predicate::NeverInNucleus { mass: threshold, .. } => Some(threshold),
            Predicate::Dominance { .. }
            | Predicate::NeverArgmax { .. }
            | Predicate::NeverTopK { .. }
            | Predicate::AlwaysArgmax { .. } => None,
        }
    }

    /// The name of its kind, as in statement files.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Predicate::Ceiling { .. } => "ceiling",
            Predicate::SetCeiling { .. } => "set-ceiling",
            Predicate::Floor { .. } => "floor",
            Predicate::MaxCeiling { .. } => "max-ceiling",
            Predicate::Continuation { .. } => "continuation",
            Predicate::NeverInNucleus { .. } => "never-in-nucleus",
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
            | Predicate::Floor { temperature, .. }
            | Predicate::MaxCeiling { temperature, .. }
            | Predicate::Continuation { temperature, .. }
            | Predicate::NeverInNucleus { temperature, .. } => temperature.as_ref(),
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
            Predicate::Ceiling { threshold, .. }
            | Predicate::SetCeiling { threshold, .. }
            | Predicate::MaxCeiling { threshold, .. } => (threshold.log_odds(), false),
            Predicate::Continuation { threshold, .. } => (num::ln(threshold.enclosure()), false),
            Predicate::Floor { threshold, .. } | Predicate::NeverInNucleus { mass: threshold, .. } => {
                (-threshold.log_odds(), false)
            }
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
}

mod excess;
#[cfg(test)]
mod tests;
