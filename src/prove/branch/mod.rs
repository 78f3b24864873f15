//! The branch prover: branch and bound over token sets, through any number of blocks.
//!
//! A node is a product of token sets, one for each position. Its bound for a token comes from [`Network::ceilings`]: every
//! token of a set is enclosed on its own whatever comes before it, attention over them is an exact extreme, and the final
//! functional is affine. A node that is not tight enough is split at the position that moves the logits most; one with few
//! prefixes is evaluated prefix by prefix ([`Exhaustive`]), which also finds witnesses. All tokens that are asked for share
//! the nodes: a node keeps those that it has not settled.
//!
//! At every moment the largest bound over the open nodes and over those that were closed holds for the whole language,
//! since the nodes together hold all of its prefixes. Rounds have a fixed number of nodes, so that the number of threads changes nothing.

mod node;
mod session;
mod split;

use std::time::{Duration, Instant};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::domain::forward::Known;
use crate::domain::network::Network;
use crate::limits::{Limits, StopReason};
use crate::model::{Attention, Layer, Mlp, MlpKind, Model, PrefixError, TokenId};
use crate::search::Aim;
use crate::spec::language::{Automaton, State as AutomatonState, TokenSet};

use super::exhaustive::{Exhaustive, Pace, Question, State as Enumerated, Tally, Watch as EnumerationWatch};
pub use node::{BestFirst, Node, Open, Queue};
pub use session::{BranchError, Session};

/// Nodes that are worked on side by side.
const ROUND: usize = 8;
/// Time between two stored states.
const STORE: Duration = Duration::from_secs(5);
/// Nodes with at most so many beginnings are evaluated prefix by prefix.
const FEW: f64 = 1024.0;
/// Sets with more tokens than this are cut before anything is bounded: bounds over them are of little use, and slow.
const WIDE: usize = 64;
/// Most products of sets that a language may start with.
const MOST_ROOTS: usize = 4096;
/// More prefixes than this are hopeless.
const MOST_PREFIXES: f64 = 1e13;
/// Most open nodes: a guard for memory.
const MOST_OPEN: usize = 1_000_000;
/// Most multiplications for the bound of one node, roughly.
const MOST_WORK: f64 = 4e9;

/// Why the branch prover does not apply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the branch prover does not apply: {0}")]
pub struct NotApplicable(pub String);

/// A model and a language, prepared.
#[derive(Debug)]
pub struct Branch<'a> {
    model: &'a Model,
    network: Network<'a>,
    /// Products whose union is the language.
    roots: Vec<Vec<Vec<TokenId>>>,
    /// Beginnings of nodes that are evaluated prefix by prefix.
    few: f64,
}

/// The state of a run between two rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Nodes that are open.
    pub open: Vec<Node>,
    /// Of what is closed: the largest bound for each target, and the best prefix seen.
    pub closed: Tally,
    /// Bounds computed so far.
    pub bounds: u64,
}

/// What a run ends with.
#[derive(Debug, Clone)]
pub struct Found {
    /// For each target: no prefix of the language has more.
    pub upper: Vec<f64>,
    /// The best prefixes seen, and the bounds of what is closed.
    pub closed: Tally,
    /// Bounds computed.
    pub bounds: u64,
    /// Whether every target's bound came down to its level.
    pub complete: bool,
    /// Why not, if the limits ended the run.
    pub stopped: Option<StopReason>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Goal<'g> {
    /// Targets.
    pub tokens: &'g [TokenId],
    /// For each: a bound that is proved already.
    pub upper: &'g [f64],
    /// For each: the probability after some prefix of the language.
    pub lower: &'g [f64],
    /// Bounds this far above the best prefix will do.
    pub gap: f64,
}

/// What a run tells.
pub trait Watch {
    /// How far it has come: open nodes, bounds computed, and the largest excess of a bound over its level.
    fn progress(&self, open: usize, bounds: u64, excess: f64);
    /// The state to go on from; `false` ends the run.
    fn store(&self, state: State) -> bool;
}

/// What became of a node.
enum Outcome {
    /// Too little time.
    Cut,
    /// Every prefix was evaluated.
    Evaluated(Tally),
    /// It was split.
    Split(Vec<Node>),
}

impl<'a> Branch<'a> {
    /// Prepares a model for the prefixes of at most `longest` tokens of a language.
    ///
    /// # Errors
    /// [`NotApplicable`] for layers that the domains do not cover, and for languages that are too large or too intricate.
    pub fn new(model: &'a Model, language: &Automaton, longest: usize) -> Result<Branch<'a>, NotApplicable> {
        let (mut roots, mut prefixes) = (Vec::new(), 0.0);
        for length in language.lengths(longest) {
            let products = language.slice(length).and_then(|slice| slice.products(MOST_ROOTS));
            let Some(products) = products.filter(|products| roots.len() + products.len() <= MOST_ROOTS)
            else {
                return Err(NotApplicable("the language is no union of few products of token sets".into()));
            };
            for product in products {
                let work = product.iter().map(|set| set.len() as f64).sum::<f64>() * work(model, length);
                prefixes += product.iter().map(|set| set.len() as f64).product::<f64>();
                if !(work <= MOST_WORK && prefixes <= MOST_PREFIXES) {
                    return Err(NotApplicable("the language holds too many prefixes".into()));
                }
                roots.push(product.iter().map(|set| set.ids().collect()).collect());
            }
        }
        let network = Network::new(model).map_err(|e| NotApplicable(e.to_string()))?;
        Ok(Branch { model, network, roots, few: FEW })
    }

    /// The same, where nodes with at most so many beginnings are evaluated prefix by prefix.
    #[must_use]
    pub fn evaluating(self, few: f64) -> Branch<'a> {
        Branch { few, ..self }
    }

    /// The state to start from.
    #[must_use]
    pub fn start(&self, goal: Goal<'_>) -> State {
        let open: Vec<Open> =
            goal.upper.iter().enumerate().map(|(target, &upper)| Open { target, upper }).collect();
        let open = self.roots.iter().map(|sets| Node { sets: sets.clone(), open: open.clone() }).collect();
        State { open, closed: goal.question(goal.tokens).start(), bounds: 0 }
    }

    /// Whether a stored state can be one of this prover and so many targets. It cannot be checked whether its bounds are
    /// true, only that nothing in it leads astray.
    #[must_use]
    pub fn fits(&self, state: &State, targets: usize) -> bool {
        let vocab = self.network.vocab_size();
        let is_node = |node: &Node| {
            let sets = (1..=self.model.context).contains(&node.sets.len())
                && node.sets.iter().all(|set| !set.is_empty() && set.iter().all(|&id| (id as usize) < vocab));
            // A maximum drops what is no number, and with it what is open.
            sets && node.open.iter().all(|open| open.target < targets && !open.upper.is_nan())
        };
        let is_known = state.closed.all.iter().all(|extremes| !extremes.upper.is_nan());
        state.closed.all.len() == targets && is_known && state.open.iter().all(is_node)
    }

    /// Works from a state on until every bound is down to its level or the limits are reached.
    ///
    /// # Errors
    /// A prefix that the model does not accept.
    pub fn run(
        &self,
        goal: Goal<'_>,
        state: State,
        limits: &Limits,
        watch: &dyn Watch,
    ) -> Result<Found, PrefixError> {
        let State { open, mut closed, mut bounds } = state;
        let mut queue = BestFirst::default();
        let mut levels = goal.levels(&closed);
        open.into_iter().for_each(|node| queue.push(node, &levels));
        let mut stored = Instant::now();
        let complete = loop {
            let mut round = Vec::with_capacity(ROUND);
            while round.len() < ROUND
                && let Some(mut node) = queue.pop()
            {
                // Levels may have risen since it was pushed.
                node.close(&levels, &mut closed);
                if !node.open.is_empty() {
                    round.push(node);
                }
            }
            if round.is_empty() {
                break true;
            }
            if limits.expired() || queue.waiting() > MOST_OPEN {
                round.into_iter().for_each(|node| queue.push(node, &levels));
                break false;
            }
            let work = |node: &Node| self.work(goal, node, limits);
            let outcomes = round.par_iter().map(work).collect::<Result<Vec<Outcome>, _>>()?;
            for (node, outcome) in round.into_iter().zip(outcomes) {
                match outcome {
                    Outcome::Cut => queue.push(node, &levels),
                    Outcome::Evaluated(tally) => merge(&mut closed, &node, tally),
                    Outcome::Split(children) => {
                        bounds += children.len() as u64;
                        children.into_iter().for_each(|child| queue.push(child, &levels));
                    }
                }
            }
            levels = goal.levels(&closed);
            watch.progress(queue.waiting(), bounds, queue.excess().unwrap_or(0.0));
            if stored.elapsed() >= STORE {
                stored = Instant::now();
                if !watch.store(state_of(&queue, &closed, bounds)) {
                    break false;
                }
            }
        };
        watch.store(state_of(&queue, &closed, bounds));
        let mut upper: Vec<f64> = closed.all.iter().map(|extremes| extremes.upper).collect();
        for open in queue.nodes().into_iter().flat_map(|node| &node.open) {
            upper[open.target] = upper[open.target].max(open.upper);
        }
        // What was proved before stays proved.
        upper.iter_mut().zip(goal.upper).for_each(|(upper, before)| *upper = upper.min(*before));
        let stopped = if complete { None } else { limits.reason() };
        Ok(Found { upper, closed, bounds, complete, stopped })
    }

    /// Splits a node, or evaluates it.
    fn work(&self, goal: Goal<'_>, node: &Node, limits: &Limits) -> Result<Outcome, PrefixError> {
        if limits.expired() {
            return Ok(Outcome::Cut);
        }
        let halves = match node.beginnings() <= self.few {
            true => None,
            false => split::halves(self.model, node, WIDE),
        };
        let Some(halves) = halves else { return self.evaluate(goal, node, limits) };
        let bounded =
            halves.into_par_iter().map(|half| self.bounded(goal, half)).collect::<Result<_, _>>()?;
        Ok(Outcome::Split(bounded))
    }

    /// Bounds the targets that are open in a node, unless that is of no use.
    fn bounded(&self, goal: Goal<'_>, mut node: Node) -> Result<Node, PrefixError> {
        if node.sets.iter().any(|set| set.len() > WIDE) {
            return Ok(node);
        }
        let tokens: Vec<TokenId> = node.open.iter().map(|open| goal.tokens[open.target]).collect();
        // Positions before the first choice are known.
        let first = node.sets.iter().position(|set| set.len() > 1).unwrap_or(node.sets.len() - 1);
        let known: Known = self.network.known(&node.sets[..first].concat())?;
        let clusters: Vec<Vec<Vec<TokenId>>> =
            node.sets[first..].iter().map(|set| set.iter().map(|&token| vec![token]).collect()).collect();
        let ceilings = self.network.ceilings(&known, &clusters, &tokens)?;
        for (open, ceiling) in node.open.iter_mut().zip(ceilings) {
            open.upper = open.upper.min(ceiling);
        }
        Ok(node)
    }

    /// Evaluates every prefix of a node.
    fn evaluate(&self, goal: Goal<'_>, node: &Node, limits: &Limits) -> Result<Outcome, PrefixError> {
        let tokens: Vec<TokenId> = node.open.iter().map(|open| goal.tokens[open.target]).collect();
        let automaton = chain(&node.sets);
        let enumeration = Exhaustive::new(self.model, &automaton, node.sets.len());
        let seen = enumeration.run(goal.question(&tokens), None, limits, &Quiet)?;
        Ok(if seen.complete { Outcome::Evaluated(seen.tally) } else { Outcome::Cut })
    }
}

impl Goal<'_> {
    fn question<'q>(&self, tokens: &'q [TokenId]) -> Question<'q> {
        Question::Probabilities(tokens, Aim::Narrow { gap: self.gap })
    }

    /// What each target's bound has to come down to.
    fn levels(&self, closed: &Tally) -> Vec<f64> {
        let best = |(lower, extremes): (&f64, &super::exhaustive::Extremes)| {
            lower.max(extremes.best.as_ref().map_or(0.0, |best| best.lower)) + self.gap
        };
        self.lower.iter().zip(&closed.all).map(best).collect()
    }
}

impl Node {
    /// Closes the targets that are down to their levels, and takes note of their bounds.
    fn close(&mut self, levels: &[f64], closed: &mut Tally) {
        self.open.retain(|open| {
            // A bound that is no number stays open.
            let done = open.upper <= levels[open.target];
            if done {
                let upper = &mut closed.all[open.target].upper;
                *upper = upper.max(open.upper);
            }
            !done
        });
    }
}

/// What was seen in a node joins what is closed.
fn merge(closed: &mut Tally, node: &Node, seen: Tally) {
    for (open, mut extremes) in node.open.iter().zip(seen.all) {
        // Both bounds hold.
        extremes.upper = extremes.upper.min(open.upper);
        closed.merge_at(open.target, extremes);
    }
}

fn state_of(queue: &BestFirst, closed: &Tally, bounds: u64) -> State {
    State { open: queue.nodes().into_iter().cloned().collect(), closed: closed.clone(), bounds }
}

/// The automaton of a product of sets.
fn chain(sets: &[Vec<TokenId>]) -> Automaton {
    let edge = |(i, set): (usize, &Vec<TokenId>)| {
        let tokens = TokenSet::of_ranges(set.iter().map(|&token| (token, token)));
        AutomatonState { accepting: false, edges: vec![(tokens, i + 1)] }
    };
    let mut states: Vec<AutomatonState> = sets.iter().enumerate().map(edge).collect();
    states.push(AutomatonState { accepting: true, edges: Vec::new() });
    Automaton { states }
}

/// Rough number of multiplications for one token of one position.
fn work(model: &Model, length: usize) -> f64 {
    let of_mlp = |mlp: &Mlp| match &mlp.kind {
        MlpKind::Plain { up, down } => up.weight.len() + down.weight.len(),
        MlpKind::Gated { gate, up, down } => gate.weight.len() + up.weight.len() + down.weight.len(),
    };
    let of_attention = |a: &Attention| a.query.weight.len() + a.key.weight.len() + a.value.weight.len();
    let of_layer = |layer: &Layer| match layer {
        Layer::Attention(attention) => of_attention(attention),
        Layer::Mlp(mlp) => of_mlp(mlp),
        Layer::Parallel(both) => of_attention(&both.attention) + of_mlp(&both.mlp),
        Layer::Norm(_) | Layer::Wkv4(_) | Layer::Wkv7(_) | Layer::ChannelMix(_) => 0,
    };
    let weights = model.body.layers.iter().map(of_layer).sum::<usize>();
    // Boxes have a symbol for each entry of the residual.
    (weights * model.head.width() * 4 + length * model.head.width()) as f64
}

/// Nobody watches the evaluation of one node.
struct Quiet;

impl EnumerationWatch for Quiet {
    fn progress(&self, _: Pace) {}
    fn store(&self, _: &Enumerated) {}
    fn is_enough(&self, _: &Tally) -> bool {
        false
    }
}
