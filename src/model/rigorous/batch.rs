//! Rigorous evaluation of sixteen prefixes at once, with what their beginnings share.
//!
//! Middles are floats or double-double numbers; for each vector and prefix one radius bounds the Euclidean distance of the
//! middles from the exact real values. A linear map passes radii on by its largest singular value, a norm by the inverse of
//! its divisor, attention and activations as derived beside them; roundings add what [`wide`] states. Such radii grow by about
//! a digit with each attention and MLP. Floats are fast and leave most prefixes of a shallow network far from any bound; the 31 digits of
//! double-double numbers tell the others apart. A radius that is not small compared with the numbers becomes ∞, and then
//! another evaluation has to answer.
//!
//! Covers attention and MLPs, one after the other or side by side; [`Network::new`] says `None` for other layers.

mod attention;
mod maps;
mod mixture;
mod mlp;
mod outlet;
mod quadratic;

use std::array::from_fn;
use std::sync::Arc;

use rayon::prelude::*;

use crate::model::{Layer, Model, Norm, Positions, TokenId};
use crate::num::precise::rotation;
use crate::num::wide::{self, LANES, Lanes, Number, TINY, Wide, each, nearest};

pub use attention::Cell;
use attention::Heads;
use maps::Map;
use mlp::Neurons;

/// Covers the rounding of radii themselves, and that of lengths.
const COVER: f64 = 1.0 + 1e-7;

/// Rotations of one position: `(sin, cos)` of each pair, each as the sum of two floats.
type Turns = Vec<[(f64, f64); 2]>;

/// A prepared model.
#[derive(Debug)]
pub struct Network<'m> {
    model: &'m Model,
    steps: Vec<Step>,
    /// Number of steps that attend.
    n_attentions: usize,
    head: (Option<Centring>, Map),
    /// Length of the longest row of the head, at most.
    longest_row: f64,
    /// Per position; empty without rotary positions.
    turns: Vec<Turns>,
}

#[derive(Debug)]
enum Step {
    Attention(Box<Heads>),
    Mlp(Box<Neurons>),
    Parallel(Box<(Heads, Neurons)>),
}

/// A norm whose gain and bias went into the maps that read it.
#[derive(Debug, Clone, Copy)]
struct Centring {
    centred: bool,
    eps: f64,
}

/// Vectors of sixteen prefixes, and how far off each may be.
#[derive(Debug, Clone)]
struct Column<N> {
    x: Vec<N>,
    /// Upper bound on the distance from the exact vector.
    radius: Lanes,
}

/// What the layers keep of sixteen prefixes of the same length: `[positions][attention layers]`.
#[derive(Debug, Clone)]
pub struct Packet<N> {
    cells: Vec<Arc<Vec<Cell<N>>>>,
}

/// Logits of sixteen prefixes.
#[derive(Debug)]
pub struct Logits {
    /// `[vocabulary]`.
    pub middles: Vec<Lanes>,
    /// Every exact logit lies within it of its middle; ∞ or NaN if nothing is known.
    pub radius: Lanes,
}

impl<'m> Network<'m> {
    /// Prepares a model for prefixes of at most `longest` tokens; `None` if it has a layer that is not covered.
    #[must_use]
    pub fn new(model: &'m Model, longest: usize) -> Option<Network<'m>> {
        let body = &model.body;
        let (turns, exact) = match body.positions {
            Positions::Rotary { theta, dim } => turns(theta, dim, u32::try_from(longest).ok()?),
            Positions::Learned(_) | Positions::None => (Vec::new(), true),
        };
        let step = |layer: &Layer| match layer {
            Layer::Attention(layer) => Some(Step::Attention(Box::new(Heads::new(layer)?))),
            Layer::Mlp(layer) => Some(Step::Mlp(Box::new(Neurons::new(layer)?))),
            Layer::Parallel(both) => {
                let both = (Heads::new(&both.attention)?, Neurons::new(&both.mlp)?);
                Some(Step::Parallel(Box::new(both)))
            }
            Layer::Norm(_) | Layer::Wkv4(_) | Layer::Wkv7(_) | Layer::ChannelMix(_) => None,
        };
        let steps = body.layers.par_iter().map(step).collect::<Option<Vec<_>>>()?;
        let norm = model.head.norm.as_ref();
        let head = Map::new(model.head.unembed.t(), model.head.bias.as_ref(), norm, 1);
        exact.then(|| Network {
            model,
            n_attentions: steps.iter().filter_map(Step::attention).count(),
            steps,
            longest_row: head.rows.iter().copied().fold(0.0, f64::max),
            head: (norm.map(Centring::new), head),
            turns,
        })
    }

    /// Goes on by one token in each lane. `packet` is what the beginnings left, all of the same length. Without `logits` it ends with
    /// the last keys and values.
    ///
    /// Tokens must be in the vocabulary and the length within `longest` and the context.
    pub fn extend<N: Number>(
        &self,
        packet: &mut Packet<N>,
        tokens: [TokenId; LANES],
        logits: bool,
    ) -> Option<Logits> {
        let position = packet.cells.len();
        let body = &self.model.body;
        let feature = |f: usize| N::floats(each(|l| f64::from(body.embed[[tokens[l] as usize, f]])));
        let mut column =
            Column { x: (0..self.model.head.width()).map(feature).collect(), radius: Lanes::splat(TINY) };
        if let Positions::Learned(table) = &body.positions {
            let table: Vec<N> = table.row(position).iter().map(|&x| N::splat(f64::from(x))).collect();
            column.add(&Column { x: table, radius: Lanes::ZERO });
        }
        let mut cells: Vec<Cell<N>> = Vec::new();
        let turns = if self.turns.is_empty() { &[] } else { &self.turns[..=position] };
        for step in &self.steps {
            // Nobody reads what comes after the last keys and values.
            if !logits
                && cells.len() + 1 == self.n_attentions
                && let Some(heads) = step.attention()
            {
                cells.push(heads.leave(&column, turns));
                break;
            }
            let mut attend = |heads: &Heads, column: &Column<N>| {
                let history: Vec<&Cell<N>> = packet.cells.iter().map(|layers| &layers[cells.len()]).collect();
                let (cell, added) = heads.apply(column, turns, &history);
                cells.push(cell);
                added
            };
            let added = match step {
                Step::Attention(heads) => attend(heads, &column),
                Step::Mlp(neurons) => neurons.apply(&column),
                Step::Parallel(both) => {
                    let mut added = attend(&both.0, &column);
                    added.add(&both.1.apply(&column));
                    added
                }
            };
            column.add(&added);
        }
        packet.cells.push(Arc::new(cells));
        logits.then(|| {
            let (norm, head) = &self.head;
            let ((z, reach), eps) = (column.normed(*norm), head.eps::<N>());
            let (middles, off) = N::into_floats(head.middles(&z));
            let radius =
                each(|l| COVER * (self.longest_row * (z.radius[l] + eps * reach[l]) + off[l] + TINY));
            Logits { middles, radius }
        })
    }
}

impl Step {
    fn attention(&self) -> Option<&Heads> {
        match self {
            Step::Attention(heads) => Some(heads),
            Step::Parallel(both) => Some(&both.0),
            Step::Mlp(_) => None,
        }
    }
}

impl<N> Default for Packet<N> {
    /// What empty beginnings leave.
    fn default() -> Packet<N> {
        Packet { cells: Vec::new() }
    }
}

impl<N: Number> Packet<N> {
    /// The beginnings in these lanes.
    #[must_use]
    pub fn select(&self, lanes: [usize; LANES]) -> Packet<N> {
        if lanes == from_fn(|l| l) {
            return self.clone();
        }
        let chosen = |layers: &Arc<Vec<Cell<N>>>| {
            Arc::new(layers.iter().map(|cell| cell.select(lanes)).collect::<Vec<_>>())
        };
        Packet { cells: self.cells.iter().map(chosen).collect() }
    }

    /// What the last position left, per attention layer.
    #[must_use]
    pub fn last(&self) -> &[Cell<N>] {
        self.cells.last().map_or(&[], |cells| cells)
    }

    /// The same in floats.
    #[must_use]
    pub fn rounded(&self) -> Packet<Lanes> {
        let rounded =
            |layers: &Arc<Vec<Cell<N>>>| Arc::new(layers.iter().map(Cell::rounded).collect::<Vec<_>>());
        Packet { cells: self.cells.iter().map(rounded).collect() }
    }
}

impl Centring {
    fn new(norm: &Norm) -> Centring {
        match norm {
            Norm::Layer { eps, .. } => Centring { centred: true, eps: *eps },
            Norm::Rms { eps, .. } => Centring { centred: false, eps: *eps },
        }
    }
}

impl<N: Number> Column<N> {
    /// Length of each lane, at most.
    fn length(&self) -> Lanes {
        wide::length(&self.x).map(|x| x * COVER + TINY)
    }

    /// Length with a one below, which a bias multiplies.
    fn reach(&self) -> Lanes {
        self.length().map(|x| (x * x + 1.0).sqrt() * COVER)
    }

    fn add(&mut self, y: &Column<N>) {
        wide::add_to(&mut self.x, &y.x);
        let length = self.length();
        self.radius = each(|l| COVER * (self.radius[l] + y.radius[l] + N::EPS * length[l]) + TINY);
    }

    /// The norm without gain and bias, at most `√d` long, and its reach. The map `x -> x / √(|x|²/d + ε)` has the derivative
    /// `(I − z zᵀ/d) / root`, at most `1 / root` long; the root changes by at most `1/√d` of what `x` does. Centring is a projection.
    fn normed(&self, norm: Option<Centring>) -> (Column<N>, Lanes) {
        let Some(Centring { centred, eps }) = norm else { return (self.clone(), self.reach()) };
        let d = self.x.len() as f64;
        let normed = wide::norm(&self.x, centred, eps);
        let before = if centred { self.length() } else { normed.root };
        let radius = each(|l| {
            let moved = self.radius[l] + if centred { (d + 8.0) * N::EPS * before[l] } else { 0.0 };
            let least = normed.root[l] / COVER - COVER * moved / d.sqrt();
            // A length that overflows leaves a quotient of zero.
            let passed = if least > 0.0 && before[l].is_finite() { moved / least } else { f64::INFINITY };
            COVER * (passed + (0.25 * d + 8.0) * N::EPS * d.sqrt()) + TINY
        });
        (Column { x: normed.out, radius }, Lanes::splat(COVER * (d + 1.0).sqrt()))
    }
}

/// Angles of all positions, and whether they are as exact as [`Wide::EPS`](Number::EPS) asks for.
fn turns(theta: f64, dim: usize, n: u32) -> (Vec<Turns>, bool) {
    let mut exact = true;
    let mut part = |x| {
        let (parts, error) = nearest::<4>(x);
        exact &= error <= Wide::EPS;
        parts
    };
    let all = rotation::<4>(theta, dim, 0..n);
    let turns = all
        .into_iter()
        .map(|pairs| pairs.into_iter().map(|(sin, cos)| [part(sin), part(cos)]).collect::<Turns>());
    let turns = turns.collect();
    (turns, exact)
}

#[cfg(test)]
mod tests;
