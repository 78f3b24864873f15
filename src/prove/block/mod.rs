//! The block prover: universal theorems through one transformer block or two, whatever the free positions hold.
//!
//! For a one-block model (attention + MLP) it proves "no prefix of at most N tokens drives token t above p" over all
//! `|V|^N` prefixes at once, or over those of a language: of each length it speaks of the product of the tokens that each
//! position may hold, which is the language itself where that is a suffix behind free tokens, or a template. [`network`] folds
//! the model into tables, [`hull`] is the exact attention oracle, `neuron` the least share of a neuron, [`dual`] the lower bound on a
//! counterexample's margin, [`piece`] the planes above it, [`ascent`] maximises it with them, [`sound`] evaluates it with outward
//! rounding, and [`tree`] branches where one bound does not suffice, also on what free positions hold (`slot`). `directions` adds
//! arguments without neurons, whose ranges narrow what quadratic forms know of the residual. Through several blocks all of this
//! is about the last MLP, and hulls of what it reads come from enclosures of what lower blocks leave (`deep`).

pub mod ascent;
mod bundle;
mod deep;
pub mod direction;
mod directions;
pub mod dual;
mod far;
pub mod functional;
pub mod hull;
mod narrow;
pub mod network;
mod neuron;
pub mod piece;
mod point;
mod refine;
pub mod scale;
mod simplex;
mod slot;
pub mod sound;
mod sphere;
pub mod tree;
mod weights;

use std::sync::Arc;

use rayon::prelude::*;

use crate::limits::Limits;
use crate::model::{Layer, MlpKind, Model};
use crate::num::Interval;
use crate::spec::language::{Automaton, Language, LanguageError, Slice, TokenSet};
use deep::{Stack, Tables};
use direction::Columns;
use hull::{Free, Hull};
use narrow::Reach;
use network::Network;

pub use network::NotApplicable;
pub use refine::{prove_at, prove_claim};

/// A finished proof: the tree and the interval of ρ at its root.
#[derive(Debug, Clone)]
pub struct BlockProof {
    /// Range of ρ over every prefix.
    pub rho: (f64, f64),
    /// Directions whose ranges it uses, `[few, width]`, in the certificate's unit.
    pub directions: Vec<Vec<i64>>,
    /// The closed tree.
    pub root: tree::Proof,
}

/// Lengths of prefixes that a statement speaks of, both at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Shortest prefix.
    pub shortest: usize,
    /// Longest prefix.
    pub longest: usize,
}

/// A model prepared for the block prover: what does not depend on the query.
pub struct Block {
    /// The folded network.
    pub network: Network,
    /// The model itself, for what is evaluated prefix by prefix.
    model: Model,
    columns: Columns,
    /// One per length that there are prefixes of: the hull over all last tokens.
    cells: Vec<RootCell>,
    /// Range of ρ over every prefix.
    pub rho: (f64, f64),
    /// The part of it that holds none.
    far: Option<far::Far>,
}

/// The hull of all last tokens of one length and its neuron ranges.
struct RootCell {
    hull: Arc<Hull>,
    reach: Arc<Reach>,
}

impl Block {
    /// Whether the layers are of the kind that [`Block::within`] folds, as far as a glance can tell.
    #[must_use]
    pub fn covers(model: &Model) -> bool {
        Block::covers_layers(&model.body.layers)
    }

    /// The same of the layers alone.
    #[must_use]
    pub fn covers_layers(layers: &[Layer]) -> bool {
        match layers {
            [Layer::Attention(_), Layer::Mlp(_)] => true,
            [Layer::Attention(_), Layer::Mlp(lower), Layer::Attention(_), Layer::Mlp(_)] => {
                matches!(lower.kind, MlpKind::Plain { .. })
            }
            _ => false,
        }
    }

    /// Folds the model and prepares the root of every search, for every prefix that fits into the context.
    ///
    /// # Errors
    /// When the prover does not cover the model's architecture.
    pub fn new(model: &Model) -> Result<Block, NotApplicable> {
        let network = Network::new(model)?;
        let tokens: Vec<usize> = (0..network.vocab).collect();
        let any = |length: usize| (Free::any(&network, length - 1), tokens.clone());
        let roots = (1..=network.context).map(any).collect();
        Ok(Block::rooted(model, network, roots))
    }

    /// The prefixes of a language that the prover speaks of: the same, or all prefixes where a checker would take long to find the
    /// tokens of each position.
    ///
    /// # Errors
    /// A language that cannot be compiled.
    pub fn outline(language: &Language, vocab: usize, context: usize) -> Result<Automaton, LanguageError> {
        /// Steps of the checker, far below what it is ready to take.
        const MOST: f64 = 2e8;
        Automaton::new(if language.effort(context) <= MOST { language } else { &Language::Any }, vocab)
    }

    /// The same for the prefixes of a language of at most `longest` tokens: of each length, for the product of the tokens
    /// that its prefixes hold at each position. Through one block, or through two if it ends within limits.
    ///
    /// # Errors
    /// As [`Block::new`], and for two blocks when there are too many tokens to enclose what each of them leaves at each position.
    pub fn within(
        model: &Model,
        language: &Automaton,
        longest: usize,
        limits: &Limits,
    ) -> Result<Block, NotApplicable> {
        if model.body.layers.len() > 2 {
            return match Block::through(model, language, longest, limits)? {
                (block, true) => Ok(block),
                (_, false) => {
                    Err(NotApplicable("it covers two blocks, the lower one with plain neurons".into()))
                }
            };
        }
        let network = Network::new(model)?;
        let root = |mut held: Vec<Vec<usize>>| held.pop().map(|last| (Free::new(held), last));
        let longest = longest.min(network.context);
        let roots = held(language, longest).into_iter().filter_map(root).collect();
        Ok(Block::rooted(model, network, roots))
    }

    /// Why the prover has nothing to say about the several blocks of a model, if so.
    #[must_use]
    pub fn refuses_several(model: &Model) -> Option<NotApplicable> {
        Stack::glance(model).err()
    }

    /// Whether a model has blocks that the prover goes through, and no checker does.
    #[must_use]
    pub fn is_only_for_deep(model: &Model) -> bool {
        model.body.layers.len() > 2 && !Block::covers(model) && Block::refuses_several(model).is_none()
    }

    /// Whether [`Block::within`] or [`Block::through`] has something to say, as far as that can be told without work.
    #[must_use]
    pub fn speaks_of(model: &Model, language: &Automaton, longest: usize) -> bool {
        let several = || {
            let covers = |(stack, _): (Arc<Stack>, Network)| stack.covers(counts(language, longest)).is_ok();
            Stack::new(model).is_ok_and(covers)
        };
        if model.body.layers.len() > 2 { several() } else { Block::covers(model) }
    }

    /// The same through any number of blocks greater than one, and whether a checker covers them too.
    ///
    /// # Errors
    /// As [`Block::within`].
    pub fn through(
        model: &Model,
        language: &Automaton,
        longest: usize,
        limits: &Limits,
    ) -> Result<(Block, bool), NotApplicable> {
        let (stack, network) = Stack::new(model)?;
        let columns = Columns::new(&network);
        let mut block =
            Block { network, model: model.clone(), columns, cells: Vec::new(), rho: (0.0, 0.0), far: None };
        let longest = longest.min(block.network.context);
        stack.covers(counts(language, longest))?;
        let mut all = held(language, longest);
        // What holds for the longest prefixes holds for their beginnings.
        all.sort_by_key(|held| std::cmp::Reverse(held.len()));
        let mut known: Vec<Arc<Tables>> = Vec::new();
        for held in all {
            let tables = match known.iter().find(|tables| tables.cover(&held)) {
                Some(tables) => tables.clone(),
                None => Tables::new(&stack, stack.top(), &held, limits)?,
            };
            known.push(tables.clone());
            let Some((last, free)) = held.split_last() else { continue };
            let free = Arc::new(Free::new(free.to_vec()));
            let cell = |&token: &usize| {
                let hull = Hull::deep(&stack, stack.top(), &tables, &free, token);
                let reach = Arc::new(block.reach_of(&hull));
                RootCell { hull: Arc::new(hull), reach }
            };
            let cells: Vec<RootCell> = last.par_iter().map(cell).collect();
            block.cells.extend(cells);
        }
        block.rho = block.rho_range();
        block.far = far::Far::new(&block);
        Ok((block, stack.is_checkable()))
    }

    /// Whether it tells of several blocks.
    #[must_use]
    pub fn is_deep(&self) -> bool {
        self.cells.iter().any(|cell| cell.hull.deep.is_some())
    }

    /// For what the free positions and the last one may hold, by length.
    fn rooted(model: &Model, network: Network, roots: Vec<(Free, Vec<usize>)>) -> Block {
        let columns = Columns::new(&network);
        let model = model.clone();
        let mut block = Block { network, model, columns, cells: Vec::new(), rho: (0.0, 0.0), far: None };
        block.cells = roots
            .into_par_iter()
            .map(|(free, last)| {
                let hull = Hull::new(&block.network, Arc::new(free), &last);
                let reach = block.reach_of(&hull);
                RootCell { hull: Arc::new(hull), reach: Arc::new(reach) }
            })
            .collect();
        block.rho = block.rho_range();
        block.far = far::Far::new(&block);
        block
    }

    /// A proof whose tree was found with this block.
    #[must_use]
    pub fn proof(&self, root: tree::Proof) -> BlockProof {
        BlockProof { rho: self.rho, directions: self.network.directions.clone(), root }
    }

    /// The hulls that every search starts from, one for each length that there are prefixes of.
    pub fn roots(&self) -> impl Iterator<Item = &Hull> {
        self.cells.iter().map(|cell| cell.hull.as_ref())
    }

    /// What attention can do over a hull.
    fn reach_of(&self, hull: &Hull) -> Reach {
        Reach::new(&self.network, &self.columns, hull)
    }

    /// Encloses ρ over every prefix.
    fn rho_range(&self) -> (f64, f64) {
        let residual =
            |cell: &RootCell| cell.reach.residual(&self.network, cell.hull.length, &cell.hull.tokens);
        let square = |cell: &RootCell| narrow::square(&residual(cell));
        let largest = self.cells.iter().map(|cell| square(cell).hi()).fold(0.0, f64::max);
        let allowed = narrow::rho(&self.network, Interval::new(0.0, largest));
        // A millionth of room for the checker's own roundings; certificates hold multiples of 2^−20.
        (unit_floor(allowed.lo() * (1.0 - 1e-6)), unit_ceil(allowed.hi() * (1.0 + 1e-6)))
    }
}

/// For each length that a language has prefixes of, at most `longest`, the tokens that these hold at each position.
fn held(language: &Automaton, longest: usize) -> Vec<Vec<Vec<usize>>> {
    let tokens = |set: &TokenSet| set.ids().map(|id| id as usize).collect::<Vec<usize>>();
    let slices = language.lengths(longest).into_iter().filter_map(|length| language.slice(length));
    slices.map(|slice: Slice| slice.sets().iter().map(tokens).collect()).collect()
}

/// How many tokens these are, one length after another.
fn counts(language: &Automaton, longest: usize) -> impl Iterator<Item = Vec<usize>> + '_ {
    let slices = language.lengths(longest).into_iter().filter_map(|length| language.slice(length));
    slices.map(|slice: Slice| slice.sets().iter().map(|set| set.ids().count()).collect())
}

/// Largest multiple of the certificate's unit at or below `x`; exact for the sizes of ρ.
fn unit_floor(x: f64) -> f64 {
    (x * UNITS).floor() / UNITS
}

/// Smallest multiple of the certificate's unit at or above `x`.
fn unit_ceil(x: f64) -> f64 {
    (x * UNITS).ceil() / UNITS
}

/// Units of a certificate's numbers in one.
const UNITS: f64 = (1u32 << sound::SHIFT) as f64;
