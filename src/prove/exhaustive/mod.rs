//! The exhaustive prover: every prefix of a finite language, evaluated rigorously.
//!
//! Prefixes are walked as a tree, so that what a beginning leaves behind (keys and values) is computed once, sixteen
//! beginnings at a time. Where a few prefixes show that it pays, floats with a proved error are tried first; prefixes whose error is
//! so large, and which come so close to the maximum, that it matters are computed again with more digits. The largest upper end over all prefixes bounds
//! the maximum, and the prefix with the largest lower end is a witness; the two differ by the width of one enclosure.
//! Units of work run in rounds on all cores; after each round the state of the run (how many units, and the extremes so
//! far) can be stored, and a later run goes on from there.

mod session;
mod tally;
mod unit;
mod walk;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::limits::{Limits, StopReason};
use crate::model::rigorous::batch::Network;
use crate::model::{Attention, Layer, Mlp, MlpKind, Model, PrefixError};
use crate::num::wide::LANES;
use crate::spec::language::Automaton;

pub use session::{ExhaustiveError, Session, is_open};
use tally::CROWD;
pub use tally::{Best, Extremes, Question, Tally};
use unit::{Plan, Worker};
use walk::{Tree, Unit};

/// Units that run side by side.
const ROUND: usize = 16;
/// Time between two stored states.
const STORE: Duration = Duration::from_secs(5);
/// Time for one weight of one beginning on one core, in seconds: in batches, and one by one.
const PACE: [f64; 2] = [80e-12, 60e-9];
/// Most time for a unit on one core, in seconds, by that guess: a run that is killed loses a round of units.
const UNIT: f64 = 1.0;

/// All prefixes of a language.
#[derive(Debug)]
pub struct Exhaustive<'a> {
    model: &'a Model,
    network: Option<Network<'a>>,
    tree: Tree<'a>,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Beginnings evaluated.
    pub done: f64,
    /// Beginnings in all.
    pub all: f64,
    /// Since this run began, on the clock.
    pub seconds: f64,
    /// Beginnings evaluated by this run.
    pub here: f64,
}

/// What a run saw.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Extremes of the prefixes seen.
    pub tally: Tally,
    /// Whether these were all.
    pub complete: bool,
    /// Why not, if the limits ended the run.
    pub stopped: Option<StopReason>,
}

/// The state of a run between two rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Units done, the first ones in order.
    pub units: usize,
    /// Their extremes.
    pub tally: Tally,
}

/// What a run tells and asks after each round.
pub trait Watch {
    /// How far it has come.
    fn progress(&self, pace: Pace);
    /// The state to go on from.
    fn store(&self, state: &State);
    /// Whether nothing more is wanted.
    fn is_enough(&self, tally: &Tally) -> bool;
}

impl<'a> Exhaustive<'a> {
    /// The prefixes of at most `longest` tokens, which the model has to accept.
    #[must_use]
    pub fn new(model: &'a Model, automaton: &'a Automaton, longest: usize) -> Exhaustive<'a> {
        let most = UNIT / (LANES as f64 * Exhaustive::seconds_per_beginning(model));
        let tree = Tree::new(automaton, longest, most);
        Exhaustive { model, network: Network::new(model, longest), tree }
    }

    /// What determines the units, together with the language.
    #[must_use]
    pub fn cut(&self) -> String {
        format!("{:?} nodes below each of {LANES}", self.tree.most_nodes())
    }

    /// Number of beginnings of prefixes.
    #[must_use]
    pub fn nodes(automaton: &Automaton, longest: usize) -> f64 {
        Tree::new(automaton, longest, 1.0).nodes()
    }

    /// Rough guess of the time that a whole run takes, in seconds.
    #[must_use]
    pub fn seconds(model: &Model, automaton: &Automaton, longest: usize) -> f64 {
        // Without batches each prefix begins anew.
        let again = match automaton.lengths(longest).last() {
            Some(&length) if !is_covered(model) => length as f64,
            _ => 1.0,
        };
        let nodes = Exhaustive::nodes(automaton, longest);
        nodes * again * Exhaustive::seconds_per_beginning(model) / rayon::current_num_threads() as f64
    }

    /// Rough guess of the time for one beginning on one core, in seconds.
    #[must_use]
    pub fn seconds_per_beginning(model: &Model) -> f64 {
        let of_attention = |a: &Attention| {
            a.query.weight.len() + a.key.weight.len() + a.value.weight.len() + a.output.weight.len()
        };
        let of_mlp = |mlp: &Mlp| match &mlp.kind {
            MlpKind::Plain { up, down } => up.weight.len() + down.weight.len(),
            MlpKind::Gated { gate, up, down } => gate.weight.len() + up.weight.len() + down.weight.len(),
        };
        let of_layer = |layer: &Layer| match layer {
            Layer::Attention(attention) => of_attention(attention),
            Layer::Mlp(mlp) => of_mlp(mlp),
            Layer::Parallel(both) => of_attention(&both.attention) + of_mlp(&both.mlp),
            Layer::Norm(_) => 0,
            Layer::Wkv4(_) | Layer::Wkv7(_) | Layer::ChannelMix(_) => 8 * model.head.width().pow(2),
        };
        let weights = model.body.layers.iter().map(of_layer).sum::<usize>() + model.head.unembed.len();
        let [batch, single] = PACE;
        weights as f64 * if is_covered(model) { batch } else { single }
    }

    /// Evaluates all prefixes, from `start` on if there is a state to go on from.
    ///
    /// # Errors
    /// A prefix that the model does not accept.
    pub fn run(
        &self,
        question: Question<'_>,
        start: Option<State>,
        limits: &Limits,
        watch: &dyn Watch,
    ) -> Result<Seen, PrefixError> {
        let mut state = start.unwrap_or_else(|| State { units: 0, tally: question.start() });
        let mut units = self.tree.units();
        let skipped: f64 = units.by_ref().take(state.units).map(|unit| self.tree.size(&unit)).sum();
        let mut pace = Pace { done: skipped, all: self.tree.nodes(), seconds: 0.0, here: 0.0 };
        let (begin, mut stored): (Instant, Option<Instant>) = (Instant::now(), None);
        let (network, tree) = (self.network.as_ref(), &self.tree);
        let plans = network.map_or_else(|| vec![Plan::Digits], |network| Plan::all(network, tree));
        let (mut plans, again) = (plans.into_iter().peekable(), AtomicUsize::new(0));
        let plan = plans.next().unwrap_or(Plan::Digits);
        let mut worker = Worker { model: self.model, network, tree, plan, question, again: &again, limits };
        loop {
            let round: Vec<Unit> = units.by_ref().take(ROUND).collect();
            if round.is_empty() {
                let complete = worker.settle(&mut state.tally, 0)?;
                watch.store(&state);
                let stopped = if complete { None } else { limits.reason() };
                return Ok(Seen { tally: state.tally, complete, stopped });
            }
            let floors = state.tally.floors();
            let run = |unit: &Unit| worker.run(unit, &floors);
            let found = round.par_iter().map(run).collect::<Result<Vec<_>, _>>()?;
            // What came after a unit that was cut off is dropped: the state is a number of units.
            for (unit, tally) in round.iter().zip(&found) {
                let Some(tally) = tally else { break };
                state.tally.merge(tally.clone());
                state.units += 1;
                pace.done += self.tree.size(unit);
                pace.here += self.tree.size(unit);
            }
            worker.settle(&mut state.tally, CROWD)?;
            // Where floats cost more than they save.
            let taken = again.swap(0, Ordering::Relaxed) as f64;
            let steps: f64 = round.iter().map(|unit| self.tree.size(unit)).sum();
            if let Some(plan) = plans.next_if(|plan| taken > plan.share(tree) * steps) {
                worker.plan = plan;
            }
            let cut = found.iter().any(Option::is_none);
            pace.seconds = begin.elapsed().as_secs_f64();
            watch.progress(pace);
            if cut || stored.is_none_or(|stored| stored.elapsed() >= STORE) {
                watch.store(&state);
                stored = Some(Instant::now());
            }
            if cut || watch.is_enough(&state.tally) {
                return Ok(Seen { tally: state.tally, complete: false, stopped: limits.reason() });
            }
        }
    }
}

/// Whether the evaluation in batches covers a model.
fn is_covered(model: &Model) -> bool {
    model.body.layers.iter().all(|layer| match layer {
        Layer::Attention(_) => true,
        Layer::Mlp(mlp) => mlp.activation.has_kernel(),
        Layer::Parallel(both) => both.mlp.activation.has_kernel(),
        Layer::Norm(_) | Layer::Wkv4(_) | Layer::Wkv7(_) | Layer::ChannelMix(_) => false,
    })
}
