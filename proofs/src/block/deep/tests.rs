//! Two blocks against the network: what single prefixes leave, and hulls of many.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::float_arithmetic,
    clippy::unwrap_used,
    reason = "an f64 stands for the truth here"
)]

use std::path::Path;

use super::super::hull::Hull;
use super::super::tests::{float, row, times};
use super::*;
use crate::family::Scope;
use crate::folder::Folder;
use crate::forward::{activate, logits};
use crate::network::Activation;
use crate::softmax::Digits;

const LONGEST: usize = 4;

/// Learned positions and no biases below the head, and rotations with all biases.
fn with_network(test: impl Fn(&str, &Folder, &Network, &Below)) {
    for name in ["tiny-gpt2-erf", "tiny-neox"] {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(name);
        let folder = Folder::read(&dir, Scope::Network).unwrap();
        let network = Network::new(&folder, &folder.head().unwrap(), Some(LONGEST), &[]).unwrap();
        test(name, &folder, &network, network.below.as_ref().unwrap());
    }
}

/// The hull of the prefixes with these tokens at each position, the last one alone.
fn hull(network: &Network, below: &Below, held: &[Vec<u32>]) -> Hull {
    let enclosed = Arc::new(Enclosed::new(below, held.to_vec()).unwrap());
    let (last, free) = held.split_last().unwrap();
    Hull::deep(network, below, &enclosed, Arc::new(free.to_vec()), last[0]).unwrap()
}

fn single(prefix: &[u32]) -> Vec<Vec<u32>> {
    prefix.iter().map(|token| vec![*token]).collect()
}

/// Ranges of coordinates in floats.
fn coordinates(hull: &Hull) -> Vec<[f64; 2]> {
    hull.coordinates.iter().map(|range| range.map(|x| x as f64 / 2f64.powi(64))).collect()
}

/// Logits, given the residual before the last MLP.
fn logits_of(network: &Network, r: &[f64]) -> Vec<f64> {
    let width = network.width as f64;
    let rho = 1.0 / (times(r, r) / width + float(&network.epsilon)).sqrt();
    let mut all = r.to_vec();
    all.iter_mut().zip(row(&network.down_bias, 0)).for_each(|(x, b)| *x += b);
    for k in 0..network.neurons {
        let s = rho * times(&row(&network.up, k), r) + row(&network.up_bias, 0)[k];
        let s = Interval::scaled(&((s * 2f64.powi(60)) as i64).into(), -60);
        let output = float(&activate(Activation::GeluErf, &s, Digits::All));
        all.iter_mut().zip(row(&network.down, k)).for_each(|(x, w)| *x += output * w);
    }
    let kappa = (times(&all, &all) / width + float(&network.last_epsilon)).sqrt();
    let columns: Vec<Vec<f64>> = (0..network.width).map(|i| row(&network.logit_columns, i)).collect();
    let logit = |j: usize| {
        let a: Vec<f64> = columns.iter().map(|c| c[j]).collect();
        times(&a, &all) / kappa + row(&network.logit_bias, 0)[j]
    };
    (0..network.vocabulary).map(logit).collect()
}

#[test]
fn what_is_left_after_single_prefixes_gives_their_logits() {
    with_network(|name, folder, network, below| {
        let head = folder.head().unwrap();
        for prefix in [&[2][..], &[0, 3], &[5, 1, 1], &[4, 2, 0, 3], &[1, 1, 5, 2]] {
            let ranges = coordinates(&hull(network, below, &single(prefix)));
            // Neurons lie between lines over a step of the grid or two.
            assert!(
                ranges.iter().all(|[lo, hi]| lo <= hi && hi - lo < 1e-4),
                "{name} {prefix:?}: {ranges:?}"
            );
            let r: Vec<f64> = ranges.iter().map(|[lo, hi]| 0.5 * (lo + hi)).collect();
            let exact = logits(folder, &head, prefix).unwrap();
            for (found, exact) in logits_of(network, &r).iter().zip(&exact) {
                assert!((found - float(exact)).abs() < 1e-3, "{name} {prefix:?}: {found} {}", float(exact));
            }
        }
    });
}

#[test]
fn hulls_hold_their_prefixes() {
    with_network(|name, _, network, below| {
        let all: Vec<u32> = (0..6).collect();
        for held in [
            vec![all.clone(), vec![1]],
            vec![vec![2], all.clone(), vec![0, 3], vec![4]],
            vec![vec![0, 5], vec![1, 2], vec![3]],
            vec![all.clone(), vec![1], vec![2], vec![5]],
        ] {
            let whole = hull(network, below, &held);
            let mut prefixes: Vec<Vec<u32>> = vec![vec![]];
            for tokens in &held {
                let longer = |prefix: &Vec<u32>| {
                    tokens.iter().map(|t| [prefix.as_slice(), &[*t]].concat()).collect::<Vec<_>>()
                };
                prefixes = prefixes.iter().flat_map(longer).collect();
            }
            // Functionals in all directions, some of them large or tiny.
            let entry = |m: usize, i: usize| {
                let x = ((m * 37 + i * 101 + 13) % 64) as i64 - 32;
                i128::from(x) << [20, 40, 8][m % 3]
            };
            let exact: Vec<i128> =
                (0..9).flat_map(|m| (0..network.width).map(move |i| entry(m, i))).collect();
            let batch = Table::settle(network.width, &exact, 3, 24, 60).unwrap();
            let ranges = whole.functionals(network, &batch).unwrap();
            let reach = whole.reach.clone();
            for prefix in &prefixes {
                let own = hull(network, below, &single(prefix));
                let parts = own.functionals(network, &batch).unwrap();
                for ([lo, hi], [own_lo, own_hi]) in
                    ranges.iter().zip(&parts).chain(reach.iter().zip(&own.reach))
                {
                    // The truth lies in both.
                    assert!(lo <= own_hi && own_lo <= hi, "{name} {held:?} {prefix:?}");
                    let slack = (own_hi - own_lo).max(1);
                    assert!(lo - slack <= *own_lo && own_hi - slack <= *hi, "{name} {held:?} {prefix:?}");
                }
            }
        }
    });
}

#[test]
fn fewer_tokens_at_a_position_leave_a_narrower_hull() {
    with_network(|name, _, network, below| {
        let held = vec![(0..6).collect::<Vec<u32>>(), vec![1, 2], vec![3]];
        let whole = hull(network, below, &held);
        let part = whole.holding(network, 0, |token| token == 4).unwrap().unwrap();
        let width = |hull: &Hull| coordinates(hull).iter().map(|[lo, hi]| hi - lo).sum::<f64>();
        assert!(width(&part) < width(&whole), "{name}: {} {}", width(&part), width(&whole));
        assert!(whole.holding(network, 1, |token| token == 5).unwrap().is_none());
    });
}
