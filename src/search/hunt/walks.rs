//! Guided walks: from many starts, substitutions in the order in which the gradient promises gain (GCG, Zou et al. 2023).
//!
//! A walk stands on a prefix, asks for the first-order gains of all substitutions in all places at once, has the most
//! promising ones evaluated, moves to the best of them if that is better, and else looks at the next in the order. A climb
//! looks at everything around a prefix for certain, a walk gets as far for a small part of the evaluations.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::Array2;
use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::model::{PrefixError, TokenId};
use crate::search::pool::Candidate;
use crate::search::probe::Probe;

use super::{Hunt, Order, ROUND};

/// Substitutions evaluated per step.
const TRIES: usize = 32;
/// A walk ends after so many steps without gain.
const PATIENCE: usize = 4;
/// Good prefixes of a target, of different lengths, near which walks begin.
const KNOWN: usize = 6;
/// Most edits that take a walk away from them.
const EDITS: usize = 4;
/// Random stream of the first round; climbs have theirs from 1 on.
const STREAMS: u64 = 1 << 32;

/// One walk.
#[derive(Debug)]
struct Walk {
    /// Index of the target.
    target: usize,
    at: Candidate,
    /// Substitutions of `at` that have been evaluated.
    tried: BTreeSet<(usize, TokenId)>,
    /// Steps since the last move.
    fruitless: usize,
}

/// Lets one walk per wanted target run to its end, or until the order is over. Says whether there was a gradient to follow.
pub fn walk(hunt: &mut Hunt, wanted: &[usize], order: Order) -> Result<bool, PrefixError> {
    if hunt.gauges.predicate().is_some() {
        // The gradient is that of a token's log-probability.
        return Ok(false);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(hunt.seed);
    rng.set_stream(STREAMS + hunt.walks);
    hunt.walks += 1;
    let mut walks: Vec<Walk> = Vec::new();
    for &target in wanted {
        if let Some(prefix) = start(hunt, target, &mut rng) {
            let at = Candidate { log_p: f32::NEG_INFINITY, prefix };
            walks.push(Walk { target, at, tried: BTreeSet::new(), fruitless: 0 });
        }
    }
    while !walks.is_empty() && !hunt.is_over(order) {
        let Some(probes) = next_probes(hunt, &mut walks)? else { return Ok(false) };
        for (walks, probes) in walks.chunks_mut(ROUND).zip(probes.chunks(ROUND)) {
            let scores = hunt.round(probes, order)?;
            for ((walk, probe), scores) in walks.iter_mut().zip(probes).zip(&scores) {
                let Some(scores) = scores else { continue };
                let best = scores.best(walk.target);
                if best.log_p > walk.at.log_p {
                    walk.at = Candidate { log_p: best.log_p, prefix: probe.prefix(best.suffix) };
                    walk.tried.clear();
                    walk.fruitless = 0;
                } else {
                    walk.fruitless += 1;
                }
            }
        }
        walks.retain(|walk| {
            walk.fruitless < PATIENCE && hunt.targets[walk.target].wanted(order.aim).is_some()
        });
    }
    Ok(true)
}

/// What each walk wants evaluated; `None` without gradients.
fn next_probes(hunt: &Hunt, walks: &mut [Walk]) -> Result<Option<Vec<Probe>>, PrefixError> {
    let mut by_len: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (i, walk) in walks.iter().enumerate() {
        by_len.entry(walk.at.prefix.len()).or_default().push(i);
    }
    let mut probes: Vec<Option<Probe>> = walks.iter().map(|_| None).collect();
    for members in by_len.into_values() {
        let prefixes: Vec<&[TokenId]> = members.iter().map(|&i| walks[i].at.prefix.as_slice()).collect();
        let targets: Vec<TokenId> = members.iter().map(|&i| hunt.gauges.tokens()[walks[i].target]).collect();
        let Some(gains) = hunt.evaluator.substitution_gains(&prefixes, &targets)? else { return Ok(None) };
        for (i, gains) in members.into_iter().zip(gains) {
            probes[i] = Some(walks[i].tries(hunt, &gains));
        }
    }
    Ok(Some(probes.into_iter().flatten().collect()))
}

impl Walk {
    /// The most promising substitutions that have not been tried; the prefix itself as long as its value is unknown.
    fn tries(&mut self, hunt: &Hunt, gains: &Array2<f32>) -> Probe {
        let prefix = &self.at.prefix;
        let mut ranked: Vec<(f32, usize, TokenId)> = Vec::with_capacity(gains.len());
        for (position, gains) in gains.rows().into_iter().enumerate() {
            let allowed = hunt.allowed(prefix, position);
            let others = (0..).zip(gains).filter(|(token, _)| *token != prefix[position]);
            let new = others.filter(|(token, _)| {
                allowed.as_ref().is_none_or(|set| set.contains(*token))
                    && !self.tried.contains(&(position, *token))
            });
            ranked.extend(new.map(|(token, &gain)| (gain, position, token)));
        }
        let order = |a: &(f32, usize, TokenId), b: &(f32, usize, TokenId)| {
            b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2)))
        };
        if ranked.len() > TRIES {
            ranked.select_nth_unstable_by(TRIES, order);
            ranked.truncate(TRIES);
        }
        ranked.sort_unstable_by(order);
        let mut members = Vec::with_capacity(TRIES + 1);
        if self.at.log_p == f32::NEG_INFINITY {
            members.push(prefix.clone());
        }
        for (_, position, token) in ranked {
            let mut member = prefix.clone();
            member[position] = token;
            members.push(member);
            self.tried.insert((position, token));
        }
        Probe::new(Vec::new(), members)
    }
}

/// Where a walk begins: near a good prefix of the target, at a cross of one with another token's best, or by chance.
fn start(hunt: &Hunt, target: usize, rng: &mut ChaCha8Rng) -> Option<Vec<TokenId>> {
    let known = hunt.pool.by_length(target);
    let known = &known[..known.len().min(KNOWN)];
    let own = if known.is_empty() { &[][..] } else { &known[rng.random_range(0..known.len())].prefix };
    if let Some(scope) = &hunt.scope {
        let anew = own.is_empty() || rng.random_range(0..3) == 0;
        return if anew { scope.sample(rng) } else { Some(scope.disturbed(own, rng)) };
    }
    let vocab_size = hunt.evaluator.model().head.vocab_size() as TokenId;
    let kind = if own.is_empty() { 0 } else { rng.random_range(0..5) };
    let mut prefix: Vec<TokenId> = match kind {
        0 => {
            let len = rng.random_range(1..=hunt.longest);
            (0..len).map(|_| rng.random_range(0..vocab_size)).collect()
        }
        1 => {
            let other = hunt.pool.best(rng.random_range(0..hunt.gauges.tokens().len()));
            let other = other.map_or(&[][..], |best| &best.prefix);
            let (head, tail) = (rng.random_range(0..=other.len()), rng.random_range(0..own.len()));
            [&other[..head], &own[tail..]].concat()
        }
        _ => own.to_vec(),
    };
    for _ in 0..rng.random_range(1..=EDITS) {
        edit(&mut prefix, hunt.longest, vocab_size, rng);
    }
    prefix.drain(..prefix.len().saturating_sub(hunt.longest));
    Some(prefix)
}

/// A token replaced, inserted or left out.
fn edit(prefix: &mut Vec<TokenId>, longest: usize, vocab_size: TokenId, rng: &mut ChaCha8Rng) {
    let (at, token) = (rng.random_range(0..prefix.len()), rng.random_range(0..vocab_size));
    match rng.random_range(0..3) {
        0 if prefix.len() < longest => prefix.insert(at, token),
        1 if prefix.len() > 1 => {
            prefix.remove(at);
        }
        _ => prefix[at] = token,
    }
}
