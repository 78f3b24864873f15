//! Softmax: exponentials of shifted scores, to as many digits as it takes, and probabilities.

use std::borrow::Cow;

use dashu_int::IBig;
use dashu_ratio::RBig;

use crate::elementary::exp_nonpositive;
use crate::exponential::exp_quick;
use crate::head::index;
use crate::interval::Interval;
use crate::reject::Reject;

/// How exactly exponentials are enclosed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Digits {
    /// To about 2^-60, quickly: enough for shallow networks and claims with some room.
    Some,
    /// As far as intervals reach.
    All,
}

impl Digits {
    /// `e^x` for `x <= 0`.
    pub fn exp(self, x: &Interval) -> Interval {
        match self {
            Digits::Some => exp_quick(x),
            Digits::All => exp_nonpositive(x),
        }
    }
}

/// The sum of `softmax(logits / temperature)` over `tokens`, different ones.
pub(crate) fn probability(
    logits: &[Interval],
    tokens: &[u32],
    temperature: &RBig,
    digits: Digits,
) -> Result<Interval, Reject> {
    let scaled = if *temperature == RBig::ONE {
        Cow::Borrowed(logits)
    } else {
        let temperature = Interval::rational(temperature);
        let of = |l: &Interval| l.divide(&temperature, "a temperature");
        Cow::Owned(logits.iter().map(of).collect::<Result<Vec<_>, _>>()?)
    };
    let (mut own, mut others) = (Interval::from_int(0), Interval::from_int(0));
    for (j, exp) in exponentials(&scaled, digits).iter().enumerate() {
        let sum = if tokens.iter().any(|token| index(*token) == j) { &mut own } else { &mut others };
        *sum = &*sum + exp;
    }
    // own / (own + others) increases in own and decreases in others.
    let what = "a softmax";
    let end = |own: &IBig, others: &IBig| {
        let own = Interval::from_ends(own.clone(), own.clone());
        own.divide(&(&own + &Interval::from_ends(others.clone(), others.clone())), what)
    };
    let lower = end(own.lo(), others.hi())?;
    let upper = end(own.hi(), others.lo())?;
    Ok(Interval::from_ends(lower.lo().clone(), upper.hi().clone()).within(0, 1))
}

/// `e^(s_i − m)` with one `m` that makes all exponents at most 0.
pub(crate) fn exponentials(scores: &[Interval], digits: Digits) -> Vec<Interval> {
    let most = scores.iter().map(Interval::hi).max().cloned().unwrap_or_default();
    let most = Interval::from_ends(most.clone(), most);
    scores.iter().map(|s| digits.exp(&(s - &most))).collect()
}
