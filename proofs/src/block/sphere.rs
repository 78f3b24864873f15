//! The quadratic part of a dual vector: a lower bound on `Σ_i q_i s_i s_j + v″·ŷ` over the node's `ŷ = ρ r`, with arguments
//! `s_i = w1_i·ŷ + b_i`; `s_i s_j` stands for `s_k²` and `s_k s_{n+k}`, the argument j being i modulo n.
//!
//! `‖ŷ‖² = d (1 − ερ²)` lies between its value at the greatest ρ and d, and ŷ has no mean if norms centre. Let
//! `Q = Σ q_i (w1_i w1_j' + w1_j w1_i')/2` and `M = Q + θI`, with `(ζ/d) 11'` added if norms centre, where ζ does not matter for
//! vectors without a mean; y is any vector, without a mean if norms centre. With `δ = ŷ − y`, `s_i = w1_i·y + b_i` and
//! `e = Σ q_i (s_j w1_i + s_i w1_j) + v″ + 2θy`,
//!
//! ```text
//! Σ q_i (w1_i·ŷ + b_i)(w1_j·ŷ + b_j) + v″·ŷ + θ‖ŷ‖² = Σ q_i s_i s_j + v″·y + θ‖y‖² + e·δ + δ'Mδ.
//! ```
//!
//! `δ'Mδ` is not below `−‖E‖ ‖δ‖²` if `M = LL' + E`, whatever L; this file takes the Cholesky factor, rounded. Besides,
//! `‖δ‖ <= √d + ‖y‖`, and `‖E‖` is at most d times its largest entry. So M need not be positive semidefinite exactly, and y
//! need not be its minimiser: the bound is weaker by what they miss (θ is the multiplier of the trust-region
//! subproblem; Moré, Sorensen 1983).

use serde::{Deserialize, Serialize};

use crate::format::{BLOCK_BITS, MAX_MULTIPLIER};
use crate::interval::Interval;
use crate::reject::Reject;

use super::dual::{length, rho_interval};
use super::fixed::{Table, too_large};
use super::tables::Network;

/// Multipliers of the products of arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quadratic {
    /// `q_i`, `[arguments]`.
    pub curves: Vec<i64>,
    /// θ, the multiplier of the squared length of the normalised residual.
    pub theta: i64,
    /// `y`, `[d]`, with sum 0 if norms centre.
    pub centre: Vec<i64>,
}

/// Largest `|q_i|`, for sums in the graph of the activation.
const MAX_CURVE: i64 = 1 << 40;
/// Fractional bits of M and L.
const PLACES: u32 = 40;

/// Checks the form of a quadratic part.
pub(super) fn check_form(network: &Network, quadratic: &Quadratic) -> Result<(), Reject> {
    let Quadratic { curves, theta, centre } = quadratic;
    let parts = [
        ("curves", &curves[..], network.arguments(), MAX_CURVE),
        ("theta", std::slice::from_ref(theta), 1, MAX_MULTIPLIER),
        ("centre", &centre[..], network.width, MAX_MULTIPLIER),
    ];
    for (name, vector, expected, most) in parts {
        if vector.len() != expected {
            return Err(Reject::VectorLength { name, found: vector.len(), expected });
        }
        if let Some(found) = vector.iter().find(|x| x.unsigned_abs() > most.unsigned_abs()) {
            return Err(Reject::MultiplierRange { name, found: *found });
        }
    }
    let sum: i128 = centre.iter().copied().map(i128::from).sum();
    if network.centred && sum != 0 { Err(Reject::CentreMean) } else { Ok(()) }
}

/// The bound for a node whose ρ is at most `rho`.
pub(super) fn lower_bound(
    network: &Network,
    quadratic: &Quadratic,
    normed: &[i64],
    rho: i64,
) -> Result<Interval, Reject> {
    let Quadratic { curves, theta, centre } = quadratic;
    let exact = |row: &[i64]| Table::exact(row, BLOCK_BITS);
    let (y, v) = (exact(centre)?, exact(normed)?);
    let product = |a: &Table, b: &Table| a.product_floor(b, 0, a.product_radius(b)?);
    let n = network.neurons;
    let arguments = y.products(&network.up, 0..network.arguments())?;
    let arguments = Table::combine(&[(1, 0, &arguments), (1, 0, &network.up_bias)])?;
    let curved = arguments.columns(|i| Some(i % n)).times(curves, BLOCK_BITS)?;
    let least = product(&curved, &arguments)? + product(&v, &y)?;

    let width = Interval::from_int(network.width);
    let theta_interval = rho_interval(*theta);
    let squares = if *theta >= 0 {
        width.clone()
    } else {
        let inner = &Interval::from_int(1) - &(&network.epsilon * &rho_interval(rho).square());
        let inner = &width * &inner;
        if *inner.lo() < dashu_int::IBig::ZERO { Interval::from_int(0) } else { inner }
    };
    let long = length(centre);
    let value = &Interval::scaled(&least.into(), -64) + &(&theta_interval * &(&long.square() - &squares));

    // By the first factor of each product, then by the second ones, whose rows are among the first n.
    let own = arguments.times(curves, BLOCK_BITS)?;
    let squares_part = own.columns(|i| (i < n).then_some(i));
    let products_part = own.columns(|i| (i < n && n < network.arguments()).then_some(n + i));
    let by_rows = |row: &Table| row.products(&network.up_columns, 0..network.width);
    let gradients = [by_rows(&curved)?, by_rows(&squares_part)?, by_rows(&products_part)?];
    let twice = theta.checked_mul(2).ok_or_else(too_large)?;
    let [a, b, c] = &gradients;
    let terms = [(1, 0, a), (1, 0, b), (1, 0, c), (1, 0, &v), (twice, BLOCK_BITS, &y)];
    let e = Table::combine(&terms)?.length();
    let root = width.sqrt();
    let reach = &root + &long;
    let off = &width * &factor_error(network, curves, *theta)?;
    Ok(&value - &(&(&e * &reach) + &(&off * &reach.square())))
}

/// A bound on the entries of E.
fn factor_error(network: &Network, curves: &[i64], theta: i64) -> Result<Interval, Reject> {
    let d = network.width;
    let first = network.up_columns.columns(|i| Some(i % network.neurons)).times(curves, BLOCK_BITS)?;
    let q = first.products(&network.up_columns, 0..d)?.fixed(PLACES)?;
    let unit = PLACES - BLOCK_BITS;
    let shift = i128::from(theta) << unit;
    let mean = i128::from((-theta).max(0) + (1 << BLOCK_BITS)) << unit;
    let mean = if network.centred { mean / i128::try_from(d).map_err(|_| too_large())? } else { 0 };
    // Half of a sum, rounded down by less than one.
    let symmetric = |i: usize, j: usize| (i128::from(q.row(i)[j]) + i128::from(q.row(j)[i])) >> 1;
    let entry = |i: usize, j: usize| symmetric(i, j) + mean + if i == j { shift } else { 0 };
    // Entries of M stay below 2^57 + 2^71, those of L below the root of 2^40 times that, as long as M may be positive.
    let mut rows: Vec<Vec<i128>> = Vec::with_capacity(d);
    let mut most = 0_i128;
    for i in 0..d {
        let room = entry(i, i) << PLACES;
        let mut row = Vec::with_capacity(i + 1);
        let mut left = room;
        for j in 0..=i {
            let other: &[i128] = if j < i { &rows[j] } else { &row };
            let known: i128 = row.iter().zip(other).map(|(a, b)| a * b).sum();
            let rest = (entry(i, j) << PLACES) - known;
            let l = if j < i { rest / other[j] } else { rest.max(0).isqrt() };
            left -= l.checked_mul(l).ok_or(Reject::Indefinite)?;
            if left < 0 || (j == i && l == 0) {
                return Err(Reject::Indefinite);
            }
            let product = l * if j < i { other[j] } else { l };
            most = most.max((rest - product).abs());
            row.push(l);
        }
        rows.push(row);
    }
    let total = most + (i128::from(q.radius() + 1) << PLACES);
    Ok(Interval::scaled(&total.into(), -80))
}
