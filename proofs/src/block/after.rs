//! What the lower one of two blocks leaves at a position, for one token there and whatever comes before.
//!
//! Over the grid range of an argument a neuron lies between parallel lines, `φ(s) = α s + β ± δ`, α the slope of the chord. With
//! `c_k = D·w2_k`, `v = Σ_k c_k α_k w1_k` and the normalised residual `ŷ = ρ r`
//!
//! ```text
//! D·R = D·r + Σ_k c_k φ(s_k) + D·b2 = D·r + v·ŷ + Σ_k c_k (α_k b_k + β_k) ± Σ_k |c_k| δ_k + D·b2,
//! v·ŷ = f ê·ŷ + ρ (v − f ê)·r.
//! ```
//!
//! What is left is linear in ρ for each prefix, so it is extreme at an end of ρ's range.

use dashu_int::IBig;

use crate::format::BLOCK_BITS;
use crate::interval::{FRACTION_BITS, Interval, shift_down, shift_up};
use crate::reject::Reject;

use super::fixed::{Table, floor, too_large};
use super::graph::{GRID_BITS, TABLE_PLACES};
use super::hull::Hull;
use super::normed::{AXIS_PLACES, Functionals, Normed};
use super::tables::Network;

/// Residuals that a block leaves.
#[derive(Debug)]
pub(super) struct After {
    pub hull: Box<Hull>,
    /// Of the residuals that its neurons read.
    read: Normed,
    /// Ends of ρ in units of `2^-AXIS_PLACES`.
    rho: [i64; 2],
    /// `α_k` in units of `2^-BLOCK_BITS`.
    slopes: Vec<i64>,
    /// `α_k b_k + β_k` and `δ_k`, `[1, neurons]`.
    middles: Table,
    halves: Table,
}

/// Ranges of functionals of the residual before the MLP.
fn before(network: &Network, hull: &Hull, batch: &Table) -> Result<Vec<[i128; 2]>, Reject> {
    let mut ranges = hull.functionals(network, batch)?;
    let pair = network.pair(hull.length, hull.tokens[0]);
    let own = batch.products(&network.x, pair..pair + 1)?;
    for (range, x) in ranges.iter_mut().zip(own.rows()) {
        let (mid, radius) = (i128::from(x[0]), i128::from(own.radius()));
        *range = [range[0] + own.in_sum(mid - radius), range[1] + own.in_sum(mid + radius)];
    }
    Ok(ranges)
}

impl After {
    /// Of the block that `network` folds, before whose MLP `hull` holds the residuals.
    pub fn new(network: &Network, hull: Hull) -> Result<After, Reject> {
        let ranges = |batch: &Table| before(network, &hull, batch);
        let read = Normed::new(network.width, &network.epsilon, ranges)?;
        let arguments = read.enclose(&network.readers, ranges)?;
        let (mut slopes, mut middles, mut halves) = (Vec::new(), Vec::new(), Vec::new());
        for (k, argument) in arguments.iter().enumerate() {
            let [least, most] = network.range[k];
            let unit = FRACTION_BITS - usize::try_from(GRID_BITS).expect("9 fits");
            let grid = |n: IBig| i32::try_from(n).map_err(|_| too_large());
            let l = grid(shift_down(argument.lo(), unit))?.clamp(least, most);
            let u = grid(shift_up(argument.hi(), unit))?.clamp(l, most);
            let slope = network.graph.chord(l, u);
            let bound = |sign: i64| {
                network.graph.lower_bound([sign << TABLE_PLACES, 0], [sign * slope, 0], [0, 0], [l, u], None)
            };
            let (low, high) = (bound(1)?, -bound(-1)?);
            let places = -2 * i32::try_from(TABLE_PLACES).expect("40 fits");
            let number = |n: i128| Interval::scaled(&IBig::from(n), places);
            let slope_number =
                Interval::scaled(&IBig::from(slope), -i32::try_from(BLOCK_BITS).expect("20 fits"));
            middles.push(&(&slope_number * &network.up_bias_exact[k]) + &number((low + high) >> 1));
            halves.push(number(((high - low) >> 1) + 1));
            slopes.push(slope);
        }
        let unit = FRACTION_BITS - usize::try_from(AXIS_PLACES).expect("40 fits");
        let fit = |n: IBig| i64::try_from(n).ok().filter(|n| n.abs() < 1 << 60).ok_or_else(too_large);
        let rho = [fit(shift_down(read.rho.lo(), unit))?, fit(shift_up(read.rho.hi(), unit))?];
        Ok(After {
            hull: Box::new(hull),
            read,
            rho,
            slopes,
            middles: Table::new(&[middles])?,
            halves: Table::new(&[halves])?,
        })
    }

    /// Ranges of functionals, a row each, in units of `2^-SUM_PLACES`.
    pub fn ranges(&self, network: &Network, batch: &Table) -> Result<Vec<[i128; 2]>, Reject> {
        let c = batch.products(&network.down, 0..network.neurons)?;
        let fixed = c.products(&self.middles, 0..1)?;
        let spread = c.sizes().products(&self.halves, 0..1)?;
        let bias = batch.products(&network.down_bias, 0..1)?;
        let v = c.times(&self.slopes, BLOCK_BITS)?.products(&network.up_columns, 0..network.width)?;
        let (parts, rest) = self.read.split(&v)?;
        let mut ranges = vec![[i128::MAX, i128::MIN]; parts.len()];
        for rho in self.rho {
            let aim = batch.plus(&rest.times(&vec![rho; network.width], AXIS_PLACES)?)?;
            for (range, [lo, hi]) in ranges.iter_mut().zip(before(network, &self.hull, &aim)?) {
                *range = [range[0].min(lo), range[1].max(hi)];
            }
        }
        for (i, (range, part)) in ranges.iter_mut().zip(&parts).enumerate() {
            let along = &self.read.along * part;
            *range = [range[0] + floor(&along)?, range[1] - floor(&-along)?];
            for (table, sign) in [(&fixed, 0), (&bias, 0), (&spread, 1)] {
                let (mid, radius) = (i128::from(table.row(i)[0]), i128::from(table.radius()));
                let [lo, hi] =
                    if sign == 0 { [mid - radius, mid + radius] } else { [-mid - radius, mid + radius] };
                *range = [range[0] + table.in_sum(lo), range[1] + table.in_sum(hi)];
            }
        }
        Ok(ranges)
    }

    /// What is known of these residuals once they are normalised.
    pub fn normed(&self, network: &Network, epsilon: &Interval) -> Result<Normed, Reject> {
        Normed::new(network.width, epsilon, |batch| self.ranges(network, batch))
    }

    /// Encloses functionals of them once they are normalised.
    pub fn enclose(
        &self,
        network: &Network,
        normed: &Normed,
        functionals: &Functionals,
    ) -> Result<Vec<Interval>, Reject> {
        normed.enclose(functionals, |batch| self.ranges(network, batch))
    }
}
