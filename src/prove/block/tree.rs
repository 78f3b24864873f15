//! Branch and bound over prefixes of all lengths at once: every (length, last token) pair starts in the root, each dual vector
//! discharges the pairs it proves, and what is left is branched on.
//!
//! Branches: *peel* (one last token apart from the others, with an attention hull of its own), *neuron* (its argument at or
//! below / above a grid point), *rho* (the norm scale below / above a number) and *slot* (a position before the last holds one of some
//! tokens, or another one). A node is closed when no pair is left. What
//! closes a node at one threshold closes it at every higher one (`A_λ` grows, nothing else changes), so the threshold of a
//! search may rise while it runs: what is closed stays closed. The order of work depends on nothing but the node and the
//! threshold, so a proof at a fixed one is the same at any thread count.

use std::sync::Arc;
use std::time::Instant;

use rayon::prelude::*;

use super::ascent::{Ascent, Steps, ascend};
use super::dual::{Dual, Problem, Region};
use super::functional::Query;
use super::hull::Hull;
use super::narrow::{Reach, tighten};
use super::piece::Choice;
use super::point::{MOST_IN_ALL, Points};
use super::scale;
use super::slot;
use super::sound::{Multipliers, Shared, away_from_origin, start, start_from};
use super::{Block, Scope};
use crate::limits::Limits;
use crate::model::TokenId;
use crate::relax::STEPS_PER_UNIT;
use crate::spec::language::TokenSet;

/// How a node was split.
#[derive(Debug, Clone, PartialEq)]
pub enum Branch {
    /// First child: this last token alone; second: the others.
    Peel(usize),
    /// First child: argument of the neuron at or below the grid point; second: at or above it.
    Neuron(usize, i32),
    /// First child: ρ at or below; second: at or above.
    Rho(f64),
    /// First child: the prefixes that hold one of the tokens so many positions before the last; second: the others.
    Slot(usize, TokenSet),
}

/// A closed node of a proof.
#[derive(Debug, Clone)]
pub struct Proof {
    /// Whether hulls and ranges were rebuilt for the pairs that are left at this node.
    pub regroup: bool,
    /// Multipliers that discharge pairs here, in order.
    pub duals: Vec<Multipliers>,
    /// Whether every prefix that was left was evaluated.
    pub points: bool,
    /// How the rest was split; `None` when nothing was left.
    pub split: Option<(Branch, Box<[Proof; 2]>)>,
}

/// Result of a search.
#[derive(Debug)]
pub struct Outcome {
    /// The proof, or `None` when limits ran out.
    pub proof: Option<Proof>,
    /// What it proves: the question at the end.
    pub query: Query,
    /// Nodes processed.
    pub nodes: usize,
    /// Dual evaluations spent.
    pub evaluations: usize,
}

/// The pairs of one length that are still open, and the hull that speaks for them.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub hull: Arc<Hull>,
    pub reach: Arc<Reach>,
    pub open: Vec<usize>,
}

impl Cell {
    /// Whether a pair is one of those that are open here.
    pub fn holds(&self, length: usize, token: usize) -> bool {
        self.hull.length == length && self.open.contains(&token)
    }

    /// Every pair of some lengths that the block speaks of.
    pub fn all(block: &Block, shortest: usize, longest: usize) -> Vec<Cell> {
        let cell = |root: &super::RootCell| Cell {
            hull: root.hull.clone(),
            reach: root.reach.clone(),
            open: root.hull.tokens.clone(),
        };
        let spoken = |root: &&super::RootCell| (shortest..=longest).contains(&root.hull.length);
        block.cells.iter().filter(spoken).map(cell).collect()
    }
}

/// An open node.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub region: Region,
    pub cells: Vec<Cell>,
    /// Where to start the ascent; `None` from scratch.
    pub dual: Option<Dual>,
    /// What the last ascent at a pair (length, last token) of these hulls mixed.
    pub mixture: Option<Arc<Mixture>>,
    /// Entry of the arena that this node fills.
    pub slot: usize,
}

/// Choices and weights that an ascent at a pair (length, last token) ended with.
#[derive(Debug)]
pub(super) struct Mixture {
    pair: (usize, usize),
    choices: Vec<(Choice, f64)>,
}

/// Arena entry while the tree is being built.
#[derive(Debug, Default)]
struct Entry {
    regroup: bool,
    duals: Vec<Multipliers>,
    points: bool,
    split: Option<(Branch, usize, usize)>,
}

/// What processing a node gives.
struct Step {
    regroup: bool,
    duals: Vec<Multipliers>,
    rest: Rest,
    evaluations: usize,
}

/// What is left of a node.
enum Rest {
    /// No pair.
    Closed,
    /// Pairs whose prefixes, so many, were evaluated.
    Evaluated(usize),
    /// Pairs that both children together hold.
    Split(Branch, Box<[Node; 2]>),
    /// Pairs, and no split that would make anything smaller: the search has failed.
    Stuck,
}

/// Nodes whose ρ spans more than this factor are split by it before anything else: all pairs share that split.
const WIDE: f64 = 2.5;

/// Open pairs of a node beyond which its ascents take longer.
const SHARED: usize = 64;

/// A float gain that a pair must show before the sound evaluation is worth its time, and the margin that proofs keep so that
/// the checker's own roundings cannot undo them.
const MARGIN: f64 = 1e-6;

/// Searches for a proof over the scope of what `goal` asks for about one target, given the part of the time or of `most_nodes` that is
/// spent. A question that asks for more than the one before is left unheard.
pub fn prove(
    block: &Block,
    goal: &dyn Fn(f64) -> Query,
    scope: &Scope,
    steps: Steps,
    limits: &Limits,
    most_nodes: usize,
) -> Outcome {
    /// Nodes taken from the stack at a time; fixed, so that the order does not depend on the thread count.
    const BATCH: usize = 32;
    let (begin, given) = (Instant::now(), limits.remaining());
    let effort = |nodes: usize| {
        let part = given.map_or(0.0, |given| begin.elapsed().as_secs_f64() / given.as_secs_f64().max(1e-9));
        part.max(nodes as f64 / most_nodes as f64).min(1.0)
    };
    let mut outcome = Outcome { proof: None, query: goal(0.0), nodes: 0, evaluations: 0 };
    // Prefixes that may still be evaluated.
    let (points, mut left) = (Points::new(block), MOST_IN_ALL);
    let mut slots = vec![Entry::default()];
    let mut stack = vec![root(block, outcome.query, scope)];
    if let Some(far) = &block.far {
        // Above the cut there is nothing.
        slots[0].split = Some((Branch::Rho(far.cut), 1, 2));
        slots.extend([Entry::default(), Entry { duals: far.duals.clone(), ..Entry::default() }]);
        stack[0].region.rho.1 = far.cut;
        stack[0].slot = 1;
    }
    while !stack.is_empty() {
        if limits.expired() || outcome.nodes >= most_nodes {
            return outcome;
        }
        // What was closed holds for what was asked then, so nothing harder may be asked for now.
        let wanted = goal(effort(outcome.nodes));
        if wanted.is_easier_than(&outcome.query) {
            outcome.query = wanted;
        }
        let query = outcome.query;
        let batch = stack.split_off(stack.len().saturating_sub(BATCH));
        let size = batch.len();
        let results: Vec<(usize, Step)> = batch
            .into_par_iter()
            .map(|node| (node.slot, process(block, query, steps, node, Some((&points, left / size)))))
            .collect();
        for (slot, step) in results {
            outcome.nodes += 1;
            outcome.evaluations += step.evaluations;
            slots[slot].regroup = step.regroup;
            slots[slot].duals = step.duals;
            match step.rest {
                Rest::Closed => {}
                Rest::Evaluated(n) => {
                    slots[slot].points = true;
                    left -= n;
                }
                Rest::Split(branch, children) => {
                    let [mut low, mut high] = *children;
                    (low.slot, high.slot) = (slots.len(), slots.len() + 1);
                    slots[slot].split = Some((branch, low.slot, high.slot));
                    slots.extend([Entry::default(), Entry::default()]);
                    stack.extend([high, low]);
                }
                Rest::Stuck => return outcome,
            }
        }
    }
    outcome.proof = Some(assemble(slots));
    outcome
}

/// Whether one node settles a pair (length, last token) for ρ within `rho`, without any split.
#[must_use]
pub fn closes_undivided(
    block: &Block,
    query: Query,
    (length, token): (usize, usize),
    rho: (f64, f64),
    steps: Steps,
) -> bool {
    let Some(root) = block.cells.iter().find(|root| root.hull.length == length) else { return true };
    let hull = root.hull.ending_in(&block.network, &[token]);
    let reach = Arc::new(block.reach_of(&hull));
    let cells = vec![Cell { hull: Arc::new(hull), reach, open: vec![token] }];
    let region = Region::of_rho(&block.network, rho);
    let dual = Some(start(&block.network, query));
    let node = Node { region, cells, dual, mixture: None, slot: 0 };
    matches!(process(block, query, steps, node, None).rest, Rest::Closed)
}

/// Turns the arena into a tree, children before parents (a child's slot is always the greater one).
fn assemble(slots: Vec<Entry>) -> Proof {
    let mut done: Vec<Option<Proof>> = Vec::new();
    done.resize_with(slots.len(), || None);
    for (i, slot) in slots.into_iter().enumerate().rev() {
        let split = slot.split.map(|(branch, low, high)| {
            let mut take = |i: usize| done[i].take().expect("children have greater slots and one parent");
            (branch, Box::new([take(low), take(high)]))
        });
        done[i] = Some(Proof { regroup: slot.regroup, duals: slot.duals, points: slot.points, split });
    }
    done.swap_remove(0).expect("the root is slot zero")
}

fn root(block: &Block, query: Query, scope: &Scope) -> Node {
    let cells = Cell::all(block, scope.shortest, scope.longest);
    let region = Region::of_rho(&block.network, block.rho);
    Node { region, cells, dual: Some(start(&block.network, query)), mixture: None, slot: 0 }
}

/// Works on a node, evaluating at most so many of its prefixes as are given with what evaluates them.
fn process(
    block: &Block,
    query: Query,
    steps: Steps,
    mut node: Node,
    points: Option<(&Points<'_>, usize)>,
) -> Step {
    let mut step = Step { regroup: false, duals: Vec::new(), rest: Rest::Closed, evaluations: 0 };
    step.regroup = regroup(block, &mut node);
    if step.regroup {
        node.mixture = None;
    }
    tighten(block, &mut node);
    // A first look with the parent's vector: it often closes the child, and tells which pair is worst.
    let mut worst = discharge(block, query, &mut node, &mut step.duals);
    let failed = loop {
        if node.cells.is_empty() {
            return step;
        }
        let (length, token) = worst.unwrap_or_else(|| (node.cells[0].hull.length, node.cells[0].open[0]));
        let cell = node.cells.iter().find(|c| c.holds(length, token)).expect("the worst pair is open");
        let problem = Problem {
            network: &block.network,
            columns: &block.columns,
            query,
            region: &node.region,
            scale: scale::greatest(&block.network, &node.region),
            hull: &cell.hull,
            token,
        };
        let known = cell.hull.only_residual(&block.network, token);
        let from = match known {
            Some(r) => start_from(&block.network, query, &r),
            None => node.dual.take().unwrap_or_else(|| start(&block.network, query)),
        };
        // A vector that may close many pairs is worth a longer ascent.
        let open: usize = node.cells.iter().map(|c| c.open.len()).sum();
        let most = if open > SHARED { 3 * steps.most } else { steps.most };
        let mixture = node.mixture.as_ref().filter(|m| m.pair == (length, token));
        let known = mixture.map_or(&[][..], |m| &m.choices);
        let mut ascent = ascend(&problem, &from, known, Steps { most, ..steps });
        let choices = std::mem::take(&mut ascent.mixture);
        node.mixture = Some(Arc::new(Mixture { pair: (length, token), choices }));
        step.evaluations += ascent.evaluations;
        node.dual = Some(ascent.dual.clone());
        worst = discharge(block, query, &mut node, &mut step.duals);
        let open = |node: &Node| node.cells.iter().any(|c| c.holds(length, token));
        if open(&node) {
            // Before branching: perhaps no prefix of this pair has a residual as short as the node wants.
            worst = away(block, query, &mut node, (length, token), &mut step.duals);
        }
        if open(&node) {
            break (ascent, token);
        }
    };
    if let Some(n) = points.and_then(|(points, left)| points.evaluate(query, &node, left)) {
        step.rest = Rest::Evaluated(n);
        return step;
    }
    let branch = choose(block, &node, &failed.0, failed.1);
    step.rest = match divide(block, &node, &branch) {
        (Some(first), Some(second)) => Rest::Split(branch, Box::new([first, second])),
        _ => Rest::Stuck,
    };
    step
}

/// Shows of a pair that no prefix has a residual as short as the node wants, if so; returns the worst pair left.
fn away(
    block: &Block,
    query: Query,
    node: &mut Node,
    (length, token): (usize, usize),
    duals: &mut Vec<Multipliers>,
) -> Option<(usize, usize)> {
    let cell = node.cells.iter().find(|c| c.holds(length, token))?;
    let away = away_from_origin(&block.network, &block.columns, &cell.hull, token);
    apply(block, query, node, away, duals)
}

/// Rebuilds hulls that speak for more than twice the last tokens that are left.
fn regroup(block: &Block, node: &mut Node) -> bool {
    let shrunk = |c: &Cell| 2 * c.open.len() <= c.hull.tokens.len() && c.hull.tokens.len() > 1;
    if !node.cells.iter().any(shrunk) {
        return false;
    }
    for cell in &mut node.cells {
        if cell.open != cell.hull.tokens {
            cell.hull = Arc::new(cell.hull.ending_in(&block.network, &cell.open));
            cell.reach = Arc::new(block.reach_of(&cell.hull));
        }
    }
    true
}

/// Removes every pair that the node's dual vector proves, soundly; returns the worst pair left.
fn discharge(
    block: &Block,
    query: Query,
    node: &mut Node,
    duals: &mut Vec<Multipliers>,
) -> Option<(usize, usize)> {
    let multipliers = Multipliers::quantise(&block.network, query, &node.region, node.dual.as_ref()?)?;
    apply(block, query, node, multipliers, duals)
}

/// Removes every pair that the multipliers prove, soundly; returns the worst pair left.
pub(super) fn apply(
    block: &Block,
    query: Query,
    node: &mut Node,
    multipliers: Multipliers,
    duals: &mut Vec<Multipliers>,
) -> Option<(usize, usize)> {
    let longest = node.cells.iter().map(|c| c.hull.length).max()?;
    let shared = Shared::new(&block.network, &block.columns, query, &node.region, &multipliers, longest)?;
    let mut worst: Option<(f64, usize, usize)> = None;
    let mut used = false;
    for cell in &mut node.cells {
        let attention = shared.attention(&block.network, &cell.hull);
        let length = cell.hull.length;
        cell.open.retain(|&u| {
            let value = shared.value(&block.network, length, u, attention);
            let open = !(value > MARGIN);
            used |= !open;
            if open && worst.is_none_or(|w| value < w.0) {
                worst = Some((value, length, u));
            }
            open
        });
    }
    node.cells.retain(|c| !c.open.is_empty());
    if used {
        duals.push(multipliers);
    }
    worst.map(|w| (w.1, w.2))
}

/// How to split what is left of a node, led by the pair that could not be proved.
fn choose(block: &Block, node: &Node, ascent: &Ascent, token: usize) -> Branch {
    let (low, high) = node.region.rho;
    let halfway = Branch::Rho(super::unit_floor((low * high).sqrt()));
    if high / low > WIDE {
        return halfway;
    }
    if node.cells.iter().any(|c| c.open.iter().any(|&u| u != token)) {
        return Branch::Peel(token);
    }
    let range = &node.region.range;
    let weight = |k: usize| ascent.gaps[k] + ascent.blind[k];
    let splittable = |k: &usize| range[*k].1 - range[*k].0 >= 8;
    let neuron = (0..block.network.arguments())
        .filter(splittable)
        .max_by(|&a, &b| weight(a).total_cmp(&weight(b)).then(b.cmp(&a)));
    let widest = node.cells.iter().max_by_key(|cell| cell.hull.length);
    if let (Some(cell), Some(mixture)) = (widest, &node.mixture) {
        let gap = neuron.map_or(0.0, |k| ascent.gaps[k]);
        if let Some((back, tokens)) =
            slot::choose(&block.network, &cell.hull, &ascent.slots, &mixture.choices, gap)
        {
            return Branch::Slot(back, tokens);
        }
    }
    match neuron {
        Some(k) if ascent.rho_gap <= weight(k) || high / low <= 1.02 => {
            let (l, u) = range[k];
            let margin = (u - l) / 5;
            let at = (ascent.arguments[k] * f64::from(STEPS_PER_UNIT)).round() as i32;
            Branch::Neuron(k, at.clamp(l + margin.max(1), u - margin.max(1)))
        }
        _ => halfway,
    }
}

/// The children of a split; `None` for one that holds nothing.
fn divide(block: &Block, node: &Node, branch: &Branch) -> (Option<Node>, Option<Node>) {
    let (mut first, mut second) = (node.clone(), node.clone());
    match *branch {
        Branch::Peel(token) => {
            let keep = |node: &mut Node, alone: bool| {
                node.cells.iter_mut().for_each(|cell| cell.open.retain(|&u| (u == token) == alone));
                node.cells.retain(|c| !c.open.is_empty());
            };
            keep(&mut first, true);
            keep(&mut second, false);
            (Some(first).filter(|n| !n.cells.is_empty()), Some(second).filter(|n| !n.cells.is_empty()))
        }
        Branch::Neuron(k, at) => {
            let (l, u) = node.region.range[k];
            first.region.range[k].1 = at;
            second.region.range[k].0 = at;
            (Some(first).filter(|_| l < at), Some(second).filter(|_| at < u))
        }
        Branch::Slot(back, ref tokens) => {
            let keep = |node: &mut Node, inside: bool| {
                let cells = std::mem::take(&mut node.cells).into_iter().filter_map(|cell| {
                    let Some(position) = (cell.hull.length - 1).checked_sub(back) else {
                        return (!inside).then_some(cell);
                    };
                    let asked = |token: usize| tokens.contains(token as TokenId) == inside;
                    let hull = cell.hull.holding(&block.network, position, asked)?;
                    let reach = Arc::new(block.reach_of(&hull));
                    Some(Cell { hull: Arc::new(hull), reach, open: cell.open })
                });
                node.cells = cells.collect();
                node.mixture = None;
            };
            keep(&mut first, true);
            keep(&mut second, false);
            (Some(first).filter(|n| !n.cells.is_empty()), Some(second).filter(|n| !n.cells.is_empty()))
        }
        Branch::Rho(cut) => {
            let (low, high) = node.region.rho;
            first.region.rho.1 = cut;
            second.region.rho.0 = cut;
            (Some(first).filter(|_| low < cut), Some(second).filter(|_| cut < high))
        }
    }
}
