//! Nodes with few prefixes left: each of them is evaluated, as exactly as it takes.
//!
//! What a dual bound gives away does not vanish with splits of tokens alone; where few prefixes are left this does. Sixteen prefixes of one
//! length are evaluated at a time in floats with a proved error, and again with more digits where these leave the claim open.

use std::array::from_fn;
use std::sync::OnceLock;

use super::Block;
use super::functional::Query;
use super::tree::Node;
use crate::model::rigorous::batch::{Network, Packet};
use crate::model::{Model, TokenId, rigorous};
use crate::num::Interval;
use crate::num::wide::{LANES, Lanes};

/// Most prefixes of a node that are evaluated.
const MOST: usize = 256;
/// Most prefixes of a whole proof, as many as a checker evaluates unless it is asked for more.
pub(super) const MOST_IN_ALL: usize = llmprove_proofs::MAX_PREFIXES;

/// A model, ready to be evaluated after single prefixes.
pub(super) struct Points<'m> {
    model: &'m Model,
    longest: usize,
    /// Prepared when it is asked for: few proofs come to that.
    batch: OnceLock<Option<Network<'m>>>,
}

impl<'m> Points<'m> {
    pub fn new(block: &'m Block) -> Points<'m> {
        let longest = block.cells.iter().map(|cell| cell.hull.length).max().unwrap_or(1);
        Points { model: &block.model, longest, batch: OnceLock::new() }
    }

    /// The number of prefixes of a node after all of which the claim holds for certain; `None` where it does not, or where they are
    /// many or more than `left`.
    pub fn evaluate(&self, query: Query, node: &Node, left: usize) -> Option<usize> {
        let (most, mut n) = (MOST.min(left), 0);
        let mut all = Vec::new();
        for cell in &node.cells {
            let own = cell.hull.prefixes(&cell.open, most - n)?;
            n += own.len();
            all.push(own);
        }
        let holds = |prefixes: &[Vec<TokenId>]| self.holds(query, prefixes);
        all.iter().flat_map(|own| own.chunks(LANES)).all(holds).then_some(n)
    }

    /// Whether the claim holds for certain after each of at most sixteen prefixes of one length.
    fn holds(&self, query: Query, prefixes: &[Vec<TokenId>]) -> bool {
        let known = self.in_floats(prefixes);
        prefixes.iter().enumerate().all(|(lane, prefix)| {
            let float = known.as_ref().is_some_and(|(middles, radius)| {
                let around = Interval::new(-radius[lane], radius[lane]);
                let logits: Vec<Interval> =
                    middles.iter().map(|middle| Interval::point(middle[lane]) + around).collect();
                logits.iter().all(|logit| logit.is_finite()) && query.holds(&logits)
            });
            float || rigorous::logits(self.model, prefix).is_ok_and(|logits| query.holds(&logits))
        })
    }

    /// Middles `[vocabulary]` of their logits, and how far off these may be.
    fn in_floats(&self, prefixes: &[Vec<TokenId>]) -> Option<(Vec<Lanes>, Lanes)> {
        let prepared = self.batch.get_or_init(|| Network::new(self.model, self.longest));
        let (network, length) = (prepared.as_ref()?, prefixes.first()?.len());
        // Lanes without a prefix of their own repeat the last one.
        let at = |position: usize| from_fn(|lane| prefixes[lane.min(prefixes.len() - 1)][position]);
        let (mut packet, mut logits) = (Packet::<Lanes>::default(), None);
        for position in 0..length {
            logits = network.extend(&mut packet, at(position), position + 1 == length);
        }
        logits.map(|logits| (logits.middles, logits.radius))
    }
}
