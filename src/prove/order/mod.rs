//! Claims about the order of logits, from the final norm and the head alone: every prefix of every length.
//!
//! On the ball of the final norm (see `head`) every linear functional of the logits has a least value in closed form
//! (`functional`). That settles claims about pairs at once: *dominance*, and *always the likeliest*, which is |V| − 1 of
//! them. A token `t` has `k` others above it at every point of the ball if
//!
//! - k = 1: some `λ >= 0` has `Σ λ_j (l_j − l_t) > 0` everywhere, since then some `l_j − l_t` is positive. Such a λ exists
//!   whenever the claim holds on the ball (von Neumann's minimax theorem), so nothing is lost.
//! - k > 1: branching on which tokens lie above (`tree`); a node needs sums as above that leave out the tokens that are
//!   above already.
//!
//! λ comes from a second-order cone program over few tokens at a time (`cone`), is rounded to integers, and counts only
//! if its least value is positive with outward rounding.

mod cone;
mod functional;
mod tree;

use crate::limits::Limits;
use crate::model::{Head, TokenId};
use crate::num::Interval;
use crate::spec::Predicate;

use super::head::{HeadError, Problem};
use cone::Cone;

/// Integer weights `w_j` of logits, tokens increasing: `Σ w_j (l_j − l_t) > 0` on the whole ball. A negative weight is a
/// multiplier of a token that is assumed to be above `t`.
pub type Sum = Vec<(TokenId, i64)>;

/// Why a claim about the order of logits holds after every prefix.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderProof {
    /// Upper bound on the predicate's excess after every prefix. Rigorous.
    pub excess: f64,
    /// The sums that the tree refers to; none for claims about pairs.
    pub sums: Vec<Sum>,
    /// The tree in preorder, each node as the indices of its sums; see `tree`.
    pub nodes: Vec<Vec<u32>>,
}

/// Proves claims about one head.
pub struct OrderProver<'a> {
    problem: Problem<'a>,
}

impl<'a> OrderProver<'a> {
    /// Prepares a head.
    ///
    /// # Errors
    /// [`HeadError`] where nothing bounds what reaches the head, or its numbers are damaged.
    pub fn new(head: &'a Head) -> Result<OrderProver<'a>, HeadError> {
        Ok(OrderProver { problem: Problem::new(head, Interval::ONE)? })
    }

    /// A proof of the claim, if the head alone has one and it is found within the limits. `None` as well for predicates
    /// that are not about order, and for tokens that do not exist.
    #[must_use]
    pub fn prove(&self, predicate: &Predicate, limits: &Limits) -> Option<OrderProof> {
        predicate.check(self.problem.vocab_size()).ok()?;
        let proof = match *predicate {
            Predicate::Dominance { over, under, .. } => self.pairs(over, std::iter::once(under)),
            Predicate::AlwaysArgmax { token } => {
                let others = (0..self.problem.vocab_size() as TokenId).filter(|&j| j != token);
                self.pairs(token, others)
            }
            Predicate::NeverArgmax { token } => self.never_among(token, 1, limits)?,
            Predicate::NeverTopK { token, k } => self.never_among(token, k, limits)?,
            Predicate::Ceiling { .. }
            | Predicate::SetCeiling { .. }
            | Predicate::MaxCeiling { .. }
            | Predicate::Continuation { .. }
            | Predicate::NeverInNucleus { .. }
            | Predicate::Floor { .. } => {
                return None;
            }
        };
        predicate.limit().admits(proof.excess).then_some(proof)
    }

    /// How far `over` stays above each of the others.
    fn pairs(&self, over: TokenId, others: impl Iterator<Item = TokenId>) -> OrderProof {
        let lead = |under| functional::least(&self.problem, &[(over, 1), (under, -1)]);
        let least = others.map(lead).fold(f64::INFINITY, |least, x| if x < least { x } else { least });
        OrderProof { excess: -least, sums: Vec::new(), nodes: Vec::new() }
    }

    fn never_among(&self, token: TokenId, k: usize, limits: &Limits) -> Option<OrderProof> {
        let cone = Cone::new(&self.problem, token as usize);
        let tree = tree::grow(&cone, k, limits)?;
        let excess = match &tree.sums[..] {
            // Σ w_j (l_j − l_t) >= m and l_j <= max l make l_t − max l at most −m / Σ w_j.
            [sum] if k == 1 => {
                let total: Interval = sum.iter().map(|&(_, w)| Interval::point(w as f64)).sum();
                let least = Interval::point(cone.least(sum)) / total;
                (-least.lo()).min(0.0f64.next_down())
            }
            _ => 0.0f64.next_down(),
        };
        Some(OrderProof { excess, ..tree })
    }
}
