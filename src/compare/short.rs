//! How far apart two models are after every prefix of a finite language: all of them, evaluated rigorously.

use rayon::prelude::*;

use super::{CompareError, check};
use crate::limits::Limits;
use crate::model::rigorous::logits;
use crate::model::{Model, TokenId};
use crate::num::{self, Interval};
use crate::spec::language::Automaton;

/// Prefixes that are held at once.
const ROUND: usize = 4096;

/// The greatest distance that was found for a token, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Largest {
    /// The token.
    pub token: TokenId,
    /// Certified: at least this far apart after `prefix`.
    pub lower: f64,
    /// Certified: at most this far apart after every prefix of the language.
    pub upper: f64,
    /// The prefix that attains at least `lower`.
    pub prefix: Vec<TokenId>,
}

/// Evaluates both models after every prefix of a language of at most `longest` tokens; `None` if the limits ended it early.
///
/// # Errors
/// [`CompareError`] for different vocabularies or a length beyond either context.
pub fn short_prefixes(
    a: &Model,
    b: &Model,
    (language, longest): (&Automaton, usize),
    limits: &Limits,
) -> Result<Option<Vec<Largest>>, CompareError> {
    check(a, b)?;
    let none = |token| Largest { token, lower: 0.0, upper: 0.0, prefix: Vec::new() };
    let mut all: Vec<Largest> = (0..a.head.vocab_size() as TokenId).map(none).collect();
    for slice in language.lengths(longest).into_iter().filter_map(|length| language.slice(length)) {
        let mut members = slice.members();
        loop {
            let round: Vec<Vec<TokenId>> = members.by_ref().take(ROUND).collect();
            if round.is_empty() {
                break;
            }
            let found = round
                .par_iter()
                .map(|prefix| if limits.expired() { Ok(None) } else { distances(a, b, prefix).map(Some) })
                .try_reduce_with(|left, right| Ok(left.zip(right).map(|(left, right)| merged(left, right))));
            match found.transpose()?.flatten() {
                Some(found) => all = merged(all, found),
                None => return Ok(None),
            }
        }
    }
    Ok(Some(all))
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
