//! The quadratic part of a dual vector: minima of `ŷ'Qŷ + g·ŷ` over the normalised residuals ŷ of a node, where `Q` gathers
//! products `q_i (w1_i·ŷ)(w1_j·ŷ)` of the arguments' linear parts ([`Network::product`]).
//!
//! ŷ = ρ r has `d(1 − ερ²) = ‖ŷ‖² <= d` (and no mean where Π centres), so for every θ with `M = Q + θI` positive semidefinite
//!
//! ```text
//! ŷ'Qŷ + g·ŷ = ŷ'Mŷ + g·ŷ − θ‖ŷ‖² >= min_y (y'My + g·y) − θD,      D = d for θ >= 0, else the least ‖ŷ‖²,
//! ```
//!
//! and the best θ loses nothing for a single radius (trust-region subproblem; Moré, Sorensen 1983). `M` need not be positive semidefinite
//! exactly: with `M = LL' + E`, any y and `e = 2My + g`, the least value is at least
//! `y'My + g·y − ‖e‖ ‖ŷ − y‖ − ‖E‖ ‖ŷ − y‖²`, where `‖ŷ − y‖ <= √d + ‖y‖`.

use super::dual::{add_scaled, dot, norm};
use super::network::Network;
use crate::num::{BallVec, Interval, dot_error, nonnegative_sum};

/// A minimiser, in floats.
#[derive(Debug, Clone, Default)]
pub(super) struct Least {
    /// The multiplier of `‖ŷ‖²`.
    pub theta: f64,
    /// ŷ, `[d]`.
    pub point: Vec<f64>,
    /// The bound.
    pub value: f64,
}

/// Adds the linear part of `Σ q_i s_i s_j`, the arguments `s_i = w1_i·ŷ + b_i`, to `g`; returns the constant part.
pub(super) fn tilt(network: &Network, curves: &[f64], g: &mut [f64]) -> f64 {
    let bias = |i: usize| network.up_bias[i].lo();
    let mut constant = 0.0;
    for (p, &curve) in curves.iter().enumerate().filter(|(_, c)| **c != 0.0) {
        let (i, j) = network.product(p);
        add_scaled(g, curve * bias(i), network.up.row(j));
        add_scaled(g, curve * bias(j), network.up.row(i));
        constant += curve * bias(i) * bias(j);
    }
    constant
}

/// `Σ q_i (w1_i w1_j' + w1_j w1_i')/2` plus `shift` on the diagonal and `mean/d` everywhere, `[d, d]`.
pub(super) fn form(network: &Network, curves: &[f64], shift: f64, mean: f64) -> Vec<f64> {
    let d = network.width;
    let mut q = vec![mean / d as f64; d * d];
    for (p, &curve) in curves.iter().enumerate().filter(|(_, c)| **c != 0.0) {
        let (one, other) = network.product(p);
        let pairs = [(one, other), (other, one)];
        let (pairs, share) = if one == other { (&pairs[..1], curve) } else { (&pairs[..], 0.5 * curve) };
        for &(one, other) in pairs {
            let (one, other) = (network.up.row(one), network.up.row(other));
            for i in 0..d {
                add_scaled(&mut q[i * d..=i * d + i], share * one[i], &other[..=i]);
            }
        }
    }
    for i in 0..d {
        q[i * d + i] += shift;
        for j in 0..i {
            q[j * d + i] = q[i * d + j];
        }
    }
    q
}

/// The weight of `11'/d` in `M`, which only matters for vectors with a mean: keeps `M` positive there.
pub(super) fn mean_weight(centred: bool, theta: f64) -> f64 {
    if centred { (-theta).max(0.0) + 1.0 } else { 0.0 }
}

/// Minimum over the shell `inner <= ‖ŷ‖² <= d`; `guess` is a θ to start from.
pub(super) fn minimise(network: &Network, curves: &[f64], g: &[f64], inner: f64, guess: f64) -> Least {
    let d = network.width;
    let size = |q: &[f64]| norm(q);
    let mut q = form(network, curves, 0.0, 0.0);
    let bound = size(&q) + 1e-9;
    if network.centred {
        q.iter_mut().for_each(|x| *x += 2.0 * bound / d as f64);
    }
    let radius = (d as f64).sqrt();
    let (mut low, mut high) = (-bound, bound + norm(g) / (2.0 * radius));
    let mut theta = guess.clamp(low, high);
    let (mut point, mut factor) = (vec![0.0; d], Vec::new());
    let mut settled = false;
    for _ in 0..40 {
        let Some(l) = cholesky(&q, d, theta) else {
            low = theta;
            theta = 0.5 * (low + high);
            continue;
        };
        point = g.iter().map(|x| -0.5 * x).collect();
        solve(&l, d, &mut point);
        let length = norm(&point);
        let mut back = point.clone();
        forward(&l, d, &mut back);
        factor = l;
        settled = (length - radius).abs() <= 1e-7 * radius;
        if settled {
            break;
        }
        if length > radius {
            low = theta
        } else {
            high = theta
        }
        if high - low <= 1e-9 * bound {
            break;
        }
        let step =
            dot(&point, &point) / dot(&back, &back).max(f64::MIN_POSITIVE) * (length - radius) / radius;
        theta += step;
        if !(theta > low && theta < high) {
            theta = 0.5 * (low + high);
        }
    }
    let value_of = |point: &[f64]| -> f64 {
        (0..d).map(|i| point[i] * dot(&q[i * d..(i + 1) * d], point)).sum::<f64>() + dot(g, point)
    };
    if !settled {
        // The hard case: the rest of the length lies along the eigenvector of the least eigenvalue.
        theta = high;
        if let Some(l) = cholesky(&q, d, theta + 1e-9 * bound) {
            factor = l;
        }
        if !factor.is_empty() {
            point = g.iter().map(|x| -0.5 * x).collect();
            solve(&factor, d, &mut point);
            let mut along: Vec<f64> = (0..d).map(|i| 1.0 + ((i * 7) % 5) as f64 * 0.3).collect();
            for _ in 0..3 {
                solve(&factor, d, &mut along);
                if network.centred {
                    let mean = along.iter().sum::<f64>() / d as f64;
                    along.iter_mut().for_each(|x| *x -= mean);
                }
                let length = norm(&along).max(f64::MIN_POSITIVE);
                along.iter_mut().for_each(|x| *x /= length);
            }
            let cross = dot(&point, &along);
            let missing = radius * radius - dot(&point, &point);
            let t = -cross + (cross * cross + missing).max(0.0).sqrt();
            add_scaled(&mut point, t, &along);
        }
    }
    if theta < 0.0 {
        // Inside the shell, or on its inner side.
        let outer = value_of(&point) + theta * (d as f64 - inner);
        if let Some(l) = cholesky(&q, d, 0.0) {
            let mut inside: Vec<f64> = g.iter().map(|x| -0.5 * x).collect();
            solve(&l, d, &mut inside);
            let value = value_of(&inside);
            if value > outer {
                return Least { theta: 0.0, point: inside, value };
            }
        }
        return Least { theta, point, value: outer };
    }
    let value = value_of(&point);
    Least { theta, point, value }
}

/// Lower triangle of the Cholesky factor of `q + θI`, row-major; `None` if it is not positive definite.
pub(super) fn cholesky(q: &[f64], d: usize, theta: f64) -> Option<Vec<f64>> {
    let mut l = vec![0.0; d * d];
    for i in 0..d {
        for j in 0..=i {
            let sum = dot(&l[i * d..i * d + j], &l[j * d..j * d + j]);
            let rest = q[i * d + j] + if i == j { theta } else { 0.0 } - sum;
            if i == j {
                if !(rest > 0.0) {
                    return None;
                }
                l[i * d + i] = rest.sqrt();
            } else {
                l[i * d + j] = rest / l[j * d + j];
            }
        }
    }
    Some(l)
}

/// `x ← L⁻¹ x`.
fn forward(l: &[f64], d: usize, x: &mut [f64]) {
    for i in 0..d {
        x[i] = (x[i] - dot(&l[i * d..i * d + i], &x[..i])) / l[i * d + i];
    }
}

/// `x ← (LL')⁻¹ x`.
pub(super) fn solve(l: &[f64], d: usize, x: &mut [f64]) {
    forward(l, d, x);
    for i in (0..d).rev() {
        x[i] /= l[i * d + i];
        let at = x[i];
        for j in 0..i {
            x[j] -= l[i * d + j] * at;
        }
    }
}

/// A proved lower bound on `Σ q_i s_i s_j + v·ŷ`, `s_i = w1_i·ŷ + b_i`, over every ŷ with `inner <= ‖ŷ‖² <= d` (without a mean, where Π
/// centres). All numbers given are exact; `point` has no mean where Π centres.
pub(super) fn lower_bound(
    network: &Network,
    curves: &[f64],
    v: &BallVec,
    theta: f64,
    point: &[f64],
    inner: Interval,
) -> f64 {
    let d = network.width;
    let y = BallVec::exact(point.to_vec());
    let square = |x: &[f64]| x.iter().map(|&x| Interval::point(x).square()).sum::<Interval>();
    let shell = if theta >= 0.0 { Interval::point(d as f64) } else { inner };
    let mut value = v.dot(&y).interval() + (square(point) - shell) * theta;
    let argument = |i: usize| network.up.ball(i).dot(&y).interval() + network.up_bias[i];
    let arguments: Vec<Interval> = (0..network.arguments()).map(argument).collect();
    let mut gradient = vec![Interval::ZERO; arguments.len()];
    for (p, &curve) in curves.iter().enumerate() {
        let (i, j) = network.product(p);
        let (s, t) = (arguments[i], arguments[j]);
        value = value + if i == j { s.square() } else { s * t } * curve;
        gradient[i] = gradient[i] + t * curve;
        gradient[j] = gradient[j] + s * curve;
    }
    let (weights, spreads): (Vec<f64>, Vec<f64>) = gradient.iter().map(|g| g.mid_rad()).unzip();
    let spread: f64 = spreads.iter().sum();
    let mut e = BallVec::combine(&weights, network.up.iter(), network.up.rad, d);
    e.rad = nonnegative_sum(e.rad + nonnegative_sum(spread) * network.up.longest);
    let e = e.plus_scaled(1.0, v).plus_scaled(2.0 * theta, &y);
    // M, how far it may lie from what was computed, and how far LL' lies from that.
    let mean = mean_weight(network.centred, theta);
    let m = form(network, curves, theta, mean);
    let Some(l) = cholesky(&m, d, 0.0) else { return f64::NEG_INFINITY };
    let total = nonnegative_sum(curves.iter().map(|c| c.abs()).sum());
    let (long, rad) = (network.up.longest, network.up.rad);
    let entry = nonnegative_sum(total * long * long) + mean + theta.abs();
    let mut off = dot_error(2 * curves.len() + 8, entry) + nonnegative_sum(total * rad * (2.0 * long + rad));
    let (mut most, mut widest) = (0.0f64, 0.0f64);
    for i in 0..d {
        for j in 0..=i {
            let product = dot(&l[i * d..=i * d + j], &l[j * d..=j * d + j]);
            most = most.max((m[i * d + j] - product).abs());
        }
        widest = widest.max(dot(&l[i * d..=i * d + i], &l[i * d..=i * d + i]));
    }
    off = nonnegative_sum(off + most * 1.0000001 + dot_error(d + 2, nonnegative_sum(widest)));
    let reach = (Interval::point(d as f64).sqrt() + square(point).sqrt()).hi();
    let loss = Interval::point(e.norm2()) * reach
        + Interval::point(off) * d as f64 * Interval::point(reach).square();
    (value - loss).lo()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::model::ModelFolder;

    fn network() -> &'static Network {
        static NETWORK: std::sync::OnceLock<Network> = std::sync::OnceLock::new();
        NETWORK.get_or_init(|| {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/moby-l1");
            Network::new(&ModelFolder::open(&folder).unwrap().load().unwrap()).unwrap()
        })
    }

    fn centred(mut x: Vec<f64>) -> Vec<f64> {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        x.iter_mut().for_each(|x| *x -= mean);
        x
    }

    /// `Σ q_k (w1_k·ŷ + b_k)² + v·ŷ` in floats.
    fn at(curves: &[f64], v: &[f64], y: &[f64]) -> f64 {
        let network = network();
        let argument = |k: usize| dot(network.up.row(k), y) + network.up_bias[k].lo();
        curves.iter().enumerate().map(|(k, q)| q * argument(k).powi(2)).sum::<f64>() + dot(v, y)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn no_point_of_the_sphere_lies_below_the_bound(
            curves in prop::collection::vec(-1.0f64..1.0, 64),
            v in prop::collection::vec(-9.0f64..9.0, 16),
            scale in prop::sample::select(vec![0.0, 1e-6, 1.0, 1e3]),
            points in prop::collection::vec(prop::collection::vec(-1.0f64..1.0, 16), 40),
        ) {
            let network = network();
            let (d, root) = (16.0f64, 4.0f64);
            // Sums of dyadic numbers, so that a mean of zero is exact.
            let dyadic = |x: f64| (x * 1_048_576.0).round() / 1_048_576.0;
            let curves: Vec<f64> = curves.iter().map(|q| dyadic(q * scale)).collect();
            let v = centred(v);
            let mut tilt = v.clone();
            for (k, q) in curves.iter().enumerate() {
                add_scaled(&mut tilt, 2.0 * q * network.up_bias[k].lo(), network.up.row(k));
            }
            let least = minimise(network, &curves, &tilt, d, 0.0);
            let mut centre: Vec<f64> = centred(least.point.clone()).into_iter().map(dyadic).collect();
            centre[0] -= centre.iter().sum::<f64>();
            let theta = least.theta + 1e-5 * (1.0 + scale);
            let bound =
                lower_bound(network, &curves, &BallVec::exact(v.clone()), theta, &centre, Interval::point(d));
            for point in points {
                let point = centred(point);
                let length = norm(&point);
                let y: Vec<f64> = point.iter().map(|x| x * root / length).collect();
                let value = at(&curves, &v, &y);
                prop_assert!(bound <= value + 1e-9 * (1.0 + value.abs()), "{bound} {value}");
            }
            // And it is nearly attained.
            let reached = at(&curves, &v, &least.point);
            prop_assert!(bound >= reached - 2e-3 * (1.0 + scale) * (1.0 + norm(&v)), "{bound} {reached}");
        }
    }
}
