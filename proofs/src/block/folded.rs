//! What norms, biases and centring make of the matrices of a block.

use dashu_int::IBig;

use crate::family::{Centring, Head, Norm};
use crate::format::MAX_MULTIPLIER;
use crate::forward::{dot, row};
use crate::interval::{FRACTION_BITS, Interval, shift_down, shift_up};
use crate::linear::Linear;
use crate::network::Mlp;
use crate::reject::Reject;

use super::dual::rho_interval;
use super::fixed::{Table, too_large};
use super::graph::{GRID_BITS, LAST};

/// `x` without its mean.
fn centred(x: &[Interval]) -> Result<Vec<Interval>, Reject> {
    let mean = x.iter().cloned().sum::<Interval>().divide(&Interval::from_int(x.len()), "a mean")?;
    Ok(x.iter().map(|x| x - &mean).collect())
}

pub(super) fn transposed(rows: &[Vec<Interval>]) -> Vec<Vec<Interval>> {
    let width = rows.first().map_or(0, Vec::len);
    (0..width).map(|c| rows.iter().map(|row| row[c].clone()).collect()).collect()
}

/// What a norm makes of a residual before it divides: Π, which centres or does nothing.
pub(super) fn projected(centring: Centring, x: &[Interval]) -> Result<Vec<Interval>, Reject> {
    match centring {
        Centring::Mean => centred(x),
        Centring::None => Ok(x.to_vec()),
    }
}

/// A reader of a norm, `weights·(γ ⊙ ẑ + β)`, as `(Π (γ ⊙ weights), β·weights)`.
pub(super) fn fold(norm: &Norm, weights: &[Interval]) -> Result<(Vec<Interval>, Interval), Reject> {
    let scaled: Vec<Interval> = weights.iter().zip(norm.gain.intervals()).map(|(w, g)| w * &g).collect();
    let shift = norm.shift.map_or_else(|| Interval::from_int(0), |b| dot(weights, &b.intervals()));
    Ok((projected(norm.centring, &scaled)?, shift))
}

/// `a_j`, transposed, and `c_j`.
pub(super) fn logits(head: &Head, norm: &Norm) -> Result<(Table, Table), Reject> {
    let of = |token: usize| {
        let (row, shift) = fold(norm, &row(&head.unembed, token))?;
        Ok((row, head.bias.map_or(shift.clone(), |b| &shift + &b.values[token].interval())))
    };
    let of_tokens = (0..head.vocabulary()).map(of).collect::<Result<Vec<_>, Reject>>()?;
    let (rows, bias): (Vec<_>, Vec<_>) = of_tokens.into_iter().unzip();
    Ok((Table::new(&transposed(&rows))?, Table::new(&[bias])?))
}

/// A direction as `w1_i`.
pub(super) fn argument(direction: &[i64], width: usize) -> Result<Vec<Interval>, Reject> {
    let name = "directions";
    if direction.len() != width {
        return Err(Reject::VectorLength { name, found: direction.len(), expected: width });
    }
    match direction.iter().find(|x| x.unsigned_abs() > MAX_MULTIPLIER.unsigned_abs()) {
        Some(found) => Err(Reject::MultiplierRange { name, found: *found }),
        None => Ok(direction.iter().map(|x| rho_interval(*x)).collect()),
    }
}

/// `w1` and `b`.
pub(super) fn fold_up(norm: &Norm, mlp: &Mlp) -> Result<(Vec<Vec<Interval>>, Vec<Interval>), Reject> {
    let argument = |(linear, i): (&Linear, usize)| {
        let (row, shift) = fold(norm, &linear.row(i))?;
        Ok((row, &shift + &linear.bias(i)))
    };
    let readers = mlp.gate.iter().chain([&mlp.up]);
    let all = readers.flat_map(|linear| (0..linear.rows()).map(move |i| (linear, i)));
    Ok(all.map(argument).collect::<Result<Vec<_>, Reject>>()?.into_iter().unzip())
}

/// Grid range of every argument.
pub(super) fn ranges(up: &[Vec<Interval>], bias: &[Interval]) -> Result<Vec<[i32; 2]>, Reject> {
    let grid = FRACTION_BITS - usize::try_from(GRID_BITS).expect("9 fits");
    let fit = |n: IBig| i32::try_from(n).ok().filter(|n| n.abs() < LAST).ok_or_else(too_large);
    let range = |(row, bias): (&Vec<Interval>, &Interval)| {
        let square = row.iter().map(Interval::square).sum::<Interval>() * Interval::from_int(row.len());
        let reach = square.sqrt();
        let (lo, hi) = (bias - &reach, bias + &reach);
        Ok([fit(shift_down(lo.lo(), grid))?, fit(shift_up(hi.hi(), grid))?])
    };
    up.iter().zip(bias).map(range).collect()
}
