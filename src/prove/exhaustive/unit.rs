//! One unit of work: every prefix of a unit, evaluated rigorously, eight at a time.

use std::array::from_fn;

use crate::limits::Limits;
use crate::model::rigorous::{self, batch};
use crate::model::{Model, PrefixError};
use crate::num::wide::{LANES, Wide};

use super::tally::{Logits, Question, Tally};
use super::walk::{Beginning, Tree, Unit};

/// Largest radius of logits that is left as it is.
const LOOSE: f64 = 1e-7;

/// What evaluates.
#[derive(Debug, Clone, Copy)]
pub struct Worker<'a> {
    /// The model.
    pub model: &'a Model,
    /// The same, prepared; `None` for layers that are not covered, whose prefixes are evaluated one by one.
    pub network: Option<&'a batch::Network<'a>>,
    /// The prefixes.
    pub tree: &'a Tree<'a>,
    /// What is asked.
    pub question: Question<'a>,
    /// When to end.
    pub limits: &'a Limits,
}

impl Worker<'_> {
    /// Everything that the unit holds; `None` if the limits ended it.
    ///
    /// # Errors
    /// A prefix that the model does not accept.
    pub fn run(&self, unit: &Unit) -> Result<Option<Tally>, PrefixError> {
        let mut tally = self.question.start();
        let mut packet = batch::Packet::default();
        let nodes = &unit.beginnings;
        let len = nodes[0].tokens.len();
        let mut logits = None;
        if let Some(network) = self.network {
            for position in 0..len {
                let last = position + 1 == len;
                let tokens = from_fn(|l| nodes[l.min(nodes.len() - 1)].tokens[position]);
                logits = network.extend(&mut packet, tokens, last && self.any_accepted(nodes));
            }
        }
        self.see(nodes, logits.as_ref(), &mut tally)?;
        let finished = !unit.deep || self.descend(&packet, nodes, &mut tally)?;
        Ok(finished.then_some(tally))
    }

    /// Goes on from eight beginnings, whose lanes of `packet` they are. `false` if the limits ended it.
    fn descend(
        &self,
        packet: &batch::Packet<Wide>,
        nodes: &[Beginning],
        tally: &mut Tally,
    ) -> Result<bool, PrefixError> {
        let mut children: Vec<(usize, Beginning)> = Vec::new();
        for (lane, node) in nodes.iter().enumerate() {
            for (token, state) in self.tree.next(node.state, node.tokens.len()) {
                let tokens = [node.tokens.as_slice(), &[token]].concat();
                children.push((lane, Beginning { tokens, state }));
            }
        }
        for chunk in children.chunks(LANES) {
            if self.limits.expired() {
                return Ok(false);
            }
            let lane = |l: usize| &chunk[l.min(chunk.len() - 1)];
            let nodes: Vec<Beginning> = chunk.iter().map(|(_, node)| node.clone()).collect();
            let mut longer = batch::Packet::default();
            let mut logits = None;
            if let Some(network) = self.network {
                longer = packet.select(from_fn(|l| lane(l).0));
                let tokens = from_fn(|l| lane(l).1.tokens.last().copied().unwrap_or_default());
                logits = network.extend(&mut longer, tokens, self.any_accepted(&nodes));
            }
            self.see(&nodes, logits.as_ref(), tally)?;
            if !self.descend(&longer, &nodes, tally)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn any_accepted(&self, nodes: &[Beginning]) -> bool {
        nodes.iter().any(|node| self.tree.accepts(node.state))
    }

    /// Takes note of the members among these beginnings.
    fn see(
        &self,
        nodes: &[Beginning],
        logits: Option<&batch::Logits>,
        tally: &mut Tally,
    ) -> Result<(), PrefixError> {
        for (l, node) in nodes.iter().enumerate().filter(|(_, node)| self.tree.accepts(node.state)) {
            let near = logits.filter(|logits| logits.radius[l] <= LOOSE).is_some_and(|logits| {
                let middles = logits.middles.iter().map(|x| x[l]).collect();
                tally.see(self.question, Logits::Near(middles, logits.radius[l]), &node.tokens)
            });
            if !near {
                let enclosed = Logits::Enclosed(rigorous::logits(self.model, &node.tokens)?);
                let _always = tally.see(self.question, enclosed, &node.tokens);
            }
        }
        Ok(())
    }
}
