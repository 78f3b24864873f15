//! The greatest scale `κ = sqrt(‖R‖²/d + ε')` of the residuals of a node, which a negative A counts by.
//!
//! `R = r + Σ_k g_k w2_k + b2` with `‖r‖² = d (1/ρ² − ε)`, greatest at the least ρ. Over the ranges of its arguments `g_k` is
//! within `δ_k` of some `m_k`, so `‖R‖ <= sqrt(‖r‖² + 2 M·r + ‖M‖²) + sqrt(Σ_i (Σ_k δ_k |w2_ki|)²)` for `M = Σ_k m_k w2_k + b2`. The
//! ranges of the coordinates of r bound `M·r`, and so does `‖M‖ ‖r‖`.

use dashu_int::IBig;

use crate::interval::Interval;
use crate::reject::Reject;

use super::dual::Region;
use super::fixed::Table;
use super::graph::TABLE_PLACES;
use super::tables::Network;

/// An upper bound on κ, given one on `‖r‖`.
pub(super) fn greatest(
    network: &Network,
    Region { range, residual, .. }: &Region,
    longest: &Interval,
) -> Result<Interval, Reject> {
    let (mut middles, mut spreads) = (Vec::new(), Vec::new());
    for k in 0..network.neurons {
        let gated = range.get(network.neurons + k).copied();
        let least = |c: i64| network.graph.lower_bound([c, 0], [0, 0], [0, 0], range[k], gated);
        let (low, high) = (least(1 << TABLE_PLACES)?, -least(-(1 << TABLE_PLACES))?);
        // Half of the sum and of the difference, in units of 2^-TABLE_PLACES; outputs of neurons are below 2^22.
        let half = |n: i128| i64::try_from(n >> (TABLE_PLACES + 1)).expect("a neuron's output fits");
        middles.push(half(low + high));
        spreads.push(i128::from(half(high - low)) + 2);
    }
    let middle =
        Table::exact(&middles, TABLE_PLACES)?.products(&network.down.transposed(), 0..network.width)?;
    let middle = Table::combine(&[(1, 0, &middle), (1, 0, &network.down_bias)])?;
    let mut cross = (longest * &middle.length()).hi().clone();
    if residual.len() == network.width {
        let products = middle.intervals().into_iter().flatten().zip(residual.iter()).map(|(m, r)| &m * r);
        cross = cross.min(products.sum::<Interval>().hi().clone());
    }
    let inner = longest.square().hi() + middle.length().square().hi() + IBig::from(2) * cross;
    let inner = Interval::from_ends(IBig::ZERO, inner.max(IBig::ZERO));
    let size = |k: usize, i: usize| network.down.row(k)[i].abs() + network.down.radius();
    // Outputs of gated neurons may be too large for sums in machine integers.
    let along = |i: usize| {
        spreads.iter().enumerate().map(|(k, spread)| IBig::from(*spread) * size(k, i)).sum::<IBig>()
    };
    let square = (0..network.width).map(|i| along(i).pow(2)).sum::<IBig>();
    let places = i32::try_from(TABLE_PLACES + network.down.places()).expect("at most 100");
    let length = &inner.sqrt() + &Interval::scaled(&square, -2 * places).sqrt();
    let mean = length.square().divide(&Interval::from_int(network.width), "the width")?;
    Ok((&mean + &network.last_epsilon).sqrt())
}
