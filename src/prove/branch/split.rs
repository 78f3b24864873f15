//! How a node is split: at the position that moves the logits most, into tokens that lie close together.
//!
//! Both are heuristics in floats: any split covers the node, as the two halves of the set are disjoint and together the set.

use ndarray::{Array1, ArrayView2};

use super::node::Node;
use crate::model::{Evaluator, Model, TokenId};

/// Tokens of a set that are tried at a position.
const TRIED: usize = 6;
/// A half has at least one token in this many of the set.
const LEAST_SHARE: usize = 8;
/// Rounds of the power iteration.
const ROUNDS: usize = 12;

/// The two halves of a node; `None` if it is a single prefix. Sets of more than `wide` tokens come first.
pub fn halves(model: &Model, node: &Node, wide: usize) -> Option<[Node; 2]> {
    let widest = (0..node.sets.len()).rev().max_by_key(|&i| node.sets[i].len())?;
    let position = if node.sets[widest].len() > wide { widest } else { influential(model, node)? };
    let parts = cut(model.body.embed.view(), &node.sets[position]);
    Some(parts.map(|part| {
        let mut half = node.clone();
        half.sets[position] = part;
        half
    }))
}

/// The free position whose tokens change the targets' logarithms of probabilities most around a typical prefix.
fn influential(model: &Model, node: &Node) -> Option<usize> {
    let free: Vec<usize> = (0..node.sets.len()).filter(|&i| node.sets[i].len() > 1).collect();
    if free.len() < 2 {
        return free.first().copied();
    }
    let embed = model.body.embed.view();
    let base: Vec<TokenId> = node.sets.iter().map(|set| typical(embed, set)).collect();
    let mut prefixes = vec![base.clone()];
    let mut owner = vec![];
    for &i in &free {
        let set = &node.sets[i];
        for k in 0..TRIED.min(set.len()) {
            let mut other = base.clone();
            other[i] = set[k * (set.len() - 1) / (TRIED.min(set.len()) - 1)];
            prefixes.push(other);
            owner.push(i);
        }
    }
    // Whatever a model of no use says: the largest set.
    let largest = free.iter().copied().max_by_key(|&i| (node.sets[i].len(), std::cmp::Reverse(i)));
    let Ok(log_p) = Evaluator::new(model).log_probs(&prefixes) else { return largest };
    let mut change = vec![0.0f64; node.sets.len()];
    for (row, &i) in log_p.rows().into_iter().skip(1).zip(&owner) {
        let moved = row.iter().zip(log_p.row(0)).map(|(a, b)| f64::from(a - b).abs());
        change[i] = change[i].max(moved.filter(|x| x.is_finite()).sum());
    }
    // Of equals the first.
    free.into_iter().reduce(|best, i| if change[i] > change[best] { i } else { best })
}

/// The token whose embedding is closest to the mean of a set.
fn typical(embed: ArrayView2<'_, f32>, set: &[TokenId]) -> TokenId {
    let mean = mean(embed, set);
    let distance = |&token: &TokenId| (&embed.row(token as usize) - &mean).mapv(|x| x * x).sum();
    let near = set.iter().map(|token| (distance(token), *token));
    near.fold((f32::INFINITY, set[0]), |a, b| if b.0 < a.0 { b } else { a }).1
}

fn mean(embed: ArrayView2<'_, f32>, set: &[TokenId]) -> Array1<f32> {
    let mut sum = Array1::<f32>::zeros(embed.ncols());
    set.iter().for_each(|&token| sum += &embed.row(token as usize));
    sum / set.len() as f32
}

/// Cuts a set of two or more in two, along the direction in which its embeddings spread most, where the sum of squares
/// within both parts is least.
fn cut(embed: ArrayView2<'_, f32>, set: &[TokenId]) -> [Vec<TokenId>; 2] {
    let mean = mean(embed, set);
    let rows: Vec<Array1<f32>> = set.iter().map(|&token| &embed.row(token as usize) - &mean).collect();
    // The row that is farthest from the mean is a good start for the principal direction.
    let far = rows.iter().fold((0.0, &rows[0]), |best, row| {
        let size = row.dot(row);
        if size > best.0 { (size, row) } else { best }
    });
    let mut direction = far.1.clone();
    for _ in 0..ROUNDS {
        let mut next = Array1::<f32>::zeros(direction.len());
        rows.iter().for_each(|row| next.scaled_add(row.dot(&direction), row));
        let size = next.dot(&next).sqrt();
        if !(size > 0.0 && size.is_finite()) {
            break;
        }
        direction = next / size;
    }
    let mut order: Vec<(f32, TokenId)> =
        rows.iter().zip(set).map(|(row, &token)| (row.dot(&direction), token)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let n = order.len();
    let least = (n / LEAST_SHARE).max(1);
    let total: f64 = order.iter().map(|x| f64::from(x.0)).sum();
    let (mut best, mut sum) = ((f64::NEG_INFINITY, n / 2), 0.0);
    for k in 1..n {
        sum += f64::from(order[k - 1].0);
        // What lies between the parts is the total less what lies within them.
        let between = sum * sum / k as f64 + (total - sum) * (total - sum) / (n - k) as f64;
        if k >= least && k <= n - least && between > best.0 {
            best = (between, k);
        }
    }
    let part = |range: &[(f32, TokenId)]| {
        let mut tokens: Vec<TokenId> = range.iter().map(|x| x.1).collect();
        tokens.sort_unstable();
        tokens
    };
    [part(&order[..best.1]), part(&order[best.1..])]
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    #[test]
    fn cuts_cover_the_set_and_part_what_lies_apart() {
        let at = [0.0f32, 0.1, 9.0, 0.2, 9.1, f32::NAN];
        let embed = Array2::from_shape_fn((6, 3), |(i, k)| at[i] * (k as f32 + 1.0));
        assert_eq!(cut(embed.view(), &[0, 1, 2, 3, 4]), [vec![0, 1, 3], vec![2, 4]]);
        for set in [vec![0, 1], vec![2, 5], vec![0, 0], vec![0, 1, 2, 3, 4, 5]] {
            let [a, b] = cut(embed.view(), &set);
            let mut both = [a.clone(), b.clone()].concat();
            both.sort_unstable();
            assert!(both == set && !a.is_empty() && !b.is_empty(), "{set:?}: {a:?} {b:?}");
        }
    }
}
