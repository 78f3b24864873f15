//! The network over affine forms: one form for every alternative of every position, token by token from left to right.
//!
//! A position with one alternative shares its symbols with all that read it. Where a position has several, each of them is
//! enclosed on its own, whatever the tokens before it are, and what attention makes of them is the exact range of a
//! softmax-weighted sum over their scores and values ([`Weights`]). Positions that hold one known token are evaluated once
//! ([`Known`]), and only their keys and values kept, without symbols.

use rayon::prelude::*;

use super::form::{Form, Source, Symbols, worse};
use super::network::{Heads, Network, Step};
use super::softmax::Weights;
use crate::model::TokenId;
use crate::model::rigorous::batch::Packet;
use crate::num::Interval;
use crate::num::wide::{LANES, Lanes, Number, Wide};

/// Keys and values of one alternative in one attention layer, one per key/value head.
type Sources = Vec<Source>;

/// Keys and values of known tokens.
#[derive(Debug, Clone)]
pub struct Known {
    pub(super) tokens: Vec<TokenId>,
    /// Per attention layer and position.
    layers: Vec<Vec<Sources>>,
}

/// Radius of a key or a value above which floats are not enough.
const FINE: f64 = 1e-8;

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

    /// Evaluates them: in floats, or with more digits where these know too little.
    pub(super) fn new(network: &Network<'_>, tokens: &[TokenId]) -> Known {
        let (layers, radius) = evaluated::<Lanes>(network, tokens);
        let layers = if radius <= FINE { layers } else { evaluated::<Wide>(network, tokens).0 };
        Known { tokens: tokens.to_vec(), layers }
    }
}

/// Keys and values of known tokens, and the largest radius of any.
fn evaluated<N: Number>(network: &Network<'_>, tokens: &[TokenId]) -> (Vec<Vec<Sources>>, f64) {
    let (mut packet, mut layers, mut largest) = (Packet::<N>::default(), Vec::new(), 0.0f64);
    for &token in tokens {
        // Nobody asks for logits here, and the sixteen prefixes are the same.
        let _ = network.exact.extend(&mut packet, [token; LANES], false);
        let own = packet.last();
        layers.resize(own.len(), Vec::new());
        for (layer, cell) in layers.iter_mut().zip(own) {
            let mut form = |(mid, radius): (Vec<f64>, f64)| {
                largest = worse(largest, radius);
                let err = vec![radius; mid.len()];
                Form::enclosed(mid, err)
            };
            let source = |[key, value]: [(Vec<f64>, f64); 2]| Source { key: form(key), value: form(value) };
            layer.push(cell.rounded().sources(0).map(source).collect::<Sources>());
        }
    }
    (layers, largest)
}

/// Final residuals of all alternatives of the last position. `columns` holds the embeddings of all alternatives of the
/// positions after the known ones, at least one of each.
pub(super) fn residuals(network: &Network<'_>, known: &Known, columns: Vec<Vec<Form>>) -> Vec<Form> {
    Run { network, known }.forward(columns)
}

struct Run<'a> {
    network: &'a Network<'a>,
    known: &'a Known,
}

impl Run<'_> {
    fn forward(&self, columns: Vec<Vec<Form>>) -> Vec<Form> {
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
                        let added = neurons.apply(&cell.residual, &mut supply(phase, n));
                        advanced(cell, &added, &mut supply(phase + 1, n))
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
                    let beside =
                        beside.map(|neurons| neurons.apply(&cell.residual, &mut supply(phase + 2, n)));
                    let mut symbols = supply(phase + 3, n);
                    let mixed = self.attend(heads, before, &table, &cell, (own, &z), &mut symbols);
                    let added = mixed.map_absorbing(&heads.output, &mut symbols);
                    let added = beside.iter().fold(added, |sum, beside| sum.plus(beside));
                    advanced(cell, &added, &mut symbols)
                })
                .collect();
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

/// The residual after a layer.
fn advanced(cell: Cell, added: &Form, symbols: &mut Symbols) -> Cell {
    Cell { residual: cell.residual.plus(added).absorb(symbols), ..cell }
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
