//! Keys and values of an upper block, enclosed for every position and token, whatever comes before.

use std::sync::Arc;

use rayon::prelude::*;

use super::super::direction::{FEW as SPARSE, combine_columns};
use super::super::hull::{Free, Hull};
use super::super::network::NotApplicable;
use super::reader::{Affine, enclose};
use super::{After, Stack};
use crate::limits::Limits;
use crate::num::{Ball, BallVec, Interval, dot_error, nonnegative_sum};

/// Enclosures over the prefixes of some free positions; rows are `position · vocab + token`.
#[derive(Debug)]
pub(in super::super) struct Tables {
    /// What held where these were made: they hold for whatever holds less.
    held: Vec<Vec<usize>>,
    /// Those of the block below, if it has any.
    pub below: Option<Arc<Tables>>,
    /// Per head, `[rows · head_dim]`.
    keys: Vec<Vec<Interval>>,
    /// For a few last tokens: their queries, and per head and row the products of these with keys.
    asked: Vec<Asked>,
    values: Vec<Values>,
    rows: usize,
    dim: usize,
}

/// Products of one last token's queries with all keys.
#[derive(Debug)]
struct Asked {
    token: usize,
    /// About the middle of its queries, `[heads][head_dim]`.
    queries: Vec<Vec<f64>>,
    /// `[heads][rows]`.
    products: Vec<Vec<Interval>>,
}

/// Values of a head: `m_i ± w_i`.
#[derive(Debug)]
struct Values {
    /// `[2 · head_dim][rows]`: middles, then half widths.
    columns: Vec<f64>,
    /// Greatest `|m_i| + w_i`, `[head_dim]`.
    largest: Vec<f64>,
}

/// What is read at one position from one token.
struct Cell {
    row: usize,
    keys: Vec<Vec<Interval>>,
    values: Vec<Vec<Interval>>,
    /// `[asked][heads]`.
    products: Vec<Vec<Interval>>,
}

/// Most last tokens whose queries are multiplied with all keys.
const FEW: usize = 4;

impl Tables {
    /// For the block at `level`, from one, when each position holds one of these tokens.
    ///
    /// # Errors
    /// If the limits end it.
    pub fn new(
        stack: &Arc<Stack>,
        level: usize,
        held: &[Vec<usize>],
        limits: &Limits,
    ) -> Result<Arc<Tables>, NotApplicable> {
        let below = match level {
            0 | 1 => None,
            _ => Some(Tables::new(stack, level - 1, held, limits)?),
        };
        let reader = stack.reader(level);
        let vocab = stack.floor(0).vocab;
        let positions: Vec<(Arc<Free>, Vec<_>)> = (0..held.len())
            .map(|j| (Arc::new(Free::new(held[..j].to_vec())), reader.keys(&stack.angles(j))))
            .collect();
        let all: Vec<(usize, usize)> =
            held.iter().enumerate().flat_map(|(j, tokens)| tokens.iter().map(move |&v| (j, v))).collect();
        let left = |j: usize, token: usize| {
            After::new(stack, level - 1, stack.hull(level - 1, below.as_ref(), &positions[j].0, token))
        };
        let last = held.len() - 1;
        let few = held[last].iter().filter(|_| level == stack.top() && held[last].len() <= FEW);
        let queries: Vec<(usize, Vec<Vec<f64>>)> = few
            .map(|&token| {
                let queries = reader.queries(&left(last, token), &stack.angles(last));
                (token, queries.iter().map(|q| q.iter().map(|x| x.mid_rad().0).collect()).collect())
            })
            .collect();
        let cell = |&(j, token): &(usize, usize)| -> Option<Cell> {
            if limits.expired() {
                return None;
            }
            let keys = &positions[j].1;
            let after = left(j, token);
            let normed = after.normed();
            let product = |(query, key): (&Vec<f64>, &Vec<Affine>)| {
                let rows = key.iter().map(|(row, _)| row.mid.as_slice());
                let rad = key.iter().map(|(row, _)| row.rad).fold(0.0, f64::max);
                let functional = BallVec::combine(query, rows, rad, stack.floor(0).width);
                let constant: Interval = key.iter().zip(query).map(|((_, c), q)| *c * *q).sum();
                (functional, constant)
            };
            let products = queries.iter().map(|(_, queries)| {
                let all: Vec<Affine> = queries.iter().zip(keys).map(product).collect();
                enclose(&all, &after, &normed)
            });
            Some(Cell {
                row: j * vocab + token,
                products: products.collect(),
                keys: keys.iter().map(|rows| enclose(rows, &after, &normed)).collect(),
                values: reader.values().map(|rows| enclose(rows, &after, &normed)).collect(),
            })
        };
        let cells: Option<Vec<Cell>> = all.par_iter().map(cell).collect();
        let cells = cells.ok_or_else(|| NotApplicable("the time was too short to prepare it".into()))?;
        let (heads, dim) = reader.shape();
        let rows = held.len() * vocab;
        let empty = || Values { columns: vec![0.0; 2 * dim * rows], largest: vec![0.0; dim] };
        let mut tables = Tables {
            held: held.to_vec(),
            below,
            keys: vec![vec![Interval::ZERO; rows * dim]; heads],
            asked: Vec::new(),
            values: (0..heads).map(|_| empty()).collect(),
            rows,
            dim,
        };
        for (token, queries) in queries {
            tables.asked.push(Asked { token, queries, products: vec![vec![Interval::ZERO; rows]; heads] });
        }
        for Cell { row, keys, values, products } in cells {
            for (asked, products) in tables.asked.iter_mut().zip(products) {
                for (table, product) in asked.products.iter_mut().zip(products) {
                    table[row] = product;
                }
            }
            for (table, key) in tables.keys.iter_mut().zip(keys) {
                table[row * dim..(row + 1) * dim].copy_from_slice(&key);
            }
            for (table, value) in tables.values.iter_mut().zip(values) {
                for (i, x) in value.into_iter().enumerate() {
                    let (mid, rad) = x.mid_rad();
                    table.columns[i * rows + row] = mid;
                    table.columns[(dim + i) * rows + row] = rad;
                    let (size, most) = (nonnegative_sum(mid.abs() + rad), &mut table.largest[i]);
                    // What is not a number stays.
                    if !(size <= *most) && !most.is_nan() {
                        *most = size;
                    }
                }
            }
        }
        Ok(Arc::new(tables))
    }

    /// Whether these speak of all prefixes with such tokens at their positions.
    pub fn cover(&self, held: &[Vec<usize>]) -> bool {
        let within =
            |(own, other): (&Vec<usize>, &Vec<usize>)| other.iter().all(|v| own.binary_search(v).is_ok());
        // Products are those of queries at one position.
        let same = self.asked.is_empty() || held.len() == self.held.len();
        same && held.len() <= self.held.len() && self.held.iter().zip(held).all(within)
    }

    /// Encloses the score of a key for the enclosed query of a last token.
    pub fn score(&self, head: usize, row: usize, token: usize, query: &[Interval]) -> Interval {
        let key = &self.keys[head][row * self.dim..(row + 1) * self.dim];
        let Some(asked) = self.asked.iter().find(|asked| asked.token == token) else {
            return key.iter().zip(query).map(|(k, q)| *k * *q).sum();
        };
        let known = &asked.queries[head];
        let off = key.iter().zip(query).zip(known).map(|((k, q), known)| *k * (*q - Interval::point(*known)));
        asked.products[head][row] + off.sum::<Interval>()
    }

    /// The least `Σ_i a_i value_i` at every row that a hull may read, in floats.
    pub fn combine(&self, head: usize, along: &[f64], out: &mut Vec<f64>, hull: &Hull) {
        let weights: Vec<f64> = along.iter().copied().chain(along.iter().map(|a| -a.abs())).collect();
        out.resize(self.rows, 0.0);
        let (columns, vocab) = (&self.values[head].columns, self.rows / self.held.len().max(1));
        for (j, held) in hull.held().enumerate() {
            let start = j * vocab;
            if SPARSE * held.len() >= vocab {
                let out = &mut out[start..start + vocab];
                combine_columns(&mut [out], &columns[start..], self.rows, &[&weights]);
            } else {
                for row in held.iter().map(|v| start + v) {
                    out[row] =
                        weights.iter().enumerate().map(|(k, w)| w * columns[k * self.rows + row]).sum();
                }
            }
        }
    }

    /// How far a row of [`Tables::combine`] may be above the least value for weights in these balls, around the floats that it was
    /// given, and a bound on the size of rows.
    pub fn error(&self, head: usize, along: &[Ball]) -> [f64; 2] {
        let largest = &self.values[head].largest;
        let size: f64 = along.iter().zip(largest).map(|(a, x)| a.mid.abs() * x).sum();
        let off: f64 = along.iter().zip(largest).map(|(a, x)| a.rad * x).sum();
        let size = nonnegative_sum(size);
        [nonnegative_sum(dot_error(2 * self.dim + 1, size) + nonnegative_sum(off)), size]
    }

    /// The value that makes `Σ_i a_i value_i` least at a row; its middle for no weights.
    pub fn least_value(&self, head: usize, row: usize, along: &[f64]) -> Vec<f64> {
        let columns = &self.values[head].columns;
        let entry = |i: usize| {
            let sign = along.get(i).map_or(0.0, |a| a.signum());
            columns[i * self.rows + row] - sign * columns[(self.dim + i) * self.rows + row]
        };
        (0..self.dim).map(entry).collect()
    }
}
