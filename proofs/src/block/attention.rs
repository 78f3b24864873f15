//! The attention rule: a predicate for every prefix of a language, in a one-layer attention-only model without norms.
//!
//! The prefixes of one length are a product of token sets, which a tree divides: a split takes the tokens of one position
//! apart. A part without a prefix of the language needs no argument. In any other the claim is a list of margins
//! `Σ w·l > floor` ([`product`](super::product) bounds them), each of which has to be proved at the leaf or at one of the nodes
//! above it:
//!
//! | predicate | margins |
//! |---|---|
//! | always the likeliest | `l_t − l_j > 0` for every other j |
//! | dominance | `l_over − l_under > c` |
//! | never the likeliest | `Σ λ_j l_j − l_t > 0`: then some `l_j > l_t` |
//! | ceiling | `Σ λ_j l_j − l_t > T (ln(1/p − 1) − H(λ))`: then `Σ_j e^((l_j − l_t)/T) > 1/p − 1` by Gibbs' inequality |
//!
//! The certificate gives a λ for each node of the last two kinds.

use dashu_ratio::RBig;

use crate::elementary::ln;
use crate::family::Head;
use crate::folder::Folder;
use crate::format::{AttentionNode, AttentionTree, BLOCK_BITS, Statement};
use crate::head::{check_lambda, index};
use crate::interval::{FRACTION_BITS, Interval, shift_up};
use crate::predicate::Predicate;
use crate::reject::{CheckError, Reject};

use super::fixed::too_large;
use super::log_odds;
use super::product::{LOGIT_PLACES, Logits, Margin, Product};
use super::tables::{MOST_POSITIONS, not_covered};

/// What a part has to show.
struct Part {
    /// Tokens at each position, increasing.
    sets: Vec<Vec<u32>>,
    /// Margins that are not proved; a claim about a mixture counts as one.
    open: Vec<usize>,
}

/// A predicate as margins.
enum Claim {
    All(Vec<Margin>),
    /// Some mixture of other tokens outweighs the token; with `(T, ln(1/p − 1))` of a ceiling.
    Mixture(u32, Option<(Interval, Interval)>),
}

/// Checks that the trees show the statement for every prefix that it speaks of.
pub(crate) fn attention_proves(
    folder: &Folder,
    head: &Head,
    statement: &Statement,
    trees: &[AttentionTree],
) -> Result<(), CheckError> {
    let claim = Claim::new(&statement.predicate, head.vocabulary())?;
    let context = folder.context()?;
    let longest = statement.max_len.map_or(context, |n| index(n).min(context));
    if longest > MOST_POSITIONS {
        return Err(not_covered("prefixes of this length"));
    }
    let logits = Logits::new(folder, head, longest)?;
    let everything: Vec<u32> = (0..logits.vocabulary).map_while(|t| u32::try_from(t).ok()).collect();
    let mut trees = trees.iter();
    for length in 1..=longest {
        let sets = vec![everything.clone(); length];
        if statement.language.meets(&sets)? {
            let tree = trees.next().filter(|tree| index(tree.length) == length);
            let tree = tree.ok_or(Reject::TreeMissing { length })?;
            check_tree(&logits, statement, &claim, sets, &tree.nodes)?;
        }
    }
    match trees.next() {
        Some(tree) => Err(Reject::TreeExtra { length: tree.length }.into()),
        None => Ok(()),
    }
}

fn check_tree(
    logits: &Logits,
    statement: &Statement,
    claim: &Claim,
    sets: Vec<Vec<u32>>,
    nodes: &[AttentionNode],
) -> Result<(), Reject> {
    let mut pending = vec![Part { sets, open: (0..claim.count()).collect() }];
    for (i, node) in nodes.iter().enumerate() {
        let mut part = pending.pop().ok_or(Reject::NodeExtra { node: i })?;
        let void = part.sets.iter().any(Vec::is_empty) || !statement.language.meets(&part.sets)?;
        if void {
            part.open.clear();
        } else if node.bound {
            let product = Product::new(logits, &part.sets)?;
            let mut open = Vec::new();
            for k in part.open {
                let mixture;
                let margin = match claim {
                    Claim::All(margins) => &margins[k],
                    Claim::Mixture(token, ceiling) => {
                        mixture = mixed(logits.vocabulary, *token, ceiling.as_ref(), &node.lambda)?;
                        &mixture
                    }
                };
                if !product.proves(margin)? {
                    open.push(k);
                }
            }
            part.open = open;
        }
        match &node.split {
            None if part.open.is_empty() => {}
            None => return Err(Reject::MarginsOpen { node: i, margins: part.open.len() }),
            Some(_) if part.open.is_empty() => return Err(Reject::SplitClosed { node: i }),
            Some(split) => {
                let at = index(split.position);
                let Some(set) = part.sets.get(at) else {
                    let why = format!("there is no position {at}");
                    return Err(Reject::SplitOutside { node: i, why });
                };
                let (first, second) = set
                    .iter()
                    .copied()
                    .partition(|t| split.tokens.iter().any(|[first, last]| (*first..=*last).contains(t)));
                for half in [second, first] {
                    let mut sets = part.sets.clone();
                    sets[at] = half;
                    pending.push(Part { sets, open: part.open.clone() });
                }
            }
        }
    }
    match pending.len() {
        0 => Ok(()),
        _ => Err(Reject::NodeMissing { node: nodes.len() }),
    }
}

impl Claim {
    fn new(predicate: &Predicate, vocabulary: usize) -> Result<Claim, Reject> {
        let between =
            |over: u32, under: u32, floor| Margin { weights: vec![(over, 1), (under, -1)], bits: 0, floor };
        Ok(match predicate {
            Predicate::AlwaysArgmax { token } => {
                let others = (0..vocabulary).map_while(|t| u32::try_from(t).ok()).filter(|t| t != token);
                Claim::All(others.map(|other| between(*token, other, 0)).collect())
            }
            Predicate::Dominance { over, under, margin } => {
                Claim::All(vec![between(*over, *under, ceil(&Interval::rational(margin.value()))?)])
            }
            Predicate::NeverArgmax { token } => Claim::Mixture(*token, None),
            Predicate::Ceiling { token, threshold, .. } => {
                let limits = (Interval::rational(&predicate.temperature()), log_odds(threshold.value())?);
                Claim::Mixture(*token, Some(limits))
            }
            other => return Err(Reject::WrongRule { rule: "attention", claim: other.words() }),
        })
    }

    fn count(&self) -> usize {
        match self {
            Claim::All(margins) => margins.len(),
            Claim::Mixture(..) => 1,
        }
    }
}

/// In units of `2^-LOGIT_PLACES`, rounded up.
fn ceil(x: &Interval) -> Result<i128, Reject> {
    let places = usize::try_from(LOGIT_PLACES).expect("40 fits");
    i128::try_from(shift_up(x.hi(), FRACTION_BITS - places)).map_err(|_| too_large())
}

/// The margin of a mixture λ, numerators of `2^BLOCK_BITS`.
fn mixed(
    vocabulary: usize,
    token: u32,
    ceiling: Option<&(Interval, Interval)>,
    lambda: &[(u32, u32)],
) -> Result<Margin, Reject> {
    let wide: Vec<(u32, u64)> = lambda.iter().map(|(t, n)| (*t, u64::from(*n))).collect();
    check_lambda(vocabulary, token, 1 << BLOCK_BITS, &wide)?;
    let mut floor = 0;
    if let Some((temperature, tau)) = ceiling {
        let mut negentropy = Interval::from_int(0);
        for (_, n) in &wide {
            let share = RBig::from_parts((*n).into(), (1_u64 << BLOCK_BITS).into());
            // ln of a share from ln of its inverse, which is at least 1.
            let inverse = ln(&Interval::rational(&(RBig::ONE / &share)))?;
            negentropy = &negentropy - &(&Interval::rational(&share) * &inverse);
        }
        floor = ceil(&(temperature * &(tau + &negentropy)))?;
    }
    let mut weights: Vec<(u32, i64)> = lambda.iter().map(|(t, n)| (*t, i64::from(*n))).collect();
    weights.push((token, -(1 << BLOCK_BITS)));
    Ok(Margin { weights, bits: BLOCK_BITS, floor })
}
