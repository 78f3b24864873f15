//! From a language to its automaton: Thompson's construction, then the subset construction over pieces of token sets, then
//! removal of the states that lead nowhere.

use std::collections::BTreeMap;

use crate::model::TokenId;

use super::{Automaton, Language, LanguageError, State, TokenSet};

/// Most states of the automaton.
const MAX_STATES: usize = 1 << 16;
/// Most states before it is made deterministic, and most copies of a repeated part.
const MAX_NODES: usize = 1 << 20;
/// Most pairs of a state of the automaton and a node that it stands for.
const MAX_PAIRS: usize = 1 << 24;

/// States connected by token sets or by nothing.
#[derive(Default)]
struct Network {
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Node {
    /// At most one: all tokens of a set lead to the same node.
    on: Option<(TokenSet, usize)>,
    /// Nodes that are reached without a token.
    free: Vec<usize>,
}

impl Network {
    fn node(&mut self) -> Result<usize, LanguageError> {
        if self.nodes.len() >= MAX_NODES {
            return Err(LanguageError::TooLarge { limit: MAX_STATES });
        }
        self.nodes.push(Node::default());
        Ok(self.nodes.len() - 1)
    }

    /// Adds a copy of `language` that begins at `start`; gives its end. Nothing leads back to `start`, and nothing leaves
    /// the end, so that neither can be entered or left by accident.
    fn add(
        &mut self,
        language: &Language,
        start: usize,
        vocabulary: &TokenSet,
    ) -> Result<usize, LanguageError> {
        match language {
            Language::Any => {
                let one = Language::Set(TokenSet::all());
                self.repeat(&one, 1, None, start, vocabulary)
            }
            Language::Set(set) => {
                let (from, end) = (self.node()?, self.node()?);
                self.nodes[start].free.push(from);
                self.nodes[from].on = Some((set.intersect(vocabulary), end));
                Ok(end)
            }
            Language::Seq(parts) => {
                parts.iter().try_fold(start, |start, part| self.add(part, start, vocabulary))
            }
            Language::Union(parts) => {
                let end = self.node()?;
                for part in parts {
                    let begin = self.node()?;
                    self.nodes[start].free.push(begin);
                    let part_end = self.add(part, begin, vocabulary)?;
                    self.nodes[part_end].free.push(end);
                }
                Ok(end)
            }
            Language::Repeat { of, min, max } => self.repeat(of, *min, *max, start, vocabulary),
        }
    }

    fn repeat(
        &mut self,
        of: &Language,
        min: u32,
        max: Option<u32>,
        start: usize,
        vocabulary: &TokenSet,
    ) -> Result<usize, LanguageError> {
        if let Some(max) = max.filter(|max| *max < min) {
            return Err(LanguageError::Repetition { min, max });
        }
        let mut last = start;
        for _ in 0..min {
            last = self.copy(of, last, vocabulary)?;
        }
        let end = self.node()?;
        self.nodes[last].free.push(end);
        match max {
            Some(max) => {
                for _ in min..max {
                    last = self.copy(of, last, vocabulary)?;
                    self.nodes[last].free.push(end);
                }
            }
            None => {
                let begin = self.node()?;
                self.nodes[last].free.push(begin);
                let again = self.add(of, begin, vocabulary)?;
                self.nodes[again].free.extend([begin, end]);
            }
        }
        Ok(end)
    }

    /// A copy that adds at least one node, so that `MAX_NODES` limits the number of copies.
    fn copy(&mut self, of: &Language, start: usize, vocabulary: &TokenSet) -> Result<usize, LanguageError> {
        let begin = self.node()?;
        self.nodes[start].free.push(begin);
        self.add(of, begin, vocabulary)
    }

    /// The nodes that matter among those reached without a token from `seeds`: those with an edge, and `end`; sorted.
    fn closure(&self, seeds: &[usize], end: usize, seen: &mut Vec<bool>) -> Vec<usize> {
        seen.resize(self.nodes.len(), false);
        let mut visited = Vec::new();
        let mut open = seeds.to_vec();
        while let Some(node) = open.pop() {
            if !std::mem::replace(&mut seen[node], true) {
                visited.push(node);
                open.extend(&self.nodes[node].free);
            }
        }
        visited.iter().for_each(|&node| seen[node] = false);
        visited.retain(|&node| node == end || self.nodes[node].on.is_some());
        visited.sort_unstable();
        visited
    }

    /// The tokens that lead out of a closed set of nodes, by the nodes that they lead to.
    fn moves(&self, from: &[usize]) -> BTreeMap<Vec<usize>, Vec<(TokenId, TokenId)>> {
        // Ranges begin and end at events; between two events the same nodes are reached.
        let mut events: Vec<(u64, bool, usize)> = Vec::new();
        for (set, target) in from.iter().filter_map(|&node| self.nodes[node].on.as_ref()) {
            for &(first, last) in set.ranges() {
                events.push((u64::from(first), true, *target));
                events.push((u64::from(last) + 1, false, *target));
            }
        }
        events.sort_unstable();
        let mut moves: BTreeMap<Vec<usize>, Vec<(TokenId, TokenId)>> = BTreeMap::new();
        let mut active: BTreeMap<usize, usize> = BTreeMap::new();
        let mut since = 0;
        for (at, begins, target) in events {
            if since < at
                && !active.is_empty()
                && let (Ok(first), Ok(last)) = (TokenId::try_from(since), TokenId::try_from(at - 1))
            {
                moves.entry(active.keys().copied().collect()).or_default().push((first, last));
            }
            since = at;
            let n = active.entry(target).or_default();
            if begins {
                *n += 1;
            } else if *n > 1 {
                *n -= 1;
            } else {
                active.remove(&target);
            }
        }
        moves
    }
}

/// Compiles a language for a vocabulary of `vocab_size` tokens.
pub fn automaton(language: &Language, vocab_size: usize) -> Result<Automaton, LanguageError> {
    let mut network = Network::default();
    let start = network.node()?;
    let end = network.add(language, start, &TokenSet::vocabulary(vocab_size))?;
    let too_large = LanguageError::TooLarge { limit: MAX_STATES };

    let mut seen = Vec::new();
    // The initial state is a state of its own, entered by no edge: it doesn't accept even where its nodes do.
    let first = network.closure(&[start], end, &mut seen);
    let mut subsets: Vec<Vec<usize>> = vec![first];
    let mut number: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
    let mut states: Vec<State> = Vec::new();
    let mut pairs = 0;
    while let Some(subset) = subsets.get(states.len()) {
        pairs += subset.len();
        if pairs > MAX_PAIRS {
            return Err(too_large);
        }
        let accepting = !states.is_empty() && subset.binary_search(&end).is_ok();
        let mut edges: BTreeMap<usize, Vec<(TokenId, TokenId)>> = BTreeMap::new();
        for (targets, ranges) in network.moves(subset) {
            let subset = network.closure(&targets, end, &mut seen);
            let target = *number.entry(subset).or_insert_with_key(|subset| {
                subsets.push(subset.clone());
                subsets.len() - 1
            });
            edges.entry(target).or_default().extend(ranges);
        }
        if subsets.len() > MAX_STATES {
            return Err(too_large);
        }
        let edges = edges.into_iter().map(|(target, ranges)| (TokenSet::of_ranges(ranges), target));
        states.push(State { accepting, edges: edges.collect() });
    }
    Ok(trimmed(states))
}

/// Leaves out the states from which no accepting state can be reached, but for the initial one.
fn trimmed(states: Vec<State>) -> Automaton {
    let mut sources: Vec<Vec<usize>> = vec![Vec::new(); states.len()];
    for (source, state) in states.iter().enumerate() {
        state.edges.iter().for_each(|(_, target)| sources[*target].push(source));
    }
    let mut useful = vec![false; states.len()];
    let mut open: Vec<usize> = (0..states.len()).filter(|&k| states[k].accepting).collect();
    while let Some(k) = open.pop() {
        if !std::mem::replace(&mut useful[k], true) {
            open.extend(&sources[k]);
        }
    }
    useful[0] = true;
    let number: Vec<Option<usize>> = useful
        .iter()
        .scan(0, |next, &useful| {
            *next += usize::from(useful);
            Some(useful.then(|| *next - 1))
        })
        .collect();
    let kept = states.into_iter().zip(&useful).filter(|(_, useful)| **useful).map(|(state, _)| {
        let edges = state.edges.into_iter().filter_map(|(set, target)| Some((set, number[target]?)));
        State { edges: edges.collect(), ..state }
    });
    Automaton { states: kept.collect() }
}
