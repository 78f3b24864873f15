//! Predicates: what a statement claims of the logits `l` after each of its prefixes, and what the logits after one prefix
//! say about it.
//!
//! `P` is the softmax of `l / temperature`. Order is meant strictly, so that a claim does not depend on how ties are broken:
//! a token that is *never among the k likeliest* always has k others strictly above it, and one that is *always the
//! likeliest* is strictly above all others.

use std::cmp::Reverse;

use dashu_int::IBig;
use dashu_ratio::RBig;
use serde::{Deserialize, Serialize};

use crate::decimal::Decimal;
use crate::forward::probability;
use crate::head::index;
use crate::interval::Interval;
use crate::reject::Reject;

/// A property of the next-token distribution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Predicate {
    /// `P(token | prefix) <= threshold`.
    Ceiling {
        /// Token id.
        token: u32,
        /// A probability strictly between 0 and 1.
        threshold: Decimal,
        /// The logits are divided by it before the softmax; `None` reads as 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        temperature: Option<Decimal>,
    },
    /// The probabilities of some tokens sum to at most the threshold.
    SetCeiling {
        /// Token ids, strictly increasing, at least one and not all.
        tokens: Vec<u32>,
        /// A probability strictly between 0 and 1.
        threshold: Decimal,
        /// See [`Predicate::Ceiling`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        temperature: Option<Decimal>,
    },
    /// `P(token | prefix) >= threshold`.
    Floor {
        /// Token id.
        token: u32,
        /// A probability strictly between 0 and 1.
        threshold: Decimal,
        /// See [`Predicate::Ceiling`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        temperature: Option<Decimal>,
    },
    /// `l_over − l_under >= margin`, in nats.
    Dominance {
        /// Token id.
        over: u32,
        /// Another one.
        under: u32,
        /// Any number.
        margin: Decimal,
    },
    /// Some other token has a greater logit.
    NeverArgmax {
        /// Token id.
        token: u32,
    },
    /// At least `k` other tokens have greater logits.
    NeverTopK {
        /// Token id.
        token: u32,
        /// At least 1, and fewer than there are tokens.
        k: u32,
    },
    /// Every other token has a smaller logit.
    AlwaysArgmax {
        /// Token id.
        token: u32,
    },
}

impl Predicate {
    /// Refuses numbers that make no sense for any model.
    pub(crate) fn validate(&self) -> Result<(), Reject> {
        let (threshold, temperature) = match self {
            Predicate::Ceiling { threshold, temperature, .. }
            | Predicate::SetCeiling { threshold, temperature, .. }
            | Predicate::Floor { threshold, temperature, .. } => (threshold, temperature.as_ref()),
            Predicate::Dominance { .. }
            | Predicate::NeverArgmax { .. }
            | Predicate::NeverTopK { .. }
            | Predicate::AlwaysArgmax { .. } => return Ok(()),
        };
        if *threshold.value() <= RBig::ZERO || *threshold.value() >= RBig::ONE {
            return Err(Reject::ThresholdRange { threshold: threshold.to_string() });
        }
        match temperature.filter(|t| *t.value() <= RBig::ZERO) {
            Some(temperature) => Err(Reject::TemperatureRange { temperature: temperature.to_string() }),
            None => Ok(()),
        }
    }

    /// Checks that its tokens exist and are as many as it needs.
    pub(crate) fn check_tokens(&self, vocabulary: usize) -> Result<(), Reject> {
        let tokens = self.tokens();
        if let Some(token) = tokens.iter().copied().find(|token| index(*token) >= vocabulary) {
            return Err(Reject::TargetOutOfVocabulary { token, vocabulary });
        }
        match self {
            Predicate::SetCeiling { .. } => {
                let ordered = tokens.windows(2).all(|pair| pair[0] < pair[1]);
                if !ordered || tokens.is_empty() || tokens.len() >= vocabulary {
                    return Err(Reject::TokenSet { tokens: tokens.len(), vocabulary });
                }
            }
            Predicate::Dominance { over, under, .. } if over == under => {
                return Err(Reject::SameToken { token: *over });
            }
            Predicate::NeverTopK { k, .. } if *k == 0 || index(*k) >= vocabulary => {
                return Err(Reject::RankRange { k: *k, vocabulary });
            }
            _ => {}
        }
        Ok(())
    }

    /// The tokens it names.
    fn tokens(&self) -> Vec<u32> {
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

    /// The temperature; 1 for those that it does not matter to.
    pub(crate) fn temperature(&self) -> RBig {
        match self {
            Predicate::Ceiling { temperature, .. }
            | Predicate::SetCeiling { temperature, .. }
            | Predicate::Floor { temperature, .. } => {
                temperature.as_ref().map_or(RBig::ONE, |t| t.value().clone())
            }
            _ => RBig::ONE,
        }
    }

    /// Whether its quantity is a probability; otherwise it is a difference of logits.
    pub(crate) fn is_probability(&self) -> bool {
        matches!(self, Predicate::Ceiling { .. } | Predicate::SetCeiling { .. } | Predicate::Floor { .. })
    }

    /// Encloses the quantity that the predicate bounds: a probability, `l_over − l_under`, or `l_token` less the k-th
    /// largest of the other logits, where k is 1 unless the predicate names it.
    pub(crate) fn quantity(&self, logits: &[Interval]) -> Result<Interval, Reject> {
        match self {
            Predicate::Ceiling { .. } | Predicate::SetCeiling { .. } | Predicate::Floor { .. } => {
                probability(logits, &self.tokens(), &self.temperature())
            }
            Predicate::Dominance { over, under, .. } => Ok(&logits[index(*over)] - &logits[index(*under)]),
            Predicate::NeverArgmax { token } | Predicate::AlwaysArgmax { token } => {
                Ok(lead(logits, *token, 1))
            }
            Predicate::NeverTopK { token, k } => Ok(lead(logits, *token, *k)),
        }
    }

    /// Whether no value within this enclosure of the quantity fits the claim.
    pub(crate) fn is_violated_by(&self, quantity: &Interval) -> bool {
        match self {
            Predicate::Ceiling { threshold, .. } | Predicate::SetCeiling { threshold, .. } => {
                quantity.above(threshold.value())
            }
            Predicate::Floor { threshold, .. } => quantity.below(threshold.value()),
            Predicate::Dominance { margin, .. } => quantity.below(margin.value()),
            Predicate::NeverArgmax { .. } | Predicate::NeverTopK { .. } => *quantity.lo() >= IBig::ZERO,
            Predicate::AlwaysArgmax { .. } => *quantity.hi() <= IBig::ZERO,
        }
    }

    /// The claim in words.
    pub(crate) fn words(&self) -> String {
        let at = |temperature: &Option<Decimal>| {
            temperature.as_ref().map_or(String::new(), |t| format!(" at temperature {t}"))
        };
        match self {
            Predicate::Ceiling { token, threshold, temperature } => {
                format!("P(token {token} | prefix){} <= {threshold}", at(temperature))
            }
            Predicate::SetCeiling { tokens, threshold, temperature } => {
                format!("P(a token of {tokens:?} | prefix){} <= {threshold}", at(temperature))
            }
            Predicate::Floor { token, threshold, temperature } => {
                format!("P(token {token} | prefix){} >= {threshold}", at(temperature))
            }
            Predicate::Dominance { over, under, margin } => {
                format!("the logit of token {over} less that of token {under} is at least {margin}")
            }
            Predicate::NeverArgmax { token } => {
                format!("some other token has a greater logit than token {token}")
            }
            Predicate::NeverTopK { token, k } => {
                format!("at least {k} other tokens have greater logits than token {token}")
            }
            Predicate::AlwaysArgmax { token } => {
                format!("token {token} has a greater logit than every other token")
            }
        }
    }

    /// What its quantity is, in words, and whether a violation makes it large rather than small.
    pub(crate) fn measure(&self) -> (String, bool) {
        match self {
            Predicate::Ceiling { .. } | Predicate::SetCeiling { .. } => ("it".into(), true),
            Predicate::Floor { .. } => ("it".into(), false),
            Predicate::Dominance { .. } => ("the difference".into(), false),
            Predicate::NeverArgmax { .. } => ("its logit less the largest other one".into(), true),
            Predicate::NeverTopK { k, .. } => {
                (format!("its logit less the largest other one but {}", k - 1), true)
            }
            Predicate::AlwaysArgmax { .. } => ("its logit less the largest other one".into(), false),
        }
    }
}

/// Encloses `l_token` less the k-th largest of the other logits; there are at least `k` others.
fn lead(logits: &[Interval], token: u32, k: u32) -> Interval {
    let kth = |end: fn(&Interval) -> &IBig| {
        let others = logits.iter().enumerate().filter(|(j, _)| *j != index(token));
        let mut ends: Vec<&IBig> = others.map(|(_, l)| end(l)).collect();
        ends.sort_by_key(|end| Reverse(*end));
        ends[index(k) - 1].clone()
    };
    // The k-th largest number grows with every number.
    &logits[index(token)] - &Interval::from_ends(kth(Interval::lo), kth(Interval::hi))
}
