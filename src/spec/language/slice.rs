//! The prefixes of one length, as a layered graph in which prefixes with the same continuations share a node.

use std::collections::BTreeMap;

use dashu_int::UBig;
use rand::Rng;

use crate::model::TokenId;

use super::automaton::below;
use super::{Automaton, TokenSet};

/// The members of exactly `n` tokens, at least one.
///
/// Node lists are minimal: nodes of a layer differ in what may follow. So `any{0,3} · "a"` has a single node in each layer
/// of its slice of four tokens, although its automaton has to remember whether the last token was an `a`.
#[derive(Debug, Clone)]
pub struct Slice {
    /// Layer `i`, for `i` from 0 to `n`: nodes that are reached by `i` tokens. The first and the last have one node each.
    layers: Vec<Vec<Node>>,
}

/// A place within the members.
#[derive(Debug, Clone)]
struct Node {
    /// Disjoint, not empty sets, each with the node of the next layer that its tokens lead to, one per node.
    edges: Vec<(TokenSet, usize)>,
    /// Number of ways from here to the end.
    ways: UBig,
}

impl Slice {
    /// The prefixes of exactly `length` tokens; `None` if there are none.
    pub(super) fn new(automaton: &Automaton, length: usize) -> Option<Slice> {
        let reachable = reachable(automaton, length);
        let mut layers: Vec<Vec<Node>> = vec![vec![Node { edges: Vec::new(), ways: UBig::ONE }]];
        // Node of the layer built last, by state; `None` where no member goes on.
        let mut place: Vec<Option<usize>> =
            automaton.states.iter().map(|state| state.accepting.then_some(0)).collect();
        for reachable in reachable.iter().rev() {
            let after = layers.last()?;
            let mut layer: Vec<Node> = Vec::new();
            let mut known: BTreeMap<Vec<(TokenSet, usize)>, usize> = BTreeMap::new();
            let mut next_place = vec![None; automaton.states.len()];
            for &state in reachable {
                let mut edges: BTreeMap<usize, TokenSet> = BTreeMap::new();
                for (set, target) in &automaton.states[state].edges {
                    if let Some(node) = place[*target] {
                        let tokens = edges.entry(node).or_default();
                        *tokens = tokens.union(set);
                    }
                }
                if edges.is_empty() {
                    continue;
                }
                let edges: Vec<(TokenSet, usize)> =
                    edges.into_iter().map(|(node, set)| (set, node)).collect();
                let node = *known.entry(edges).or_insert_with_key(|edges| {
                    let ways = edges.iter().map(|(set, node)| UBig::from(set.len()) * &after[*node].ways);
                    layer.push(Node { ways: ways.fold(UBig::ZERO, |sum, n| sum + n), edges: edges.clone() });
                    layer.len() - 1
                });
                next_place[state] = Some(node);
            }
            place = next_place;
            layers.push(layer);
        }
        place[0]?;
        layers.reverse();
        (length > 0).then_some(Slice { layers })
    }

    /// Number of tokens of each member.
    #[must_use]
    pub fn length(&self) -> usize {
        self.layers.len() - 1
    }

    /// Number of members.
    #[must_use]
    pub fn count(&self) -> &UBig {
        &self.layers[0][0].ways
    }

    /// The tokens that occur at each position in some member.
    #[must_use]
    pub fn sets(&self) -> Vec<TokenSet> {
        let of_layer = |layer: &Vec<Node>| {
            TokenSet::of_ranges(
                layer.iter().flat_map(|node| &node.edges).flat_map(|(set, _)| set.ranges()).copied(),
            )
        };
        self.layers[..self.length()].iter().map(of_layer).collect()
    }

    /// The tokens that may go on after `beginning`, which has fewer tokens than the members; empty if it begins no member.
    #[must_use]
    pub fn next(&self, beginning: &[TokenId]) -> TokenSet {
        let Some(node) = self.walk(beginning) else { return TokenSet::default() };
        let edges = &self.layers[beginning.len()][node].edges;
        TokenSet::of_ranges(edges.iter().flat_map(|(set, _)| set.ranges()).copied())
    }

    /// The tokens that may stand at `position` while all other tokens of `member`, of this slice's length, stay. Whether
    /// `member` itself belongs to the slice does not matter.
    #[must_use]
    pub fn substitutes(&self, member: &[TokenId], position: usize) -> TokenSet {
        let Some(node) = self.walk(&member[..position]) else { return TokenSet::default() };
        let rest = &member[position + 1..];
        let fits = |node: usize| {
            rest.iter()
                .enumerate()
                .try_fold(node, |node, (i, &token)| self.step(position + 1 + i, node, token))
                .is_some()
        };
        let edges = self.layers[position][node].edges.iter().filter(|(_, target)| fits(*target));
        TokenSet::of_ranges(edges.flat_map(|(set, _)| set.ranges()).copied())
    }

    /// Whether `prefix` is a member.
    #[must_use]
    pub fn contains(&self, prefix: &[TokenId]) -> bool {
        prefix.len() == self.length() && self.walk(prefix).is_some()
    }

    /// A member drawn uniformly at random.
    pub fn sample(&self, rng: &mut impl Rng) -> Vec<TokenId> {
        let mut node = 0;
        let mut member = Vec::with_capacity(self.length());
        for (layer, next) in self.layers.iter().zip(&self.layers[1..]) {
            let mut at = below(&layer[node].ways, rng);
            for (set, target) in &layer[node].edges {
                let ways = UBig::from(set.len()) * &next[*target].ways;
                if at < ways {
                    let nth = u64::try_from(&(at / &next[*target].ways)).unwrap_or(0);
                    member.extend(set.nth(nth));
                    node = *target;
                    break;
                }
                at -= ways;
            }
        }
        member
    }

    /// All members in lexicographic order.
    pub fn members(&self) -> impl Iterator<Item = Vec<TokenId>> + '_ {
        let choices = |beginning: &[TokenId], node: usize| -> Vec<(TokenId, usize)> {
            let edges = &self.layers[beginning.len()][node].edges;
            let mut all: Vec<_> =
                edges.iter().flat_map(|(set, target)| set.ids().map(|id| (id, *target))).collect();
            // The next one is taken from the end.
            all.sort_unstable_by(|a, b| b.cmp(a));
            all
        };
        let mut member: Vec<TokenId> = Vec::new();
        let mut open = vec![choices(&[], 0)];
        std::iter::from_fn(move || {
            loop {
                let Some((token, target)) = open.last_mut()?.pop() else {
                    open.pop();
                    member.pop();
                    continue;
                };
                member.push(token);
                if member.len() == self.length() {
                    let complete = member.clone();
                    member.pop();
                    return Some(complete);
                }
                open.push(choices(&member, target));
            }
        })
    }

    /// The members as a disjoint union of products, one set per position; `None` if more than `limit` are needed this way.
    #[must_use]
    pub fn products(&self, limit: usize) -> Option<Vec<Vec<TokenSet>>> {
        let mut paths: Vec<(Vec<TokenSet>, usize)> = vec![(Vec::new(), 0)];
        for layer in &self.layers[..self.length()] {
            let grown = paths.iter().map(|(_, node)| layer[*node].edges.len()).sum::<usize>();
            if grown > limit {
                return None;
            }
            let grow = |(sets, node): &(Vec<TokenSet>, usize)| {
                let edges = layer[*node].edges.iter();
                let longer = |(set, target): &(TokenSet, usize)| {
                    ([sets.as_slice(), std::slice::from_ref(set)].concat(), *target)
                };
                edges.map(longer).collect::<Vec<_>>()
            };
            paths = paths.iter().flat_map(grow).collect();
        }
        Some(paths.into_iter().map(|(sets, _)| sets).collect())
    }

    /// The node that a beginning leads to, if some member begins with it.
    fn walk(&self, beginning: &[TokenId]) -> Option<usize> {
        beginning.iter().enumerate().try_fold(0, |node, (i, &token)| self.step(i, node, token))
    }

    fn step(&self, layer: usize, node: usize, token: TokenId) -> Option<usize> {
        let edges = &self.layers[layer][node].edges;
        edges.iter().find(|(set, _)| set.contains(token)).map(|(_, target)| *target)
    }
}

/// For each `i` below `length` the states that are reached by `i` tokens.
fn reachable(automaton: &Automaton, length: usize) -> Vec<Vec<usize>> {
    let mut layers = vec![vec![0]];
    while layers.len() < length {
        let last = layers.last().map_or(&[][..], Vec::as_slice);
        let mut next: Vec<usize> =
            last.iter().flat_map(|&k| automaton.states[k].edges.iter().map(|(_, target)| *target)).collect();
        next.sort_unstable();
        next.dedup();
        layers.push(next);
    }
    layers.truncate(length);
    layers
}
