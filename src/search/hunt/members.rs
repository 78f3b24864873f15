//! Seeds within a language: all members of the shortest lengths, members drawn at random, and members that the model itself
//! writes where its choice of tokens is cut down to those that the language allows.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::model::eval::log_softmax;
use crate::model::{PrefixError, TokenId};
use crate::search::probe::Probe;
use crate::spec::language::{Slice, TokenSet};

use super::scope::{Scope, pick};
use super::seeds::{MEMBERS, SAMPLES, TEMPERATURES, affordable, draw};
use super::{Hunt, Order, ROUND};

/// Most lengths for which the model writes members.
const LENGTHS: usize = 8;

/// Evaluates the seeds, cheap ones first, until the order is over. Says whether these were all members there are.
pub fn sow(hunt: &mut Hunt, scope: &Scope, order: Order) -> Result<bool, PrefixError> {
    let columns = affordable(hunt.evaluator.model());
    let mut complete = scope.is_complete(hunt.limit);
    for slice in scope.slices() {
        let tokens = slice.count() * slice.length();
        if tokens > columns.into() || hunt.is_over(order) {
            complete = false;
            break;
        }
        exhaust(hunt, slice, order)?;
    }
    if complete && !hunt.is_over(order) {
        return Ok(true);
    }
    draw_members(hunt, scope, columns, order)?;
    write_members(hunt, scope, columns, order)?;
    Ok(false)
}

/// Evaluates all members of one length, those with a common beginning together.
fn exhaust(hunt: &mut Hunt, slice: &Slice, order: Order) -> Result<(), PrefixError> {
    let (sets, mut depth, mut members) = (slice.sets(), 0, 1);
    // As many last tokens vary within a probe as fill it.
    while depth < sets.len() && members < MEMBERS as u64 {
        depth += 1;
        members = sets[sets.len() - depth].len().saturating_mul(members);
    }
    let n_left = sets.len() - depth;
    let mut members = slice.members().peekable();
    let mut probes = Vec::new();
    while let Some(first) = members.next() {
        let left = first[..n_left].to_vec();
        let mut suffixes = vec![first[n_left..].to_vec()];
        while suffixes.len() < MEMBERS
            && let Some(next) = members.next_if(|next| next.starts_with(&left))
        {
            suffixes.push(next[n_left..].to_vec());
        }
        probes.push(Probe::new(left, suffixes));
        if probes.len() == ROUND || members.peek().is_none() {
            hunt.round(&probes, order)?;
            probes.clear();
            if hunt.is_over(order) {
                break;
            }
        }
    }
    Ok(())
}

/// Evaluates members of each length drawn uniformly.
fn draw_members(hunt: &mut Hunt, scope: &Scope, columns: usize, order: Order) -> Result<(), PrefixError> {
    let mut rng = ChaCha8Rng::seed_from_u64(hunt.seed);
    let tokens: usize = scope.slices().map(Slice::length).sum();
    let each = (columns / tokens.max(1)).clamp(1, MEMBERS);
    let draw = |slice: &Slice| {
        let mut members: Vec<Vec<TokenId>> = (0..each).map(|_| slice.sample(&mut rng)).collect();
        members.sort_unstable();
        members.dedup();
        Probe::new(Vec::new(), members)
    };
    let probes: Vec<Probe> = scope.slices().map(draw).collect();
    for probes in probes.chunks(ROUND) {
        if hunt.is_over(order) {
            break;
        }
        hunt.round(probes, order)?;
    }
    Ok(())
}

/// Evaluates members that the model writes, at several temperatures and of several lengths.
fn write_members(hunt: &mut Hunt, scope: &Scope, columns: usize, order: Order) -> Result<(), PrefixError> {
    let mut rng = ChaCha8Rng::seed_from_u64(hunt.seed);
    rng.set_stream(1);
    let all: Vec<&Slice> = scope.slices().collect();
    let slices: Vec<&Slice> = all.iter().step_by(all.len().div_ceil(LENGTHS).max(1)).copied().collect();
    let work: usize = slices.iter().map(|slice| slice.length() * slice.length()).sum();
    let each = (columns / (TEMPERATURES.len() * work.div_ceil(2).max(1))).clamp(2, SAMPLES);
    for temperature in TEMPERATURES {
        for slice in &slices {
            let mut texts = vec![Vec::new(); each];
            while texts[0].len() < slice.length() {
                if hunt.is_over(order) {
                    return Ok(());
                }
                lengthen(hunt, slice, &mut texts, temperature, &mut rng)?;
            }
            hunt.round(&[Probe::new(Vec::new(), texts)], order)?;
        }
    }
    Ok(())
}

/// One more token for each beginning, as the model would choose among those allowed.
fn lengthen(
    hunt: &Hunt,
    slice: &Slice,
    texts: &mut [Vec<TokenId>],
    temperature: f32,
    rng: &mut ChaCha8Rng,
) -> Result<(), PrefixError> {
    let next: Vec<_> = texts.iter().map(|text| slice.next(text)).collect();
    let chosen = |set: &TokenSet, rng: &mut ChaCha8Rng| match hunt.bos {
        Some(bos) if set.contains(bos) => Some(bos),
        _ => pick(set, rng),
    };
    // The model has no opinion about the first token, and none is needed where there is no choice.
    if texts.iter().any(Vec::is_empty) || next.iter().all(|set| set.len() == 1) {
        texts.iter_mut().zip(&next).for_each(|(text, set)| text.extend(chosen(set, rng)));
        return Ok(());
    }
    let mut log_p = hunt.evaluator.next_logits(texts)?;
    log_softmax(&mut log_p);
    for ((text, set), log_p) in texts.iter_mut().zip(&next).zip(log_p.rows()) {
        text.push(draw(set.ids().map(|id| (id, log_p[id as usize])), temperature, rng));
    }
    Ok(())
}
