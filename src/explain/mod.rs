//! Where a bound is lost: the largest log-odds of a token over sets of inputs that shrink from the ball below the head to real
//! prefixes.
//!
//! 1. *head*: any output of the final norm, certified;
//! 2. *residual*: any residual before the last position-wise layers, which are then run as they are (an estimate from below);
//! 3. *attention*: for one block, residuals that last tokens and convex mixtures of each head's outputs can make (an estimate from
//!    below; Frank, Wolfe 1956, with the attention oracle as its linear step);
//! 4. *prefix*: the best prefix found, certified.
//!
//! Between 1 and 2 lies what the MLP and its norm take away, between 2 and 3 what attention takes away, between 3 and 4 what heads
//! cannot choose independently. A prover that relaxes no more than a stage cannot prove less than it; where its bound lies above the
//! stage, lines below neurons and norm and open branches cost the rest: `relaxation` says how much each does at the pair of length and
//! last token where the best mixture was found. `tail` runs the last layers, `hull` is the third stage.

mod hull;
mod relaxation;
mod tail;

use crate::limits::Limits;
use crate::model::{Model, TokenId};
use crate::prove::block::Block;
use crate::verdict::Bounds;

pub use relaxation::Relaxation;

/// Where a bound is lost.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// From the largest set to the smallest.
    pub stages: Vec<Stage>,
    /// What the block prover's relaxation gives away, where it applies.
    pub relaxation: Option<Relaxation>,
}

/// The largest probability over one set of inputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage {
    /// Short name.
    pub name: &'static str,
    /// What the set is.
    pub what: &'static str,
    /// Largest probability found or proved.
    pub probability: f64,
    /// Whether the probability is a bound; otherwise the best point found, below the true maximum over the set.
    pub certified: bool,
}

impl Stage {
    /// Of the probability, nats.
    #[must_use]
    pub fn log_odds(&self) -> f64 {
        log_odds(self.probability)
    }
}

/// The stages that apply to a model. `head` is the head theorem's bound; a model without final norm has none.
#[must_use]
pub fn profile(
    model: &Model,
    token: TokenId,
    head: Option<f64>,
    bounds: &Bounds,
    longest: usize,
    limits: &Limits,
) -> Profile {
    let witness = bounds.witness.as_ref();
    let (mut stages, mut relaxation) = (Vec::new(), None);
    if let Some(probability) = head {
        let what = "any output of the final norm";
        stages.push(Stage { name: "head", what, probability, certified: true });
    }
    if let Some(tail) = tail::Tail::new(model, token) {
        let prefix = witness.map(|w| w.prefix.as_slice());
        let hull = hull::best(model, &tail, prefix, longest, limits);
        let seeds: Vec<Vec<f64>> = hull.iter().map(|mixture| mixture.residual.clone()).collect();
        if let (Some(mixture), Some(head), Ok(block)) = (&hull, head, Block::new(model)) {
            relaxation = relaxation::measure(&block, token, mixture, head, limits);
        }
        let residual = tail.ascend(&seeds, limits);
        let lower = witness.map_or(0.0, |w| w.lower);
        // Every stage contains the next one, so what was found there counts here too.
        let hull = hull.map(|mixture| sigmoid(mixture.value).max(lower));
        let what = "any residual before the layers after attention";
        let probability = sigmoid(residual).max(hull.unwrap_or(lower));
        stages.push(Stage { name: "residual", what, probability, certified: false });
        if let Some(probability) = hull {
            let what = "any mixture of what each head can read, after any last token";
            stages.push(Stage { name: "attention", what, probability, certified: false });
        }
    }
    if let Some(witness) = witness {
        let what = "the best prefix found";
        stages.push(Stage { name: "prefix", what, probability: witness.lower, certified: true });
    }
    Profile { stages, relaxation }
}

/// `ln(p / (1 − p))` in nats.
#[must_use]
pub fn log_odds(p: f64) -> f64 {
    (p / (1.0 - p)).ln()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}
