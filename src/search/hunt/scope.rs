//! The prefixes that a search may build.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::model::TokenId;
use crate::search::probe::{Line, Probe};
use crate::spec::language::{Automaton, Slice, TokenSet};

/// A language other than "every prefix", with its slices up to the longest length that the search builds.
#[derive(Debug)]
pub struct Scope<'a> {
    automaton: &'a Automaton,
    /// Entry `n - 1`: the members of `n` tokens.
    slices: Vec<Option<Slice>>,
}

impl<'a> Scope<'a> {
    /// The members of `automaton` of at most `longest` tokens.
    pub fn new(automaton: &'a Automaton, longest: usize) -> Scope<'a> {
        Scope { automaton, slices: (1..=longest).map(|length| automaton.slice(length)).collect() }
    }

    /// Whether a prefix may be a witness, of whatever length.
    pub fn holds(&self, prefix: &[TokenId]) -> bool {
        self.automaton.accepts(prefix)
    }

    /// The members of one length, if there are any.
    pub fn slice(&self, length: usize) -> Option<&Slice> {
        self.slices.get(length.checked_sub(1)?)?.as_ref()
    }

    /// All slices that have members, the shortest first.
    pub fn slices(&self) -> impl Iterator<Item = &Slice> {
        self.slices.iter().flatten()
    }

    /// Whether the slices hold all members of at most `limit` tokens.
    pub fn is_complete(&self, limit: usize) -> bool {
        self.automaton.lengths(limit).last().is_none_or(|longest| *longest <= self.slices.len())
    }

    /// The tokens that make a line a member.
    pub fn fillers(&self, line: &Line) -> TokenSet {
        // The token in the hole does not matter.
        let member = [line.left.as_slice(), &[0], &line.right].concat();
        self.slice(member.len())
            .map_or_else(TokenSet::default, |slice| slice.substitutes(&member, line.left.len()))
    }

    /// The members among those of a probe.
    pub fn members(&self, mut probe: Probe) -> Probe {
        let automaton = self.automaton;
        let start = probe.left.iter().try_fold(0, |state, &token| automaton.step(state, token));
        probe.suffixes.retain(|suffix| {
            let end = suffix.iter().try_fold(start, |state, &token| Some(automaton.step(state?, token)));
            end.flatten().is_some_and(|state| automaton.states[state].accepting)
        });
        probe
    }

    /// A member with some of the tokens of `prefix`, from one to all, replaced at random where others are allowed there.
    pub fn disturbed(&self, prefix: &[TokenId], rng: &mut ChaCha8Rng) -> Vec<TokenId> {
        let mut prefix = prefix.to_vec();
        let Some(slice) = self.slice(prefix.len()) else { return prefix };
        for _ in 0..rng.random_range(1..=prefix.len()) {
            let at = rng.random_range(0..prefix.len());
            prefix[at] = pick(&slice.substitutes(&prefix, at), rng).unwrap_or(prefix[at]);
        }
        prefix
    }

    /// A member drawn uniformly from a length drawn uniformly.
    pub fn sample(&self, rng: &mut ChaCha8Rng) -> Option<Vec<TokenId>> {
        let n = self.slices().count();
        let nth = (n > 0).then(|| rng.random_range(0..n))?;
        self.slices().nth(nth).map(|slice| slice.sample(rng))
    }
}

/// One of the tokens, each with the same probability; `None` if there are none.
pub fn pick(set: &TokenSet, rng: &mut ChaCha8Rng) -> Option<TokenId> {
    if set.is_empty() { None } else { set.nth(rng.random_range(0..set.len())) }
}
