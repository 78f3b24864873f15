//! Nodes of the tree, and the queue of those that are open.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use crate::checkpoint::bits;
use crate::model::TokenId;

/// A product of token sets, one for each position, with what is proved of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Tokens of each position, increasing, none empty.
    pub sets: Vec<Vec<TokenId>>,
    /// The targets that are open in it.
    pub open: Vec<Open>,
}

/// A target within a node.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// Index among all targets.
    pub target: usize,
    /// Proved: the target's probability is at most this after every prefix of the node.
    #[serde(with = "bits")]
    pub upper: f64,
}

impl Node {
    /// Number of beginnings of its prefixes: single steps of the network to evaluate all of them.
    #[must_use]
    pub fn beginnings(&self) -> f64 {
        let mut product = 1.0;
        self.sets
            .iter()
            .map(|set| {
                product *= set.len() as f64;
                product
            })
            .sum()
    }

    /// By how much the target that is farthest from settled exceeds its level.
    #[must_use]
    pub fn excess(&self, levels: &[f64]) -> f64 {
        self.open.iter().map(|open| open.upper - levels[open.target]).fold(f64::NEG_INFINITY, f64::max)
    }
}

/// Where open nodes wait. One in the memory of this process is [`BestFirst`]; one that several machines share can take its
/// place, as a node says all about itself.
pub trait Queue {
    /// Adds a node; `levels` are what each target's bound has to come down to.
    fn push(&mut self, node: Node, levels: &[f64]);
    /// Takes the next node.
    fn pop(&mut self) -> Option<Node>;
    /// The nodes that wait, in the order in which they came.
    fn nodes(&self) -> Vec<&Node>;
    /// The excess of the next node, as it was when the node came.
    fn excess(&self) -> Option<f64>;
    /// Number of them.
    fn waiting(&self) -> usize;
}

/// The node with the largest excess first, of equals the one that came first.
#[derive(Debug, Default)]
pub struct BestFirst {
    heap: BinaryHeap<Entry>,
    pushed: u64,
}

#[derive(Debug)]
struct Entry {
    excess: f64,
    number: u64,
    node: Node,
}

impl Queue for BestFirst {
    fn push(&mut self, node: Node, levels: &[f64]) {
        self.pushed += 1;
        self.heap.push(Entry { excess: node.excess(levels), number: self.pushed, node });
    }

    fn pop(&mut self) -> Option<Node> {
        self.heap.pop().map(|entry| entry.node)
    }

    fn nodes(&self) -> Vec<&Node> {
        let mut entries: Vec<&Entry> = self.heap.iter().collect();
        entries.sort_unstable_by_key(|entry| entry.number);
        entries.into_iter().map(|entry| &entry.node).collect()
    }

    fn excess(&self) -> Option<f64> {
        self.heap.peek().map(|entry| entry.excess)
    }

    fn waiting(&self) -> usize {
        self.heap.len()
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> Ordering {
        self.excess.total_cmp(&other.excess).then(other.number.cmp(&self.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_excess_comes_first_and_then_the_oldest() {
        let node = |name: TokenId, uppers: [f64; 2]| Node {
            sets: vec![vec![name]],
            open: (0..2).map(|target| Open { target, upper: uppers[target] }).collect(),
        };
        let mut queue = BestFirst::default();
        for (name, uppers) in [(0, [0.5, 0.1]), (1, [0.3, 0.9]), (2, [0.4, 0.8]), (3, [0.1, 0.9])] {
            queue.push(node(name, uppers), &[0.0, 0.3]);
        }
        let order: Vec<TokenId> = std::iter::from_fn(|| queue.pop()).map(|node| node.sets[0][0]).collect();
        assert_eq!(order, [1, 3, 0, 2]);
        let node = Node { sets: vec![vec![1, 2, 3], vec![7], vec![0, 1]], open: vec![] };
        assert_eq!(node.beginnings(), 12.0);
    }
}
