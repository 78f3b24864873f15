//! The exhaustive rule: the claim is evaluated after every prefix of the language. The certificate holds nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::family::Head;
use crate::folder::Folder;
use crate::format::Statement;
use crate::forward::{Node, logits_of_tree};
use crate::head::index;
use crate::interval::Interval;
use crate::language::Language;
use crate::parallel::each;
use crate::predicate::Predicate;
use crate::reject::{CheckError, Reject};
use crate::softmax::Digits;

/// Largest number of prefixes that is evaluated unless the user asks for more.
pub const MAX_PREFIXES: usize = 16_384;
/// Prefixes that are evaluated together, in order, so that they share beginnings.
const BATCH: usize = 64;

/// Encloses the quantity of the predicate after all prefixes together, of which there may be at most `limit`; an error if
/// the claim is not certain after one of them.
pub(crate) fn exhaustion_proves(
    folder: &Folder,
    head: &Head,
    statement: &Statement,
    limit: usize,
) -> Result<Interval, CheckError> {
    let context = folder.context()?;
    let longest = statement.max_len.map_or(context, |n| index(n).min(context));
    let vocabulary = u32::try_from(head.vocabulary()).unwrap_or(u32::MAX);
    let mut prefixes = statement.language.words(longest, vocabulary, limit)?;
    prefixes.remove(&Vec::new());
    let all: Vec<Vec<u32>> = prefixes.into_iter().collect();
    Ok(all_meet(folder, head, &statement.predicate, &all)?.ok_or(Reject::LanguageEmpty)?)
}

/// Encloses the quantity of a predicate after some prefixes together; an error if the claim is not certain after one of them.
pub(crate) fn all_meet(
    folder: &Folder,
    head: &Head,
    predicate: &Predicate,
    all: &[Vec<u32>],
) -> Result<Option<Interval>, CheckError> {
    // Recurrent layers read one prefix at a time.
    let batch = if folder.is_recurrent() { 1 } else { BATCH };
    let batches: Vec<&[Vec<u32>]> = all.chunks(batch).collect();
    // Every block costs some thirty bits, so that a few digits are of use to one block alone.
    let is_shallow = folder.n_blocks()? == 1;
    let quantities = each(&batches, |prefixes| {
        let of = |digits| batch_meets(folder, head, predicate, prefixes, digits);
        match is_shallow {
            // What fails may only need more digits.
            true => of(Digits::Some).or_else(|_| of(Digits::All)),
            false => of(Digits::All),
        }
    });
    let mut hull: Option<Interval> = None;
    for quantity in quantities.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
        hull = Some(match hull {
            None => quantity,
            Some(hull) => {
                let lo = hull.lo().min(quantity.lo()).clone();
                Interval::from_ends(lo, hull.hi().max(quantity.hi()).clone())
            }
        });
    }
    Ok(hull)
}

/// The quantity after each of some prefixes.
fn batch_meets(
    folder: &Folder,
    head: &Head,
    predicate: &Predicate,
    prefixes: &[Vec<u32>],
    digits: Digits,
) -> Result<Vec<Interval>, CheckError> {
    let (nodes, ends) = tree(prefixes);
    let mut quantities = Vec::new();
    for (prefix, logits) in prefixes.iter().zip(logits_of_tree(folder, head, &nodes, &ends, digits)?) {
        let quantity = predicate.quantity(&[logits], digits)?;
        if !predicate.is_met_by(&quantity) {
            let (lower, upper) = quantity.decimals();
            let (prefix, measure) = (prefix.clone(), predicate.measure().0);
            return Err(Reject::NotMet { prefix, measure, lower, upper }.into());
        }
        quantities.push(quantity);
    }
    Ok(quantities)
}

/// The beginnings of all prefixes, parents before children, and the node of each prefix.
fn tree(prefixes: &[Vec<u32>]) -> (Vec<Node>, Vec<usize>) {
    let mut nodes = Vec::new();
    let mut known: BTreeMap<&[u32], usize> = BTreeMap::new();
    let mut ends = Vec::new();
    for prefix in prefixes {
        let mut parent = None;
        for (position, token) in prefix.iter().enumerate() {
            let node = *known.entry(&prefix[..=position]).or_insert_with(|| {
                nodes.push(Node { parent, position, token: *token });
                nodes.len() - 1
            });
            parent = Some(node);
        }
        ends.extend(parent);
    }
    (nodes, ends)
}

impl Language {
    /// All members of at most `longest` tokens of the vocabulary, the empty sequence included if it is one; an error if more
    /// than `limit` sequences turn up on the way.
    pub(crate) fn words(
        &self,
        longest: usize,
        vocabulary: u32,
        limit: usize,
    ) -> Result<BTreeSet<Vec<u32>>, Reject> {
        let product = |left: &BTreeSet<Vec<u32>>, right: &BTreeSet<Vec<u32>>| {
            let mut all = BTreeSet::new();
            for x in left {
                for y in right.iter().filter(|y| x.len() + y.len() <= longest) {
                    all.insert([x.as_slice(), y].concat());
                }
                if all.len() > limit {
                    return Err(Reject::TooManyPrefixes { limit });
                }
            }
            Ok(all)
        };
        let empty = || BTreeSet::from([Vec::new()]);
        match self {
            Language::Any => {
                let token = Language::Set(vec![[0, u32::MAX]]);
                Language::Repeat { of: Box::new(token), min: 1, max: None }.words(longest, vocabulary, limit)
            }
            Language::Set(ranges) => {
                let mut all = BTreeSet::new();
                for [first, last] in ranges {
                    for token in (*first..=*last).take_while(|token| longest > 0 && *token < vocabulary) {
                        all.insert(vec![token]);
                        if all.len() > limit {
                            return Err(Reject::TooManyPrefixes { limit });
                        }
                    }
                }
                Ok(all)
            }
            Language::Seq(parts) => parts
                .iter()
                .try_fold(empty(), |all, part| product(&all, &part.words(longest, vocabulary, limit)?)),
            Language::Union(parts) => {
                let mut all = BTreeSet::new();
                for part in parts {
                    all.append(&mut part.words(longest, vocabulary, limit)?);
                    if all.len() > limit {
                        return Err(Reject::TooManyPrefixes { limit });
                    }
                }
                Ok(all)
            }
            Language::Repeat { of, min, max } => {
                let part = of.words(longest, vocabulary, limit)?;
                let (mut all, mut reached, mut times) = (BTreeSet::new(), empty(), 0);
                loop {
                    if times >= *min {
                        all.extend(reached.iter().cloned());
                    }
                    if all.len() > limit {
                        return Err(Reject::TooManyPrefixes { limit });
                    }
                    if Some(times) == *max {
                        return Ok(all);
                    }
                    let next = product(&reached, &part)?;
                    if next == reached {
                        // So it stays, for as many times as `min` may ask for.
                        all.append(&mut reached);
                        return Ok(all);
                    }
                    (reached, times) = (next, times + 1);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_members_by_definition() {
        let set = |ranges: &[[u32; 2]]| Language::Set(ranges.to_vec());
        let repeat = |of: Language, min, max| Language::Repeat { of: Box::new(of), min, max };
        let languages = [
            Language::Any,
            set(&[[1, 2]]),
            Language::Seq(vec![repeat(set(&[[0, u32::MAX]]), 0, Some(2)), set(&[[1, 1]])]),
            Language::Union(vec![set(&[[0, 0]]), Language::Seq(vec![set(&[[2, 2]]), set(&[[0, 1]])])]),
            repeat(Language::Union(vec![Language::Seq(vec![]), set(&[[1, 1]])]), 5, None),
            repeat(Language::Seq(vec![set(&[[0, 0]]), set(&[[1, 2]])]), 1, None),
            repeat(set(&[[0, 0]]), 3, Some(9)),
            Language::Union(vec![]),
        ];
        let mut all = vec![vec![]];
        for n in 0..4 {
            let longer: Vec<Vec<u32>> = all
                .iter()
                .filter(|w: &&Vec<u32>| w.len() == n)
                .flat_map(|w| (0..3).map(move |t| [w.as_slice(), &[t]].concat()))
                .collect();
            all.extend(longer);
        }
        for language in languages {
            let words = language.words(4, 3, 200).unwrap();
            for word in &all {
                let expected = language.contains(word).unwrap();
                assert_eq!(words.contains(word), expected, "{language:?} {word:?}");
            }
            assert!(words.iter().all(|w| all.contains(w)));
        }
        let refused = Language::Any.words(4, 3, 100);
        assert_eq!(refused, Err(Reject::TooManyPrefixes { limit: 100 }));
    }

    #[test]
    fn beginnings_are_shared() {
        let (nodes, ends) = tree(&[vec![1], vec![1, 2, 3], vec![1, 2, 4], vec![2]]);
        assert_eq!((nodes.len(), ends), (5, vec![0, 2, 3, 4]));
        assert_eq!(nodes[3].parent, Some(1));
    }
}
