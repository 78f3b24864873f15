//! What margins of the head rule (see `head`) prove of the odds of tokens, after every prefix of any length.
//!
//! With `m_s <= ln Σ_{j∉S} e^((l_j − l_s)/T)` for each s of a set S of tokens,
//!
//! ```text
//! P(S) / (1 − P(S)) = Σ_{s∈S} e^(l_s/T) / Σ_{j∉S} e^(l_j/T)  <=  Σ_{s∈S} e^(−m_s).
//! ```
//!
//! A single token is the ceiling of the head rule; the set of all tokens but t is a floor of t, and there λ has no choice
//! but t itself.
//!
//! The nucleus: let λ hold k tokens J, none of them t, and m its margin. Let a of J be among the A tokens with greater logits
//! than t. In units of `e^(l_t/T)` those A tokens have at least `Σ_J e^((l_j−l_t)/T) − (k − a) >= e^m − k + a`, because the
//! others of J have at most 1 each, and the V − A tokens that are not above have at most V − A >= 1 together. So if
//! `x = e^m − k >= 0` the tokens above have a probability of at least `(x + a) / (x + a + V − A) >= x / (x + V)`.

use dashu_int::IBig;
use dashu_ratio::RBig;

use crate::elementary::exp_nonpositive;
use crate::family::Head;
use crate::format::Simplex;
use crate::head::head_margin;
use crate::interval::Interval;
use crate::predicate::Predicate;
use crate::reject::Reject;

/// Encloses a bound on `P(tokens)` that the weights prove, one per token.
pub(crate) fn set_bound(
    head: &Head,
    tokens: &[u32],
    temperature: &RBig,
    duals: &[Simplex],
) -> Result<Interval, Reject> {
    if duals.len() != tokens.len() {
        return Err(Reject::DualCount { found: duals.len(), expected: tokens.len() });
    }
    let mut margins = Vec::with_capacity(tokens.len());
    for (target, dual) in tokens.iter().zip(duals) {
        let inside = dual.lambda.iter().find(|(token, _)| tokens.binary_search(token).is_ok());
        if let Some((token, _)) = inside {
            return Err(Reject::LambdaInSet { token: *token });
        }
        margins.push(head_margin(head, *target, temperature, dual.denominator, &dual.lambda)?);
    }
    probability(&margins)
}

/// Encloses a bound on `1 − P(token)`.
pub(crate) fn others_bound(head: &Head, token: u32, temperature: &RBig) -> Result<Interval, Reject> {
    let others = (0..).take(head.vocabulary()).filter(|other| *other != token);
    let margins: Result<Vec<_>, _> =
        others.map(|other| head_margin(head, other, temperature, 1, &[(token, 1)])).collect();
    probability(&margins?)
}

/// Encloses the bound `x / (x + 1)` on a probability, `x = Σ e^(−m)`.
fn probability(margins: &[Interval]) -> Result<Interval, Reject> {
    // Both parts of the fraction times e^−M, with M >= 0 that makes all exponents at most 0.
    let most = margins.iter().map(|m| -m.lo()).max().unwrap_or_default().max(IBig::ZERO);
    let most = Interval::from_ends(most.clone(), most);
    let terms = margins.iter().map(|m| exp_nonpositive(&-(m + &most)));
    let sum = terms.fold(Interval::from_int(0), |sum, term| &sum + &term);
    let total = &sum + &exp_nonpositive(&-&most);
    Ok(sum.divide(&total, "a probability")?.within(0, 1))
}

/// Encloses a bound on the probability that the tokens above `token` have at least.
pub(crate) fn above_bound(
    head: &Head,
    token: u32,
    temperature: &RBig,
    denominator: u64,
    lambda: &[(u32, u64)],
) -> Result<Interval, Reject> {
    let margin = head_margin(head, token, temperature, denominator, lambda)?;
    // Any number below m does; beyond e^100 nothing is left to gain.
    let least = margin.lo().min(Interval::from_int(100).lo()).clone();
    let nothing = Interval::from_int(0);
    if least <= IBig::ZERO {
        return Ok(nothing);
    }
    let sum =
        Interval::from_int(1).divide(&exp_nonpositive(&-Interval::from_ends(least.clone(), least)), "e^m")?;
    let rest = &sum - &Interval::from_int(lambda.len());
    if *rest.lo() <= IBig::ZERO {
        return Ok(nothing);
    }
    rest.divide(&(&rest + &Interval::from_int(head.vocabulary())), "a probability of a nucleus")
}

/// The bound of a rule, as long as it proves the predicate: all of what it leaves possible.
pub(crate) fn within(predicate: &Predicate, bound: &Interval, threshold: &RBig) -> Result<Interval, Reject> {
    let (measure, large) = predicate.measure();
    let (lower, upper) = bound.decimals();
    let text = predicate.threshold_text();
    if large {
        return match bound.at_most(threshold) {
            true => Ok(Interval::from_ends(0.into(), bound.hi().clone())),
            false => Err(Reject::BoundAboveThreshold { bound: upper, threshold: text }),
        };
    }
    match bound.at_least(threshold) {
        true => Ok(Interval::from_ends(bound.lo().clone(), Interval::from_int(1).hi().clone())),
        false => Err(Reject::BoundBelowThreshold { measure, bound: lower, threshold: text }),
    }
}
