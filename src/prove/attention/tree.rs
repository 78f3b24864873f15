//! Branch and bound over products of token sets.
//!
//! The prefixes of one length are a product of vocabularies. It is cut until each part either holds no prefix of the language or
//! has its bounds: first down to the products that the language is made of, then, where a bound fails, the last token (whose
//! interval is the loose part for one head), then positions at which heads would choose differently. A part that is a single
//! prefix is decided by its own margin, so the search ends; a prefix that the bound is attained at and that fails is a
//! counterexample.

use dashu_int::UBig;

use crate::limits::Limits;
use crate::model::TokenId;
use crate::spec::language::{Slice, TokenSet};

use super::bound::{Evaluation, Product};
use super::claim::{Claim, Lambda, Margin};
use super::tables::Tables;

/// A part of the prefixes of one length, whose claims are settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Whether bounds over the whole part settle something: the margins that they prove are not asked for below.
    pub bound: bool,
    /// The mixture that they are about, for claims that need one.
    pub lambda: Lambda,
    /// A position, the tokens that the first child has there (the second has the others), and the children.
    pub split: Option<(usize, TokenSet, Box<[Node; 2]>)>,
}

/// Why there is no tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halt {
    /// The claim seems to fail after this prefix of the language.
    Counterexample(Vec<TokenId>),
    /// Time, or too many parts.
    Limits,
}

/// How many prefixes keep the claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// It holds after so many.
    pub holds: UBig,
    /// It fails after so many.
    pub fails: UBig,
    /// Not decided, within rounding.
    pub open: UBig,
}

/// What a search took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effort {
    /// Parts.
    pub nodes: usize,
    /// Multiplications.
    pub products: u64,
    /// Exponentials.
    pub exponentials: u64,
}

impl Effort {
    /// Adds what another search took.
    pub fn add(&mut self, other: Effort) {
        self.nodes += other.nodes;
        self.products += other.products;
        self.exponentials += other.exponentials;
    }
}

/// Most parts.
const MOST_NODES: usize = 1 << 17;
/// Most nested cuts.
const DEEPEST: usize = 1000;
/// Most products that a language may be made of.
const MOST_PRODUCTS: usize = 4096;
/// Least share of members in a part that several products make up and that is worth a bound.
const LEAST_FILLED: f64 = 0.5;
/// Mixtures that are tried for a part.
const MIXTURES: usize = 8;

/// A search through the prefixes of one length.
pub struct Search<'a> {
    tables: &'a Tables,
    claim: &'a Claim,
    limits: &'a Limits,
    members: Vec<Vec<TokenSet>>,
    tally: Option<Tally>,
    /// What it took so far.
    pub effort: Effort,
}

/// What bounds over a product gave.
#[derive(Debug, Default)]
struct Asked<'a> {
    /// Margins that are not proved.
    left: Vec<&'a Margin>,
    /// Whether the mixture is proved, where the claim is about one.
    proved: bool,
    lambda: Lambda,
    /// Of the worst margin.
    estimate: f64,
    /// The prefix that the last head would choose against it.
    choice: Vec<TokenId>,
    /// And each head.
    choices: Vec<Vec<TokenId>>,
}

impl Asked<'_> {
    /// Takes over an evaluation that is worse than all before.
    fn take(&mut self, found: &Evaluation) {
        if found.estimate < self.estimate || self.choices.is_empty() {
            self.estimate = found.estimate;
            self.choices.clone_from(&found.choices);
            self.choice = found.choices.last().cloned().unwrap_or_default();
        }
    }
}

impl<'a> Search<'a> {
    /// `None` if the language has too many parts.
    pub fn new(
        tables: &'a Tables,
        claim: &'a Claim,
        slice: &Slice,
        limits: &'a Limits,
    ) -> Option<Search<'a>> {
        let members = slice.products(MOST_PRODUCTS)?;
        Some(Search { tables, claim, limits, members, tally: None, effort: Effort::default() })
    }

    /// Proves the claim for all members.
    ///
    /// # Errors
    /// [`Halt`] if that does not succeed.
    pub fn prove(&mut self) -> Result<Node, Halt> {
        let members: Vec<usize> = (0..self.members.len()).collect();
        let length = self.members.first().map_or(0, Vec::len);
        let sets = vec![TokenSet::vocabulary(self.tables.vocab); length];
        let open = match self.claim {
            Claim::All { margins, .. } => margins.iter().collect(),
            Claim::Mixture { .. } => Vec::new(),
        };
        self.settle(&sets, &members, &open, 0)
    }

    /// Counts the members that keep the claim, in as few parts as it takes.
    ///
    /// # Errors
    /// [`Halt::Limits`].
    pub fn tally(&mut self) -> Result<Tally, Halt> {
        self.tally = Some(Tally::default());
        self.prove()?;
        Ok(self.tally.take().unwrap_or_default())
    }

    fn settle(
        &mut self,
        sets: &[TokenSet],
        members: &[usize],
        open: &[&'a Margin],
        depth: usize,
    ) -> Result<Node, Halt> {
        self.effort.nodes += 1;
        if depth > DEEPEST || self.effort.nodes > MOST_NODES || self.limits.expired() {
            return Err(Halt::Limits);
        }
        // What the members have within the part.
        let within = |member: &usize| -> Option<Vec<TokenSet>> {
            let cut: Vec<TokenSet> =
                std::iter::zip(&self.members[*member], sets).map(|(a, b)| a.intersect(b)).collect();
            cut.iter().all(|set| !set.is_empty()).then_some(cut)
        };
        let parts: Vec<(usize, Vec<TokenSet>)> =
            members.iter().filter_map(|m| Some((*m, within(m)?))).collect();
        let members: Vec<usize> = parts.iter().map(|(m, _)| *m).collect();
        if parts.is_empty() {
            return Ok(Node { bound: false, lambda: Vec::new(), split: None });
        }
        for (position, set) in sets.iter().enumerate() {
            let used = parts.iter().fold(TokenSet::default(), |all, (_, part)| all.union(&part[position]));
            if used != *set {
                return self.split(sets, &members, open, depth, (position, used), false);
            }
        }
        // Bounds over much more than the members would most likely fail.
        let volume = |sets: &[TokenSet]| sets.iter().map(|set| set.len() as f64).product::<f64>();
        let filled = parts.iter().map(|(_, part)| volume(part)).sum::<f64>() / volume(sets);
        if filled < LEAST_FILLED {
            return self.split(sets, &members, open, depth, part_of_hull(sets, &parts), false);
        }
        let tokens: Vec<Vec<TokenId>> = sets.iter().map(|set| set.ids().collect()).collect();
        let product = Product::new(self.tables, &tokens);
        self.effort.exponentials +=
            tokens.iter().map(|t| 2 * t.len() as u64).sum::<u64>() * self.tables.heads as u64;
        let asked = self.ask(&product, open);
        if asked.left.is_empty() && asked.proved {
            self.add(&parts, |tally| &mut tally.holds);
            return Ok(Node { bound: true, lambda: asked.lambda, split: None });
        }
        let bound = asked.left.len() < open.len();
        if parts.len() > 1 {
            return self.split(sets, &members, &asked.left, depth, part_of_hull(sets, &parts), bound);
        }
        let undecided = |tally: fn(&mut Tally) -> &mut UBig, search: &mut Self| {
            search.add(&parts, tally);
            Ok(Node { bound: false, lambda: Vec::new(), split: None })
        };
        if self.tally.is_none() && self.fails_after(&asked.choice) {
            return Err(Halt::Counterexample(asked.choice));
        }
        if self.tally.is_some() && self.never_holds(&product) {
            return undecided(|tally| &mut tally.fails, self);
        }
        match self.cut(&tokens, &asked) {
            Some(cut) => self.split(sets, &members, &asked.left, depth, cut, bound),
            None if self.tally.is_some() => undecided(|tally| &mut tally.open, self),
            None => Err(Halt::Limits),
        }
    }

    /// Bounds what is still open over a product.
    fn ask(&mut self, product: &Product<'_>, open: &[&'a Margin]) -> Asked<'a> {
        let mut asked = Asked { left: Vec::new(), proved: true, estimate: f64::INFINITY, ..Asked::default() };
        for margin in open {
            let found = product.evaluate(margin);
            self.effort.products += product.cost(margin) as u64;
            if !found.proved {
                asked.left.push(margin);
                asked.take(&found);
            }
        }
        if let Claim::Mixture { .. } = self.claim {
            // Fictitious play (Brown 1951): the best mixture against the mean of the prefixes so far, and the prefix that is
            // worst for it.
            let mut sum = vec![0.0; self.tables.vocab];
            let mut lambda = vec![];
            for round in 0..=MIXTURES {
                if round > 0 {
                    let mean: Vec<f64> = sum.iter().map(|l| l / round as f64).collect();
                    lambda = self.claim.lambda(&mean);
                } else {
                    lambda = self.claim.lambda(&product.middle());
                }
                let Some(margin) = self.claim.margin(&lambda) else { break };
                let found = product.evaluate(&margin);
                self.effort.products += product.cost(&margin) as u64;
                if found.proved {
                    return Asked { lambda, proved: true, ..Asked::default() };
                }
                sum.iter_mut().zip(product.logits(&found)).for_each(|(sum, l)| *sum += l);
                asked.proved = false;
                if found.estimate > asked.estimate || round == 0 {
                    asked.estimate = f64::INFINITY;
                    asked.take(&found);
                }
            }
        }
        asked
    }

    /// Whether the claim seems to fail after a prefix.
    fn fails_after(&mut self, prefix: &[TokenId]) -> bool {
        const CLEAR: f64 = 1e-9;
        let point: Vec<Vec<TokenId>> = prefix.iter().map(|t| vec![*t]).collect();
        let product = Product::new(self.tables, &point);
        let open: Vec<&'a Margin> = match self.claim {
            Claim::All { margins, .. } => margins.iter().collect(),
            Claim::Mixture { .. } => Vec::new(),
        };
        let asked = self.ask(&product, &open);
        !(asked.left.is_empty() && asked.proved) && asked.estimate < -CLEAR
    }

    /// Whether the claim fails after every prefix of a product.
    fn never_holds(&mut self, product: &Product<'_>) -> bool {
        let Claim::All { opposites, .. } = self.claim else { return false };
        opposites.iter().any(|margin| {
            self.effort.products += product.cost(margin) as u64;
            product.evaluate(margin).proved
        })
    }

    /// Where to cut a product whose bound fails: position and tokens of the first child; `None` for a single prefix.
    fn cut(&self, tokens: &[Vec<TokenId>], asked: &Asked<'_>) -> Option<(usize, TokenSet)> {
        let (last, free) = tokens.split_last()?;
        let of = |ids: &[TokenId]| TokenSet::of_ranges(ids.iter().map(|&id| (id, id)));
        if last.len() > 1 {
            return Some((free.len(), of(&last[..last.len() / 2])));
        }
        let widest = (0..free.len()).filter(|&i| free[i].len() > 1).max_by_key(|&i| {
            let disagree = asked.choices.iter().any(|prefix| prefix[i] != asked.choice[i]);
            (disagree, free[i].len())
        })?;
        let (mut first, set) = (Vec::new(), &free[widest]);
        // The choice of the last head goes to one side, those of the others, if they differ, to the other side.
        let kept = asked.choice[widest];
        first.extend(
            set.iter()
                .copied()
                .filter(|t| *t == kept || !asked.choices.iter().any(|prefix| prefix[widest] == *t)),
        );
        first.sort_by_key(|t| *t != kept);
        first.truncate((set.len() / 2).max(1));
        Some((widest, of(&first)))
    }

    fn split(
        &mut self,
        sets: &[TokenSet],
        members: &[usize],
        open: &[&'a Margin],
        depth: usize,
        (position, first): (usize, TokenSet),
        bound: bool,
    ) -> Result<Node, Halt> {
        let mut child = |set: TokenSet| {
            let mut sets = sets.to_vec();
            sets[position] = set;
            self.settle(&sets, members, open, depth + 1)
        };
        let children = Box::new([child(first.clone())?, child(sets[position].minus(&first))?]);
        Ok(Node { bound, lambda: Vec::new(), split: Some((position, first, children)) })
    }

    fn add(&mut self, parts: &[(usize, Vec<TokenSet>)], which: fn(&mut Tally) -> &mut UBig) {
        if let Some(tally) = &mut self.tally {
            for (_, part) in parts {
                *which(tally) += part.iter().map(|set| UBig::from(set.len())).product::<UBig>();
            }
        }
    }
}

/// A cut along the edge of one of several disjoint products whose hull is `sets`.
fn part_of_hull(sets: &[TokenSet], parts: &[(usize, Vec<TokenSet>)]) -> (usize, TokenSet) {
    (0..sets.len())
        .flat_map(|i| parts.iter().map(move |(_, part)| (i, &part[i])))
        .find(|(i, part)| **part != sets[*i])
        .map(|(i, part)| (i, part.clone()))
        .expect("several disjoint products of one hull differ from it somewhere")
}
