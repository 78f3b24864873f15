//! Rigorous evaluation of what the fast one found: only this makes a prefix a witness.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use crate::model::{PrefixError, TokenId, rigorous};
use crate::num::Interval;
use crate::verdict::Witness;

use super::{Hunt, Order};
use crate::search::target::Aim;

/// Time for the rigorous evaluation of one token of a prefix as long as nothing is known, on one core.
const FIRST_GUESS: Duration = Duration::from_millis(10);

/// What the fast evaluation may be wrong by: a part of a probability, or nats of an excess.
const NEAR: f64 = 1e-3;

/// How long rigorous evaluations have taken so far.
#[derive(Debug, Default)]
pub struct Pace {
    spent: Duration,
    /// Tokens of the prefixes evaluated.
    tokens: u32,
}

impl Hunt<'_> {
    /// Evaluates the candidates that should carry a target past the next threshold.
    pub(super) fn confirm_decisive(&mut self, order: Order) -> Result<(), PrefixError> {
        let (Aim::Exceed(_) | Aim::Violate(_)) = order.aim else { return Ok(()) };
        let decisive = |&k: &usize| {
            let wanted = self.targets[k].wanted(order.aim);
            wanted.is_some_and(|wanted| self.value(self.best_log_p(k)) > wanted)
        };
        let decisive: Vec<usize> = (0..self.targets.len()).filter(decisive).collect();
        self.confirm(decisive, order)
    }

    /// Evaluates the best candidates of these targets, as far as they are new and the limits allow.
    pub(super) fn confirm(
        &mut self,
        targets: impl IntoIterator<Item = usize>,
        order: Order,
    ) -> Result<(), PrefixError> {
        let start = Instant::now();
        // Targets with the same prefix share its evaluation.
        let mut groups: BTreeMap<&[TokenId], Vec<usize>> = BTreeMap::new();
        for k in targets.into_iter().filter(|&k| self.is_news(k)) {
            // The pool has members of the language only; a witness must not depend on that.
            if let Some(best) = self.pool.best(k)
                && self.speaks_of(&best.prefix)
            {
                groups.entry(&best.prefix).or_default().push(k);
            }
        }
        if groups.is_empty() {
            return Ok(());
        }
        let model = self.evaluator.model();
        let enclose = |(prefix, members): (&[TokenId], Vec<usize>)| {
            if order.limits.expired() {
                return Ok(Vec::new());
            }
            let continuation = self.gauges.continuation();
            let after = |n: usize| rigorous::logits(model, &[prefix, &continuation[..n]].concat());
            let logits = (0..=continuation.len()).map(after).collect::<Result<Vec<_>, _>>()?;
            let witness = |k: usize| {
                let value = match self.gauges.predicate() {
                    Some(predicate) => predicate.excess(&logits),
                    None => rigorous::softmax_at(&logits[0], self.gauges.tokens()[k], Interval::ONE),
                };
                (k, Witness { prefix: prefix.to_vec(), lower: value.lo(), upper: value.hi() })
            };
            Ok(members.into_iter().map(witness).collect())
        };
        let found = groups.into_par_iter().map(enclose).collect::<Result<Vec<_>, _>>()?;
        for (k, witness) in found.into_iter().flatten() {
            self.confirmed[k] = self.best_log_p(k);
            self.pace.tokens += witness.prefix.len() as u32;
            if self.targets[k].incumbent.offer(witness.clone()) {
                (order.on_witness)(self.gauges.tokens()[k], &witness);
            }
        }
        self.pace.spent += start.elapsed();
        Ok(())
    }

    /// Whether the best candidate of a target has not been evaluated rigorously and may improve its incumbent.
    fn is_news(&self, k: usize) -> bool {
        let log_p = self.best_log_p(k);
        let lower = self.targets[k].incumbent.lower();
        // The fast evaluation may err a little either way; what is clearly worse than the incumbent is left alone.
        let least = if self.gauges.predicate().is_some() { lower - NEAR } else { lower * (1.0 - NEAR) };
        log_p > self.confirmed[k] && self.value(log_p) > least
    }

    /// From the pool's numbers to those of incumbents: log-probabilities become probabilities, excesses stay what they are.
    fn value(&self, log_p: f32) -> f64 {
        let log_p = f64::from(log_p);
        if self.gauges.predicate().is_some() { log_p } else { log_p.exp() }
    }

    /// Time that the evaluation of all news will take, as far as experience tells.
    pub(super) fn time_to_confirm(&self) -> Duration {
        let news = (0..self.targets.len()).filter(|&k| self.is_news(k)).filter_map(|k| self.pool.best(k));
        let tokens = news.map(|best| best.prefix.len()).sum::<usize>() as f64;
        match self.pace.tokens {
            0 => FIRST_GUESS.mul_f64(tokens / rayon::current_num_threads() as f64),
            known => self.pace.spent.mul_f64(tokens / f64::from(known)),
        }
    }
}
