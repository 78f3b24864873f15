//! What the hulls of a node allow: ranges of ρ and of every argument, met with those that the node inherits.
//!
//! Over a hull the attention part of `w1_i·r` and of each coordinate of r has a range, and the last tokens have their own parts. So
//! `s_i = ρ w1_i·r + b_i` has one, and `‖r‖²`, coordinate by coordinate, and `ρ = 1/sqrt(‖r‖²/d + ε)`.

use std::sync::Arc;

use dashu_int::IBig;

use crate::format::BlockNode;
use crate::head::index;
use crate::interval::{FRACTION_BITS, Interval, shift_down, shift_up};
use crate::parallel::each;
use crate::reject::Reject;

use super::dual::Region;
use super::fixed::{SUM_PLACES, too_large};
use super::graph::GRID_BITS;
use super::hull::Hull;
use super::tables::Network;
use super::tree::{Cell, State};

/// Fractional bits of a neuron's argument: those of ρ and of a sum.
const ARGUMENT_PLACES: u32 = SUM_PLACES + crate::format::BLOCK_BITS;

/// Encloses each coordinate of r over all prefixes of the open pairs.
pub(super) fn residual(network: &Network, Cell { hull, open }: &Cell) -> Vec<Interval> {
    let coordinate = |(i, attention): (usize, &[i128; 2])| {
        let own = network.x_columns.row(i);
        let own = open.iter().map(|u| own[network.pair(hull.length, *u)]);
        let (lo, hi) = own.fold((i64::MAX, i64::MIN), |(lo, hi), x| (lo.min(x), hi.max(x)));
        let radius = i128::from(network.x_columns.radius());
        let lo = network.x_columns.in_sum(i128::from(lo) - radius) + attention[0];
        let hi = network.x_columns.in_sum(i128::from(hi) + radius) + attention[1];
        let end = |n: i128| Interval::scaled(&n.into(), -64);
        Interval::from_ends(end(lo).lo().clone(), end(hi).hi().clone())
    };
    hull.coordinates.iter().enumerate().map(coordinate).collect()
}

/// Encloses `‖r‖²/d`.
pub(super) fn mean_square(residual: &[Interval]) -> Result<Interval, Reject> {
    let square = residual.iter().map(Interval::square).sum::<Interval>();
    square.divide(&Interval::from_int(residual.len()), "d")
}

/// `b_k` rounded outward, in units of `2^-ARGUMENT_PLACES`.
pub(super) fn biases(network: &Network) -> Result<Vec<[i128; 2]>, Reject> {
    let unit = FRACTION_BITS - usize::try_from(ARGUMENT_PLACES).expect("84 fits");
    let fit = |n: IBig| i128::try_from(n).ok().filter(|n| n.unsigned_abs() < 1 << 120).ok_or_else(too_large);
    let ends = |b: &Interval| Ok([fit(shift_down(b.lo(), unit))?, fit(shift_up(b.hi(), unit))?]);
    network.up_bias_exact.iter().map(ends).collect()
}

/// Renews hulls if the node says so, and meets ρ and every neuron's range with what the hulls of the open pairs allow.
pub(super) fn enter(
    network: &Network,
    biases: &[[i128; 2]],
    node: &BlockNode,
    state: &mut State,
) -> Result<(), Reject> {
    if node.regroup {
        let renewed = |cell: &Cell| match *cell.open == cell.hull.tokens {
            true => Ok(cell.hull.clone()),
            false => Hull::new(network, cell.hull.free.clone(), cell.open.to_vec()).map(Arc::new),
        };
        let hulls = each(&state.cells, renewed);
        for (cell, hull) in state.cells.iter_mut().zip(hulls) {
            cell.hull = hull?;
        }
    }
    if state.cells.is_empty() {
        return Ok(());
    }
    enter_norm(network, state)?;
    let ranges = Arc::make_mut(&mut state.region.range);
    for (k, (range, bias)) in ranges.iter_mut().zip(biases).enumerate() {
        let [least, most] = projection(network, &state.cells, k);
        // ρ y + b with y from `least` to `most`: extreme at the ends of ρ.
        let times = |y: i128, rho: i64| y.checked_mul(rho.into()).filter(|n| n.unsigned_abs() < 1 << 125);
        let ends = |y: i128| Some([times(y, state.region.rho[0])?, times(y, state.region.rho[1])?]);
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

/// Encloses r over the open pairs, and meets ρ with what that allows.
fn enter_norm(network: &Network, state: &mut State) -> Result<(), Reject> {
    let unit = FRACTION_BITS - usize::try_from(crate::format::BLOCK_BITS).expect("20 fits");
    let (mut least, mut most, mut all) = (i64::MAX, 0, Vec::<Interval>::new());
    for cell in &state.cells {
        let own = residual(network, cell);
        let root = (&mean_square(&own)? + &network.epsilon).sqrt();
        let rho = Interval::from_int(1).divide(&root, "rho")?;
        let end = |n: IBig| i64::try_from(n).map_err(|_| too_large());
        (least, most) =
            (least.min(end(shift_down(rho.lo(), unit))?), most.max(end(shift_up(rho.hi(), unit))?));
        let hull = |(a, b): (&Interval, &Interval)| {
            Interval::from_ends(a.lo().min(b.lo()).clone(), a.hi().max(b.hi()).clone())
        };
        all = if all.is_empty() { own } else { all.iter().zip(&own).map(hull).collect() };
    }
    let Region { rho: [lo, hi], residual, .. } = &mut state.region;
    *lo = (*lo).max(least.min(*hi));
    *hi = (*hi).min(most.max(*lo));
    *residual = Arc::new(all);
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
