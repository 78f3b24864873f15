//! Residuals through several blocks: hulls whose tables are enclosures.
//!
//! Before the MLP of an upper block the residual of the last position is `r = R + b + Σ_h o_h`, where `R` is what the block below
//! left there ([`After`]) and `o_h` a mixture of values. A value is read from the residual that the block below left at its
//! own position, which is enclosed for each token there and whatever comes before ([`Tables`]), and so are scores. Therefore
//!
//! ```text
//! min D·r >= min D·R + D·b + Σ_h min D·o_h
//! ```
//!
//! where each minimum over mixtures is the attention oracle's with intervals, and that of `R` falls back on the hull of the block
//! below. A hull here speaks of one last token: what the block below leaves differs too much between tokens.

mod after;
mod normed;
mod reader;
mod tables;

use std::sync::Arc;

use super::direction::{Columns, Direction};
use super::hull::{Free, Hull};
use super::network::{Network, NotApplicable, Place};
use super::weights::HeadWeights;
use crate::model::{Attention, Layer, Mlp, Model, Norm, Positions};
use crate::num::{BallVec, Interval};

pub(super) use after::After;
use normed::Normed;
use reader::Reader;
pub(super) use tables::Tables;

/// Most last tokens, of all lengths together: each has a hull of its own.
const MOST_PAIRS: usize = 64;
/// Most blocks: a functional through n of them takes 2^n of the first.
const MOST_BLOCKS: usize = 4;
/// Most numbers of the first block's tables.
const MOST_ENTRIES: usize = 1 << 25;
/// Most products of two numbers, roughly, that tables may take.
const MOST_WORK: f64 = 1e11;

/// The blocks of a model below its last MLP.
#[derive(Debug)]
pub(super) struct Stack {
    /// Attention and MLP of all blocks but the last.
    floors: Vec<Floor>,
    /// Attention of all blocks but the first.
    readers: Vec<Reader>,
    positions: Positions,
}

/// A lower block.
#[derive(Debug)]
struct Floor {
    network: Network,
    /// Its values, where tables of tokens hold them.
    columns: Columns,
}

/// What a hull of an upper block has beside the weights of its heads.
#[derive(Debug)]
pub struct Deep {
    stack: Arc<Stack>,
    /// The block, from one.
    level: usize,
    tables: Arc<Tables>,
    /// What the block below leaves at the last position.
    under: After,
}

impl Stack {
    /// The blocks of a model that [`Stack::new`] may fold, as far as a glance can tell.
    ///
    /// # Errors
    /// Names the first property of the model that is not covered.
    pub fn glance(model: &Model) -> Result<Vec<(&Attention, &Mlp)>, NotApplicable> {
        let refuse = |why: &str| Err(NotApplicable(why.to_string()));
        let (pairs, rest) = model.body.layers.as_chunks::<2>();
        let mut blocks = Vec::new();
        for pair in pairs {
            let [Layer::Attention(attention), Layer::Mlp(mlp)] = pair else {
                return refuse("it covers blocks of one attention layer and one MLP");
            };
            if attention.head_norms.is_some() {
                return refuse("norms of query and key heads are not covered");
            }
            let norms = [&attention.norm, &mlp.norm, &model.head.norm];
            let kinds = norms.map(|norm| norm.as_ref().map(|norm| matches!(norm, Norm::Layer { .. })));
            if kinds[0].is_none() || kinds.iter().any(|kind| *kind != kinds[0]) {
                return refuse("it needs norms of one kind before each layer and before the head");
            }
            blocks.push((attention, mlp));
        }
        if !rest.is_empty() || !(2..=MOST_BLOCKS).contains(&blocks.len()) {
            return refuse("it covers a few blocks of one attention layer and one MLP");
        }
        let of_pair = (2 + blocks[0].0.n_heads) * model.head.width();
        if (model.context * model.head.vocab_size()).saturating_mul(of_pair) > MOST_ENTRIES {
            return refuse("the tables of its tokens at all positions would be too large");
        }
        Ok(blocks)
    }

    /// Folds a model of two or more blocks: what is below, and the network of the last MLP and the head.
    ///
    /// # Errors
    /// As [`Stack::glance`], and where weights are out of range.
    pub fn new(model: &Model) -> Result<(Arc<Stack>, Network), NotApplicable> {
        let refuse = |why: &str| NotApplicable(why.to_string());
        let blocks = Stack::glance(model)?;
        let [first, upper @ .., last] = blocks.as_slice() else {
            return Err(refuse("there is no block below the last one"));
        };
        let network = Network::of(model, last.0, last.1, Place::Upper)?;
        let mut floors = vec![Floor::new(Network::of(model, first.0, first.1, Place::First)?)];
        for block in upper {
            floors.push(Floor::new(Network::of(model, block.0, block.1, Place::Upper)?));
        }
        let readers = upper.iter().chain([last]).map(|block| Reader::new(block.0, network.centred));
        let readers = readers.collect::<Option<Vec<_>>>();
        let readers = readers.ok_or_else(|| refuse("it needs a norm before each attention layer"))?;
        Ok((Arc::new(Stack { floors, readers, positions: model.body.positions.clone() }), network))
    }

    /// Whether a checker follows: through two blocks, with plain neurons in the lower one.
    pub fn is_checkable(&self) -> bool {
        matches!(self.floors.as_slice(), [only] if !only.network.gated)
    }

    /// The last block's number, from zero.
    pub fn top(&self) -> usize {
        self.floors.len()
    }

    /// Whether prefixes with so many tokens at each position, of each of some lengths, can be gone through at all.
    ///
    /// # Errors
    /// Names what there is too much of.
    pub fn covers(&self, all: impl Iterator<Item = Vec<usize>>) -> Result<(), NotApplicable> {
        let mut pairs = 0;
        for counts in all {
            pairs += counts.last().copied().unwrap_or_default();
            if pairs > MOST_PAIRS {
                let most = format!("at most {MOST_PAIRS} last tokens");
                return Err(NotApplicable(format!("through several blocks it covers languages with {most}")));
            }
            if self.work(self.top(), &counts) > MOST_WORK {
                let why = "too many tokens at too many positions to go through several blocks";
                return Err(NotApplicable(why.into()));
            }
        }
        Ok(())
    }

    /// How many products of two numbers tables for the block at `level` take, roughly: as many bounds of functionals for each token
    /// at each position as neurons and entries of keys and values ask for, each of which reads what comes before.
    fn work(&self, level: usize, counts: &[usize]) -> f64 {
        let network = self.floor(level - 1);
        let (heads, dim) = self.reader(level).shape();
        let functionals = 2 * network.arguments() + 8 * network.width + 4 * heads * dim;
        let mut before = 0;
        let rows = counts.iter().map(|tokens| {
            before += tokens;
            (before * tokens) as f64
        });
        let one = (network.width * network.heads) as f64 * f64::from(1u32 << level.min(20));
        rows.sum::<f64>() * one * functionals as f64
    }

    /// The network of a block below the last.
    fn floor(&self, level: usize) -> &Network {
        &self.floors[level].network
    }

    /// Values of a block below the last, transposed.
    fn columns(&self, level: usize) -> &Columns {
        &self.floors[level].columns
    }

    /// Attention of a block above the first.
    fn reader(&self, level: usize) -> &Reader {
        &self.readers[level - 1]
    }

    /// Angles of a position.
    fn angles(&self, position: usize) -> Vec<(Interval, Interval)> {
        match self.positions {
            Positions::Rotary { theta, dim } => crate::num::turns(theta, dim, position),
            Positions::Learned(_) | Positions::None => Vec::new(),
        }
    }

    /// The hull of a block for one last token, given the tables of it and of those below.
    fn hull(
        self: &Arc<Stack>,
        level: usize,
        tables: Option<&Arc<Tables>>,
        free: &Arc<Free>,
        token: usize,
    ) -> Hull {
        match tables {
            Some(tables) if level > 0 => Hull::deep(self, level, tables, free, token),
            _ => Hull::new(self.floor(0), free.clone(), &[token]),
        }
    }
}

impl Floor {
    fn new(network: Network) -> Floor {
        let columns = Columns::new(&network);
        Floor { network, columns }
    }
}

impl Hull {
    /// The hull of an upper block for every prefix that ends in `token`.
    pub(super) fn deep(
        stack: &Arc<Stack>,
        level: usize,
        tables: &Arc<Tables>,
        free: &Arc<Free>,
        token: usize,
    ) -> Hull {
        let below = stack.hull(level - 1, tables.below.as_ref(), free, token);
        let length = below.length;
        let under = After::new(stack, level - 1, below);
        let queries = stack.reader(level).queries(&under, &stack.angles(length - 1));
        let vocab = stack.floor(0).vocab;
        let rows: Vec<usize> = free.rows(vocab).collect();
        let own = (length - 1) * vocab + token;
        let weights = |(h, query): (usize, &Vec<Interval>)| {
            let score = |row: usize| tables.score(h, row, token, query);
            let scores: Vec<Interval> = rows.iter().map(|&row| score(row)).collect();
            HeadWeights::of_scores(&scores, score(own))
        };
        let heads = queries.iter().enumerate().map(weights).collect();
        let deep = Deep { stack: stack.clone(), level, tables: tables.clone(), under };
        Hull { length, tokens: vec![token], free: free.clone(), heads, deep: Some(Arc::new(deep)) }
    }
}

impl Deep {
    /// The same for fewer prefixes.
    pub fn narrowed(&self, free: &Arc<Free>, token: usize) -> Hull {
        Hull::deep(&self.stack, self.level, &self.tables, free, token)
    }

    /// Fills a table with the least `D·value` of every head, position and token.
    pub fn aim(&self, direction: &[f64], table: &mut Direction, hull: &Hull) {
        let reader = self.stack.reader(self.level);
        table.whole = direction.to_vec();
        table.along = reader.along(direction);
        table.r.resize(table.along.len(), Vec::new());
        for ((head, along), r) in table.along.iter().enumerate().zip(&mut table.r) {
            self.tables.combine(head, along, r, hull);
        }
    }

    /// Adds a share of what makes `D·value` least at a row.
    pub fn add_value(&self, table: &Direction, head: usize, row: usize, share: f64, out: &mut [f64]) {
        let value = self.tables.least_value(head, row, &table.along[head]);
        self.stack.reader(self.level).add_output(head, &value, share, out);
    }

    /// The middle of a value after the output projection.
    pub fn value(&self, head: usize, row: usize) -> Vec<f64> {
        let reader = self.stack.reader(self.level);
        let mut out = vec![0.0; self.stack.floor(0).width];
        reader.add_output(head, &self.tables.least_value(head, row, &[]), 1.0, &mut out);
        out
    }

    /// `min D·(R + b)` in floats; adds the minimiser to `out`.
    pub fn rest(&self, table: &mut Direction, out: Option<&mut [f64]>) -> f64 {
        let bias = &self.stack.reader(self.level).bias;
        let (value, point) = self.under.least(&table.whole, &mut table.below);
        for (o, (x, b)) in out.into_iter().flatten().zip(point.iter().zip(&bias.mid)) {
            *o += x + b;
        }
        value + super::dual::dot(&bias.mid, &table.whole)
    }

    /// A proved lower bound on `D·r` over every prefix of `hull`, which this belongs to.
    pub fn proved(&self, hull: &Hull, network: &Network, direction: &BallVec) -> f64 {
        let reader = self.stack.reader(self.level);
        let mut table = Direction::default();
        self.aim(&direction.mid, &mut table, hull);
        let along = reader.proved_along(direction);
        // The table was made of middles that are computed in the same way.
        let errors = along.iter().enumerate().map(|(h, along)| self.tables.error(h, along));
        let attention = hull.proved_heads(network, &table, errors);
        let total = direction.dot(&reader.bias).interval()
            + Interval::point(attention)
            + Interval::point(self.under.proved(direction));
        total.lo()
    }
}
