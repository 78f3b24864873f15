//! The excess of a prefix: enclosed from enclosed logits, and in `f32` as a hint for searches.
//!
//! Both take one row of logits `[vocabulary]` after the prefix and one more after each beginning of
//! [`Predicate::continuation`], which is empty for most predicates.

use super::Predicate;
use crate::model::TokenId;
use crate::num::{self, Interval};

impl Predicate {
    /// The tokens that follow a prefix before the last logits that matter.
    #[must_use]
    pub fn continuation(&self) -> &[TokenId] {
        match self {
            Predicate::Continuation { tokens, .. } => &tokens[..tokens.len().saturating_sub(1)],
            Predicate::Ceiling { .. }
            | Predicate::SetCeiling { .. }
            | Predicate::Floor { .. }
            | Predicate::MaxCeiling { .. }
            | Predicate::NeverInNucleus { .. }
            | Predicate::Dominance { .. }
            | Predicate::NeverArgmax { .. }
            | Predicate::NeverTopK { .. }
            | Predicate::AlwaysArgmax { .. } => &[],
        }
    }

    /// Encloses the excess of logits that are enclosed themselves. Where the exact excess is infinite its enclosure begins at
    /// a finite number.
    pub fn excess(&self, rows: &[Vec<Interval>]) -> Interval {
        let logits = &rows[0];
        let l = |token: &TokenId| logits[*token as usize];
        let t = self.temperature();
        let odds = |token: TokenId| log_odds(logits, |j| j == token as usize, t);
        match self {
            Predicate::Ceiling { token, .. } => odds(*token),
            Predicate::SetCeiling { tokens, .. } => {
                log_odds(logits, |j| tokens.iter().any(|&t| t as usize == j), t)
            }
            Predicate::Floor { token, .. } => -odds(*token),
            Predicate::MaxCeiling { tokens, .. } => tokens.iter().map(|&token| odds(token)).fold(
                Interval::new(f64::NEG_INFINITY, f64::MIN),
                // The largest of numbers grows with every number.
                |a, b| Interval::new(a.lo().max(b.lo()), a.hi().max(b.hi())),
            ),
            Predicate::Continuation { tokens, .. } => {
                let step = |(row, &token): (&Vec<Interval>, &TokenId)| {
                    let others = log_odds(row, |j| j == token as usize, t);
                    // ln P = −ln(1 + e^−odds).
                    -num::ln(Interval::ONE + num::exp(-others))
                };
                rows.iter().zip(tokens).map(step).sum()
            }
            Predicate::NeverInNucleus { token, .. } => {
                let own = l(token);
                // Tokens that are above for certain, and those that may be.
                let least = log_odds(logits, |j| logits[j].lo() > own.hi(), t).lo();
                let most = log_odds(logits, |j| j != *token as usize && logits[j].hi() > own.lo(), t).hi();
                Interval::new(-most, -least)
            }
            Predicate::Dominance { over, under, .. } => l(under) - l(over),
            Predicate::NeverArgmax { token } => l(token) - kth_other(logits, *token, 1),
            Predicate::NeverTopK { token, k } => l(token) - kth_other(logits, *token, *k),
            Predicate::AlwaysArgmax { token } => kth_other(logits, *token, 1) - l(token),
        }
    }

    /// The excess in `f32`, a hint for searches. Logits that are shifted together, such as log-probabilities, do as well.
    #[must_use]
    pub fn score(&self, rows: &[Vec<f32>]) -> f32 {
        let logits = &rows[0];
        let l = |token: &TokenId| logits[*token as usize];
        let t = self.temperature().mid_rad().0 as f32;
        let odds = |token: TokenId| near_log_odds(logits, |j| j == token as usize, t);
        let kth = |token: TokenId, k: usize| {
            let others = (0..).zip(logits).filter(|&(j, _): &(TokenId, _)| j != token);
            let mut others: Vec<f32> = others.map(|(_, &l)| l).collect();
            let (_, kth, _) = others.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
            *kth
        };
        match self {
            Predicate::Ceiling { token, .. } => odds(*token),
            Predicate::SetCeiling { tokens, .. } => {
                near_log_odds(logits, |j| tokens.iter().any(|&t| t as usize == j), t)
            }
            Predicate::Floor { token, .. } => -odds(*token),
            Predicate::MaxCeiling { tokens, .. } => {
                tokens.iter().map(|&token| odds(token)).fold(f32::NEG_INFINITY, f32::max)
            }
            Predicate::Continuation { tokens, .. } => {
                let step = |(row, &token): (&Vec<f32>, &TokenId)| {
                    -(-near_log_odds(row, |j| j == token as usize, t)).exp().ln_1p()
                };
                rows.iter().zip(tokens).map(step).sum()
            }
            Predicate::NeverInNucleus { token, .. } => {
                -near_log_odds(logits, |j| logits[j] > l(token), t).max(-f32::MAX)
            }
            Predicate::Dominance { over, under, .. } => l(under) - l(over),
            Predicate::NeverArgmax { token } => l(token) - kth(*token, 1),
            Predicate::NeverTopK { token, k } => l(token) - kth(*token, *k),
            Predicate::AlwaysArgmax { token } => kth(*token, 1) - l(token),
        }
    }

    /// Turns bounds on the excess into bounds on the number that people ask for: the probability of a token, a set, a
    /// continuation or of the tokens above one, `l_over − l_under`, or `l_token` less the k-th largest other logit.
    pub fn quantity(&self, excess: Interval) -> Interval {
        match self {
            Predicate::Ceiling { .. } | Predicate::SetCeiling { .. } | Predicate::MaxCeiling { .. } => {
                num::sigmoid(excess)
            }
            Predicate::Continuation { .. } => {
                let p = num::exp(excess);
                Interval::new(p.lo().clamp(0.0, 1.0), p.hi().min(1.0))
            }
            Predicate::Floor { .. } | Predicate::NeverInNucleus { .. } => num::sigmoid(-excess),
            Predicate::Dominance { .. } | Predicate::AlwaysArgmax { .. } => -excess,
            Predicate::NeverArgmax { .. } | Predicate::NeverTopK { .. } => excess,
        }
    }
}

/// Encloses `ln(Σ_{own} e^(l/T)) − ln(Σ_{others} e^(l/T))`; without own tokens from `−∞` up to a very small number.
fn log_odds(logits: &[Interval], is_own: impl Fn(usize) -> bool, temperature: Interval) -> Interval {
    let log_sum = |own: bool| {
        let part =
            || logits.iter().enumerate().filter(|(j, _)| is_own(*j) == own).map(|(_, &l)| l / temperature);
        // Any finite shift is exact mathematics; this one keeps the exponentials in range.
        let top = part().map(|l| l.mid_rad().0).fold(f64::NEG_INFINITY, f64::max);
        if top == f64::NEG_INFINITY && part().next().is_none() {
            return Interval::new(f64::NEG_INFINITY, f64::MIN);
        }
        let top = Interval::point(top);
        num::ln(part().map(|l| num::exp(l - top)).sum()) + top
    };
    log_sum(true) - log_sum(false)
}

/// The same in `f32`.
fn near_log_odds(logits: &[f32], is_own: impl Fn(usize) -> bool, temperature: f32) -> f32 {
    // Each part by its own greatest logit, so that neither underflows beside the other.
    let log_sum = |own: bool| {
        let part = || logits.iter().enumerate().filter(|(j, _)| is_own(*j) == own).map(|(_, &l)| l);
        let top = part().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = part().map(|l| ((l - top) / temperature).exp()).sum();
        if top == f32::NEG_INFINITY { top } else { sum.ln() + top / temperature }
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
