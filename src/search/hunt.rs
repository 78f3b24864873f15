//! A hunt: the search for witnesses of many targets at once, with one pool of evaluations.
//!
//! First seeds (all shortest prefixes, samples of the model), then generations of climbs, one per target that is still wanted,
//! and of walks along gradients. Work is cut into rounds that depend on the pool alone, never on the clock or on who
//! finished first, so the same seed gives the same witnesses at any number of threads unless time runs out.

mod climbs;
mod confirm;
mod members;
mod scope;
mod seeds;
mod starts;
mod walks;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ndarray::Array2;
use rayon::prelude::*;

use crate::limits::{Limits, StopReason};
use crate::model::{Evaluator, PrefixError, TokenId};
use crate::spec::Predicate;
use crate::spec::language::{Automaton, TokenSet};
use crate::verdict::Witness;

use super::climb::Step;
use super::gauge::Gauges;
use super::incumbent::Incumbent;
use super::leads::Leads;
use super::pool::Pool;
use super::probe::{Probe, Scores};
use super::target::{Aim, Target};
use confirm::Pace;
use scope::Scope;

/// Longest prefix that seeds and climbs build, in tokens; leads may be longer. Longer ones cost more and help little.
const LONGEST: usize = 32;
/// Up to this size the whole vocabulary is tried in each place, and looked at in each evaluation.
const WHOLE: usize = 1024;
/// Probes that run side by side.
const ROUND: usize = 16;
/// At most this part of the time, one in so many, is kept back for rigorous evaluations.
const RESERVE: u32 = 10;
/// Walks after each climb: they cost a small part of one.
const WALKS: usize = 8;
/// A target is given up after so many generations without gain.
const PATIENCE: usize = 12;
/// Every so many generations everything wanted is climbed for, in the others only what is nearest to its aim.
const ALL: u64 = 4;
/// One in so many targets counts as near.
const NEAR: usize = 6;
/// What counts as gain, in nats.
const GAIN: f32 = 0.01;

/// Called with every better witness, after its rigorous evaluation.
pub type OnWitness<'a> = &'a dyn Fn(TokenId, &Witness);

/// The state of a search. Running it again, with another aim or more time, continues where it stopped.
#[derive(Debug)]
pub struct Hunt<'a> {
    evaluator: Evaluator<'a>,
    bos: Option<TokenId>,
    leads: &'a Leads,
    targets: Vec<Target<'a>>,
    /// Tokens of the pool: the targets', and in a small vocabulary all others after them, whose best prefixes are starts.
    gauges: Gauges<'a>,
    seed: u64,
    /// Longest prefix spoken of, in tokens.
    limit: usize,
    /// The language spoken of; `None` for every prefix. Whatever goes into the pool belongs to it.
    scope: Option<Arc<Scope<'a>>>,
    /// Longest prefix to build, in tokens.
    longest: usize,
    seeded: bool,
    /// Whether every prefix spoken of has been evaluated.
    complete: bool,
    generation: u64,
    /// Rounds of walks so far.
    walks: u64,
    pool: Pool,
    /// Steps that have been run.
    done: BTreeSet<Step>,
    /// Per target: where climbs have stood.
    tried: Vec<BTreeSet<Vec<TokenId>>>,
    /// Per target: log-probability, in nats, of the last candidate that was evaluated rigorously.
    confirmed: Vec<f32>,
    pace: Pace,
    /// Time that the slowest probe has taken: time may run out while one like it is under way.
    slowest: Duration,
}

/// What one call of [`Hunt::run`] was given.
#[derive(Clone, Copy)]
struct Order<'r> {
    aim: Aim<'r>,
    limits: &'r Limits,
    on_witness: OnWitness<'r>,
    /// Most time to keep back for rigorous evaluations.
    most_reserve: Duration,
}

impl<'a> Hunt<'a> {
    /// A search for `targets`. `bos` begins a text, if the model has such a token. From `limits` it takes the longest
    /// prefix and the seed.
    #[must_use]
    pub fn new(
        evaluator: Evaluator<'a>,
        bos: Option<TokenId>,
        targets: Vec<Target<'a>>,
        leads: &'a Leads,
        limits: &Limits,
    ) -> Hunt<'a> {
        let n = targets.len();
        let mut tokens: Vec<TokenId> = targets.iter().map(|target| target.token).collect();
        let vocab_size = evaluator.model().head.vocab_size();
        if vocab_size <= WHOLE {
            tokens
                .extend((0..vocab_size as TokenId).filter(|token| targets.iter().all(|t| t.token != *token)));
        }
        let limit = limits.longest_prefix(evaluator.model().context);
        Hunt {
            evaluator,
            bos,
            leads,
            pool: Pool::new(tokens.len()),
            gauges: Gauges::of_tokens(tokens),
            targets,
            seed: limits.seed,
            limit,
            scope: None,
            longest: limit.min(LONGEST),
            seeded: false,
            complete: false,
            generation: 0,
            walks: 0,
            done: BTreeSet::new(),
            tried: vec![BTreeSet::new(); n],
            confirmed: vec![f32::NEG_INFINITY; n],
            pace: Pace::default(),
            slowest: Duration::ZERO,
        }
    }

    /// A search for prefixes after which the excess of a predicate is large. `upper` is a proved bound on it, in nats,
    /// infinite where there is none; `incumbent` keeps excesses too. Witnesses are announced under the predicate's first
    /// token.
    #[must_use]
    pub fn of_predicate(
        evaluator: Evaluator<'a>,
        bos: Option<TokenId>,
        predicate: &'a Predicate,
        (upper, incumbent): (f64, &'a Incumbent),
        leads: &'a Leads,
        limits: &Limits,
    ) -> Hunt<'a> {
        let token = predicate.first_token();
        let mut hunt = Hunt::new(evaluator, bos, vec![Target { token, upper, incumbent }], leads, limits);
        // The last step of a continuation has to fit the context too.
        let room = hunt.evaluator.model().context.saturating_sub(predicate.continuation().len());
        hunt.limit = hunt.limit.min(room);
        hunt.longest = hunt.longest.min(hunt.limit);
        // The token itself stays among those whose best prefixes are starts.
        let tokens = [&[token], hunt.gauges.tokens()].concat();
        hunt.pool = Pool::new(tokens.len());
        hunt.gauges = Gauges::of_predicate(predicate, tokens);
        hunt
    }

    /// The same search over the prefixes of a language only.
    #[must_use]
    pub fn within(mut self, language: &'a Automaton) -> Hunt<'a> {
        if !language.is_any(self.evaluator.model().head.vocab_size()) {
            let shortest = language.lengths(self.limit).first().copied().unwrap_or(0);
            self.longest = self.limit.min(shortest + LONGEST);
            self.scope = Some(Arc::new(Scope::new(language, self.longest)));
        }
        self
    }

    /// Searches until the aim is reached, the targets left are given up, or the limits are; says which limit it was.
    /// Witnesses go to the targets' incumbents and to `on_witness`.
    ///
    /// # Errors
    /// A target that is not in the vocabulary.
    pub fn run(
        &mut self,
        aim: Aim,
        limits: &Limits,
        on_witness: OnWitness,
    ) -> Result<Option<StopReason>, PrefixError> {
        self.evaluator.model().check_tokens(self.gauges.tokens())?;
        let most_reserve = limits.remaining().map_or(Duration::MAX, |left| left / RESERVE);
        let order = Order { aim, limits, on_witness, most_reserve };
        if self.limit == 0 {
            return Ok(limits.reason());
        }
        let stopped = self.search(order)?;
        self.confirm(0..self.targets.len(), order)?;
        Ok(stopped)
    }

    /// Says which limit ended it, the time kept back for rigorous evaluations included.
    fn search(&mut self, order: Order) -> Result<Option<StopReason>, PrefixError> {
        if !self.seeded {
            self.follow_leads(order)?;
            match self.scope.clone() {
                None => seeds::sow(self, order)?,
                Some(scope) => self.complete = members::sow(self, &scope, order)?,
            }
            self.seeded = !self.is_over(order);
        }
        let mut fruitless = vec![0; self.targets.len()];
        loop {
            self.follow_leads(order)?;
            let wanted: Vec<usize> =
                self.wanted(order.aim).into_iter().filter(|&k| fruitless[k] < PATIENCE).collect();
            if wanted.is_empty() || self.complete {
                return Ok(None);
            }
            if self.is_over(order) {
                return Ok(Some(order.limits.reason().unwrap_or(StopReason::Time)));
            }
            let wanted = self.in_turn(wanted, order.aim);
            let before: Vec<f32> = wanted.iter().map(|&k| self.best_log_p(k)).collect();
            climbs::climb(self, &wanted, order)?;
            for _ in 0..WALKS {
                let open = |&k: &usize| self.targets[k].wanted(order.aim).is_some();
                let open: Vec<usize> = wanted.iter().copied().filter(open).collect();
                if open.is_empty() || self.is_over(order) || !walks::walk(self, &open, order)? {
                    break;
                }
            }
            self.generation += 1;
            for (&k, before) in wanted.iter().zip(before) {
                fruitless[k] = if self.best_log_p(k) > before + GAIN { 0 } else { fruitless[k] + 1 };
            }
            // Lower bounds decide whether the gap is small enough.
            if let Aim::Narrow { .. } = order.aim {
                self.confirm(wanted, order)?;
            }
        }
    }

    /// Runs probes side by side and tells the pool; `None` for a probe that the limits cut off.
    fn round(&mut self, probes: &[Probe], order: Order) -> Result<Vec<Option<Scores>>, PrefixError> {
        let reserve = self.reserve(order);
        let limits = match order.limits.remaining() {
            Some(left) => order.limits.within(left.saturating_sub(reserve)),
            None => order.limits.clone(),
        };
        let run = |probe: &Probe| {
            if limits.expired() {
                return Ok((None, Duration::ZERO));
            }
            let start = Instant::now();
            probe.run(self.evaluator, &self.gauges).map(|scores| (Some(scores), start.elapsed()))
        };
        let run = probes.par_iter().map(run).collect::<Result<Vec<_>, _>>()?;
        self.slowest = run.iter().fold(self.slowest, |slowest, (_, time)| slowest.max(*time));
        let scores: Vec<Option<Scores>> = run.into_iter().map(|(scores, _)| scores).collect();
        for (probe, scores) in probes.iter().zip(&scores) {
            if let Some(scores) = scores {
                scores.pour(probe, &mut self.pool);
            }
        }
        self.confirm_decisive(order)?;
        Ok(scores)
    }

    /// Tells the pool of prefixes whose log-probabilities `[prefixes, vocabulary]` are known; evaluates them where that is
    /// not enough.
    fn pour(&mut self, probe: &Probe, log_p: &Array2<f32>, order: Order) -> Result<(), PrefixError> {
        match Scores::new(log_p, &self.gauges) {
            Some(scores) => {
                scores.pour(probe, &mut self.pool);
                self.confirm_decisive(order)
            }
            None => self.round(std::slice::from_ref(probe), order).map(|_| ()),
        }
    }

    /// Evaluates what was suggested from outside.
    fn follow_leads(&mut self, order: Order) -> Result<(), PrefixError> {
        let model = self.evaluator.model();
        let fits = |prefix: &Vec<TokenId>| {
            prefix.len() <= self.limit && model.check_prefix(prefix).is_ok() && self.speaks_of(prefix)
        };
        let leads = self.leads.take().into_iter().filter(fits);
        let probes: Vec<Probe> = leads.map(|prefix| Probe::new(Vec::new(), vec![prefix])).collect();
        self.round(&probes, order).map(|_| ())
    }

    /// What the gauges read off these prefixes.
    fn log_probs(&self, prefixes: &[Vec<TokenId>]) -> Result<Vec<Array2<f32>>, PrefixError> {
        let continuation = self.gauges.continuation();
        let longer = |n: usize| prefixes.iter().map(move |prefix| [prefix, &continuation[..n]].concat());
        (0..=continuation.len()).map(|n| self.evaluator.log_probs(&longer(n).collect::<Vec<_>>())).collect()
    }

    /// The tokens that may stand at a position of a prefix; `None` for all of them.
    fn allowed(&self, prefix: &[TokenId], position: usize) -> Option<TokenSet> {
        let scope = self.scope.as_ref()?;
        Some(scope.slice(prefix.len()).map_or_else(TokenSet::default, |s| s.substitutes(prefix, position)))
    }

    /// Whether a prefix belongs to the language.
    fn speaks_of(&self, prefix: &[TokenId]) -> bool {
        self.scope.as_ref().is_none_or(|scope| scope.holds(prefix))
    }

    /// Indices of the targets about which something is left to find.
    fn wanted(&self, aim: Aim) -> Vec<usize> {
        (0..self.targets.len()).filter(|&k| self.targets[k].wanted(aim).is_some()).collect()
    }

    /// Those of the wanted targets whose turn it is: all of them, or only the ones that lack the least in nats. Of many
    /// open targets most stay out of reach, and time spent on them equally is lost to the few that are not.
    fn in_turn(&self, mut wanted: Vec<usize>, aim: Aim) -> Vec<usize> {
        if matches!(aim, Aim::Exceed(_)) && !self.generation.is_multiple_of(ALL) {
            let lack = |k: &usize| {
                let sought = self.targets[*k].wanted(aim).map_or(f64::INFINITY, |p| self.gauges.scale(p));
                sought - f64::from(self.best_log_p(*k))
            };
            wanted.sort_by(|a, b| lack(a).total_cmp(&lack(b)));
            wanted.truncate(wanted.len().div_ceil(NEAR));
            wanted.sort_unstable();
        }
        wanted
    }

    fn best_log_p(&self, target: usize) -> f32 {
        self.pool.best(target).map_or(f32::NEG_INFINITY, |best| best.log_p)
    }

    /// Whether searching has to end: nothing is wanted, or what is left of the time is needed to evaluate rigorously.
    fn is_over(&self, order: Order) -> bool {
        let left = order.limits.remaining().unwrap_or(Duration::MAX);
        order.limits.expired() || left < self.reserve(order) || self.wanted(order.aim).is_empty()
    }

    /// Time to keep back for the rigorous evaluation of what was found.
    fn reserve(&self, order: Order) -> Duration {
        (self.slowest + self.time_to_confirm()).min(order.most_reserve)
    }
}
