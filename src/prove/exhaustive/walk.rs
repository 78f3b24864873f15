//! A finite language as a tree of beginnings, cut into units of work.
//!
//! A unit is up to sixteen beginnings of the same length with everything that goes on from them, or beginnings alone that are
//! members themselves. The sequence of units depends on the language and on how many nodes a unit may hold.

use crate::model::TokenId;
use crate::num::wide::LANES;
use crate::spec::language::Automaton;

/// Most nodes below one beginning of a unit: the floors that it may leave things out by are as old as the unit.
const NODES: f64 = 1024.0;

/// The prefixes of a language up to a length.
#[derive(Debug)]
pub struct Tree<'a> {
    automaton: &'a Automaton,
    longest: usize,
    /// Nodes below one beginning of a unit, at most.
    most: f64,
    /// Tokens from each state to the nearest accepting one.
    distance: Vec<usize>,
    /// `[tokens left][state]`: nodes below.
    below: Vec<Vec<f64>>,
}

/// A beginning and the state that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// Its tokens, at least one.
    pub tokens: Vec<TokenId>,
    /// Of the automaton.
    pub state: usize,
}

/// A piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// One to sixteen of the same length.
    pub beginnings: Vec<Beginning>,
    /// Whether what goes on from them belongs to it.
    pub deep: bool,
}

impl<'a> Tree<'a> {
    /// The prefixes of at most `longest` tokens, in units of at most so many nodes below one beginning.
    #[must_use]
    pub fn new(automaton: &'a Automaton, longest: usize, most: f64) -> Tree<'a> {
        let n = automaton.states.len();
        let mut distance = vec![usize::MAX; n];
        for _ in 0..=n.min(longest) {
            for (k, state) in automaton.states.iter().enumerate() {
                let after = state.edges.iter().map(|(_, target)| distance[*target].saturating_add(1));
                let nearest = if state.accepting { Some(0) } else { after.min() };
                distance[k] = distance[k].min(nearest.unwrap_or(usize::MAX));
            }
        }
        let most = most.min(NODES);
        let mut tree = Tree { automaton, longest, most, distance, below: vec![vec![0.0; n]] };
        for left in 1..=longest {
            let nodes = |state: usize| {
                tree.edges(state, left)
                    .map(|(tokens, target)| tokens * (1.0 + tree.below[left - 1][target]))
                    .sum()
            };
            let layer = (0..n).map(nodes).collect();
            tree.below.push(layer);
        }
        tree
    }

    /// Nodes below one beginning of a unit, at most.
    #[must_use]
    pub fn most_nodes(&self) -> f64 {
        self.most
    }

    /// Number of beginnings of members, members included: as many single steps of the network are needed.
    #[must_use]
    pub fn nodes(&self) -> f64 {
        self.below[self.longest][0]
    }

    /// Those of them that are no last step within a unit: that something goes on from, or that a unit begins with.
    #[must_use]
    pub fn before_last(&self) -> f64 {
        let n = self.automaton.states.len();
        let mut below = vec![0.0; n];
        for left in 1..=self.longest {
            let of_state = |state: usize| {
                let begins = left == self.longest || self.below[left][state] > self.most;
                let of_edge = |(tokens, target): (f64, usize)| {
                    let counts = begins || self.edges(target, left - 1).next().is_some();
                    tokens * (f64::from(u8::from(counts)) + below[target])
                };
                self.edges(state, left).map(of_edge).sum()
            };
            below = (0..n).map(of_state).collect();
        }
        below[0]
    }

    /// Nodes of a unit.
    #[must_use]
    pub fn size(&self, unit: &Unit) -> f64 {
        let below =
            |b: &Beginning| if unit.deep { self.below[self.longest - b.tokens.len()][b.state] } else { 0.0 };
        unit.beginnings.iter().map(|b| 1.0 + below(b)).sum()
    }

    /// Whether a beginning is a member.
    #[must_use]
    pub fn accepts(&self, state: usize) -> bool {
        self.automaton.states[state].accepting
    }

    /// Tokens that go on from a beginning of `len` tokens to a member that is not too long, with their states, in order.
    #[must_use]
    pub fn next(&self, state: usize, len: usize) -> Vec<(TokenId, usize)> {
        let left = self.longest.saturating_sub(len);
        let edges = self.automaton.states[state].edges.iter().filter(|(_, target)| self.fits(*target, left));
        let mut all: Vec<(TokenId, usize)> =
            edges.flat_map(|(set, target)| set.ids().map(|id| (id, *target))).collect();
        all.sort_unstable();
        all
    }

    /// Whether a longer prefix goes on from a beginning of `len` tokens.
    #[must_use]
    pub fn goes_on(&self, state: usize, len: usize) -> bool {
        let left = self.longest.saturating_sub(len);
        self.automaton.states[state].edges.iter().any(|(_, target)| self.fits(*target, left))
    }

    fn fits(&self, target: usize, left: usize) -> bool {
        left > 0 && self.distance[target] < left
    }

    /// Number of tokens to each state that a member within `left` tokens goes through.
    fn edges(&self, state: usize, left: usize) -> impl Iterator<Item = (f64, usize)> + '_ {
        let edges = self.automaton.states[state].edges.iter();
        let fit = edges.filter(move |(_, target)| self.fits(*target, left));
        fit.map(|(set, target)| (set.len() as f64, *target))
    }

    /// All units, in order.
    pub fn units(&self) -> impl Iterator<Item = Unit> + '_ {
        let mut open = vec![Beginning { tokens: Vec::new(), state: 0 }];
        // Beginnings that wait for others of their length: alone, and with what follows.
        let mut waiting: [Vec<Beginning>; 2] = [Vec::new(), Vec::new()];
        let mut ready: Vec<Unit> = Vec::new();
        std::iter::from_fn(move || {
            while ready.is_empty() {
                let Some(node) = open.pop() else {
                    let left = waiting.iter_mut().position(|w| !w.is_empty())?;
                    return Some(Unit { beginnings: std::mem::take(&mut waiting[left]), deep: left == 1 });
                };
                let len = node.tokens.len();
                let deep = len > 0 && self.below[self.longest - len][node.state] <= self.most;
                if !deep {
                    let longer = |(token, state)| Beginning {
                        tokens: [node.tokens.as_slice(), &[token]].concat(),
                        state,
                    };
                    open.extend(self.next(node.state, len).into_iter().rev().map(longer));
                    if len == 0 || !self.accepts(node.state) {
                        continue;
                    }
                }
                let slot = &mut waiting[usize::from(deep)];
                let full = slot.len() == LANES;
                if full || slot.first().is_some_and(|first| first.tokens.len() != len) {
                    ready.push(Unit { beginnings: std::mem::take(slot), deep });
                }
                slot.push(node);
            }
            ready.pop()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Vocab;
    use crate::spec::Language;

    /// All members that the units hold, by walking down from their beginnings.
    fn members(tree: &Tree) -> Vec<Vec<TokenId>> {
        let mut found = Vec::new();
        let (mut nodes, mut last) = (0.0, 0.0);
        for unit in tree.units() {
            assert!((1..=LANES).contains(&unit.beginnings.len()));
            nodes += tree.size(&unit);
            let mut open = unit.beginnings.clone();
            while let Some(node) = open.pop() {
                if tree.accepts(node.state) {
                    found.push(node.tokens.clone());
                }
                let len = node.tokens.len();
                let begins = unit.beginnings.contains(&node);
                last += f64::from(u8::from(!begins && !tree.goes_on(node.state, len)));
                if unit.deep {
                    open.extend(tree.next(node.state, len).into_iter().map(|(token, state)| Beginning {
                        tokens: [node.tokens.as_slice(), &[token]].concat(),
                        state,
                    }));
                }
            }
        }
        // Beginnings of members that are no members and too big for a unit are in no unit.
        assert!(nodes <= tree.nodes());
        assert_eq!(tree.nodes() - tree.before_last(), last);
        found.sort();
        found
    }

    #[test]
    fn every_member_is_in_one_unit() {
        let vocab = Vocab::numbered(12);
        for (text, longest) in [
            ("any", 3),
            ("any{0,2} · [id:3] · [id:4-5]", 6),
            ("[id:0-4]{4} | [id:1-3]{2,6}", 5),
            ("[id:7]", 1),
            ("([id:1] | [id:2] · [id:3])* · [id:9]", 7),
        ] {
            let automaton = Automaton::new(&Language::parse(text, &vocab).unwrap(), 12).unwrap();
            let mut expected: Vec<Vec<TokenId>> = automaton
                .lengths(longest)
                .into_iter()
                .flat_map(|n| automaton.slice(n).unwrap().members().collect::<Vec<_>>())
                .collect();
            expected.sort();
            for most in [1024.0, 13.0] {
                let tree = Tree::new(&automaton, longest, most);
                assert_eq!(members(&tree), expected, "{text}");
            }
        }
    }
}
