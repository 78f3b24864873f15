//! Minima of one neuron's share of the dual function over a node's ranges.
//!
//! A plain neuron gives `c φ(s) − a s − q s²`, which the table of φ settles. A gated one reads a second argument u and gives
//!
//! ```text
//! c φ(s) u − a s − q s² − e u − h s u  =  (c u) φ(s) − (a + h u) s − q s² − e u,
//! ```
//!
//! linear in u for each s, so it is least at an end of u's range: there it is the share of a plain neuron again. The product
//! `h s u` is what keeps the bound tight: φ is nearly linear on narrow ranges, and products of two arguments are bounded
//! together with the squares (`sphere`).

use super::network::Network;
use crate::num::{Ball, Interval};
use crate::relax::STEPS_PER_UNIT;

/// The multipliers of a neuron's arguments and of their products.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights {
    /// a and, of the second argument, e.
    pub slopes: [f64; 2],
    /// q and h.
    pub curves: [f64; 2],
}

/// Where a neuron's share is least, in floats.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lowest {
    pub value: f64,
    /// s and, of a gated neuron, u.
    pub arguments: [f64; 2],
}

impl Weights {
    /// Those of neuron `k`.
    pub fn of(network: &Network, k: usize, slopes: &[f64], curves: &[f64]) -> Weights {
        let second = |x: &[f64]| if network.gated { x[network.neurons + k] } else { 0.0 };
        Weights { slopes: [slopes[k], second(slopes)], curves: [curves[k], second(curves)] }
    }
}

/// The number of a grid point, exactly.
fn at(index: i32) -> f64 {
    f64::from(index) / f64::from(STEPS_PER_UNIT)
}

/// The minimum of neuron `k`, a float hint.
pub(super) fn lowest(network: &Network, k: usize, c: f64, weights: Weights, range: &[(i32, i32)]) -> Lowest {
    let Weights { slopes: [a, e], curves: [q, h] } = weights;
    let plain = |c: f64, a: f64| network.graph.lowest_curved(c, a, q, range[k].0, range[k].1);
    if !network.gated {
        let low = plain(c, a);
        return Lowest { value: low.value, arguments: [at(low.index), 0.0] };
    }
    let (l, u) = range[network.neurons + k];
    let end = |u: f64| {
        let low = plain(c * u, a + h * u);
        Lowest { value: low.value - e * u, arguments: [at(low.index), u] }
    };
    let [low, high] = [end(at(l)), end(at(u))];
    if low.value < high.value { low } else { high }
}

/// A proved lower bound on the share of neuron `k` for every c of a ball.
pub(super) fn lower_bound(
    network: &Network,
    k: usize,
    c: Ball,
    weights: Weights,
    range: &[(i32, i32)],
) -> f64 {
    let Weights { slopes: [a, e], curves: [q, h] } = weights;
    let (l, u) = range[k];
    let plain = |c: Ball, a: f64| match q {
        0.0 => network.graph.lower_bound(c.mid, c.rad, a, l, u),
        q => network.graph.lower_bound_curved(c.mid, c.rad, a, q, l, u),
    };
    if !network.gated {
        return plain(c, a);
    }
    let furthest = at(l).abs().max(at(u).abs());
    let end = |u: f64| {
        let (slope, off) = (Interval::point(a) + Interval::point(h) * u).mid_rad();
        let least = plain(Ball::from_interval(c.interval() * u), slope);
        let rest = Interval::point(off) * furthest + Interval::point(e) * u;
        (Interval::point(least) - rest).lo()
    };
    let second = range[network.neurons + k];
    end(at(second.0)).min(end(at(second.1)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Activation;
    use crate::prove::block::network::tests::shipped;
    use crate::relax::value;

    proptest! {
        #[test]
        fn no_point_of_the_ranges_lies_below_the_bound(
            gated in prop::bool::ANY,
            k in 0usize..40,
            c in -8.0f64..8.0,
            slopes in prop::array::uniform2(-8.0f64..8.0),
            curves in prop::array::uniform2(prop_oneof![Just(0.0), -8.0f64..8.0]),
            scale in prop::sample::select(vec![1e-6, 1.0, 1e4]),
            cuts in prop::array::uniform4(0.0f64..1.0),
            points in prop::collection::vec(prop::array::uniform2(0.0f64..=1.0), 30),
        ) {
            let network = shipped(gated);
            // Multiples of the certificate's unit.
            let whole = |x: f64| (x * scale * 1_048_576.0).round() / 1_048_576.0;
            let second = |x: f64| if gated { whole(x) } else { 0.0 };
            let weights = Weights {
                slopes: [whole(slopes[0]), second(slopes[1])],
                curves: [whole(curves[0]), second(curves[1])],
            };
            let mut range = network.range.clone();
            let between = |(l, u): (i32, i32), x: f64| l + (f64::from(u - l) * x) as i32;
            for (i, cut) in [(k, &cuts[..2]), (network.neurons + k, &cuts[2..])] {
                if let Some(own) = range.get_mut(i) {
                    let (a, b) = (between(*own, cut[0]), between(*own, cut[1]));
                    *own = (a.min(b), a.max(b));
                }
            }
            let c = Ball { mid: c * scale, rad: 1e-12 * scale };
            let bound = lower_bound(network, k, c, weights, &range);
            let share = |s: f64, u: f64| {
                let activation = if gated { Activation::Silu } else { Activation::GeluTanh };
                let phi = value(activation, Interval::point(s)).mid_rad().0;
                let [a, e] = weights.slopes;
                let [q, h] = weights.curves;
                let factor = if gated { u } else { 1.0 };
                c.mid * phi * factor - a * s - q * s * s - e * u - h * s * u
            };
            let size = scale * 1e7;
            for point in points {
                let within = |i: usize, x: f64| range.get(i).map_or(0.0, |r| at(r.0) + x * (at(r.1) - at(r.0)));
                let (s, u) = (within(k, point[0]), within(network.neurons + k, point[1]));
                prop_assert!(bound <= share(s, u) + 1e-13 * size, "{bound} {} at {s} {u}", share(s, u));
            }
            // And it is nearly attained.
            let low = lowest(network, k, c.mid, weights, &range);
            let reached = share(low.arguments[0], low.arguments[1]);
            prop_assert!(bound >= reached - 1e-3 * scale * 1e3, "{bound} {reached}");
        }
    }
}
