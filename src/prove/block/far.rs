//! Prefixes whose residual is too short to exist: the far end of ρ, closed once for all targets and thresholds.
//!
//! At the root ρ reaches `1/√ε`, that of a residual of length zero, but attention outputs and embeddings hardly ever cancel.
//! Multipliers with an empty λ ([`away_from_origin`]) show so, whatever the question is. Those that close every pair above
//! some ρ are found when the model is prepared, and every proof starts with that split.

use super::Block;
use super::dual::Region;
use super::functional::Query;
use super::sound::{Multipliers, away_from_origin};
use super::tree::{Cell, Node, apply};

/// A split of ρ whose upper part holds no prefix.
#[derive(Debug, Clone)]
pub struct Far {
    /// Where the upper part begins.
    pub cut: f64,
    /// Multipliers that close all of it.
    pub duals: Vec<Multipliers>,
}

impl Far {
    /// Halves ρ from its greatest value for as long as what lies above can be closed.
    pub(super) fn new(block: &Block) -> Option<Far> {
        let mut best: Option<Far> = None;
        let mut cut = super::unit_floor(0.5 * block.rho.1);
        while cut > block.rho.0 {
            let known = best.as_ref().map_or(&[][..], |far| &far.duals);
            let Some(duals) = close(block, cut, known) else { break };
            best = Some(Far { cut, duals });
            cut = super::unit_floor(0.5 * cut);
        }
        best
    }
}

/// Multipliers that close every pair for ρ above `cut`, beginning with known ones.
fn close(block: &Block, cut: f64, known: &[Multipliers]) -> Option<Vec<Multipliers>> {
    /// More would make certificates long.
    const MOST: usize = 200;
    let region = Region::of_rho(&block.network, (cut, block.rho.1));
    let mut node = Node {
        region,
        cells: Cell::all(block, 1, block.network.context),
        dual: None,
        mixture: None,
        slot: 0,
    };
    let mut duals = Vec::new();
    // An empty λ does not look at the question.
    let query = Query::ceiling(0, 0.0);
    let mut worst = None;
    for multipliers in known {
        worst = apply(block, query, &mut node, multipliers.clone(), &mut duals);
    }
    while let Some(cell) = node.cells.first() {
        let (length, token) = worst.unwrap_or((cell.hull.length, cell.open[0]));
        let hull = &node.cells.iter().find(|c| c.holds(length, token))?.hull;
        let multipliers = away_from_origin(&block.network, &block.columns, hull, token);
        let before = duals.len();
        worst = apply(block, query, &mut node, multipliers, &mut duals);
        if duals.len() == before || duals.len() > MOST {
            return None;
        }
    }
    Some(duals)
}
