//! The attention oracle: bounds on a linear functional of all heads' outputs over every prefix of one length, given the tokens
//! that each position may hold.
//!
//! Fix the length n and the last token u. Scores and values at a position j depend on (j, v) alone, so that head h gives
//! `D·o_h = Σ_j e_j(v_j) r_j(v_j) / Σ_j e_j(v_j)` with `r = D·value`, `e = e^score > 0`. If
//! `φ(μ) = Σ_j min_v e_j(v) (r_j(v) − μ) >= 0`, then `D·o_h >= μ` for every prefix (Dinkelbach 1967). For a set of last tokens e
//! ranges over intervals; a term is least at the high end of e where `r < μ`, else at the low end. A common factor of
//! all e of one last token cancels, so its scores may be shifted by any number before the intervals are taken; the mean
//! over the free positions makes them narrow. The sum of the heads' bounds is a bound of the sum.
//!
//! With integers for e, r and μ, φ is computed exactly. It is concave and falls, so that Newton's steps from anywhere lead
//! to the right of its root or onto it, then down; rounded down they end at the largest integer with `φ(μ) >= 0`.

use std::sync::Arc;

use crate::reject::Reject;

use super::after::After;
use super::deep::{Below, Deep};
use super::enclosed::Enclosed;
use super::fixed::{Table, too_large};
use super::tables::{HeadTables, Network};
use super::weights::Weights;

/// Newton steps take about five; a sequence without end can't be, but a limit costs nothing.
const MOST_STEPS: usize = 1000;

/// Weights that prefixes of one length can put on every token.
#[derive(Debug)]
pub(super) struct Hull {
    /// n.
    pub length: usize,
    /// Last tokens covered, increasing.
    pub tokens: Vec<u32>,
    /// `(min, max)` over every prefix of the attention part of `w1_i·r`, in units of `2^-SUM_PLACES`.
    pub reach: Vec<[i128; 2]>,
    /// The same of each coordinate of r.
    pub coordinates: Vec<[i128; 2]>,
    /// Tokens that the positions before the last may hold.
    pub free: Arc<Vec<Vec<u32>>>,
    /// The pairs of all tokens that are held: those of the first position, ..., last tokens.
    rows: Vec<usize>,
    heads: Vec<Weights>,
    /// What the block below leaves, where there is one: then all of r is told of here.
    deep: Option<Deep>,
}

impl Hull {
    /// For all prefixes that begin with one of `free` at each position and end in one of `tokens` (none of these empty).
    pub fn new(network: &Network, free: Arc<Vec<Vec<u32>>>, tokens: Vec<u32>) -> Result<Hull, Reject> {
        let mut hull = Hull::bare(network, free, tokens)?;
        let reach = |i| hull.range(network, |head| (&head.up_value, head.up_value.row(i)));
        let reach = (0..network.arguments()).map(reach).collect::<Result<_, _>>()?;
        let coordinate = |i| hull.range(network, |head| (&head.value_columns, head.value_columns.row(i)));
        let coordinates = (0..network.width).map(coordinate).collect::<Result<_, _>>()?;
        (hull.reach, hull.coordinates) = (reach, coordinates);
        Ok(hull)
    }

    /// The same without ranges.
    pub fn bare(network: &Network, free: Arc<Vec<Vec<u32>>>, tokens: Vec<u32>) -> Result<Hull, Reject> {
        let weights = |head| Weights::new(network, head, &free, &tokens);
        let heads = network.heads.iter().map(weights).collect::<Result<_, _>>()?;
        Ok(Hull::with(network, free, tokens, heads))
    }

    fn with(network: &Network, free: Arc<Vec<Vec<u32>>>, tokens: Vec<u32>, heads: Vec<Weights>) -> Hull {
        let held = free.iter().chain([&tokens]).enumerate();
        let rows = held.flat_map(|(j, held)| held.iter().map(move |token| network.pair(j + 1, *token)));
        let (rows, reach, coordinates) = (rows.collect(), Vec::new(), Vec::new());
        Hull { length: free.len() + 1, tokens, reach, coordinates, free, rows, heads, deep: None }
    }

    /// The hull of the upper one of two blocks, for prefixes that end in one token.
    pub fn deep(
        network: &Network,
        below: &Below,
        enclosed: &Arc<Enclosed>,
        free: Arc<Vec<Vec<u32>>>,
        token: u32,
    ) -> Result<Hull, Reject> {
        let under = After::new(&below.floor, Hull::bare(&below.floor, free.clone(), vec![token])?)?;
        let mut hull = Hull::with(network, free, vec![token], Vec::new());
        let scores = enclosed.scores(below, &under, &hull.rows)?;
        hull.heads = scores.iter().map(|of_rows| Weights::enclosing(of_rows)).collect::<Result<_, _>>()?;
        hull.deep = Some(Deep { enclosed: enclosed.clone(), under });
        let identity = Table::identity(network.width)?;
        (hull.reach, hull.coordinates) =
            (hull.functionals(network, &network.up)?, hull.functionals(network, &identity)?);
        Ok(hull)
    }

    /// The same prefixes as far as a position before the last holds a token that is asked for; `None` if there are none.
    pub fn holding(
        &self,
        network: &Network,
        position: usize,
        asked: impl Fn(u32) -> bool,
    ) -> Result<Option<Hull>, Reject> {
        let mut free = self.free.to_vec();
        free[position].retain(|token| asked(*token));
        if free[position].is_empty() {
            return Ok(None);
        }
        match (&network.below, &self.deep) {
            (Some(below), Some(Deep { enclosed, .. })) => {
                Hull::deep(network, below, enclosed, Arc::new(free), self.tokens[0]).map(Some)
            }
            _ => Hull::new(network, Arc::new(free), self.tokens.clone()).map(Some),
        }
    }

    /// The prefixes of the hull that end in one of `open`; an error if they are more than `limit`.
    pub fn prefixes(&self, open: &[u32], limit: usize) -> Result<Vec<Vec<u32>>, Reject> {
        let mut all = vec![Vec::new()];
        for held in self.free.iter().map(Vec::as_slice).chain([open]) {
            if all.len() * held.len() > limit {
                return Err(Reject::TooManyPrefixes { limit });
            }
            let longer = |prefix: &Vec<u32>| {
                held.iter().map(|token| [prefix.as_slice(), &[*token]].concat()).collect()
            };
            all = all.iter().flat_map::<Vec<Vec<u32>>, _>(longer).collect();
        }
        Ok(all)
    }

    /// Bounds on `Σ_h` of the functional whose values `r` are a row of a table of each head; in units of `2^-SUM_PLACES`.
    pub fn range<'a>(
        &self,
        network: &'a Network,
        rows: impl Fn(&'a HeadTables) -> (&'a Table, &'a [i64]),
    ) -> Result<[i128; 2], Reject> {
        let mut range = [0, 0];
        for (head, weights) in network.heads.iter().zip(&self.heads) {
            let (table, row) = rows(head);
            let row: Vec<i64> = self.rows.iter().map(|pair| row[*pair]).collect();
            let [least, most] = self.extremes(weights, &row, &row)?;
            let radius = i128::from(table.radius());
            range[0] += table.in_sum(i128::from(least) - radius);
            range[1] += table.in_sum(i128::from(most) + radius);
        }
        Ok(range)
    }

    /// Ranges of functionals of what heads add, a row each; of all of r where there is a block below.
    pub fn functionals(&self, network: &Network, batch: &Table) -> Result<Vec<[i128; 2]>, Reject> {
        let count = batch.rows().count();
        let mut sums = match (&network.below, &self.deep) {
            (Some(below), Some(deep)) => deep.rest(below, batch)?,
            _ => vec![[0; 2]; count],
        };
        for (h, weights) in self.heads.iter().enumerate() {
            let values = match (&network.below, &self.deep) {
                (Some(below), Some(deep)) => deep.enclosed.values(below, h, batch, &self.rows)?,
                _ => {
                    let value = network.heads[h].value.select(&self.rows);
                    let all = batch.products(&value, 0..self.rows.len())?;
                    [all.clone(), all]
                }
            };
            for (i, sum) in sums.iter_mut().enumerate() {
                let [low, high] = &values;
                let [least, most] = self.extremes(weights, low.row(i), high.row(i))?;
                sum[0] += low.in_sum(i128::from(least) - i128::from(low.radius()));
                sum[1] += high.in_sum(i128::from(most) + i128::from(high.radius()));
            }
        }
        Ok(sums)
    }

    /// The least mean of the low ends of values, and the greatest one of the high ends.
    fn extremes(&self, weights: &Weights, low: &[i64], high: &[i64]) -> Result<[i64; 2], Reject> {
        let negated: Vec<i64> = high.iter().map(|r| -r).collect();
        Ok([self.least(weights, low, &mut 0)?, -self.least(weights, &negated, &mut 0)?])
    }

    /// A lower bound on `Σ_h D·o_h` over every prefix, in units of `2^-SUM_PLACES`; `values[h]` is the row of `D·value_h`, and
    /// `mu` holds a guess per head, which the minima replace.
    pub fn lower_bound(&self, values: &[Table], mu: &mut [i64]) -> Result<i128, Reject> {
        let mut sum = 0;
        for ((weights, r), mu) in self.heads.iter().zip(values).zip(mu) {
            let row: Vec<i64> = self.rows.iter().map(|pair| r.row(0)[*pair]).collect();
            sum += r.in_sum(i128::from(self.least(weights, &row, mu)?) - i128::from(r.radius()));
        }
        Ok(sum)
    }

    /// Whether this tells of two blocks.
    pub fn is_deep(&self) -> bool {
        self.deep.is_some()
    }

    /// The largest integer μ with `φ(μ) >= 0`.
    fn least(&self, weights: &Weights, r: &[i64], mu: &mut i64) -> Result<i64, Reject> {
        for step in 0..MOST_STEPS {
            let (phi, total) = self.phi(weights, r, *mu);
            if phi >= 0 && (step > 0 || phi < total || total == 0) {
                return Ok(*mu);
            }
            // The slope of φ is −total; the quotient is at most max |r − μ|.
            *mu += i64::try_from(phi.div_euclid(total)).map_err(|_| too_large())?;
        }
        Err(Reject::NoEnclosure { what: "an attention bound", why: "its iteration does not settle" })
    }

    /// `φ(μ)` and the sum of the weights taken. With `|r|, |μ| <= 2^57` and `e <= 2^60` a term is below 2^118.
    fn phi(&self, Weights(weights): &Weights, r: &[i64], mu: i64) -> (i128, i128) {
        let (mut phi, mut total, mut start) = (0, 0, 0);
        for held in self.free.iter().chain([&self.tokens]) {
            let here = start..start + held.len();
            let (least, weight) = least_term(weights[here.clone()].iter().zip(r[here].iter().copied()), mu);
            phi += least;
            total += i128::from(weight);
            start += held.len();
        }
        (phi, total)
    }
}

/// `min e (r − μ)`, and the e that attains it.
fn least_term<'a>(terms: impl Iterator<Item = (&'a [i64; 2], i64)>, mu: i64) -> (i128, i64) {
    let (mut least, mut weight) = (i128::MAX, 0);
    for (e, r) in terms {
        let x = r - mu;
        let e = e[usize::from(x < 0)];
        let term = i128::from(e) * i128::from(x);
        if term < least {
            (least, weight) = (term, e);
        }
    }
    (least, weight)
}
