//! At least `k` tokens lie above the target everywhere on the ball: branching on which.
//!
//! A node assumes that the tokens of A are above the target and those of B are not. It lists sums `Σ w_j f_j > 0` on the
//! ball, `f_j = l_j − l_t`, whose negative weights are on A and whose positive ones are not. Where all of A are above, each
//! sum puts one of its positive tokens above, one outside B by assumption: its *open* tokens. So the node is closed if
//!
//! - a sum has no open token: the assumptions contradict each other; or
//! - `k − |A|` sums share no open token: these put as many different tokens above, beyond A.
//!
//! Otherwise it branches on its first sum with open tokens `x_1, x_2, ..`: child i has `x_i` in A and `x_1, .., x_{i−1}` in
//! B. The children cover the node, because one of the open tokens is above, and one is the first.

use std::collections::BTreeMap;

use super::cone::Cone;
use super::{OrderProof, Sum};
use crate::limits::Limits;
use crate::model::TokenId;

/// Nodes after which a tree is given up.
const MAX_NODES: usize = 500;
/// Levels after which a tree is given up.
const MAX_DEPTH: usize = 64;

/// A tree that grows in preorder.
struct Grower<'a, 'p> {
    cone: &'a Cone<'a, 'p>,
    k: usize,
    limits: &'a Limits,
    index: BTreeMap<Sum, u32>,
    sums: Vec<Sum>,
    nodes: Vec<Vec<u32>>,
}

/// Grows a closed tree; the excess is still to be found. `None` if the claim fails on the ball or the limits are reached.
pub fn grow(cone: &Cone<'_, '_>, k: usize, limits: &Limits) -> Option<OrderProof> {
    let mut grower = Grower { cone, k, limits, index: BTreeMap::new(), sums: Vec::new(), nodes: Vec::new() };
    grower.node(&mut Vec::new(), &mut Vec::new(), Vec::new())?;
    Some(OrderProof { excess: f64::INFINITY, sums: grower.sums, nodes: grower.nodes })
}

impl Grower<'_, '_> {
    /// Closes the node that assumes `above` and `below`; `sums` hold there and share no open token.
    fn node(&mut self, above: &mut Vec<usize>, below: &mut Vec<usize>, mut sums: Vec<Sum>) -> Option<()> {
        if self.nodes.len() >= MAX_NODES || above.len() > MAX_DEPTH || self.limits.expired() {
            return None;
        }
        let missing = self.k - above.len();
        while sums.len() < missing && sums.iter().all(|sum| !open(sum, below).is_empty()) {
            let used: Vec<usize> = sums.iter().flat_map(|sum| open(sum, below)).collect();
            let Some(sum) = self.cone.sum(above, &|j| used.contains(&j), self.k > 1) else { break };
            sums.push(sum);
        }
        // Few children first.
        sums.sort_by_key(|sum| open(sum, below).len());
        let first = sums.first()?.clone();
        let branches = open(&first, below);
        let closed = branches.is_empty() || sums.len() >= missing;
        let listed = if closed && !branches.is_empty() { sums.len() } else { 1 };
        let index = sums[..listed].iter().map(|sum| self.intern(sum)).collect();
        self.nodes.push(index);
        if closed {
            return Some(());
        }
        let n_below = below.len();
        for token in branches {
            above.push(token);
            self.node(above, below, sums[1..].to_vec())?;
            above.pop();
            below.push(token);
        }
        below.truncate(n_below);
        Some(())
    }

    /// The index of a sum.
    fn intern(&mut self, sum: &Sum) -> u32 {
        *self.index.entry(sum.clone()).or_insert_with(|| {
            self.sums.push(sum.clone());
            // The tree has fewer nodes than 2^32, let alone sums.
            self.sums.len() as u32 - 1
        })
    }
}

/// The tokens that a sum may put above the target.
fn open(sum: &[(TokenId, i64)], below: &[usize]) -> Vec<usize> {
    let positive = sum.iter().filter(|(_, w)| *w > 0).map(|&(j, _)| j as usize);
    positive.filter(|j| !below.contains(j)).collect()
}
