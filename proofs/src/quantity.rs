//! The quantity that a predicate bounds: its enclosure after one prefix, what of it fits the claim, and both in words.

use std::cmp::Reverse;

use dashu_int::IBig;

use crate::decimal::Decimal;
use crate::head::index;
use crate::interval::Interval;
use crate::predicate::Predicate;
use crate::reject::Reject;
use crate::softmax::{Digits, probability};

impl Predicate {
    /// Encloses the quantity that the predicate bounds: a probability, `l_over − l_under`, or `l_token` less the k-th
    /// largest of the other logits, where k is 1 unless the predicate names it. `rows` are the logits after the prefix and
    /// after each beginning of the continuation behind it.
    pub(crate) fn quantity(&self, rows: &[Vec<Interval>], digits: Digits) -> Result<Interval, Reject> {
        let logits = &rows[0];
        let of = |tokens: &[u32]| probability(logits, tokens, &self.temperature(), digits);
        match self {
            Predicate::Ceiling { token, .. } | Predicate::Floor { token, .. } => of(&[*token]),
            Predicate::SetCeiling { tokens, .. } => of(tokens),
            Predicate::MaxCeiling { tokens, .. } => {
                let mut most = Interval::from_int(0);
                for token in tokens {
                    let p = of(&[*token])?;
                    // The largest of numbers grows with every number.
                    let ends = [most.lo().max(p.lo()), most.hi().max(p.hi())].map(IBig::clone);
                    let [lo, hi] = ends;
                    most = Interval::from_ends(lo, hi);
                }
                Ok(most)
            }
            Predicate::Continuation { tokens, .. } => {
                let mut product = Interval::from_int(1);
                for (row, token) in rows.iter().zip(tokens) {
                    product = &product * &probability(row, &[*token], &self.temperature(), digits)?;
                }
                Ok(product.within(0, 1))
            }
            Predicate::NeverInNucleus { token, .. } => {
                let own = &logits[index(*token)];
                let above = |is_above: &dyn Fn(&Interval) -> bool| {
                    let others = (0..).zip(logits).filter(|(j, l)| j != token && is_above(l));
                    of(&others.map(|(j, _)| j).collect::<Vec<u32>>())
                };
                // Tokens that are above for certain, and those that may be.
                let (least, most) = (above(&|l| l.lo() > own.hi())?, above(&|l| l.hi() > own.lo())?);
                Ok(Interval::from_ends(least.lo().clone(), most.hi().clone()))
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
            Predicate::Ceiling { threshold, .. }
            | Predicate::SetCeiling { threshold, .. }
            | Predicate::MaxCeiling { threshold, .. }
            | Predicate::Continuation { threshold, .. } => quantity.above(threshold.value()),
            Predicate::Floor { threshold, .. } | Predicate::NeverInNucleus { mass: threshold, .. } => {
                quantity.below(threshold.value())
            }
            Predicate::Dominance { margin, .. } => quantity.below(margin.value()),
            Predicate::NeverArgmax { .. } | Predicate::NeverTopK { .. } => *quantity.lo() >= IBig::ZERO,
            Predicate::AlwaysArgmax { .. } => *quantity.hi() <= IBig::ZERO,
        }
    }

    /// Whether every value within this enclosure of the quantity fits the claim.
    pub(crate) fn is_met_by(&self, quantity: &Interval) -> bool {
        match self {
            Predicate::Ceiling { threshold, .. }
            | Predicate::SetCeiling { threshold, .. }
            | Predicate::MaxCeiling { threshold, .. }
            | Predicate::Continuation { threshold, .. } => quantity.at_most(threshold.value()),
            Predicate::Floor { threshold, .. } | Predicate::NeverInNucleus { mass: threshold, .. } => {
                (-quantity).at_most(&-threshold.value())
            }
            Predicate::Dominance { margin, .. } => (-quantity).at_most(&-margin.value()),
            Predicate::NeverArgmax { .. } | Predicate::NeverTopK { .. } => *quantity.hi() < IBig::ZERO,
            Predicate::AlwaysArgmax { .. } => *quantity.lo() > IBig::ZERO,
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
            Predicate::MaxCeiling { tokens, threshold, temperature } => {
                format!("P(t | prefix){} <= {threshold} for every token t of {tokens:?}", at(temperature))
            }
            Predicate::Continuation { tokens, threshold, temperature } => {
                format!("P(the tokens {tokens:?} in this order | prefix){} <= {threshold}", at(temperature))
            }
            Predicate::NeverInNucleus { token, mass, temperature } => format!(
                "the tokens with greater logits than token {token} have a probability{} of at least {mass} together",
                at(temperature)
            ),
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
            Predicate::Ceiling { .. } | Predicate::SetCeiling { .. } | Predicate::Continuation { .. } => {
                ("it".into(), true)
            }
            Predicate::MaxCeiling { .. } => ("the largest of these".into(), true),
            Predicate::Floor { .. } => ("it".into(), false),
            Predicate::NeverInNucleus { .. } => ("their probability".into(), false),
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
