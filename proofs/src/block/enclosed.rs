//! Keys and values of the upper one of two blocks, enclosed for every token at every position, whatever comes before.
//!
//! A score is the product of two enclosed vectors, `q·k = q̄·k + (q − q̄)·k`: where few last tokens are spoken of, the first part is
//! enclosed as a functional of its own, with q̄ about the middle of their queries. Of a value only `m_i ± w_i` is known, so
//! that `Σ_i a_i value_i` lies within `Σ_i a_i m_i ± Σ_i |a_i| w_i`.

use std::sync::Arc;

use dashu_int::IBig;

use crate::interval::{FRACTION_BITS, Interval, shift_down, shift_up};
use crate::parallel::each;
use crate::reject::Reject;

use super::after::After;
use super::deep::{Affine, Below, functionals};
use super::fixed::{MOST_PLACES, Table, too_large};
use super::hull::Hull;

/// Most last tokens whose queries are multiplied with all keys.
const FEW: usize = 4;
/// Fractional bits of values.
const VALUE_PLACES: u32 = 48;
/// Products of two numbers beyond which nobody waits for the enclosures.
const MOST_WORK: usize = 200_000_000_000;

/// Enclosures over the prefixes that have one of some tokens at each position.
#[derive(Debug)]
pub(super) struct Enclosed {
    held: Vec<Vec<u32>>,
    /// For each pair where its rows are.
    index: Vec<Option<usize>>,
    /// `[rows][heads][head_dim]`.
    keys: Vec<Vec<Vec<Interval>>>,
    asked: Vec<Asked>,
    /// Per head, `[rows, 2 head_dim]`: middles, then half widths, taken from them and added to them.
    low: Vec<Table>,
    high: Vec<Table>,
}

/// Products of the queries of one last token.
#[derive(Debug)]
struct Asked {
    token: u32,
    /// q̄, `[heads][head_dim]`.
    middles: Vec<Vec<Interval>>,
    /// `[rows][heads]`.
    products: Vec<Vec<Interval>>,
}

impl Enclosed {
    pub fn new(below: &Below, held: Vec<Vec<u32>>) -> Result<Enclosed, Reject> {
        let (heads, dim) = below.shape();
        let floor = &below.floor;
        let mut before = 0;
        let rows: usize = held
            .iter()
            .map(|tokens| {
                before += tokens.len();
                before * tokens.len()
            })
            .sum();
        let one =
            2 * floor.width * floor.heads.len() * (2 * floor.neurons + 8 * floor.width + 4 * heads * dim);
        if rows.saturating_mul(one) > MOST_WORK {
            return Err(Reject::NotCovered {
                why: "as many tokens at as many positions through two blocks".into(),
            });
        }
        let left = |j: usize, token: u32| {
            let free = Arc::new(held[..j].to_vec());
            After::new(floor, Hull::bare(floor, free, vec![token])?)
        };
        let last = held.len() - 1;
        let mut asked = Vec::new();
        for token in held[last].iter().filter(|_| held[last].len() <= FEW) {
            let queries = below.queries(&left(last, *token)?, last)?;
            let middle = |q: &Interval| Interval::from_ends(q.lo() + q.hi(), q.lo() + q.hi());
            let half = Interval::scaled(&IBig::from(1), -1);
            let middles = queries.iter().map(|q| q.iter().map(|q| &middle(q) * &half).collect()).collect();
            asked.push(Asked { token: *token, middles, products: Vec::new() });
        }
        let of_position = |j: usize| {
            let keys = below.keys(j)?;
            let product = |query: &Vec<Interval>, key: &Vec<Affine>| -> Affine {
                let entry = |i: usize| query.iter().zip(key).map(|(q, (row, _))| q * &row[i]).sum();
                let constant = query.iter().zip(key).map(|(q, (_, c))| q * c).sum();
                ((0..floor.width).map(entry).collect(), constant)
            };
            let products = asked.iter().flat_map(|asked: &Asked| asked.middles.iter().zip(&keys));
            let products: Vec<Affine> = products.map(|(q, k)| product(q, k)).collect();
            functionals([keys.concat(), below.values().concat(), products].concat())
        };
        let of_positions = (0..held.len()).map(of_position).collect::<Result<Vec<_>, Reject>>()?;
        let cells: Vec<(usize, u32)> =
            held.iter().enumerate().flat_map(|(j, tokens)| tokens.iter().map(move |v| (j, *v))).collect();
        let found = each(&cells, |(j, token)| {
            let after = left(*j, *token)?;
            let normed = after.normed(floor, &below.epsilon)?;
            after.enclose(floor, &normed, &of_positions[*j])
        });
        let found = found.into_iter().collect::<Result<Vec<Vec<Interval>>, Reject>>()?;
        let mut index = vec![None; floor.longest * floor.vocabulary];
        for (row, (j, token)) in cells.iter().enumerate() {
            index[floor.pair(j + 1, *token)] = Some(row);
        }
        let by_head = |part: &[Interval]| part.chunks(dim).map(<[Interval]>::to_vec).collect::<Vec<_>>();
        let keys = found.iter().map(|row| by_head(&row[..heads * dim])).collect();
        for (a, asked) in asked.iter_mut().enumerate() {
            let from = (2 * dim + a) * heads;
            asked.products = found.iter().map(|row| row[from..from + heads].to_vec()).collect();
        }
        let values = |h: usize, sign: i64| -> Result<Table, Reject> {
            let rows = found.iter().map(|row| ends(&row[(heads + h) * dim..][..dim], sign));
            Table::settle(
                2 * dim,
                &rows.collect::<Result<Vec<_>, _>>()?.concat(),
                0,
                VALUE_PLACES,
                MOST_PLACES,
            )
        };
        let of_heads = |sign| (0..heads).map(|h| values(h, sign)).collect::<Result<Vec<_>, _>>();
        let (low, high) = (of_heads(-1)?, of_heads(1)?);
        Ok(Enclosed { held, index, keys, asked, low, high })
    }

    /// Whether these speak of all prefixes with such tokens at their positions, and as closely.
    pub fn cover(&self, held: &[Vec<u32>]) -> bool {
        let within =
            |(own, other): (&Vec<u32>, &Vec<u32>)| other.iter().all(|v| own.binary_search(v).is_ok());
        let same = self.asked.is_empty() || held.len() == self.held.len();
        same && held.len() <= self.held.len() && self.held.iter().zip(held).all(within)
    }

    fn row(&self, pair: usize) -> Result<usize, Reject> {
        self.index.get(pair).copied().flatten().ok_or_else(too_large)
    }

    /// Scores of the pairs that end with the token of what is left at its position, per head.
    pub fn scores(
        &self,
        below: &Below,
        under: &After,
        pairs: &[usize],
    ) -> Result<Vec<Vec<Interval>>, Reject> {
        let token = under.hull.tokens[0];
        let queries = below.queries(under, under.hull.length - 1)?;
        let asked = self.asked.iter().find(|asked| asked.token == token);
        let rows = pairs.iter().map(|pair| self.row(*pair)).collect::<Result<Vec<_>, _>>()?;
        let of_head = |(h, query): (usize, &Vec<Interval>)| {
            let score = |row: &usize| {
                let key = self.keys[*row][h].iter().zip(query);
                match asked {
                    None => key.map(|(k, q)| k * q).sum::<Interval>(),
                    Some(asked) => {
                        let off = key.zip(&asked.middles[h]).map(|((k, q), middle)| k * &(q - middle));
                        &asked.products[*row][h] + &off.sum::<Interval>()
                    }
                }
            };
            rows.iter().map(score).collect()
        };
        Ok(queries.iter().enumerate().map(of_head).collect())
    }

    /// The least and the greatest `D·out·value` of one head at some pairs, for each D of a batch: `[batch, pairs]` each.
    pub fn values(
        &self,
        below: &Below,
        head: usize,
        batch: &Table,
        pairs: &[usize],
    ) -> Result<[Table; 2], Reject> {
        let rows = pairs.iter().map(|pair| self.row(*pair)).collect::<Result<Vec<_>, _>>()?;
        let along = below.along(head, batch)?.with_sizes();
        let of = |table: &Table| along.products(&table.select(&rows), 0..rows.len());
        Ok([of(&self.low[head])?, of(&self.high[head])?])
    }
}

/// `m_i`, then `sign · w_i`, in units of `2^-VALUE_PLACES`.
fn ends(values: &[Interval], sign: i64) -> Result<Vec<i128>, Reject> {
    let unit = FRACTION_BITS - usize::try_from(VALUE_PLACES).expect("48 fits");
    let fit = |n: IBig| i128::try_from(n).ok().filter(|n| n.abs() < 1 << 100).ok_or_else(too_large);
    let (mut middles, mut widths) = (Vec::new(), Vec::new());
    for value in values {
        let (lo, hi) = (fit(shift_down(value.lo(), unit))?, fit(shift_up(value.hi(), unit))?);
        let middle = (lo + hi) >> 1;
        middles.push(middle);
        widths.push(i128::from(sign) * (hi - middle).max(middle - lo));
    }
    Ok([middles, widths].concat())
}
