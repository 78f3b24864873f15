//! Where the climbs of a generation start.
//!
//! In turn: the best prefixes of different lengths; the prefix that is best for another target and at the same time good
//! for this one; a disturbed copy of the best. Nobody starts twice from the same prefix.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::model::{PrefixError, TokenId};
use crate::search::pool::Candidate;

use super::{Hunt, Order};

/// Kinds of starts, taken in turn.
pub const KINDS: u64 = 3;
/// Lengths, the best ones, that are worth a climb of their own.
const LENGTHS: usize = 4;
/// Prefixes of other targets that are looked at together.
const CHUNK: usize = 256;
/// Prefixes of other targets that are looked at in all.
const RELATED: usize = 4096;

/// At most one start per wanted target, with the index of the target.
pub fn choose(
    hunt: &Hunt,
    wanted: &[usize],
    rng: &mut ChaCha8Rng,
    order: Order,
) -> Result<Vec<(usize, Candidate)>, PrefixError> {
    let own = |k: usize| {
        let mut best = hunt.pool.by_length(k).into_iter().take(LENGTHS);
        best.find(|candidate| !hunt.tried[k].contains(&candidate.prefix)).cloned()
    };
    let with = |start: &mut dyn FnMut(usize) -> Option<Candidate>| {
        wanted.iter().filter_map(|&k| start(k).map(|start| (k, start))).collect()
    };
    Ok(match hunt.generation % KINDS {
        0 => with(&mut |k| own(k)),
        1 => related(hunt, wanted, order)?,
        _ => with(&mut |k| hunt.pool.best(k).map(|best| disturbed(hunt, best, rng))),
    })
}

/// For each wanted target the likeliest of all other targets' best prefixes.
fn related(hunt: &Hunt, wanted: &[usize], order: Order) -> Result<Vec<(usize, Candidate)>, PrefixError> {
    let mut prefixes: Vec<Vec<TokenId>> = (0..hunt.gauges.tokens().len())
        .filter_map(|k| hunt.pool.best(k))
        .map(|best| best.prefix.clone())
        .collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    prefixes.truncate(RELATED);
    let mut best: Vec<Option<Candidate>> = vec![None; wanted.len()];
    for chunk in prefixes.chunks(CHUNK) {
        if hunt.is_over(order) {
            break;
        }
        let log_p = hunt.log_probs(chunk)?;
        let readings = hunt.gauges.read(&log_p);
        for (i, prefix) in chunk.iter().enumerate() {
            for (&k, best) in wanted.iter().zip(&mut best) {
                let log_p = readings.value(i, k);
                let better = best.as_ref().is_none_or(|old| log_p > old.log_p);
                if better && !hunt.tried[k].contains(prefix) {
                    *best = Some(Candidate { log_p, prefix: prefix.clone() });
                }
            }
        }
    }
    Ok(wanted.iter().zip(best).filter_map(|(&k, best)| best.map(|best| (k, best))).collect())
}

/// The prefix with some of its tokens, from one to all, replaced at random; or, within a language, another member of it. Its
/// value is unknown, so that any line improves on it.
fn disturbed(hunt: &Hunt, best: &Candidate, rng: &mut ChaCha8Rng) -> Candidate {
    if let Some(scope) = &hunt.scope {
        let fresh = if rng.random() { scope.sample(rng) } else { None };
        let prefix = fresh.unwrap_or_else(|| scope.disturbed(&best.prefix, rng));
        return Candidate { log_p: f32::NEG_INFINITY, prefix };
    }
    let vocab_size = hunt.evaluator.model().head.vocab_size() as TokenId;
    let mut prefix = best.prefix.clone();
    for _ in 0..rng.random_range(1..=prefix.len()) {
        let at = rng.random_range(0..prefix.len());
        prefix[at] = rng.random_range(0..vocab_size);
    }
    Candidate { log_p: f32::NEG_INFINITY, prefix }
}
