//! Which upper bounds a prover that needs a threshold attempts, token by token, and how they share the time.

use crate::limits::Limits;
use crate::search::Aim;
use crate::verdict::{Answer, Bounds, Prover};

/// A probability to prove as an upper bound, strictly between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attempt {
    /// The bound.
    pub probability: f64,
}

/// How far up from the lower to the upper bound the next attempt is made: high, because a draft makes the way down in steps
/// cheap, and each step that succeeds is a better bound.
const STEP: f64 = 0.7;

/// What to try next, given that `failed` (zero at first) was out of reach. For a gap: a step from the upper bound towards
/// what is known to be out of reach. For thresholds: the largest undecided one; with `refine`, a gap that is worth the
/// time left, that step too, or an undecided threshold close to it. `None` when nothing is worth a try.
#[must_use]
fn next_attempt(bounds: &Bounds, aim: Aim<'_>, failed: f64, refine: Option<f64>) -> Option<Attempt> {
    let lower = bounds.lower().max(failed);
    let step = |gap: f64| {
        // It ends at a tenth of the present gap: closer to the witness proofs get long.
        let room = bounds.upper - lower;
        let total = bounds.upper - bounds.lower();
        (total > gap && room > 0.1 * total && room > 1e-3).then_some(lower + STEP * room)
    };
    let probability = match aim {
        Aim::Narrow { gap } => step(gap)?,
        Aim::Exceed(thresholds) => {
            let open = || {
                let unknown = thresholds.iter().filter(|p| bounds.answer(p) == Answer::Unknown);
                unknown.map(|p| p.floor()).filter(|p| *p > failed)
            };
            let far = |p: &f64, step: f64| (p - step).abs();
            match refine.and_then(step) {
                Some(step) => open()
                    .filter(|p| far(p, step) <= 0.3 * (bounds.upper - lower))
                    .min_by(|p, q| far(p, step).total_cmp(&far(q, step)))
                    .unwrap_or(step),
                None => open().reduce(f64::max)?,
            }
        }
        // Bounds on the excess of a predicate are no probabilities.
        Aim::Violate(_) => return None,
    };
    (probability > 0.0 && probability < 1.0).then_some(Attempt { probability })
}

/// What is open for a prover, and how it may go about it.
pub(super) struct Attempts<'a> {
    /// Whose attempts they are.
    pub prover: Prover,
    /// What is asked.
    pub aim: Aim<'a>,
    /// Gap worth the time that thresholds leave.
    pub refine: Option<f64>,
    /// When to end.
    pub limits: &'a Limits,
}

impl Attempts<'_> {
    /// Tokens, by their place in `all`, with something to attempt; narrow gaps first: they take the least and leave more time to
    /// the others.
    pub fn open(&self, all: &[Bounds]) -> Vec<usize> {
        let wanted = |&i: &usize| next_attempt(&all[i], self.aim, 0.0, self.refine).is_some();
        let mut open: Vec<usize> = (0..all.len()).filter(wanted).collect();
        open.sort_by(|&a, &b| gap(&all[a]).total_cmp(&gap(&all[b])));
        open
    }

    /// Lets `prove` loose on each open token, which may find a proof of an attempt within some limits. Time is shared in proportion
    /// to the gaps that it may close.
    pub fn run(
        &self,
        open: &[usize],
        all: &mut [Bounds],
        mut prove: impl FnMut(usize, Attempt, &Limits) -> bool,
    ) {
        let gaps: Vec<f64> = open.iter().map(|&i| gap(&all[i]).max(f64::MIN_POSITIVE)).collect();
        for (done, &i) in open.iter().enumerate() {
            let part = gaps[done] / gaps[done..].iter().sum::<f64>();
            let share = self.limits.remaining().map(|left| left.mul_f64(part.clamp(0.0, 1.0)));
            let own = share.map_or_else(|| self.limits.clone(), |share| self.limits.within(share));
            let mut failed = 0.0;
            while let Some(attempt) = next_attempt(&all[i], self.aim, failed, self.refine) {
                // Where several attempts are to be made, none gets more than two fifths of what is left.
                let several = self.refine.is_some() || matches!(self.aim, Aim::Narrow { .. });
                let part = own.remaining().filter(|_| several).map(|left| own.within(left * 2 / 5));
                match prove(i, attempt, part.as_ref().unwrap_or(&own)) {
                    true => all[i].tighten(attempt.probability, self.prover),
                    false => failed = attempt.probability,
                }
                if own.expired() {
                    break;
                }
            }
            all[i].stopped = self.limits.reason().or(all[i].stopped);
        }
    }
}

fn gap(bounds: &Bounds) -> f64 {
    bounds.upper - bounds.lower()
}
