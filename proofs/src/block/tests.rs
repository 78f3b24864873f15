//! The parts of the block rule against an f64 evaluation of the tables, and these against the network.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::float_arithmetic,
    clippy::unwrap_used,
    reason = "an f64 stands for the truth here"
)]

use std::path::Path;
use std::sync::Arc;

use super::dual::{Bound, Claim, Guess, Query, Region};
use super::fixed::Table;
use super::graph::Graph;
use super::hull::Hull;
use super::tables::Network;
use super::*;
use crate::family::Scope;
use crate::format::BlockDual;
use crate::forward::{activate, logits};
use crate::network::Activation;
use crate::softmax::Digits;

const LONGEST: usize = 3;

/// A GPT-2 with learned positions and centring norms, and a LLaMA with rotations, gated neurons and shared keys.
fn with_network(test: impl Fn(&Folder, &Network)) {
    for name in ["tiny-gpt2", "tiny-llama"] {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(name);
        let folder = Folder::read(&dir, Scope::Network).unwrap();
        let network = Network::new(&folder, &folder.head().unwrap(), Some(LONGEST), &[]).unwrap();
        assert_eq!(network.arguments(), if network.centred { 1 } else { 2 } * network.neurons);
        test(&folder, &network);
    }
}

fn prefixes(vocabulary: usize) -> Vec<Vec<u32>> {
    let mut all: Vec<Vec<u32>> = vec![vec![]];
    let mut from = 0;
    for _ in 0..LONGEST {
        let longer: Vec<Vec<u32>> = all[from..]
            .iter()
            .flat_map(|p| (0..vocabulary as u32).map(move |u| [p.as_slice(), &[u]].concat()))
            .collect();
        from = all.len();
        all.extend(longer);
    }
    all.split_off(1)
}

pub(super) fn row(table: &Table, i: usize) -> Vec<f64> {
    table.row(i).iter().map(|x| *x as f64 / 2f64.powi(table.places() as i32)).collect()
}

pub(super) fn times(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

pub(super) fn float(x: &Interval) -> f64 {
    x.lo().to_string().parse::<f64>().unwrap() / 2f64.powi(256)
}

fn gelu(s: f64) -> f64 {
    0.5 * s * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (s + 0.044_715 * s * s * s)).tanh())
}

/// Attention output of one head after a prefix.
fn head_output(network: &Network, h: usize, prefix: &[u32]) -> Vec<f64> {
    let head = &network.heads[h];
    let n = prefix.len();
    let pairs: Vec<usize> = prefix.iter().enumerate().map(|(j, u)| network.pair(j + 1, *u)).collect();
    let query = row(&head.query, pairs[n - 1]);
    let weights: Vec<f64> = pairs.iter().map(|p| times(&query, &row(&head.key, *p)).exp()).collect();
    let total: f64 = weights.iter().sum();
    let mut out = vec![0.0; network.width];
    for (pair, weight) in pairs.iter().zip(&weights) {
        out.iter_mut().zip(row(&head.value, *pair)).for_each(|(o, v)| *o += weight / total * v);
    }
    out
}

/// `r`, ρ, the arguments `s_k` and `R` after a prefix.
fn residuals(network: &Network, prefix: &[u32]) -> (Vec<f64>, f64, Vec<f64>, Vec<f64>) {
    let mut r = row(&network.x, network.pair(prefix.len(), prefix[prefix.len() - 1]));
    for h in 0..network.heads.len() {
        r.iter_mut().zip(head_output(network, h, prefix)).for_each(|(r, o)| *r += o);
    }
    let rho = 1.0 / (times(&r, &r) / network.width as f64 + float(&network.epsilon)).sqrt();
    let columns: Vec<Vec<f64>> = (0..network.width).map(|i| row(&network.up_columns, i)).collect();
    let biases = row(&network.up_bias, 0);
    let argument = |k: usize| {
        let up: Vec<f64> = columns.iter().map(|c| c[k]).collect();
        rho * times(&up, &r) + biases[k]
    };
    let arguments: Vec<f64> = (0..network.arguments()).map(argument).collect();
    let mut all = r.clone();
    all.iter_mut().zip(row(&network.down_bias, 0)).for_each(|(x, b)| *x += b);
    for (k, s) in arguments[..network.neurons].iter().enumerate() {
        let output =
            arguments.get(network.neurons + k).map_or_else(|| gelu(*s), |u| s / (1.0 + (-s).exp()) * u);
        all.iter_mut().zip(row(&network.down, k)).for_each(|(x, w)| *x += output * w);
    }
    (r, rho, arguments, all)
}

/// The positions before the last of prefixes of some length, each holding one of some tokens.
fn before(length: usize, held: &[u32]) -> Arc<Vec<Vec<u32>>> {
    Arc::new(vec![held.to_vec(); length - 1])
}

#[test]
fn tables_reproduce_the_network() {
    with_network(|folder, network| {
        let head = folder.head().unwrap();
        for prefix in prefixes(network.vocabulary).iter().step_by(13) {
            let (_, _, arguments, all) = residuals(network, prefix);
            let kappa = (times(&all, &all) / network.width as f64 + 1e-5).sqrt();
            let columns: Vec<Vec<f64>> = (0..network.width).map(|i| row(&network.logit_columns, i)).collect();
            for (j, expected) in logits(folder, &head, prefix).unwrap().iter().enumerate() {
                let a: Vec<f64> = columns.iter().map(|c| c[j]).collect();
                let logit = times(&a, &all) / kappa + row(&network.logit_bias, 0)[j];
                assert!((logit - float(expected)).abs() < 1e-11, "{prefix:?}: {logit} {}", float(expected));
            }
            for (s, [l, u]) in arguments.iter().zip(&network.range) {
                assert!(f64::from(*l) / 512.0 <= *s && *s <= f64::from(*u) / 512.0);
            }
        }
    });
}

#[test]
fn the_oracle_finds_the_minimum_of_an_enumeration() {
    with_network(|_, network| {
        let direction: Vec<i64> = (0..network.width as i64).map(|i| (3 - 2 * i) << 20).collect();
        let floats: Vec<f64> = direction.iter().map(|x| *x as f64 / 2f64.powi(20)).collect();
        let direction = Table::exact(&direction, 20).unwrap();
        let rows = 0..LONGEST * network.vocabulary;
        let values: Vec<Table> =
            network.heads.iter().map(|h| direction.products(&h.value, rows.clone()).unwrap()).collect();
        for length in 1..=LONGEST {
            let places = [(0..network.vocabulary as u32).collect(), vec![1, 4, 5]];
            for (held, tokens) in places.iter().flat_map(|p| [(p, vec![2]), (p, vec![0, 3, 7])]) {
                let hull = Hull::new(network, before(length, held), tokens.clone()).unwrap();
                let found = hull.lower_bound(&values, &mut vec![0; network.heads.len()]).unwrap();
                let found = found as f64 / 2f64.powi(64);
                let least = |h: usize| {
                    prefixes(network.vocabulary)
                        .iter()
                        .filter(|p| p.len() == length && tokens.contains(&p[length - 1]))
                        .filter(|p| p[..length - 1].iter().all(|token| held.contains(token)))
                        .map(|p| times(&floats, &head_output(network, h, p)))
                        .fold(f64::INFINITY, f64::min)
                };
                let least: f64 = (0..network.heads.len()).map(least).sum();
                assert!(found <= least + 1e-12, "{length} {tokens:?}: {found} {least}");
                // One last token leaves nothing to intervals, nor does the first position.
                let exact = tokens.len() == 1 || length == 1;
                assert!(!exact || found >= least - 1e-11, "{length} {tokens:?}: {found} {least}");
            }
        }
    });
}

#[test]
fn neurons_stay_within_the_reach_of_hulls() {
    with_network(|_, network| {
        let everything: Vec<u32> = (0..network.vocabulary as u32).collect();
        let hull = Hull::new(network, before(LONGEST, &everything), vec![1, 4]).unwrap();
        for prefix in prefixes(network.vocabulary) {
            if prefix.len() < LONGEST || !hull.tokens.contains(&prefix[LONGEST - 1]) {
                continue;
            }
            for k in 0..network.arguments() {
                let up: Vec<f64> = (0..network.width).map(|i| row(&network.up_columns, i)[k]).collect();
                let part: f64 =
                    (0..network.heads.len()).map(|h| times(&up, &head_output(network, h, &prefix))).sum();
                let [lo, hi] = hull.reach[k].map(|x| x as f64 / 2f64.powi(64));
                assert!(lo - 1e-12 <= part && part <= hi + 1e-12, "{prefix:?} {k}: {part} {lo} {hi}");
            }
        }
    });
}

#[test]
fn dual_bounds_are_below_what_prefixes_reach() {
    with_network(|_, network| {
        let mut state = 1_u64;
        let mut random = |spread: i64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) as i64) % (2 * spread + 1) - spread
        };
        let one = 1 << 20;
        let ceiling = || Claim::Ceiling {
            temperature: Interval::from_int(1),
            tau: log_odds(&RBig::from_parts(9.into(), 10_u32.into())).unwrap(),
        };
        // Far more than the logit of 5 leads by: A is about −20 and κ counts by its greatest value.
        let lead = || Claim::Lead { over: 5, margin: Interval::from_int(20) };
        let shift = row(&network.logit_bias, 0)[5] - row(&network.logit_bias, 0)[3] - 20.0;
        let everything: Vec<u32> = (0..network.vocabulary as u32).collect();
        let hulls: Vec<Hull> = (1..=LONGEST)
            .map(|n| Hull::new(network, before(n, &everything), everything.clone()).unwrap())
            .collect();
        let all: Vec<_> =
            prefixes(network.vocabulary).into_iter().map(|p| (residuals(network, &p), p)).collect();
        let (mut closest, mut compared) = (f64::INFINITY, 0);
        for round in 0..20 {
            let rho = [one / 4 + round * one / 40, one / 4 + round * one / 40 + one / 20];
            let mut vector = |n: usize, spread: i64| (0..n).map(|_| random(spread)).collect::<Vec<i64>>();
            let leads = round % 3 == 2;
            let query = Query { target: 3, claim: if leads { lead() } else { ceiling() } };
            let lambda = vec![(0, 1 << 18), (1, 1 << 18), (5, 1 << 19)];
            let lift = vector(network.width, one / 5);
            let dual = BlockDual {
                lambda: if leads { vec![(5, 1 << 20)] } else { lambda },
                lift: if leads { vec![0; network.width] } else { lift },
                slopes: vector(network.arguments(), one / 4),
                normed: vector(network.width, one / 32),
                raw: vector(network.width, one / 32),
                quadratic: (round % 2 == 1).then(|| {
                    let (curves, mut centre) =
                        (vector(network.arguments(), one / 8), vector(network.width, one));
                    centre[0] -= centre.iter().sum::<i64>();
                    Quadratic { curves, theta: one, centre }
                }),
            };
            let region = Region { rho, range: Arc::new(network.range.clone()), residual: Arc::default() };
            let bound = Bound::new(network, &query, &region, &dual, LONGEST).unwrap();
            let mut w: Vec<f64> = dual.lift.iter().map(|m| *m as f64 / one as f64).collect();
            let shares = if leads { [0.0, 0.0, 1.0] } else { [0.25, 0.25, 0.5] };
            for (j, n) in [0, 1, 5].into_iter().zip(shares).chain([(3, -1.0)]) {
                w.iter_mut().enumerate().for_each(|(i, w)| *w += n * row(&network.logit_columns, i)[j]);
            }
            let values: Vec<Vec<i128>> = hulls
                .iter()
                .map(|h| bound.values(network, h, &everything, &mut Guess::new(network)).unwrap())
                .collect();
            for ((_, own_rho, _, residual), prefix) in &all {
                if (rho[0] as f64) <= own_rho * one as f64 && own_rho * one as f64 <= rho[1] as f64 {
                    let value = values[prefix.len() - 1][prefix[prefix.len() - 1] as usize];
                    let kappa = (times(residual, residual) / network.width as f64 + 1e-5).sqrt();
                    let of_scale = if leads { shift * kappa } else { 0.0 };
                    let gap = times(&w, residual) + of_scale - value as f64 / 2f64.powi(64);
                    assert!(gap >= -1e-11, "{prefix:?}: {gap}");
                    closest = closest.min(if leads { f64::INFINITY } else { gap });
                    compared += 1;
                }
            }
        }
        // Random multipliers of products of two arguments are far from any optimum.
        let near = if network.centred { 6.0 } else { 100.0 };
        assert!(compared > 30 && closest < near, "{compared} {closest}");
    });
}

#[test]
fn lines_below_an_activation_touch_it() {
    for activation in [Activation::Relu, Activation::GeluTanh, Activation::GeluErf, Activation::Silu] {
        let graph = Graph::new(activation, 6 * 512).unwrap();
        let c_unit = 2f64.powi(40);
        for (c, a, l, u) in [
            (1.0_f64, 0.3_f64, -2000, 2500),
            (-2.0, 0.4, -2500, 2800),
            (-1.5, -0.7, -700, -300),
            (0.7, 0.9, 100, 101),
            (3.0, -0.1, -3000, 10),
            (-0.4, -0.45, 5, 3072),
        ] {
            let slopes = [(a * 1_048_576.0) as i64, 0];
            let bound = graph.lower_bound([(c * c_unit) as i64, 1], slopes, [0, 0], [l, u], None).unwrap();
            let bound = bound as f64 / (c_unit * c_unit);
            let a = (a * 1_048_576.0).trunc() / 1_048_576.0;
            let mut least = f64::INFINITY;
            for i in (4 * l..=4 * u).step_by(2) {
                let s = f64::from(i) / 2048.0;
                let value = float(&activate(activation, &Interval::scaled(&i.into(), -11), Digits::All));
                least = least.min(c * value - a * s);
            }
            assert!(bound <= least + 1e-12, "{activation:?} {c} {a}: {bound} {least}");
            assert!(bound >= least - 2e-6 * c.abs() - 1e-8, "{activation:?} {c} {a}: {bound} {least}");
        }
    }
}

#[test]
fn parabolas_below_an_activation_touch_it() {
    let graph = Graph::new(Activation::GeluTanh, 6 * 512).unwrap();
    for (c, a, q, l, u) in
        [(1.0, 0.5, 0.3, -2000, 2500), (-2.0, -1.1, -0.7, -2500, 2800), (0.4, 0.2, -0.1, 5, 300)]
    {
        let units = [a, q].map(|x: f64| (x * 1_048_576.0).round() as i64);
        let c_units = [(c * 2f64.powi(40)) as i64, 1];
        let bound = graph.lower_bound(c_units, [units[0], 0], [units[1], 0], [l, u], None).unwrap();
        let bound = bound as f64 / 2f64.powi(80);
        let [a, q] = units.map(|x| x as f64 / 1_048_576.0);
        let value = |i: i32| {
            let s = f64::from(i) / 2048.0;
            c * float(&activate(Activation::GeluTanh, &Interval::scaled(&i.into(), -11), Digits::All))
                - a * s
                - q * s * s
        };
        let least = (4 * l..=4 * u).map(value).fold(f64::INFINITY, f64::min);
        assert!(bound <= least + 1e-12 && bound >= least - 1e-5, "{c} {a} {q}: {bound} {least}");
    }
}

#[test]
fn bilinear_forms_below_a_gated_neuron_touch_it() {
    let graph = Graph::new(Activation::Silu, 6 * 512).unwrap();
    for (c, slopes, curves, s_range, u_range) in [
        (1.0, [0.5, -0.2], [0.0, 0.5], [-2000, 2500], [-700, 900]),
        (-2.0, [-1.1, 0.0], [-0.7, -1.0], [-2500, 2800], [-300, -299]),
        (0.4, [0.2, 0.3], [-0.1, 0.2], [5, 300], [-1000, 20]),
    ] {
        let units = |x: [f64; 2]| x.map(|x| (x * 1_048_576.0).round() as i64);
        let ([a, e], [q, h]) = (slopes, curves);
        let c_units = [(c * 2f64.powi(40)) as i64, 1];
        let bound = graph.lower_bound(c_units, units(slopes), units(curves), s_range, Some(u_range)).unwrap();
        let bound = bound as f64 / 2f64.powi(80);
        let mut least = f64::INFINITY;
        for i in (4 * s_range[0]..=4 * s_range[1]).step_by(3) {
            let s = f64::from(i) / 2048.0;
            let active = float(&activate(Activation::Silu, &Interval::scaled(&i.into(), -11), Digits::All));
            for j in 0..=4 {
                let u =
                    (f64::from(u_range[0]) + f64::from(u_range[1] - u_range[0]) * f64::from(j) / 4.0) / 512.0;
                least = least.min(c * active * u - a * s - q * s * s - e * u - h * s * u);
            }
        }
        // Multipliers were rounded to their unit.
        assert!(bound <= least + 1e-4 && bound >= least - 1e-4, "{c}: {bound} {least}");
    }
}

#[test]
fn odds_are_mirrored() {
    for (n, d) in [(1, 10_u32), (1, 2), (9, 10)] {
        let tau = float(&log_odds(&RBig::from_parts(n.into(), d.into())).unwrap());
        let p = n as f64 / f64::from(d);
        assert!((tau - (1.0 / p - 1.0).ln()).abs() < 1e-12);
    }
}
