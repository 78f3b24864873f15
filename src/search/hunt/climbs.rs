//! One generation: a climb per wanted target, side by side, until each stands on a local optimum.

use std::collections::VecDeque;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::model::{PrefixError, TokenId};
use crate::search::climb::{Climb, Step};
use crate::search::probe::Probe;
use crate::spec::language::TokenSet;

use super::scope::pick;
use super::{Hunt, Order, ROUND, WHOLE, starts};

/// Tokens in a line of a vocabulary that is too large to try them all, drawn anew for each line.
const DRAWN: usize = 512;
/// Heat of the climbs of every second round of starts.
const HEAT: f32 = 3.0;
/// Steps remembered at most.
const MEMORY: usize = 1 << 18;

/// Lets one climb per wanted target run to its end, or until the order is over.
pub fn climb(hunt: &mut Hunt, wanted: &[usize], order: Order) -> Result<(), PrefixError> {
    let mut rng = ChaCha8Rng::seed_from_u64(hunt.seed);
    rng.set_stream(1 + hunt.generation);
    let starts = starts::choose(hunt, wanted, &mut rng, order)?;
    let heat = if (hunt.generation / starts::KINDS).is_multiple_of(2) { 1.0 } else { HEAT };
    let mut climbs: VecDeque<Climb> = VecDeque::new();
    for (k, start) in starts {
        hunt.tried[k].insert(start.prefix.clone());
        climbs.push_back(Climb::new(k, start, heat, hunt.longest));
    }
    while !climbs.is_empty() && !hunt.is_over(order) {
        let n = climbs.len().min(ROUND);
        let each = ROUND.div_ceil(n);
        let mut jobs: Vec<(usize, Probe)> = Vec::new();
        for (i, climb) in climbs.iter_mut().enumerate().take(n) {
            hunt.jump(climb);
            for step in hunt.steps(climb, each) {
                let probe = probe(hunt, &step, &climb.at().prefix, &mut rng);
                if !probe.suffixes.is_empty() {
                    jobs.push((i, Probe { heat: climb.heat(), ..probe }));
                }
            }
        }
        let probes: Vec<Probe> = jobs.iter().map(|(_, probe)| probe.clone()).collect();
        let scores = hunt.round(&probes, order)?;
        for ((i, probe), scores) in jobs.iter().zip(&scores) {
            let Some(scores) = scores else { continue };
            let climb = &mut climbs[*i];
            if probe.heat == climb.heat() {
                let best = scores.best(climb.target);
                climb.consider(best, || probe.prefix(best.suffix));
            }
            hunt.tried[climb.target].insert(climb.at().prefix.clone());
        }
        climbs.rotate_left(n);
        climbs.retain(|climb| climb.has_work() && hunt.targets[climb.target].wanted(order.aim).is_some());
    }
    if hunt.done.len() > MEMORY {
        hunt.done.clear();
    }
    Ok(())
}

impl Hunt<'_> {
    /// Moves a climb to the pool's best prefix where another climb found a better one in passing.
    fn jump(&mut self, climb: &mut Climb) {
        if let Some(best) = self.pool.best(climb.target)
            && climb.heat() == 1.0
            && best.log_p > climb.at().log_p
            && self.tried[climb.target].insert(best.prefix.clone())
        {
            climb.jump(best.clone());
        }
    }

    /// Up to `n` steps of a climb that may bring something new.
    fn steps(&mut self, climb: &mut Climb, n: usize) -> Vec<Step> {
        // On the pool's best prefix a step that has been run has nothing better; elsewhere it may lead upwards again.
        let on_top = climb.heat() == 1.0 && climb.at().log_p >= self.best_log_p(climb.target);
        let mut steps = Vec::new();
        while steps.len() < n
            && let Some(step) = climb.next_step()
        {
            if self.done.insert(step.clone()) || !on_top {
                steps.push(step);
            }
        }
        steps
    }
}

/// The prefixes to evaluate for a step of a climb that stands at `at`.
fn probe(hunt: &Hunt, step: &Step, at: &[TokenId], rng: &mut ChaCha8Rng) -> Probe {
    match (&hunt.scope, step) {
        (None, _) => {
            let all = TokenSet::vocabulary(hunt.evaluator.model().head.vocab_size());
            step.probe(&candidates(&all, rng))
        }
        (Some(scope), Step::Line(line)) => {
            let mut probe = line.filled(&candidates(&scope.fillers(line), rng));
            // Where only one token is allowed, substituting it changes nothing.
            if probe.suffixes.len() == 1 && probe.prefix(0) == at {
                probe.suffixes.clear();
            }
            probe
        }
        (Some(scope), Step::Shorten(_)) => scope.members(step.probe(&[])),
    }
}

/// Tokens that fill a line, out of those allowed: all, or some of many.
fn candidates(allowed: &TokenSet, rng: &mut ChaCha8Rng) -> Vec<TokenId> {
    if allowed.len() <= WHOLE as u64 {
        return allowed.ids().collect();
    }
    (0..DRAWN).filter_map(|_| pick(allowed, rng)).collect()
}
