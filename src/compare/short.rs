//! How far apart two models are after every prefix up to a length: all of them, evaluated rigorously.

use rayon::prelude::*;

use super::{CompareError, check};
use crate::limits::Limits;
use crate::model::rigorous::logits;
use crate::model::{Model, TokenId};
use crate::num::{self, Interval};

/// The greatest distance that was found for a token, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Largest {
    /// The token.
    pub token: TokenId,
    /// Certified: at least this far apart after `prefix`.
    pub lower: f64,
    /// Certified: at most this far apart after every prefix up to the length.
    pub upper: f64,
    /// The prefix that attains at least `lower`.
    pub prefix: Vec<TokenId>,
}

/// Number of prefixes of 1 to `len` tokens; `None` where it does not fit.
#[must_use]
pub fn count_short(vocab_size: usize, len: usize) -> Option<usize> {
    let powers = (1..=len).map(|n| vocab_size.checked_pow(u32::try_from(n).ok()?));
    powers.sum()
}

/// Evaluates both models after every prefix of 1 to `len` tokens; `None` if the limits ended it early.
///
/// # Errors
/// [`CompareError`] for different vocabularies or a length beyond either context.
pub fn short_prefixes(
    a: &Model,
    b: &Model,
    len: usize,
    limits: &Limits,
) -> Result<Option<Vec<Largest>>, CompareError> {
    check(a, b)?;
    let vocab_size = a.head.vocab_size();
    let start = || -> Vec<Largest> {
        let none = |token| Largest { token, lower: 0.0, upper: 0.0, prefix: Vec::new() };
        (0..vocab_size as TokenId).map(none).collect()
    };
    let mut all = start();
    for n in 1..=len {
        let count = count_short(vocab_size, n).zip(count_short(vocab_size, n - 1)).map(|(n, m)| n - m);
        let found = (0..count.unwrap_or(usize::MAX))
            .into_par_iter()
            .map(|k| {
                if limits.expired() { Ok(None) } else { distances(a, b, &prefix(k, n, vocab_size)).map(Some) }
            })
            .try_reduce_with(|left, right| Ok(left.zip(right).map(|(left, right)| merged(left, right))));
        match found.transpose()?.flatten() {
            Some(found) => all = merged(all, found),
            None => return Ok(None),
        }
    }
    Ok(Some(all))
}

/// The k-th prefix of `n` tokens in the order of numbers written with tokens as digits.
fn prefix(mut k: usize, n: usize, vocab_size: usize) -> Vec<TokenId> {
    let mut tokens = vec![0; n];
    for token in tokens.iter_mut().rev() {
        // A remainder of the vocabulary's size is a token id.
        *token = (k % vocab_size) as TokenId;
        k /= vocab_size;
    }
    tokens
}

fn distances(a: &Model, b: &Model, prefix: &[TokenId]) -> Result<Vec<Largest>, CompareError> {
    let [p, q] = [softmax(&logits(a, prefix)?), softmax(&logits(b, prefix)?)];
    let distance = |(token, (p, q)): (usize, (Interval, Interval))| {
        let apart = p - q;
        let lower = apart.lo().max(-apart.hi()).max(0.0);
        let upper = apart.hi().max(-apart.lo());
        // A difference that is not a number is anything.
        let upper = if upper <= 1.0 { upper } else { 1.0 };
        Largest { token: token as TokenId, lower, upper, prefix: prefix.to_vec() }
    };
    Ok(std::iter::zip(p, q).enumerate().map(distance).collect())
}

/// Encloses the softmax. Any finite shift is exact mathematics; this one keeps exponentials in range.
fn softmax(logits: &[Interval]) -> Vec<Interval> {
    let top = Interval::point(logits.iter().map(|l| l.mid_rad().0).fold(f64::NEG_INFINITY, f64::max));
    let weights: Vec<Interval> = logits.iter().map(|&l| num::exp(l - top)).collect();
    let total: Interval = weights.iter().copied().sum();
    weights.into_iter().map(|w| w / total).collect()
}

/// The larger of two, token by token; of two equal ones the first prefix.
fn merged(left: Vec<Largest>, right: Vec<Largest>) -> Vec<Largest> {
    let pair = |(l, r): (Largest, Largest)| {
        let upper = l.upper.max(r.upper);
        let first = l.prefix.is_empty() || r.lower > l.lower;
        let best = if first { r } else { l };
        Largest { upper, ..best }
    };
    std::iter::zip(left, right).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_counted_and_each_comes_once() {
        assert_eq!(count_short(3, 2), Some(12));
        assert_eq!(count_short(2, 0), Some(0));
        assert_eq!(count_short(50_000, 9), None);
        let mut seen: Vec<Vec<TokenId>> = (0..9).map(|k| prefix(k, 2, 3)).collect();
        assert_eq!(seen[5], [1, 2]);
        seen.dedup();
        assert_eq!(seen.len(), 9);
    }
}
