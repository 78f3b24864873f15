//! What searches about one target leave for the next one, at another threshold.
//!
//! Splits and dual vectors hardly depend on the threshold: a vector that closed a node closes it at every higher one, and
//! often at a lower one too, where the multipliers are rounded and evaluated anew. So the tree of all searches is kept, and
//! the next search walks down it with one evaluation per node where the first needed an ascent.

use super::dual::Dual;
use super::tree::Branch;

/// Vectors kept per node, the last ones found.
const KEPT: usize = 3;

/// The union of all trees that were searched for one target.
#[derive(Debug)]
pub struct Draft {
    sketches: Vec<Sketch>,
}

/// What is known about a node.
#[derive(Debug, Default)]
pub(super) struct Sketch {
    /// Vectors that ascents found here.
    pub tried: Vec<Dual>,
    /// Whether residuals too short to exist helped.
    pub away: bool,
    /// How it was split, and the sketches of the two parts.
    pub split: Option<(Branch, usize, usize)>,
}

impl Default for Draft {
    fn default() -> Draft {
        Draft { sketches: vec![Sketch::default()] }
    }
}

impl Draft {
    pub(super) fn at(&self, sketch: usize) -> &Sketch {
        &self.sketches[sketch]
    }

    /// Keeps vectors with a node.
    pub(super) fn keep(&mut self, sketch: usize, tried: Vec<Dual>, away: bool) {
        let known = &mut self.sketches[sketch];
        known.away |= away;
        known.tried.extend(tried);
        known.tried.drain(..known.tried.len().saturating_sub(KEPT));
    }

    /// The sketches of the parts of a node that is split this way; a node is split in one way for good.
    pub(super) fn split(&mut self, sketch: usize, branch: &Branch) -> (usize, usize) {
        if let Some((_, low, high)) = self.sketches[sketch].split {
            return (low, high);
        }
        let low = self.sketches.len();
        self.sketches.extend([Sketch::default(), Sketch::default()]);
        self.sketches[sketch].split = Some((branch.clone(), low, low + 1));
        (low, low + 1)
    }
}
