//! The network over affine forms: one form for every alternative of every position, token by token from left to right.
//!
//! A position with one alternative shares its symbols with all that read it. Where a position has several, each of them is
//! enclosed on its own, whatever the tokens before it are, and what attention makes of them is the exact range of a
//! softmax-weighted sum over their scores and values ([`Weights`]). Positions that hold one known token are computed once
//! ([`Known`]) and only their keys and values kept, without symbols.

use rayon::prelude::*;

use super::form::{Form, Source, Symbols};
use super::network::{Heads, Network, Neurons, Step};
use super::softmax::Weights;
use crate::model::TokenId;
use crate::num::Interval;

/// Keys and values of one alternative in one attention layer, one per key/value head.
type Sources = Vec<Source>;

/// Keys and values of known tokens.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub(super) tokens: Vec<TokenId>,
    /// Per attention layer and position.
    layers: Vec<Vec<Sources>>,
}

/// What becomes of remainders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Each gets symbols: tight.
    Symbols,
    /// The residuals of a layer are boxed again: fast, for remainders no larger than roundings.
    Boxes,
}

/// One alternative at one position on its way through the layers.
struct Cell {
    position: usize,
    residual: Form,
}

impl Known {
    /// The tokens.
    #[must_use]
    pub fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    /// The same with one more token.
    #[must_use]
    pub fn extended(&self, network: &Network, token: TokenId) -> Known {
        let position = self.tokens.len();
        let columns = vec![vec![network.embedding(position, token)]];
        let run = Run { network, known: self, detail: Detail::Boxes };
        let mut layers = Vec::new();
        let _ = run.forward(columns, |mut cells: Vec<Vec<Sources>>| {
            let own = cells.pop().and_then(|mut column| column.pop()).expect("one position, one alternative");
            layers.push(own.iter().map(Source::forget).collect::<Sources>());
        });
        let mut known = self.clone();
        known.tokens.push(token);
        known.layers.resize(layers.len(), Vec::new());
        known.layers.iter_mut().zip(layers).for_each(|(layer, own)| layer.push(own));
        known
    }
}

/// Final residuals of all alternatives of the last position. `columns` holds the embeddings of all alternatives of the
/// positions after the known ones, at least one of each.
pub(super) fn residuals(
    network: &Network,
    known: &Known,
    columns: Vec<Vec<Form>>,
    detail: Detail,
) -> Vec<Form> {
    Run { network, known, detail }.forward(columns, |_| ())
}

struct Run<'a> {
    network: &'a Network,
    known: &'a Known,
    detail: Detail,
}

impl Run<'_> {
    /// Runs all layers; `see` gets the keys and values of every attention layer, by position and alternative.
    fn forward(&self, columns: Vec<Vec<Form>>, mut see: impl FnMut(Vec<Vec<Sources>>)) -> Vec<Form> {
        let first = self.known.tokens.len();
        let n_positions = columns.len();
        let mut cells: Vec<Cell> = columns
            .into_iter()
            .enumerate()
            .flat_map(|(i, forms)| {
                forms.into_iter().map(move |residual| Cell { position: first + i, residual })
            })
            .collect();
        let last_attention = self.network.steps.iter().rposition(|step| step.heads().is_some());
        let mut nth = 0;
        for (i, step) in self.network.steps.iter().enumerate() {
            let phase = 4 * i as u64 + 1;
            let (heads, beside) = match step {
                Step::Mlp(neurons) => {
                    let fire = |(n, cell): (usize, Cell)| {
                        let added = self.fire(neurons, &cell, supply(phase, n));
                        self.step(cell, &added, &mut supply(phase + 1, n))
                    };
                    cells = cells.into_par_iter().enumerate().map(fire).collect();
                    continue;
                }
                Step::Attention(heads) => (heads.as_ref(), None),
                Step::Parallel(both) => (&both.0, Some(&both.1)),
            };
            let inputs = self.each(&cells, phase, |cell, symbols| normalised(heads, cell, symbols));
            let sources = self.each_pair(&cells, &inputs, phase + 1, |cell, z, symbols| {
                self.sources(heads, cell, z, symbols)
            });
            let mut table: Vec<Vec<Sources>> = vec![Vec::new(); n_positions];
            for (cell, own) in cells.iter().zip(sources) {
                table[cell.position - first].push(own);
            }
            // Nothing after the last attention reads any position but the last.
            let mut queries: Vec<(Cell, Form)> = cells.into_iter().zip(inputs).collect();
            if Some(i) == last_attention {
                queries.retain(|(cell, _)| cell.position + 1 == first + n_positions);
            }
            let before = self.known.layers.get(nth).map_or(&[][..], Vec::as_slice);
            // Which alternative of its position a cell is.
            let mut index = vec![0usize; n_positions];
            let numbered: Vec<(usize, Cell, Form)> = queries
                .into_iter()
                .map(|(cell, z)| {
                    let own = &mut index[cell.position - first];
                    *own += 1;
                    (*own - 1, cell, z)
                })
                .collect();
            cells = numbered
                .into_par_iter()
                .enumerate()
                .map(|(n, (own, cell, z))| {
                    let beside = beside.map(|neurons| self.fire(neurons, &cell, supply(phase + 2, n)));
                    let mut symbols = supply(phase + 3, n);
                    let mixed = self.attend(heads, before, &table, &cell, (own, &z), &mut symbols);
                    let added = match self.detail {
                        Detail::Symbols => mixed.map_absorbing(&heads.output, &mut symbols),
                        Detail::Boxes => mixed.map(&heads.output),
                    };
                    let added = beside.iter().fold(added, |sum, beside| sum.plus(beside));
                    self.step(cell, &added, &mut symbols)
                })
                .collect();
            see(table);
            nth += 1;
        }
        let last = first + n_positions - 1;
        cells.into_iter().filter(|cell| cell.position == last).map(|cell| cell.residual).collect()
    }

    fn each<T: Send>(
        &self,
        cells: &[Cell],
        phase: u64,
        f: impl Fn(&Cell, &mut Symbols) -> T + Sync,
    ) -> Vec<T> {
        cells.par_iter().enumerate().map(|(n, cell)| f(cell, &mut supply(phase, n))).collect()
    }

    fn each_pair<T: Send>(
        &self,
        cells: &[Cell],
        inputs: &[Form],
        phase: u64,
        f: impl Fn(&Cell, &Form, &mut Symbols) -> T + Sync,
    ) -> Vec<T> {
        let pairs = cells.par_iter().zip(inputs).enumerate();
        pairs.map(|(n, (cell, z))| f(cell, z, &mut supply(phase, n))).collect()
    }

    /// What neurons add to a residual.
    fn fire(&self, neurons: &Neurons, cell: &Cell, mut symbols: Symbols) -> Form {
        neurons.apply(&cell.residual, &mut symbols, self.detail == Detail::Symbols)
    }

    fn step(&self, cell: Cell, added: &Form, symbols: &mut Symbols) -> Cell {
        let residual = cell.residual.plus(added);
        let residual = match self.detail {
            Detail::Symbols => residual.absorb(symbols),
            Detail::Boxes => residual.forget().absorb(symbols),
        };
        Cell { residual, ..cell }
    }

    fn sources(&self, heads: &Heads, cell: &Cell, z: &Form, symbols: &mut Symbols) -> Sources {
        let keys = heads.key.apply(z, symbols);
        let keys = self.network.rotate(keys, cell.position, heads.head_dim);
        let values = z.map(&heads.value);
        let of_head = |h: usize| {
            let (first, last) = (h * heads.head_dim, (h + 1) * heads.head_dim);
            Source { key: keys.slice(first, last), value: values.slice(first, last) }
        };
        (0..heads.n_kv_heads).map(of_head).collect()
    }

    /// Outputs of all heads for one query, `[n_heads · head_dim]`.
    fn attend(
        &self,
        heads: &Heads,
        before: &[Sources],
        table: &[Vec<Sources>],
        cell: &Cell,
        (own, z): (usize, &Form),
        symbols: &mut Symbols,
    ) -> Form {
        let first = self.known.tokens.len();
        let query = heads.query.apply(z, symbols);
        let query = self.network.rotate(query, cell.position, heads.head_dim);
        let earlier = &table[..cell.position - first];
        let own = &table[cell.position - first][own];
        let shared = earlier.iter().all(|column| column.len() == 1);
        let mut of_head = |h: usize| {
            let query = query.slice(h * heads.head_dim, (h + 1) * heads.head_dim);
            let kv = heads.source(h);
            let known = before.iter().map(|sources| &sources[kv]);
            if shared {
                let free = earlier.iter().map(|column| &column[0][kv]);
                let sources: Vec<&Source> = known.chain(free).chain([&own[kv]]).collect();
                return query.attend(&sources, heads.scale, symbols);
            }
            let columns: Vec<Vec<&Source>> = known
                .map(|source| vec![source])
                .chain(earlier.iter().map(|column| column.iter().map(|s| &s[kv]).collect()))
                .chain([vec![&own[kv]]])
                .collect();
            attend_alternatives(&query, &columns, heads.scale)
        };
        Form::join(&(0..heads.n_heads).map(&mut of_head).collect::<Vec<_>>())
    }
}

/// One head's output where positions have alternatives: a box.
fn attend_alternatives(query: &Form, columns: &[Vec<&Source>], scale: Interval) -> Form {
    let score = |source: &&Source| query.score(&source.key, scale);
    let scores: Vec<Vec<Interval>> =
        columns.iter().map(|column| column.iter().map(score).collect()).collect();
    let weights = Weights::new(scores.iter().map(Vec::as_slice));
    let values: Vec<Vec<Interval>> = columns.iter().flatten().map(|source| source.value.ranges()).collect();
    let entry = |i: usize| {
        let of_entry: Vec<Interval> = values.iter().map(|v| v[i]).collect();
        weights.mean(&of_entry)
    };
    let width = values.first().map_or(0, Vec::len);
    Form::of_intervals(&(0..width).map(entry).collect::<Vec<_>>())
}

fn normalised(heads: &Heads, cell: &Cell, symbols: &mut Symbols) -> Form {
    match heads.norm {
        Some(norm) => {
            // A choice of tokens stays one: each of them is normalised on its own.
            let each = cell.residual.each_alternative(|x| {
                let mut own = Symbols::default();
                norm.apply(&x, &mut own).into_form(&mut own).forget()
            });
            let z = each.unwrap_or_else(|| norm.apply(&cell.residual, symbols).into_form(symbols));
            z.absorb(symbols)
        }
        None => cell.residual.clone(),
    }
}

/// Symbols of the `n`-th cell in a phase.
fn supply(phase: u64, n: usize) -> Symbols {
    Symbols::supply(phase << 20 | n as u64)
}
