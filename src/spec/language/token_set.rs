//! Sets of tokens as sorted, disjoint, inclusive ranges of ids.

use serde::{Deserialize, Serialize};

use crate::model::TokenId;

/// A set of token ids. The set of all ids is the same for every model: the vocabulary cuts it where it is used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<(TokenId, TokenId)>", into = "Vec<(TokenId, TokenId)>")]
pub struct TokenSet {
    /// First and last id of each range, increasing, with a gap of at least one id between neighbours.
    ranges: Vec<(TokenId, TokenId)>,
}

impl TokenSet {
    /// Every id.
    #[must_use]
    pub fn all() -> TokenSet {
        TokenSet::range(0, TokenId::MAX)
    }

    /// Every id of a vocabulary of `n` tokens.
    #[must_use]
    pub fn vocabulary(n: usize) -> TokenSet {
        match n.checked_sub(1) {
            None => TokenSet::default(),
            Some(last) => TokenSet::range(0, TokenId::try_from(last).unwrap_or(TokenId::MAX)),
        }
    }

    /// The ids from `first` to `last`, both included; empty if there are none.
    #[must_use]
    pub fn range(first: TokenId, last: TokenId) -> TokenSet {
        TokenSet { ranges: if first <= last { vec![(first, last)] } else { Vec::new() } }
    }

    /// One id.
    #[must_use]
    pub fn one(id: TokenId) -> TokenSet {
        TokenSet::range(id, id)
    }

    /// The union of ranges `(first, last)` in any order, overlapping or not; empty ones count for nothing.
    #[must_use]
    pub fn of_ranges(ranges: impl IntoIterator<Item = (TokenId, TokenId)>) -> TokenSet {
        let mut sorted: Vec<_> = ranges.into_iter().filter(|(first, last)| first <= last).collect();
        sorted.sort_unstable();
        let mut ranges: Vec<(TokenId, TokenId)> = Vec::with_capacity(sorted.len());
        for (first, last) in sorted {
            match ranges.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => ranges.push((first, last)),
            }
        }
        TokenSet { ranges }
    }

    /// First and last id of each range, increasing, with gaps between them.
    #[must_use]
    pub fn ranges(&self) -> &[(TokenId, TokenId)] {
        &self.ranges
    }

    /// Whether there is no id in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Number of ids.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|(first, last)| u64::from(last - first) + 1).sum()
    }

    /// Whether `id` belongs to it.
    #[must_use]
    pub fn contains(&self, id: TokenId) -> bool {
        let after = self.ranges.partition_point(|(first, _)| *first <= id);
        after.checked_sub(1).is_some_and(|k| id <= self.ranges[k].1)
    }

    /// The ids in increasing order.
    pub fn ids(&self) -> impl Iterator<Item = TokenId> + '_ {
        self.ranges.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// The id with exactly `n` smaller ones in the set.
    #[must_use]
    pub fn nth(&self, mut n: u64) -> Option<TokenId> {
        for (first, last) in &self.ranges {
            let size = u64::from(last - first) + 1;
            if n < size {
                // Below `size`, so the sum is at most `last`.
                return Some(first + u32::try_from(n).ok()?);
            }
            n -= size;
        }
        None
    }

    /// Ids of either set.
    #[must_use]
    pub fn union(&self, other: &TokenSet) -> TokenSet {
        TokenSet::of_ranges(self.ranges.iter().chain(&other.ranges).copied())
    }

    /// Ids of both sets.
    #[must_use]
    pub fn intersect(&self, other: &TokenSet) -> TokenSet {
        let (mut a, mut b) = (self.ranges.as_slice(), other.ranges.as_slice());
        let mut ranges = Vec::new();
        while let ([(a_first, a_last), a_rest @ ..], [(b_first, b_last), b_rest @ ..]) = (a, b) {
            let (first, last) = (*a_first.max(b_first), *a_last.min(b_last));
            if first <= last {
                ranges.push((first, last));
            }
            if a_last < b_last { a = a_rest } else { b = b_rest }
        }
        TokenSet { ranges }
    }

    /// Ids that are not in it.
    #[must_use]
    pub fn complement(&self) -> TokenSet {
        let mut ranges = Vec::with_capacity(self.ranges.len() + 1);
        let mut next = Some(0);
        for (first, last) in &self.ranges {
            if let (Some(start), Some(before)) = (next, first.checked_sub(1))
                && start <= before
            {
                ranges.push((start, before));
            }
            next = last.checked_add(1);
        }
        ranges.extend(next.map(|start| (start, TokenId::MAX)));
        TokenSet { ranges }
    }

    /// Ids of this set that are not in the other.
    #[must_use]
    pub fn minus(&self, other: &TokenSet) -> TokenSet {
        self.intersect(&other.complement())
    }
}

impl FromIterator<TokenId> for TokenSet {
    fn from_iter<I: IntoIterator<Item = TokenId>>(ids: I) -> TokenSet {
        TokenSet::of_ranges(ids.into_iter().map(|id| (id, id)))
    }
}

impl TryFrom<Vec<(TokenId, TokenId)>> for TokenSet {
    type Error = String;

    fn try_from(ranges: Vec<(TokenId, TokenId)>) -> Result<TokenSet, String> {
        match ranges.iter().find(|(first, last)| first > last) {
            Some((first, last)) => Err(format!("[{first},{last}] is no range of tokens")),
            None => Ok(TokenSet::of_ranges(ranges)),
        }
    }
}

impl From<TokenSet> for Vec<(TokenId, TokenId)> {
    fn from(set: TokenSet) -> Vec<(TokenId, TokenId)> {
        set.ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn small() -> impl Strategy<Value = TokenSet> {
        proptest::collection::vec((0u32..20, 0u32..20), 0..6).prop_map(TokenSet::of_ranges)
    }

    proptest! {
        #[test]
        fn operations_agree_with_membership(a in small(), b in small()) {
            for id in (0..25).chain([u32::MAX - 1, u32::MAX]) {
                let (in_a, in_b) = (a.contains(id), b.contains(id));
                prop_assert_eq!(a.union(&b).contains(id), in_a || in_b);
                prop_assert_eq!(a.intersect(&b).contains(id), in_a && in_b);
                prop_assert_eq!(a.minus(&b).contains(id), in_a && !in_b);
                prop_assert_eq!(a.complement().contains(id), !in_a);
            }
            prop_assert_eq!(a.complement().complement(), a.clone());
            prop_assert_eq!(a.len() + a.complement().len(), 1 << 32);
            prop_assert_eq!(a.ids().count() as u64, a.len());
            let listed: Vec<u32> = (0..a.len()).filter_map(|n| a.nth(n)).collect();
            prop_assert_eq!(a.ids().collect::<Vec<u32>>(), listed);
            prop_assert_eq!(a.nth(a.len()), None);
            prop_assert_eq!(a.ids().collect::<TokenSet>(), a);
        }
    }

    #[test]
    fn neighbours_merge() {
        assert_eq!(TokenSet::of_ranges([(3, 4), (1, 2), (9, 8)]).ranges(), [(1, 4)]);
        assert_eq!(TokenSet::of_ranges([(0, u32::MAX), (u32::MAX, u32::MAX)]), TokenSet::all());
        assert_eq!(TokenSet::vocabulary(3).ranges(), [(0, 2)]);
        assert!(TokenSet::vocabulary(0).is_empty() && TokenSet::all().complement().is_empty());
    }
}
