//! Deterministic automata over token sets.

use dashu_int::UBig;

use rand::Rng;

use crate::model::TokenId;

use super::{Language, LanguageError, Slice, TokenSet, compile};

/// The prefixes of a language: its members but for the empty sequence.
///
/// Deterministic and trimmed: the sets on the edges of a state are disjoint and not empty, every state can be reached, and
/// every state leads to an accepting one, unless the language holds no prefix; then there is the initial state alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Automaton {
    /// State 0 is the initial one, and not accepting.
    pub states: Vec<State>,
}

/// A state of an automaton.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// Whether what leads here is a member.
    pub accepting: bool,
    /// Tokens, and the state they lead to; one edge per target, in the order of the targets.
    pub edges: Vec<(TokenSet, usize)>,
}

/// How many prefixes of each length a language holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Entry `k`: prefixes of exactly `k` tokens.
    pub by_length: Vec<UBig>,
}

impl Automaton {
    /// Compiles a language for a vocabulary of `vocab_size` tokens.
    ///
    /// # Errors
    /// An impossible repetition, or a language that needs too many states.
    pub fn new(language: &Language, vocab_size: usize) -> Result<Automaton, LanguageError> {
        compile::automaton(language, vocab_size)
    }

    /// The state that a token leads to; `None` if no member goes on with it.
    #[must_use]
    pub fn step(&self, state: usize, token: TokenId) -> Option<usize> {
        self.states[state].edges.iter().find(|(set, _)| set.contains(token)).map(|(_, target)| *target)
    }

    /// Whether `prefix` is a member.
    #[must_use]
    pub fn accepts(&self, prefix: &[TokenId]) -> bool {
        let end = prefix.iter().try_fold(0, |state, &token| self.step(state, token));
        end.is_some_and(|state| self.states[state].accepting)
    }

    /// Whether the prefixes are all sequences of one or more tokens of the vocabulary.
    #[must_use]
    pub fn is_any(&self, vocab_size: usize) -> bool {
        let all = TokenSet::vocabulary(vocab_size);
        let goes_on = |state: &State| matches!(state.edges.as_slice(), [(set, _)] if *set == all);
        self.states.iter().all(goes_on) && self.states.iter().skip(1).all(|state| state.accepting)
    }

    /// Number of prefixes of each length up to `longest`, exactly.
    #[must_use]
    pub fn within(&self, longest: usize) -> Counts {
        // Words of exactly k tokens that lead from each state to an accepting one.
        let mut ways: Vec<UBig> = self.states.iter().map(|s| UBig::from(u8::from(s.accepting))).collect();
        let mut by_length = vec![UBig::ZERO];
        for _ in 1..=longest {
            let after = |state: &State| {
                let through = |(set, target): &(TokenSet, usize)| UBig::from(set.len()) * &ways[*target];
                state.edges.iter().map(through).fold(UBig::ZERO, |sum, n| sum + n)
            };
            ways = self.states.iter().map(after).collect();
            by_length.push(ways[0].clone());
        }
        Counts { by_length }
    }

    /// The lengths of prefixes, up to `longest`, in increasing order.
    #[must_use]
    pub fn lengths(&self, longest: usize) -> Vec<usize> {
        let mut reached = vec![false; self.states.len()];
        reached[0] = true;
        let mut lengths = Vec::new();
        for length in 1..=longest {
            let mut next = vec![false; self.states.len()];
            for (state, _) in self.states.iter().zip(&reached).filter(|(_, reached)| **reached) {
                state.edges.iter().for_each(|(_, target)| next[*target] = true);
            }
            reached = next;
            if self.states.iter().zip(&reached).any(|(state, reached)| *reached && state.accepting) {
                lengths.push(length);
            }
        }
        lengths
    }

    /// The prefixes of exactly `length` tokens; `None` if there are none.
    #[must_use]
    pub fn slice(&self, length: usize) -> Option<Slice> {
        Slice::new(self, length)
    }
}

impl Counts {
    /// Number of prefixes of all lengths.
    #[must_use]
    pub fn total(&self) -> UBig {
        self.by_length.iter().fold(UBig::ZERO, |sum, n| sum + n)
    }

    /// The length of a prefix drawn uniformly at random; `None` if there are none.
    pub fn draw_length(&self, rng: &mut impl Rng) -> Option<usize> {
        let total = self.total();
        if total == UBig::ZERO {
            return None;
        }
        let mut at = below(&total, rng);
        for (length, n) in self.by_length.iter().enumerate() {
            if at < *n {
                return Some(length);
            }
            at -= n;
        }
        None
    }
}

/// A number below `bound`, which is not zero, drawn uniformly: drawn with as many bits until it is small enough.
pub(super) fn below(bound: &UBig, rng: &mut impl Rng) -> UBig {
    let bits = (bound.clone() - UBig::ONE).to_le_bytes();
    let top = bits.last().map_or(0, |byte| u8::MAX >> byte.leading_zeros());
    loop {
        let mut bytes: Vec<u8> = bits.iter().map(|_| rng.random()).collect();
        if let Some(last) = bytes.last_mut() {
            *last &= top;
        }
        let drawn = UBig::from_le_bytes(&bytes);
        if drawn < *bound {
            return drawn;
        }
    }
}
