//! The tree of a block proof: what every node inherits, and that the children cover it.
//!
//! A proof may do more than its statement needs: one that was searched for at lower thresholds, or with wider roundings, splits nodes of
//! which nothing is left here, or apart what is closed already. Such parts hold no prefix, and nothing is asked of them.

use std::sync::{Arc, Mutex, PoisonError};

use crate::format::{BlockDual, BlockNode, BlockProof, MAX_MULTIPLIER, Split};
use crate::head::index;
use crate::interval::Interval;
use crate::language::Language;
use crate::parallel::{each, tree};
use crate::reject::Reject;

use super::dual::{Bound, Guess, Query, Region, rho_interval};
use super::enclosed::Enclosed;
use super::hull::Hull;
use super::narrow::{biases, enter, mean_square, residual};
use super::tables::Network;

/// What is known about the prefixes of a node.
#[derive(Clone)]
pub(super) struct State {
    pub region: Region,
    /// Lengths with an open pair; with one last token each where there is a block below.
    pub cells: Vec<Cell>,
}

/// The open pairs of one length.
#[derive(Clone)]
pub(super) struct Cell {
    pub hull: Arc<Hull>,
    /// Last tokens, increasing, not empty.
    pub open: Arc<Vec<u32>>,
}

/// Dual vectors that are evaluated at a time.
const TOGETHER: usize = 4;

/// Checks the tree: nothing is open in any leaf, and the nodes are those of the tree. What is left are at most `limit` prefixes that
/// have to be evaluated.
pub(super) fn check(
    network: &Network,
    query: &Query,
    language: &Language,
    proof: &BlockProof,
    limit: usize,
) -> Result<Vec<Vec<u32>>, Reject> {
    let ends = ends(&proof.nodes)?;
    let biases = biases(network)?;
    let root = root(network, language, proof.rho)?;
    let points = Mutex::new(Vec::new());
    let visit = |i: usize, inherited: &State| {
        let node = &proof.nodes[i];
        let mut state = inherited.clone();
        enter(network, &biases, node, &mut state)?;
        for duals in node.duals.chunks(TOGETHER) {
            close(network, query, duals, &mut state)?;
        }
        if node.points {
            let mut points = points.lock().unwrap_or_else(PoisonError::into_inner);
            for Cell { hull, open } in std::mem::take(&mut state.cells) {
                let own = hull.prefixes(&open, limit - points.len())?;
                points.extend(own);
            }
        }
        match &node.split {
            None if state.cells.is_empty() => Ok(Vec::new()),
            None => Err(open(i, &state)),
            Some(split) => {
                let [first, second] = divide(network, proof.rho, i, split, state)?;
                // The later one is taken first.
                Ok(vec![(ends[i + 1], second), (i + 1, first)])
            }
        }
    };
    tree((0, root), visit)?;
    let mut points = points.into_inner().unwrap_or_else(PoisonError::into_inner);
    points.sort_unstable();
    Ok(points)
}

/// Takes out of the open pairs of a node what some dual vectors prove.
fn close(network: &Network, query: &Query, duals: &[BlockDual], state: &mut State) -> Result<(), Reject> {
    let before: Vec<Cell> = state.cells.clone();
    let Some(longest) = before.iter().map(|cell| cell.hull.length).max() else { return Ok(()) };
    let values = |dual: &BlockDual| {
        let (bound, mut guess) =
            (Bound::new(network, query, &state.region, dual, longest)?, Guess::new(network));
        let of = |cell: &Cell| bound.values(network, &cell.hull, &cell.open, &mut guess);
        Ok(before.iter().map(of).collect::<Vec<Result<Vec<i128>, Reject>>>())
    };
    // Nothing is asked of a dual vector when nothing is open any more.
    for of_cells in each(duals, values) {
        if state.cells.iter().all(|cell| cell.open.is_empty()) {
            break;
        }
        for ((cell, before), values) in state.cells.iter_mut().zip(&before).zip(of_cells?) {
            let of_tokens = before.open.iter().zip(values?);
            let closed: Vec<u32> =
                of_tokens.filter(|(_, value)| *value > 0).map(|(token, _)| *token).collect();
            Arc::make_mut(&mut cell.open).retain(|token| closed.binary_search(token).is_err());
        }
    }
    state.cells.retain(|cell| !cell.open.is_empty());
    Ok(())
}

/// The number of the node behind each subtree, after checking that the nodes are those of one tree: a split is followed by the
/// subtrees of its children.
fn ends(nodes: &[BlockNode]) -> Result<Vec<usize>, Reject> {
    let mut missing = 1_usize;
    for (i, node) in nodes.iter().enumerate() {
        missing = missing.checked_sub(1).ok_or(Reject::NodeExtra { node: i })?;
        missing += if node.split.is_some() { 2 } else { 0 };
    }
    if missing > 0 {
        return Err(Reject::NodeMissing { node: nodes.len() });
    }
    let mut ends = vec![0; nodes.len()];
    for (i, node) in nodes.iter().enumerate().rev() {
        ends[i] = if node.split.is_some() { ends[ends[i + 1]] } else { i + 1 };
    }
    Ok(ends)
}

fn open(node: usize, state: &State) -> Reject {
    let pairs = state.cells.iter().map(|cell| cell.open.len()).sum();
    let first = state.cells.first().map(|cell| (cell.hull.length, cell.open[0]));
    let example = first.map_or(String::new(), |(n, u)| format!("length {n}, token {u}"));
    Reject::PairsOpen { node, pairs, example }
}

/// All prefixes of the language, and perhaps others that have the same tokens at each position, after checking that their ρ lies
/// within `rho`.
fn root(network: &Network, language: &Language, rho: [i64; 2]) -> Result<State, Reject> {
    let [lo, hi] = rho;
    let bad = || Reject::RhoRange { lo, hi };
    if lo < 1 || lo > hi || hi > MAX_MULTIPLIER {
        return Err(bad());
    }
    let vocabulary = u32::try_from(network.vocabulary).expect("at most 2^13 tokens");
    let one = Interval::from_int(1);
    // The longest take longest, so they come first.
    let places: Vec<Vec<Vec<u32>>> =
        (1..=network.longest).rev().filter_map(|length| language.places(length, vocabulary)).collect();
    let mut cells = Vec::new();
    for cell in hulls(network, &places)? {
        // ρ² (‖r‖²/d + ε) = 1.
        let mean_square = mean_square(&residual(network, &cell))?;
        let least = rho_interval(lo).square() * (&mean_square + &network.epsilon);
        if least.hi() > one.lo() {
            return Err(bad());
        }
        cells.push(cell);
    }
    cells.reverse();
    if cells.is_empty() {
        return Err(Reject::LanguageEmpty);
    }
    if (rho_interval(hi).square() * network.epsilon.clone()).lo() < one.hi() {
        return Err(bad());
    }
    let region = Region { rho, range: Arc::new(network.range.clone()), residual: Arc::default() };
    Ok(State { region, cells })
}

/// The hulls of all prefixes with such tokens at their positions: one of each length, or, where there is a block below, one of each
/// length and last token.
fn hulls(network: &Network, places: &[Vec<Vec<u32>>]) -> Result<Vec<Cell>, Reject> {
    let cell = |hull: Hull| {
        let open = Arc::new(hull.tokens.clone());
        Cell { hull: Arc::new(hull), open }
    };
    let Some(below) = &network.below else {
        let of_length = |places: &Vec<Vec<u32>>| {
            let mut free = places.clone();
            let tokens = free.pop().unwrap_or_default();
            Hull::new(network, Arc::new(free), tokens).map(cell)
        };
        return each(places, of_length).into_iter().collect();
    };
    let (mut known, mut all) = (Vec::<Arc<Enclosed>>::new(), Vec::new());
    for places in places {
        let enclosed = match known.iter().find(|enclosed| enclosed.cover(places)) {
            Some(enclosed) => enclosed.clone(),
            None => Arc::new(Enclosed::new(below, places.clone())?),
        };
        known.push(enclosed.clone());
        let Some((last, free)) = places.split_last() else { continue };
        let free = Arc::new(free.to_vec());
        let of_token = |token: &u32| Hull::deep(network, below, &enclosed, free.clone(), *token).map(cell);
        all.extend(each(last, of_token).into_iter().collect::<Result<Vec<_>, _>>()?);
    }
    Ok(all)
}

/// The two children of a node, of a tree whose root has ρ within `root`.
fn divide(
    network: &Network,
    root: [i64; 2],
    node: usize,
    split: &Split,
    state: State,
) -> Result<[State; 2], Reject> {
    let outside = |why: String| Reject::SplitOutside { node, why };
    let (mut first, mut second) = (state.clone(), state);
    match *split {
        Split::Peel { peel } => {
            let keep = |state: &mut State, keeps: &dyn Fn(u32) -> bool| {
                for cell in &mut state.cells {
                    let open = cell.open.iter().copied().filter(|u| keeps(*u));
                    cell.open = Arc::new(open.collect());
                }
                state.cells.retain(|cell| !cell.open.is_empty());
            };
            if index(peel) >= network.vocabulary {
                return Err(outside(format!("there is no token {peel}")));
            }
            keep(&mut first, &|u| u == peel);
            keep(&mut second, &|u| u != peel);
        }
        Split::Neuron { neuron, at } => {
            let (Some([l, u]), Some([least, most])) =
                (first.region.range.get(index(neuron)).copied(), network.range.get(index(neuron)))
            else {
                return Err(outside(format!("there is no neuron {neuron}")));
            };
            if at < *least || at > *most {
                return Err(outside(format!("neuron {neuron} lies within [{least}, {most}], not at {at}")));
            }
            // Beyond the range of what is open one of the children holds nothing.
            if at < l {
                first.cells.clear();
            }
            if at > u {
                second.cells.clear();
            }
            Arc::make_mut(&mut first.region.range)[index(neuron)][1] = at.clamp(l, u);
            Arc::make_mut(&mut second.region.range)[index(neuron)][0] = at.clamp(l, u);
        }
        Split::Slot { slot, ref tokens } => {
            let back = index(slot);
            if back == 0 || back >= network.longest {
                return Err(outside(format!("no prefix has a free position {back} before its last")));
            }
            let inside = |token: u32| tokens.iter().any(|[first, last]| (*first..=*last).contains(&token));
            for (state, wanted) in [(&mut first, true), (&mut second, false)] {
                let mut cells = Vec::new();
                for cell in &state.cells {
                    match (cell.hull.length - 1).checked_sub(back) {
                        Some(position) => {
                            let hull =
                                cell.hull.holding(network, position, |token| inside(token) == wanted)?;
                            cells.extend(
                                hull.map(|hull| Cell { hull: Arc::new(hull), open: cell.open.clone() }),
                            );
                        }
                        // Prefixes that are too short hold nothing there.
                        None if wanted => {}
                        None => cells.push(cell.clone()),
                    }
                }
                state.cells = cells;
            }
        }
        Split::Rho { rho } => {
            let ([lo, hi], [least, most]) = (first.region.rho, root);
            if rho < least || rho > most {
                return Err(outside(format!("rho lies within [{least}, {most}], not at {rho}")));
            }
            // As above.
            if rho < lo {
                first.cells.clear();
            }
            if rho > hi {
                second.cells.clear();
            }
            (first.region.rho[1], second.region.rho[0]) = (rho.clamp(lo, hi), rho.clamp(lo, hi));
        }
    }
    Ok([first, second])
}
