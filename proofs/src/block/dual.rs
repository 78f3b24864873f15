//! One dual vector: lower bounds on `w·R` for every prefix of a node.
//!
//! Say a prefix has `p_t > p`. With `l_j = a_j·ẑ + c_j` and temperature T this means `Σ_{j≠t} e^((l_j − l_t)/T) < e^τ`,
//! `τ = ln(1/p − 1)`, so by Gibbs' inequality every λ of a simplex over the other tokens gives, with `κ = √(‖R‖²/d + ε')`,
//!
//! ```text
//! g·R + A κ <= 0,    g = Σ λ_j (a_j − a_t),    A = T (H(λ) − τ) + Σ λ_j (c_j − c_t).
//! ```
//!
//! If no other logit is greater than t's, the same holds with `A = Σ λ_j (c_j − c_t)`; if `l_s − l_t` is less than a margin, with all
//! of λ on s and `A = c_s − c_t − margin`.
//!
//! If `√d ‖m‖ <= A`, then `m·R <= ‖m‖ ‖R‖ <= √d ‖m‖ κ`, so `w·R + (A − √d ‖m‖) κ <= 0` for `w = g + m`, where `κ >= √ε'`; if A is
//! negative, `m = 0` and κ is at most its greatest value ([`scale`]). On the other hand, for any slopes `a`,
//!
//! ```text
//! w·R = w·r + Σ_k c_k g_k + w·b2                         c_k = w·w2_k,  s_i = ρ w1_i·r + b_i
//!    >= (w + ρ v)·r + Σ_i (a_i b_i + q_i s_i s_j) + Σ_k β_k + w·b2     v = Σ a_i w1_i,  β_k = min over the node of
//!                                                               c_k g_k − Σ_i (a_i s_i + q_i s_i s_j),
//! ```
//!
//! where `s_i s_j` stands for the squares `s_k²` and, where neurons are gated, the products `s_k s_{n+k}` ([`super::graph`] has the
//! minima).
//!
//! Parts of w and v may be bounded by lengths instead: `w″·r >= −R₁ ‖w″‖`, as `‖r‖² = d (1/ρ² − ε) <= R₁²` at the least ρ, and
//! `ρ v″·r >= −√d ‖v″‖`; the products are bounded together with `ρ v″·r` ([`sphere`]). What is left,
//! `(w − w″ + ρ (v − v″))·r`, is linear in ρ for each prefix, so its least value in the node is at an end of ρ; there it is
//! bounded by the attention oracle. If the sum, with the part of κ added, is positive, no prefix of the node that ends in
//! this token breaks the claim. With an empty λ, `w = 0` and `m = 0`: then `0 > 0` says that there is no such prefix.

use std::sync::Arc;

use dashu_int::IBig;

use crate::format::{BLOCK_BITS, BlockDual, MAX_MULTIPLIER};
use crate::head::{check_lambda, index};
use crate::interval::Interval;
use crate::reject::Reject;

use super::fixed::{Table, floor};
use super::graph::TABLE_PLACES;
use super::hull::Hull;
use super::scale;
use super::sphere;
use super::tables::Network;
use crate::exponential::{ln_2_floor, ln_ceiling};

/// What is asked of the target t.
pub(super) struct Query {
    pub target: u32,
    pub claim: Claim,
}

pub(super) enum Claim {
    /// `p_t <= p`, as T and τ.
    Ceiling { temperature: Interval, tau: Interval },
    /// Some other logit is greater.
    NeverArgmax,
    /// That of `over` is, by at least the margin.
    Lead { over: u32, margin: Interval },
}

/// Ranges of the prefixes of a node.
#[derive(Clone)]
pub(super) struct Region {
    /// `[lo, hi]` of ρ, in units of `2^-BLOCK_BITS`.
    pub rho: [i64; 2],
    /// Of every neuron's argument, grid points.
    pub range: Arc<Vec<[i32; 2]>>,
    /// Of each coordinate of r; empty where nothing is known.
    pub residual: Arc<Vec<Interval>>,
}

/// A dual vector evaluated on a node, for all pairs.
pub(super) struct Bound {
    /// What does not depend on the pair, in units of `2^-SUM_PLACES`.
    constant: i128,
    ends: [End; 2],
}

/// One end of ρ.
struct End {
    /// `D = w − w″ + ρ (v − v″)`, `[1, d]`.
    direction: Table,
    /// Error of a product of `D` and a row of x, in its unit.
    radius: i128,
    /// `D·value_h(j,v)` per head, `[1, pairs]`.
    values: Vec<Table>,
}

impl Bound {
    /// Checks the conditions on the multipliers and evaluates them for prefixes of up to `longest` tokens.
    pub fn new(
        network: &Network,
        query: &Query,
        region: &Region,
        dual: &BlockDual,
        longest: usize,
    ) -> Result<Bound, Reject> {
        check_form(network, dual)?;
        let Region { rho, range, .. } = region;
        let (g, room) = gradient(network, query, &dual.lambda)?;
        let root_d = Interval::from_int(network.width).sqrt();
        let needed = &root_d * &length(&dual.lift);
        if needed.hi() > room.lo() && dual.lift.iter().any(|m| *m != 0) {
            return Err(Reject::LiftLength);
        }
        let least_rho = rho_interval(rho[0]);
        let inverse = Interval::from_int(1).divide(&least_rho.square(), "the least rho")?;
        let radius = (Interval::from_int(network.width) * (&inverse - &network.epsilon)).sqrt();
        let unused = &room - &needed;
        let unused = match *unused.lo() < IBig::ZERO {
            true => &unused * &scale::greatest(network, region, &radius)?,
            false => &unused * &network.last_epsilon.sqrt(),
        };
        let exact = |row: &[i64]| Table::exact(row, BLOCK_BITS);
        let slopes = exact(&dual.slopes)?;
        let w = Table::combine(&[(1, 0, &g), (1, 0, &exact(&dual.lift)?)])?;
        let v = slopes.products(&network.up_columns, 0..network.width)?;

        let c = w.products(&network.down, 0..network.neurons)?.fixed(TABLE_PLACES)?;
        let curve = |i: usize| dual.quadratic.as_ref().map_or(0, |quadratic| quadratic.curves[i]);
        let mut beta = 0_i128;
        for (k, middle) in c.row(0).iter().enumerate() {
            let second = network.neurons + k;
            let gated = range.get(second).copied();
            let [e, h] = gated.map_or([0, 0], |_| [dual.slopes[second], curve(second)]);
            // Each is at least −2^110 after the shift to 2^-SUM_PLACES.
            beta += network.graph.lower_bound(
                [*middle, c.radius()],
                [dual.slopes[k], e],
                [curve(k), h],
                range[k],
                gated,
            )? >> 16;
        }
        let biases = slopes.product_floor(&network.up_bias, 0, slopes.product_radius(&network.up_bias)?)?;
        let output = w.product_floor(&network.down_bias, 0, w.product_radius(&network.down_bias)?)?;
        let ball = match &dual.quadratic {
            Some(quadratic) => sphere::lower_bound(network, quadratic, &dual.normed, rho[1])?,
            None => -(&root_d * &length(&dual.normed)),
        };
        let rest = &(&unused + &ball) - &(&radius * &length(&dual.raw));
        let constant = beta + biases + output + floor(&rest)?;

        let (normed, raw) = (exact(&dual.normed)?, exact(&dual.raw)?);
        let end = |rho: i64| -> Result<End, Reject> {
            let terms = [(1, 0, &w), (-1, 0, &raw), (rho, BLOCK_BITS, &v), (-rho, BLOCK_BITS, &normed)];
            let direction = Table::combine(&terms)?;
            let radius = direction.product_radius(&network.x)?;
            let rows = 0..longest * network.vocabulary;
            let values = network.heads.iter().map(|head| direction.products(&head.value, rows.clone()));
            Ok(End { values: values.collect::<Result<_, _>>()?, direction, radius })
        };
        Ok(Bound { constant, ends: [end(rho[0])?, end(rho[1])?] })
    }

    /// Lower bounds on `w·R` over the prefixes of the hull's length that end in each of `tokens`, in units of
    /// `2^-SUM_PLACES`.
    pub fn values(
        &self,
        network: &Network,
        hull: &Hull,
        tokens: &[u32],
        guess: &mut Guess,
    ) -> Result<Vec<i128>, Reject> {
        let mut least = vec![i128::MAX; tokens.len()];
        for (end, mu) in self.ends.iter().zip(&mut guess.0) {
            let attention = match hull.is_deep() {
                true => hull.functionals(network, &end.direction)?[0][0],
                false => hull.lower_bound(&end.values, mu)?,
            };
            let common = self.constant + attention;
            for (least, token) in least.iter_mut().zip(tokens) {
                let pair = network.pair(hull.length, *token);
                let value = common + end.direction.product_floor(&network.x, pair, end.radius)?;
                *least = value.min(*least);
            }
        }
        Ok(least)
    }
}

/// Minima of the heads at both ends for another length: where to start.
pub(super) struct Guess([Vec<i64>; 2]);

impl Guess {
    pub fn new(network: &Network) -> Guess {
        let zeros = || vec![0; network.heads.len()];
        Guess([zeros(), zeros()])
    }
}

/// ρ in units of `2^-BLOCK_BITS` as a number.
pub(super) fn rho_interval(rho: i64) -> Interval {
    Interval::scaled(&IBig::from(rho), -i32::try_from(BLOCK_BITS).expect("20 fits"))
}

/// `‖x‖` of multipliers.
pub(super) fn length(x: &[i64]) -> Interval {
    let square = x.iter().map(|x| IBig::from(*x) * *x).sum::<IBig>();
    Interval::scaled(&square, -2 * i32::try_from(BLOCK_BITS).expect("20 fits")).sqrt()
}

fn check_form(network: &Network, dual: &BlockDual) -> Result<(), Reject> {
    let d = network.width;
    let vectors = [
        ("lift", &dual.lift, d),
        ("slopes", &dual.slopes, network.arguments()),
        ("normed", &dual.normed, d),
        ("raw", &dual.raw, d),
    ];
    for (name, vector, expected) in vectors {
        if vector.len() != expected {
            return Err(Reject::VectorLength { name, found: vector.len(), expected });
        }
        if let Some(found) = vector.iter().find(|x| x.unsigned_abs() > MAX_MULTIPLIER.unsigned_abs()) {
            return Err(Reject::MultiplierRange { name, found: *found });
        }
    }
    dual.quadratic.as_ref().map_or(Ok(()), |quadratic| sphere::check_form(network, quadratic))
}

/// `g` and `A`; both zero for an empty λ.
fn gradient(network: &Network, query: &Query, lambda: &[(u32, u32)]) -> Result<(Table, Interval), Reject> {
    let mut weights = vec![0_i64; network.vocabulary];
    if !lambda.is_empty() {
        let wide: Vec<(u32, u64)> = lambda.iter().map(|(j, n)| (*j, u64::from(*n))).collect();
        check_lambda(network.vocabulary, query.target, 1 << BLOCK_BITS, &wide)?;
        lambda.iter().for_each(|(j, n)| weights[index(*j)] = i64::from(*n));
        weights[index(query.target)] = -(1 << BLOCK_BITS);
    }
    let weights = Table::exact(&weights, BLOCK_BITS)?;
    let g = weights.products(&network.logit_columns, 0..network.width)?;
    if lambda.is_empty() {
        return Ok((g, Interval::from_int(0)));
    }
    // H(λ) = 20 ln 2 − Σ n ln n / 2^20 in units of 2^-82.
    let sum: i128 = lambda.iter().map(|(_, n)| i128::from(*n) * ln_ceiling(*n)).sum();
    let entropy = ((i128::from(ln_2_floor()) * i128::from(BLOCK_BITS)) << BLOCK_BITS) - sum;
    let entropy = Interval::scaled(&IBig::from(entropy), -82);
    let shift =
        weights.product_floor(&network.logit_bias, 0, weights.product_radius(&network.logit_bias)?)?;
    let shift = Interval::scaled(&IBig::from(shift), -64);
    let room = match &query.claim {
        Claim::Ceiling { temperature, tau } => &(temperature * &(&entropy - tau)) + &shift,
        Claim::NeverArgmax => shift,
        Claim::Lead { over, margin } => match lambda {
            [(only, _)] if only == over => &shift - margin,
            _ => return Err(Reject::NamedLambda { over: *over }),
        },
    };
    Ok((g, room))
}
