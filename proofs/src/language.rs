//! Prefix languages: the universe of prefixes that a statement speaks of, and the test whether a prefix belongs to it.
//!
//! The test follows the definition. For a language L and a prefix x of n tokens (or a product of n token sets), `ends(L, S)` is the set of positions at
//! which a member of L may end that begins at a position in S ⊆ {0..n}; x is a member if `n ∈ ends(L, {0})`. A repetition
//! applies its part again and again, and each round either keeps all positions (if the part holds the empty sequence) or
//! moves the least one up (if it doesn't): after n + 1 rounds at most nothing changes any more.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::reject::Reject;

/// Most steps of a membership test: positions times nodes of the language that are visited.
const MAX_STEPS: usize = 1 << 28;
/// Deepest nesting.
const MAX_DEPTH: usize = 32;

/// A set of prefixes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Language {
    /// Every sequence of at least one token of the vocabulary.
    Any,
    /// One token out of ranges `[first, last]`, both ends included, increasing and disjoint.
    Set(Vec<[u32; 2]>),
    /// A member of each part, one after the other; without parts, the empty sequence.
    Seq(Vec<Language>),
    /// A member of one of the parts; without parts, nothing.
    Union(Vec<Language>),
    /// Between `min` and `max` members of a language, one after the other.
    Repeat {
        /// What is repeated.
        of: Box<Language>,
        /// Least number of times.
        min: u32,
        /// Largest number of times; `None` for any.
        max: Option<u32>,
    },
}

impl Language {
    /// Whether it is well formed: ranges in order, repetitions possible, nesting bounded.
    pub(crate) fn validate(&self) -> Result<(), Reject> {
        let mut open = vec![(self, 1)];
        while let Some((language, depth)) = open.pop() {
            if depth > MAX_DEPTH {
                return Err(Reject::LanguageDepth { limit: MAX_DEPTH });
            }
            match language {
                Language::Any => {}
                Language::Set(ranges) => {
                    let ordered = ranges.iter().all(|[first, last]| first <= last)
                        && ranges.windows(2).all(|pair| pair[0][1] < pair[1][0]);
                    if !ordered {
                        return Err(Reject::LanguageSet);
                    }
                }
                Language::Seq(parts) | Language::Union(parts) => {
                    open.extend(parts.iter().map(|part| (part, depth + 1)));
                }
                Language::Repeat { of, min, max } => {
                    if let Some(max) = max.filter(|max| max < min) {
                        return Err(Reject::LanguageRepeat { min: *min, max });
                    }
                    open.push((of, depth + 1));
                }
            }
        }
        Ok(())
    }

    /// Whether `prefix` belongs to it.
    pub(crate) fn contains(&self, prefix: &[u32]) -> Result<bool, Reject> {
        self.meets(&prefix.iter().map(|token| vec![*token]).collect::<Vec<_>>())
    }

    /// Whether some prefix belongs to it that has one of `sets[i]`, not empty, at each position i. A member is read from left to
    /// right, so the positions may be chosen one by one.
    pub(crate) fn meets(&self, sets: &[Vec<u32>]) -> Result<bool, Reject> {
        let mut start = vec![false; sets.len() + 1];
        start[0] = true;
        Ok(*self.ends(sets, &start, &mut 0)?.last().unwrap_or(&false))
    }

    /// The tokens below `vocabulary` that members of `length` tokens hold at each position, `None` if there are no such members.
    /// Where it takes too long to find out, every token at every position: more than there are.
    pub(crate) fn places(&self, length: usize, vocabulary: u32) -> Option<Vec<Vec<u32>>> {
        match self.try_places(length, vocabulary, &mut 0) {
            Ok(places) => places,
            Err(_) => Some(vec![(0..vocabulary).collect(); length]),
        }
    }

    fn try_places(
        &self,
        length: usize,
        vocabulary: u32,
        steps: &mut usize,
    ) -> Result<Option<Vec<Vec<u32>>>, Reject> {
        // No set tells the tokens of a class apart; the first one stands for them.
        let mut classes = BTreeSet::from([0]);
        self.each_range(&mut |[first, last]| classes.extend([first, last.saturating_add(1)]));
        let classes: Vec<u32> = classes.into_iter().filter(|first| *first < vocabulary).collect();
        let ends = classes.iter().skip(1).copied().chain([vocabulary]);
        let mut start = vec![false; length + 1];
        start[0] = true;
        let mut sets = vec![classes.clone(); length];
        let mut places = vec![Vec::new(); length];
        if !self.ends(&sets, &start, steps)?[length] {
            return Ok(None);
        }
        for position in 0..length {
            for (first, end) in classes.iter().zip(ends.clone()) {
                sets[position] = vec![*first];
                if self.ends(&sets, &start, steps)?[length] {
                    places[position].extend(*first..end);
                }
            }
            sets[position].clone_from(&classes);
        }
        Ok(Some(places))
    }

    /// Calls `see` with every range of every set.
    fn each_range(&self, see: &mut impl FnMut([u32; 2])) {
        match self {
            Language::Any => {}
            Language::Set(ranges) => ranges.iter().for_each(|range| see(*range)),
            Language::Seq(parts) | Language::Union(parts) => {
                parts.iter().for_each(|part| part.each_range(see));
            }
            Language::Repeat { of, .. } => of.each_range(see),
        }
    }

    /// Where members may end that begin at a position in `starts`, `[sets.len() + 1]`.
    fn ends(&self, sets: &[Vec<u32>], starts: &[bool], steps: &mut usize) -> Result<Vec<bool>, Reject> {
        *steps += starts.len();
        if *steps > MAX_STEPS {
            return Err(Reject::LanguageTooLarge { limit: MAX_STEPS });
        }
        let mut ends = vec![false; starts.len()];
        match self {
            Language::Any => {
                for position in 1..starts.len() {
                    ends[position] = starts[position - 1] || ends[position - 1];
                }
            }
            Language::Set(ranges) => {
                let inside = |token: &u32| {
                    let after = ranges.partition_point(|[first, _]| first <= token);
                    after.checked_sub(1).is_some_and(|k| *token <= ranges[k][1])
                };
                for (position, set) in sets.iter().enumerate() {
                    ends[position + 1] = starts[position] && set.iter().any(inside);
                }
            }
            Language::Seq(parts) => {
                ends = starts.to_vec();
                for part in parts {
                    ends = part.ends(sets, &ends, steps)?;
                }
            }
            Language::Union(parts) => {
                for part in parts {
                    join(&mut ends, &part.ends(sets, starts, steps)?);
                }
            }
            Language::Repeat { of, min, max } => {
                let mut reached = starts.to_vec();
                let mut times = 0;
                loop {
                    if times >= *min {
                        join(&mut ends, &reached);
                    }
                    if Some(times) == *max {
                        break;
                    }
                    let next = of.ends(sets, &reached, steps)?;
                    if next == reached {
                        // So it stays, for as many times as `min` may ask for.
                        join(&mut ends, &reached);
                        break;
                    }
                    (reached, times) = (next, times + 1);
                }
            }
        }
        Ok(ends)
    }
}

/// Adds the positions of `other`.
fn join(set: &mut [bool], other: &[bool]) {
    set.iter_mut().zip(other).for_each(|(a, b)| *a |= *b);
}

#[cfg(test)]
mod tests;
