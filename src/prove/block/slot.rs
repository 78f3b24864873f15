//! Splits of the tokens that a position before the last may hold.
//!
//! Attention outputs are bounded by all mixtures of them, each head reading a prefix of its own; only a split of the tokens at some
//! position takes that back. It pays where few positions are free: a language with b bits of choice may need 2^b of them.

use std::collections::BTreeMap;

use super::dual::{Evaluation, add_scaled, dot};
use super::hull::Hull;
use super::network::Network;
use super::piece::{Choice, Piece};
use crate::model::TokenId;
use crate::spec::language::TokenSet;

/// Bits of choice beyond which slots are left alone. In a byte model of width 16 with all 15 positions free, splits of slots make 3,000
/// nodes too few where 109 are enough without; in one of width 32 with one free position 9 nodes do what 1,000 did not.
const MOST_BITS: f64 = 40.0;
/// Part of a neuron's gap that a slot's spread has to reach.
const SHARE: f64 = 0.1;

/// By how much weighed planes differ in what they read at each position, counted from the last: the mean of `|x_j − mean x_j|`, where
/// `x_j` is what a plane's reads at position j add to its functional `w + ρ v`.
pub(super) fn spreads(network: &Network, hull: &Hull, planes: &[(f64, &Piece)], at: &Evaluation) -> Vec<f64> {
    let rows = planes.iter().flat_map(|(_, piece)| &piece.choice.reads).map(|read| read.row);
    let Some(last) = rows.map(|row| row / network.vocab).max() else { return Vec::new() };
    let added = |piece: &Piece| {
        let mut direction = at.w.clone();
        add_scaled(&mut direction, piece.rho, &at.v);
        let mut by_position = vec![0.0; last + 1];
        for read in &piece.choice.reads {
            by_position[last - read.row / network.vocab] +=
                read.share * dot(&direction, &hull.value(network, read.head, read.row));
        }
        by_position
    };
    let used = planes.iter().filter(|(share, _)| *share > 0.0);
    let used: Vec<(f64, Vec<f64>)> = used.map(|(share, piece)| (*share, added(piece))).collect();
    let spread = |j: usize| {
        let mean: f64 = used.iter().map(|(share, x)| share * x[j]).sum();
        used.iter().map(|(share, x)| share * (x[j] - mean).abs()).sum()
    };
    (0..=last).map(spread).collect()
}

/// The position, counted back from the last one, that a mixture reads in the most different ways, and about half of its tokens: those
/// more like the token that is read most than like the one that is read next most. `None` where a split of the neuron with
/// this gap is the better one.
pub(super) fn choose(
    network: &Network,
    hull: &Hull,
    spreads: &[f64],
    mixture: &[(Choice, f64)],
    gap: f64,
) -> Option<(usize, TokenSet)> {
    let held = |back: usize| hull.free.at(hull.length - 1 - back);
    let bits: f64 = (1..hull.length).map(|back| (held(back).len() as f64).log2()).sum();
    if bits > MOST_BITS {
        return None;
    }
    let spreads = spreads.iter().copied().enumerate().take(hull.length).skip(1);
    let (back, spread) =
        spreads.filter(|(back, _)| held(*back).len() > 1).max_by(|a, b| a.1.total_cmp(&b.1))?;
    if spread < SHARE * gap {
        return None;
    }
    let position = hull.length - 1 - back;
    let mut weights = BTreeMap::<usize, f64>::new();
    for (choice, weight) in mixture {
        for read in choice.reads.iter().filter(|read| read.row / network.vocab == position) {
            *weights.entry(read.row % network.vocab).or_default() += weight * read.share;
        }
    }
    let mut read: Vec<(usize, f64)> = weights.into_iter().collect();
    read.sort_by(|a, b| b.1.total_cmp(&a.1));
    let [(first, _), (second, _), ..] = read[..] else { return None };
    let features = |token: usize| hull.features(network, position, token);
    let distance = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum::<f64>();
    let (one, other) = (features(first), features(second));
    let like_first = |token: &usize| {
        let own = features(*token);
        *token == first || (*token != second && distance(&own, &one) < distance(&own, &other))
    };
    let tokens = held(back).iter().copied().filter(like_first).map(|token| token as TokenId);
    let tokens = tokens.map(|token| (token, token));
    Some((back, TokenSet::of_ranges(tokens)))
}
