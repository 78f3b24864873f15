//! Sound evaluation of dual multipliers: what counts. The multipliers are integers in units of 2^−20, so the checker reads
//! the very same numbers; every operation here carries its error (see [`crate::num`]).

use super::direction::{Columns, Direction};
use super::dual::{Dual, Region, add_scaled, norm};
use super::functional::{Claim, Functional, Query, RESERVE};
use super::hull::Hull;
use super::network::Network;
use super::neuron::{self, Weights};
use super::scale;
use super::sphere;
use crate::num::{Ball, BallVec, Interval, dot_error, ln, nonnegative_sum};

/// Multipliers are integers divided by `2^SHIFT`, the unit of the certificate's format.
pub const SHIFT: u32 = llmprove_proofs::BLOCK_BITS;

/// One dual vector in exact numbers: all that a leaf of a proof holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multipliers {
    /// `(token, numerator)` of λ over `2^SHIFT`, increasing tokens, without the target, summing to `2^SHIFT`; or empty, for
    /// `w = 0`: the multipliers then show that the node holds no prefix of the pair at all.
    pub lambda: Vec<(usize, u32)>,
    /// `m`, `[d]`.
    pub lift: Vec<i64>,
    /// `a_i`, `[arguments]`.
    pub slopes: Vec<i64>,
    /// `v″`, `[d]`.
    pub normed: Vec<i64>,
    /// `w″`, `[d]`.
    pub raw: Vec<i64>,
    /// The quadratic part; without it `v″` counts by its length.
    pub quadratic: Option<Quadratic>,
}

/// Multipliers of the products of arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quadratic {
    /// `q_i`, `[arguments]`.
    pub curves: Vec<i64>,
    /// θ, the multiplier of `‖ŷ‖²`.
    pub theta: i64,
    /// A point near the minimum of `y'My + g·y`, `[d]`; without a mean where Π centres.
    pub centre: Vec<i64>,
}

/// The number that an integer multiplier stands for; exact below 2^53.
fn real(x: i64) -> f64 {
    x as f64 / f64::from(1u32 << SHIFT)
}

fn reals(xs: &[i64]) -> BallVec {
    BallVec::exact(xs.iter().map(|&x| real(x)).collect())
}

/// `√d`, enclosed.
fn root_width(network: &Network) -> Interval {
    Interval::point(network.width as f64).sqrt()
}

impl Multipliers {
    /// Rounds a dual point to exact multipliers; `None` when a number is out of range.
    #[must_use]
    pub fn quantise(network: &Network, query: Query, region: &Region, dual: &Dual) -> Option<Multipliers> {
        let inner = network.width as f64 * (1.0 - network.eps * region.rho.1 * region.rho.1).max(0.0);
        let f = Functional::at(network, query, &dual.point);
        let lambda = quantise_simplex(&f.lambda)?;
        let excess = excess(network, query, &lambda).lo();
        let unit = f64::from(1u32 << SHIFT);
        let whole = |x: f64| (x.abs() < 1e9).then(|| (x * unit).round() as i64);
        // m = A ẑ/d for what the reserve leaves of A, so that ‖m‖ <= A/√d survives the rounding.
        let share = (excess - RESERVE).max(0.0) / network.width as f64;
        let lift: Vec<i64> = dual.point.iter().map(|z| (z * share * unit).trunc() as i64).collect();
        let slopes = dual.slopes.iter().map(|&a| whole(a)).collect::<Option<Vec<i64>>>()?;
        let normed = dual.normed.iter().map(|&x| whole(x)).collect::<Option<Vec<i64>>>()?;
        let raw = dual.raw.iter().map(|&x| whole(x)).collect::<Option<Vec<i64>>>()?;
        let quadratic = Quadratic::quantise(network, dual, &normed, inner);
        Some(Multipliers { lambda, lift, slopes, normed, raw, quadratic })
    }
}

impl Quadratic {
    /// Rounds the curves, then finds the best θ and centre for what they have become; `None` when numbers are out of range.
    fn quantise(network: &Network, dual: &Dual, normed: &[i64], inner: f64) -> Option<Quadratic> {
        let unit = f64::from(1u32 << SHIFT);
        let whole = |x: f64| (x.abs() < 1e6).then(|| (x * unit).round() as i64);
        let curves = dual.curves.iter().map(|&q| whole(q)).collect::<Option<Vec<i64>>>()?;
        let rounded: Vec<f64> = curves.iter().map(|&q| real(q)).collect();
        let mut tilt: Vec<f64> = normed.iter().map(|&x| real(x)).collect();
        sphere::tilt(network, &rounded, &mut tilt);
        let least = sphere::minimise(network, &rounded, &tilt, inner, 0.0);
        // A hair more, so that M is positive definite beyond doubt.
        let theta = whole(least.theta + 4e-6)?;
        let m =
            sphere::form(network, &rounded, real(theta), sphere::mean_weight(network.centred, real(theta)));
        let factor = sphere::cholesky(&m, network.width, 0.0)?;
        let mut point: Vec<f64> = tilt.iter().map(|x| -0.5 * x).collect();
        sphere::solve(&factor, network.width, &mut point);
        let mut centre = point.iter().map(|&x| whole(x)).collect::<Option<Vec<i64>>>()?;
        if network.centred {
            centre[0] -= centre.iter().sum::<i64>();
        }
        Some(Quadratic { curves, theta, centre })
    }
}

/// Multipliers that may show that a node is too close to the origin for a pair: `r·e > R₁` for the unit vector `e`
/// towards the point of the hull nearest to the origin (Frank and Wolfe 1956).
#[must_use]
pub fn away_from_origin(network: &Network, columns: &Columns, hull: &Hull, token: usize) -> Multipliers {
    const STEPS: usize = 24;
    let d = network.width;
    let x = network.x.row((hull.length - 1) * network.vocab + token);
    let (mut table, mut mu) = (Direction::default(), vec![0.0; network.heads]);
    let mut point = x.to_vec();
    for step in 0..=STEPS {
        hull.aim(network, columns, &point, &mut table);
        let mut vertex = x.to_vec();
        hull.minimise(network, &mut table, &mut mu, Some(&mut vertex), None);
        let toward: Vec<f64> = vertex.iter().zip(&point).map(|(v, p)| v - p).collect();
        let full = super::dual::dot(&toward, &toward).max(f64::MIN_POSITIVE);
        let best = (-super::dual::dot(&point, &toward) / full).clamp(0.0, 1.0);
        add_scaled(&mut point, if step == 0 { 1.0 } else { best }, &toward);
    }
    let unit = f64::from(1u32 << SHIFT);
    let scale = unit / norm(&point).max(f64::MIN_POSITIVE);
    Multipliers {
        lambda: Vec::new(),
        lift: vec![0; d],
        slopes: vec![0; network.arguments()],
        normed: vec![0; d],
        raw: point.iter().map(|p| -(p * scale).round() as i64).collect(),
        quadratic: None,
    }
}

/// λ in units of `2^−SHIFT` by largest remainders; tiny entries vanish. `None` for a λ that is not a distribution.
fn quantise_simplex(lambda: &[f64]) -> Option<Vec<(usize, u32)>> {
    let total = 1u32 << SHIFT;
    let mut parts: Vec<(usize, u32, f64)> = lambda
        .iter()
        .enumerate()
        .filter(|(_, l)| **l > 0.0)
        .map(|(j, l)| (j, (l * f64::from(total)).floor() as u32, (l * f64::from(total)).fract()))
        .collect();
    let used: u32 = parts.iter().map(|p| p.1).sum();
    let mut missing = total.checked_sub(used)?;
    parts.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
    if parts.is_empty() || missing as usize > parts.len() {
        return None;
    }
    for part in &mut parts {
        if missing == 0 {
            break;
        }
        part.1 += 1;
        missing -= 1;
    }
    parts.retain(|p| p.1 > 0);
    parts.sort_by_key(|p| p.0);
    Some(parts.into_iter().map(|p| (p.0, p.1)).collect())
}

/// `A_λ`, enclosed; of a claim that names λ, which that has to be.
fn excess(network: &Network, query: Query, lambda: &[(usize, u32)]) -> Interval {
    let share = |n: u32| Interval::point(f64::from(n) / f64::from(1u32 << SHIFT));
    let own = network.logit_bias[query.target];
    let shift: Interval = lambda.iter().map(|&(j, n)| share(n) * (network.logit_bias[j] - own)).sum();
    match query.claim {
        Claim::Ceiling { tau, temperature } => {
            let entropy: Interval = lambda.iter().map(|&(_, n)| -(share(n) * ln(share(n)))).sum();
            temperature * (entropy - Interval::point(tau)) + shift
        }
        Claim::NeverArgmax { margin } => shift - Interval::point(margin),
        Claim::Lead { margin, .. } => shift - margin,
    }
}

/// A node's part of the dual function that all pairs share.
pub struct Shared {
    constant: Interval,
    directions: [BallVec; 2],
    tables: [Direction; 2],
    /// Error of every entry of `tables`, and a bound on their size, for both ends.
    errors: [(f64, f64); 2],
}

impl Shared {
    /// Evaluates everything but the pair; `None` if the multipliers break a condition of the theorem.
    #[must_use]
    pub fn new(
        network: &Network,
        columns: &Columns,
        query: Query,
        region: &Region,
        multipliers: &Multipliers,
        longest: usize,
    ) -> Option<Shared> {
        let d = network.width;
        let total = f64::from(1u32 << SHIFT);
        let lift = reals(&multipliers.lift);
        let void = multipliers.lambda.is_empty();
        let room = if void { Interval::ZERO } else { excess(network, query, &multipliers.lambda) };
        let lifted = multipliers.lift.iter().any(|&m| m != 0);
        let needed = if lifted { length(&lift) * root_width(network) } else { Interval::ZERO };
        let named = match query.claim {
            Claim::Lead { over, .. } => multipliers.lambda.iter().all(|&(j, _)| j == over),
            Claim::Ceiling { .. } | Claim::NeverArgmax { .. } => true,
        };
        if !named || lifted && (void || !(needed.hi() <= room.lo())) {
            return None;
        }
        let weights: Vec<f64> = multipliers.lambda.iter().map(|&(_, n)| f64::from(n) / total).collect();
        let rows = multipliers.lambda.iter().map(|&(j, _)| network.logit.row(j));
        let mean = BallVec::combine(&weights, rows, network.logit.rad, d);
        let w = match void {
            true => mean,
            false => mean.plus_scaled(-1.0, &network.logit.ball(query.target)).plus_scaled(1.0, &lift),
        };

        let slopes: Vec<f64> = multipliers.slopes.iter().map(|&a| real(a)).collect();
        let v = BallVec::combine(&slopes, network.up.iter(), network.up.rad, d);
        let curves: Vec<f64> = match &multipliers.quadratic {
            Some(quadratic) => quadratic.curves.iter().map(|&q| real(q)).collect(),
            None => vec![0.0; network.arguments()],
        };
        let mut constant = w.dot(&network.down_bias).interval();
        for k in 0..network.neurons {
            let c = w.dot(&network.down.ball(k));
            let weights = Weights::of(network, k, &slopes, &curves);
            constant = constant + Interval::point(neuron::lower_bound(network, k, c, weights, &region.range));
        }
        for (bias, &a) in network.up_bias.iter().zip(&slopes) {
            constant = constant + *bias * a;
        }
        let (normed, raw) = (reals(&multipliers.normed), reals(&multipliers.raw));
        let rho = Interval::point(region.rho.0);
        let radius =
            (Interval::point(d as f64) * (rho.square().recip() - Interval::point(network.eps))).sqrt();
        // What A_λ leaves over counts times κ >= √ε', and what it lacks times the greatest κ.
        let unused = (room - needed).lo();
        constant = constant
            + Interval::point(unused)
                * match unused >= 0.0 {
                    true => Interval::point(network.last_eps).sqrt(),
                    false => Interval::point(scale::greatest(network, region)),
                };
        let ball = match &multipliers.quadratic {
            Some(Quadratic { theta, centre, .. }) => {
                let width = Interval::point(d as f64);
                let square = Interval::point(region.rho.1).square() * Interval::point(network.eps);
                let inner = width * (Interval::ONE - square).max(Interval::ZERO);
                let centre: Vec<f64> = centre.iter().map(|&x| real(x)).collect();
                let bound = sphere::lower_bound(network, &curves, &normed, real(*theta), &centre, inner);
                Interval::point(bound)
            }
            None => -(length(&normed) * root_width(network)),
        };
        constant = constant + ball - length(&raw) * radius;

        let first = w.plus_scaled(-1.0, &raw);
        let second = v.plus_scaled(-1.0, &normed);
        let directions = [region.rho.0, region.rho.1].map(|rho| first.plus_scaled(rho, &second));
        let mut tables = [Direction::default(), Direction::default()];
        let middles = directions.each_ref().map(|direction| direction.mid.as_slice());
        Direction::set_all(tables.each_mut(), network, columns, middles, longest);
        let errors = directions.each_ref().map(|direction| table_error(network, direction));
        (constant.lo().is_finite()).then_some(Shared { constant, directions, tables, errors })
    }

    /// Lower bound on the attention part at both ends of ρ, for every prefix of the hull.
    #[must_use]
    pub fn attention(&self, network: &Network, hull: &Hull) -> [f64; 2] {
        let at = |end: usize| match &hull.deep {
            // Such hulls have tables of their own.
            Some(deep) => deep.proved(hull, network, &self.directions[end]),
            None => {
                let (error, largest) = self.errors[end];
                hull.lower_bound(network, &self.tables[end], error, largest)
            }
        };
        [at(0), at(1)]
    }

    /// Lower bound on `w·R` for every prefix of the hull that ends in `token`, given [`Shared::attention`].
    #[must_use]
    pub fn value(&self, network: &Network, length: usize, token: usize, attention: [f64; 2]) -> f64 {
        let x = network.x.ball((length - 1) * network.vocab + token);
        let ends =
            [0, 1].map(|end| self.directions[end].dot(&x).interval() + Interval::point(attention[end]));
        (ends[0].min(ends[1]) + self.constant).lo()
    }
}

/// Error of every `r` computed from an enclosed direction, and a bound on `|r|`.
pub(super) fn table_error(network: &Network, direction: &BallVec) -> (f64, f64) {
    let (n1, n2) = (direction.norm1(), direction.norm2());
    let d = network.width as f64;
    let of = |table: &super::network::Rows| {
        let magnitude = nonnegative_sum(n2 * table.longest);
        let spread = direction.rad * d.sqrt().next_up() * table.longest + table.rad * n1;
        (nonnegative_sum(dot_error(network.width, magnitude) + nonnegative_sum(spread)), magnitude)
    };
    network.value.iter().map(of).fold((0.0, 0.0), |a, b| (f64::max(a.0, b.0), f64::max(a.1, b.1)))
}

/// `‖x‖₂` of an exact vector, enclosed.
fn length(x: &BallVec) -> Interval {
    x.mid.iter().map(|&x| Interval::point(x).square()).sum::<Interval>().sqrt()
}

/// Proved bounds on `D·r`, `r` the residual before the MLP, over every prefix of a hull: `[min, max]` of the attention part
/// for an enclosed `D`; the part of the last token is added by the caller.
#[must_use]
pub fn attention_range(network: &Network, columns: &Columns, hull: &Hull, direction: &BallVec) -> (f64, f64) {
    let opposite = BallVec { mid: direction.mid.iter().map(|x| -x).collect(), rad: direction.rad };
    let [least, most] = [direction, &opposite].map(|d| hull.proved_attention(network, columns, d));
    (least, -most)
}

/// `D·x` for an enclosed direction and table row.
pub fn along(direction: &BallVec, x: &BallVec) -> Ball {
    direction.dot(x)
}

/// The best dual of one known residual r, whose neurons' arguments are known too: λ from its own logits, lines that touch the neurons.
#[must_use]
pub fn start_from(network: &Network, query: Query, r: &[f64]) -> Dual {
    let width = network.width as f64;
    let rho = 1.0 / (super::dual::dot(r, r) / width + network.eps).sqrt();
    let argument = |i: usize| rho * super::dual::dot(network.up.row(i), r) + network.up_bias[i].lo();
    let arguments: Vec<f64> = (0..network.arguments()).map(argument).collect();
    let mut all = r.to_vec();
    add_scaled(&mut all, 1.0, &network.down_bias.mid);
    for k in 0..network.neurons {
        add_scaled(&mut all, super::piece::output(network, &arguments, k), network.down.row(k));
    }
    let kappa = (super::dual::dot(&all, &all) / width + network.last_eps).sqrt();
    let point: Vec<f64> = all.iter().map(|x| x / kappa).collect();
    let w = Functional::at(network, query, &point).w;
    let step = 1.0 / f64::from(crate::relax::STEPS_PER_UNIT);
    let slope = |i: usize| {
        let at = |s: f64| {
            let mut moved = arguments.clone();
            moved[i] = s;
            super::piece::output(network, &moved, i % network.neurons)
        };
        let c = super::dual::dot(&w, network.down.row(i % network.neurons));
        c * (at(arguments[i] + step) - at(arguments[i] - step)) / (2.0 * step)
    };
    let slopes = (0..network.arguments()).map(slope).collect();
    let zeros = || vec![0.0; network.width];
    Dual { point, slopes, curves: vec![0.0; network.arguments()], normed: zeros(), raw: zeros() }
}

/// A starting point for the ascent: ẑ towards the target's logit row.
#[must_use]
pub fn start(network: &Network, query: Query) -> Dual {
    let row = network.logit.row(query.target);
    let scale = (network.width as f64).sqrt() / norm(row).max(f64::MIN_POSITIVE);
    let point: Vec<f64> = row.iter().map(|a| a * scale).collect();
    let w = Functional::at(network, query, &point).w;
    let weights: Vec<f64> = network.down.iter().map(|down| super::dual::dot(&w, down)).collect();
    let (slopes, curves) = match network.gated {
        false => (weights.iter().map(|c| 0.5 * c).collect(), weights.iter().map(|c| 0.2 * c).collect()),
        // φ(s) u is s u / 2 and something smaller.
        true => {
            let none = vec![0.0; network.neurons];
            let halves: Vec<f64> = weights.iter().map(|c| 0.5 * c).collect();
            (vec![0.0; network.arguments()], [none, halves].concat())
        }
    };
    Dual { point, slopes, curves, normed: vec![0.0; network.width], raw: vec![0.0; network.width] }
}
