//! Predicates: what a statement claims of the logits `l` after each of its prefixes, and what the logits after one prefix
//! say about it.
//!
//! `P` is the softmax of `l / temperature`. Order is meant strictly, so that a claim does not depend on how ties are broken:
//! a token that is *never among the k likeliest* always has k others strictly above it, and one that is *always the
//! likeliest* is strictly above all others.

use dashu_ratio::RBig;
use serde::{Deserialize, Serialize};

use crate::decimal::Decimal;
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
    /// `P(token | prefix) <= threshold` for every token of a list.
    MaxCeiling {
        /// Token ids, strictly increasing, at least one.
        tokens: Vec<u32>,
        /// A probability strictly between 0 and 1.
        threshold: Decimal,
        /// See [`Predicate::Ceiling`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        temperature: Option<Decimal>,
    },
    /// The product of `P(tokens[i] | prefix · tokens[..i])` is at most the threshold. Speaks of the prefixes that leave room
    /// in the model's context for all tokens but the last.
    Continuation {
        /// Token ids, at least one.
        tokens: Vec<u32>,
        /// A probability strictly between 0 and 1.
        threshold: Decimal,
        /// See [`Predicate::Ceiling`]; of every step.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        temperature: Option<Decimal>,
    },
    /// The tokens with greater logits have a probability of at least `mass` together.
    NeverInNucleus {
        /// Token id.
        token: u32,
        /// A probability strictly between 0 and 1.
        mass: Decimal,
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
    /// The probability it names, if it names one, and its temperature.
    fn numbers(&self) -> (Option<&Decimal>, Option<&Decimal>) {
        match self {
            Predicate::Ceiling { threshold, temperature, .. }
            | Predicate::SetCeiling { threshold, temperature, .. }
            | Predicate::Floor { threshold, temperature, .. }
            | Predicate::MaxCeiling { threshold, temperature, .. }
            | Predicate::Continuation { threshold, temperature, .. }
            | Predicate::NeverInNucleus { mass: threshold, temperature, .. } => {
                (Some(threshold), temperature.as_ref())
            }
            Predicate::Dominance { .. }
            | Predicate::NeverArgmax { .. }
            | Predicate::NeverTopK { .. }
            | Predicate::AlwaysArgmax { .. } => (None, None),
        }
    }

    /// The probability it names, as written.
    pub(crate) fn threshold_text(&self) -> String {
        self.numbers().0.map_or(String::new(), Decimal::to_string)
    }

    /// Encloses the probabilities up to the threshold of a ceiling.
    pub(crate) fn allowed(&self) -> Interval {
        let threshold = self.numbers().0.map_or(Interval::from_int(1), |p| Interval::rational(p.value()));
        Interval::from_ends(0.into(), threshold.hi().clone())
    }

    /// Refuses numbers that make no sense for any model.
    pub(crate) fn validate(&self) -> Result<(), Reject> {
        let (threshold, temperature) = self.numbers();
        let improper = |p: &&Decimal| *p.value() <= RBig::ZERO || *p.value() >= RBig::ONE;
        if let Some(threshold) = threshold.filter(improper) {
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
            Predicate::SetCeiling { .. } | Predicate::MaxCeiling { .. } => {
                let ordered = tokens.windows(2).all(|pair| pair[0] < pair[1]);
                let all = tokens.len() >= vocabulary && matches!(self, Predicate::SetCeiling { .. });
                if !ordered || tokens.is_empty() || all {
                    return Err(Reject::TokenSet { tokens: tokens.len(), vocabulary });
                }
            }
            Predicate::Continuation { .. } if tokens.is_empty() => return Err(Reject::NoContinuation),
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

    /// The tokens that follow a prefix before the last logits that matter.
    pub(crate) fn continuation(&self) -> &[u32] {
        match self {
            Predicate::Continuation { tokens, .. } => &tokens[..tokens.len() - 1],
            _ => &[],
        }
    }

    /// The temperature; 1 for those that it does not matter to.
    pub(crate) fn temperature(&self) -> RBig {
        self.numbers().1.map_or(RBig::ONE, |t| t.value().clone())
    }

    /// Whether its quantity is a probability; otherwise it is a difference of logits.
    pub(crate) fn is_probability(&self) -> bool {
        self.numbers().0.is_some()
    }
}
