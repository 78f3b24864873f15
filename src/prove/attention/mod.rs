//! The attention prover: theorems about one-layer attention-only models without norms, exact for one head.
//!
//! There a difference of logits is a ratio of sums over positions, and its least value over a product of token sets is found
//! position by position. [`tables`] folds the model into logits, [`claim`] turns predicates into inequalities between them,
//! [`bound`] proves these over products of token sets, and [`tree`] cuts a prefix language into such products. So "whenever
//! the greatest of four numbers is M, the likeliest token is M" takes a handful of products instead of all prefixes.

pub mod bound;
pub mod claim;
pub mod tables;
pub mod tree;

use crate::limits::Limits;
use crate::model::TokenId;
use crate::spec::Predicate;
use crate::spec::language::Automaton;

use crate::num::{Interval, ln};

use claim::Claim;
pub use tables::{NotApplicable, Tables};
use tree::{Effort, Halt, Node, Search, Tally};

/// A finished proof: a tree for each length that the language has prefixes of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttentionProof {
    /// Lengths, increasing, and their trees.
    pub trees: Vec<(usize, Node)>,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Proved(AttentionProof),
    /// It seems to fail after this prefix; an exact evaluation has to confirm that.
    Counterexample(Vec<TokenId>),
    /// Not decided within the limits.
    Open,
    /// The predicate is not covered, or the language is made of too many parts.
    NotCovered,
}

/// Works on a predicate for every prefix of the language with at most `longest` tokens.
#[must_use]
pub fn prove(
    tables: &Tables,
    predicate: &Predicate,
    language: &Automaton,
    longest: usize,
    limits: &Limits,
) -> (Outcome, Effort) {
    match Claim::new(predicate, tables.vocab) {
        Some(claim) => prove_claim(tables, &claim, language, longest, limits),
        None => (Outcome::NotCovered, Effort::default()),
    }
}

/// Tries to prove `P(token) <= probability` for the same prefixes.
#[must_use]
pub fn prove_ceiling(
    tables: &Tables,
    token: TokenId,
    probability: f64,
    language: &Automaton,
    longest: usize,
    limits: &Limits,
) -> Option<AttentionProof> {
    let limit = ln(Interval::ONE / Interval::point(probability) - Interval::ONE);
    let claim = Claim::ceiling(token, Interval::ONE, limit);
    match prove_claim(tables, &claim, language, longest, limits).0 {
        Outcome::Proved(proof) => Some(proof),
        Outcome::Counterexample(_) | Outcome::Open | Outcome::NotCovered => None,
    }
}

fn prove_claim(
    tables: &Tables,
    claim: &Claim,
    language: &Automaton,
    longest: usize,
    limits: &Limits,
) -> (Outcome, Effort) {
    let mut effort = Effort::default();
    let mut trees = Vec::new();
    for length in language.lengths(longest.min(tables.context)) {
        let slice = language.slice(length);
        let search = slice.and_then(|slice| Search::new(tables, claim, &slice, limits));
        let Some(mut search) = search else { return (Outcome::NotCovered, effort) };
        let found = search.prove();
        effort.add(search.effort);
        match found {
            Ok(tree) => trees.push((length, tree)),
            Err(Halt::Counterexample(prefix)) => return (Outcome::Counterexample(prefix), effort),
            Err(Halt::Limits) => return (Outcome::Open, effort),
        }
    }
    (Outcome::Proved(AttentionProof { trees }), effort)
}

/// Counts the prefixes of one length after which a predicate holds; `None` where [`prove`] gives up too.
#[must_use]
pub fn tally(
    tables: &Tables,
    predicate: &Predicate,
    language: &Automaton,
    length: usize,
    limits: &Limits,
) -> Option<(Tally, Effort)> {
    let claim = Claim::new(predicate, tables.vocab)?;
    let slice = language.slice(length)?;
    let mut search = Search::new(tables, &claim, &slice, limits)?;
    let tally = search.tally().ok()?;
    Some((tally, search.effort))
}
