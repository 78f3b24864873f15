//! The tree of a block proof: what every node inherits, and that the children cover it.
//!
//! A proof may do more than its statement needs: one that was searched for at lower thresholds, or with wider roundings, splits nodes of
//! which nothing is left here, or apart what is closed already. Such parts hold no prefix, and nothing is asked of them.

use std::rc::Rc;

use crate::format::{BlockNode, BlockProof, MAX_MULTIPLIER, Split};
use crate::head::index;
use crate::interval::{FRACTION_BITS, Interval, shift_down, shift_up};
use crate::language::Language;
use crate::reject::Reject;

use super::dual::{Bound, Guess, Query, rho_interval};
use super::fixed::{SUM_PLACES, too_large};
use super::graph::GRID_BITS;
use super::hull::Hull;
use super::tables::Network;

/// Fractional bits of a neuron's argument: those of ρ and of a sum.
const ARGUMENT_PLACES: u32 = SUM_PLACES + crate::format::BLOCK_BITS;

/// What is known about the prefixes of a node.
#[derive(Clone)]
struct State {
    /// `[lo, hi]`, in units of `2^-BLOCK_BITS`.
    rho: [i64; 2],
    /// Of every neuron's argument, grid points.
    range: Rc<Vec<[i32; 2]>>,
    /// Lengths with an open pair.
    cells: Vec<Cell>,
}

/// The open pairs of one length.
#[derive(Clone)]
struct Cell {
    hull: Rc<Hull>,
    /// Last tokens, increasing, not empty.
    open: Rc<Vec<u32>>,
}

/// Checks the tree: nothing is open in any leaf, and the nodes are those of the tree.
pub(super) fn check(
    network: &Network,
    query: &Query,
    language: &Language,
    proof: &BlockProof,
) -> Result<(), Reject> {
    let biases = biases(network)?;
    let mut pending = vec![root(network, language, proof.rho)?];
    for (i, node) in proof.nodes.iter().enumerate() {
        let mut state = pending.pop().ok_or(Reject::NodeExtra { node: i })?;
        enter(network, &biases, node, &mut state)?;
        for dual in &node.duals {
            let Some(longest) = state.cells.iter().map(|cell| cell.hull.length).max() else { break };
            let bound = Bound::new(network, query, state.rho, &state.range, dual, longest)?;
            let mut guess = Guess::new(network);
            for cell in &mut state.cells {
                let values = bound.values(network, &cell.hull, &cell.open, &mut guess)?;
                if values.iter().any(|value| *value > 0) {
                    let unproved = cell.open.iter().zip(values).filter(|(_, value)| *value <= 0);
                    cell.open = Rc::new(unproved.map(|(token, _)| *token).collect());
                }
            }
            state.cells.retain(|cell| !cell.open.is_empty());
        }
        match &node.split {
            None if state.cells.is_empty() => {}
            None => return Err(open(i, &state)),
            Some(split) => {
                let [first, second] = divide(network, i, split, state)?;
                pending.extend([second, first]);
            }
        }
    }
    if pending.is_empty() { Ok(()) } else { Err(Reject::NodeMissing { node: proof.nodes.len() }) }
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
    let mut cells = Vec::new();
    let one = Interval::from_int(1);
    for length in 1..=network.longest {
        let Some(mut places) = language.places(length, vocabulary) else { continue };
        let tokens = places.pop().unwrap_or_default();
        let hull = Rc::new(Hull::new(network, Rc::new(places), tokens.clone())?);
        // ρ² (‖r‖²/d + ε) = 1.
        let mean_square = largest_square(network, &hull)?.divide(&Interval::from_int(network.width), "d")?;
        if (rho_interval(lo).square() * (&mean_square + &network.epsilon)).hi() > one.lo() {
            return Err(bad());
        }
        cells.push(Cell { hull, open: Rc::new(tokens) });
    }
    if cells.is_empty() {
        return Err(Reject::LanguageEmpty);
    }
    if (rho_interval(hi).square() * network.epsilon.clone()).lo() < one.hi() {
        return Err(bad());
    }
    Ok(State { rho, range: Rc::new(network.range.clone()), cells })
}

/// An upper bound on `‖r‖²` over all prefixes of the hull's length, coordinate by coordinate.
fn largest_square(network: &Network, hull: &Hull) -> Result<Interval, Reject> {
    let mut sum = Interval::from_int(0);
    for i in 0..network.width {
        let attention = hull.range(network, |head| (&head.value_columns, head.value_columns.row(i)))?;
        let own = network.x_columns.row(i);
        let own = hull.tokens.iter().map(|u| own[network.pair(hull.length, *u)]);
        let (lo, hi) = own.fold((i64::MAX, i64::MIN), |(lo, hi), x| (lo.min(x), hi.max(x)));
        let radius = i128::from(network.x_columns.radius());
        let lo = network.x_columns.in_sum(i128::from(lo) - radius) + attention[0];
        let hi = network.x_columns.in_sum(i128::from(hi) + radius) + attention[1];
        let end = |n: i128| Interval::scaled(&n.into(), -64);
        sum = sum + Interval::from_ends(end(lo).lo().clone(), end(hi).hi().clone()).square();
    }
    Ok(sum)
}

/// `b_k` rounded outward, in units of `2^-ARGUMENT_PLACES`.
fn biases(network: &Network) -> Result<Vec<[i128; 2]>, Reject> {
    let unit = FRACTION_BITS - usize::try_from(ARGUMENT_PLACES).expect("84 fits");
    let fit = |n: dashu_int::IBig| {
        i128::try_from(n).ok().filter(|n| n.unsigned_abs() < 1 << 120).ok_or_else(too_large)
    };
    let ends = |b: &Interval| Ok([fit(shift_down(b.lo(), unit))?, fit(shift_up(b.hi(), unit))?]);
    network.up_bias_exact.iter().map(ends).collect()
}

/// Renews hulls if the node says so, and meets every neuron's range with what the hulls of the open pairs allow.
fn enter(network: &Network, biases: &[[i128; 2]], node: &BlockNode, state: &mut State) -> Result<(), Reject> {
    if node.regroup {
        for cell in &mut state.cells {
            if *cell.open != cell.hull.tokens {
                cell.hull = Rc::new(Hull::new(network, cell.hull.free.clone(), cell.open.to_vec())?);
            }
        }
    }
    if state.cells.is_empty() {
        return Ok(());
    }
    let ranges = Rc::make_mut(&mut state.range);
    for (k, (range, bias)) in ranges.iter_mut().zip(biases).enumerate() {
        let [least, most] = projection(network, &state.cells, k);
        // ρ y + b with y from `least` to `most`: extreme at the ends of ρ.
        let times = |y: i128, rho: i64| y.checked_mul(rho.into()).filter(|n| n.unsigned_abs() < 1 << 125);
        let ends = |y: i128| Some([times(y, state.rho[0])?, times(y, state.rho[1])?]);
        let (Some([a, b]), Some([c, d])) = (ends(least), ends(most)) else { continue };
        let shift = ARGUMENT_PLACES - GRID_BITS;
        let grid =
            |n: i128| i32::try_from(n.clamp((-1 << 30).into(), (1 << 30).into())).expect("within 2^30");
        let lo = grid((a.min(b) + bias[0]) >> shift);
        let hi = grid(-(-(c.max(d) + bias[1]) >> shift));
        let [l, u] = range;
        *l = (*l).max(lo.min(*u));
        *u = (*u).min(hi.max(*l));
    }
    Ok(())
}

/// Bounds on `w1_k·r` over the open pairs, in units of `2^-SUM_PLACES`.
fn projection(network: &Network, cells: &[Cell], k: usize) -> [i128; 2] {
    let own = network.up_x.row(k);
    let radius = i128::from(network.up_x.radius());
    let (mut least, mut most) = (i128::MAX, i128::MIN);
    for cell in cells {
        let row = &own[(cell.hull.length - 1) * network.vocabulary..];
        let x = cell.open.iter().map(|u| row[index(*u)]);
        let (lo, hi) = x.fold((i64::MAX, i64::MIN), |(lo, hi), x| (lo.min(x), hi.max(x)));
        let reach = cell.hull.reach[k];
        least = least.min(network.up_x.in_sum(i128::from(lo) - radius) + reach[0]);
        most = most.max(network.up_x.in_sum(i128::from(hi) + radius) + reach[1]);
    }
    [least, most]
}

/// The two children of a node.
fn divide(network: &Network, node: usize, split: &Split, state: State) -> Result<[State; 2], Reject> {
    let outside = |why: String| Reject::SplitOutside { node, why };
    let (mut first, mut second) = (state.clone(), state);
    match *split {
        Split::Peel { peel } => {
            let keep = |state: &mut State, keeps: &dyn Fn(u32) -> bool| {
                for cell in &mut state.cells {
                    let open = cell.open.iter().copied().filter(|u| keeps(*u));
                    cell.open = Rc::new(open.collect());
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
                (first.range.get(index(neuron)).copied(), network.range.get(index(neuron)))
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
            Rc::make_mut(&mut first.range)[index(neuron)][1] = at.clamp(l, u);
            Rc::make_mut(&mut second.range)[index(neuron)][0] = at.clamp(l, u);
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
                                hull.map(|hull| Cell { hull: Rc::new(hull), open: cell.open.clone() }),
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
            let [lo, hi] = first.rho;
            if rho < lo || rho > hi {
                return Err(outside(format!("rho lies within [{lo}, {hi}], not at {rho}")));
            }
            (first.rho[1], second.rho[0]) = (rho, rho);
        }
    }
    Ok([first, second])
}
