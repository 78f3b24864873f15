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

use crate::linear::dot;
use crate::reject::Reject;

use super::exponential::{SCORE_PLACES, exp_minus};
use super::fixed::{Table, too_large};
use super::tables::{HeadTables, Network};

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
    heads: Vec<Weights>,
}

/// `[low, high]` of e of one head.
#[derive(Debug)]
struct Weights {
    /// Of every token of each position before the last.
    free: Vec<Vec<[i64; 2]>>,
    /// Of every last token on itself.
    own: Vec<[i64; 2]>,
}

impl Hull {
    /// For all prefixes that begin with one of `free` at each position and end in one of `tokens` (none of these empty).
    pub fn new(network: &Network, free: Arc<Vec<Vec<u32>>>, tokens: Vec<u32>) -> Result<Hull, Reject> {
        let weights = |head| Weights::new(network, head, &free, &tokens);
        let heads = network.heads.iter().map(weights).collect::<Result<_, _>>()?;
        let length = free.len() + 1;
        let mut hull = Hull { length, tokens, reach: Vec::new(), coordinates: Vec::new(), free, heads };
        let reach = |i| hull.range(network, |head| (&head.up_value, head.up_value.row(i)));
        let reach = (0..network.arguments()).map(reach).collect::<Result<_, _>>()?;
        let coordinate = |i| hull.range(network, |head| (&head.value_columns, head.value_columns.row(i)));
        let coordinates = (0..network.width).map(coordinate).collect::<Result<_, _>>()?;
        (hull.reach, hull.coordinates) = (reach, coordinates);
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
        match free[position].is_empty() {
            true => Ok(None),
            false => Hull::new(network, Arc::new(free), self.tokens.clone()).map(Some),
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
            let row = &row[..self.length * network.vocabulary];
            let negated: Vec<i64> = row.iter().map(|r| -r).collect();
            let least = |r: &[i64]| self.least(network, weights, r, &mut 0);
            let radius = i128::from(table.radius());
            range[0] += table.in_sum(i128::from(least(row)?) - radius);
            range[1] -= table.in_sum(i128::from(least(&negated)?) - radius);
        }
        Ok(range)
    }

    /// A lower bound on `Σ_h D·o_h` over every prefix, in units of `2^-SUM_PLACES`; `values[h]` is the row of `D·value_h`, and
    /// `mu` holds a guess per head, which the minima replace.
    pub fn lower_bound(&self, network: &Network, values: &[Table], mu: &mut [i64]) -> Result<i128, Reject> {
        let mut sum = 0;
        for ((weights, r), mu) in self.heads.iter().zip(values).zip(mu) {
            let row = &r.row(0)[..self.length * network.vocabulary];
            sum += r.in_sum(i128::from(self.least(network, weights, row, mu)?) - i128::from(r.radius()));
        }
        Ok(sum)
    }

    /// The largest integer μ with `φ(μ) >= 0`.
    fn least(&self, network: &Network, weights: &Weights, r: &[i64], mu: &mut i64) -> Result<i64, Reject> {
        for step in 0..MOST_STEPS {
            let (phi, total) = self.phi(network, weights, r, *mu);
            if phi >= 0 && (step > 0 || phi < total || total == 0) {
                return Ok(*mu);
            }
            // The slope of φ is −total; the quotient is at most max |r − μ|.
            *mu += i64::try_from(phi.div_euclid(total)).map_err(|_| too_large())?;
        }
        Err(Reject::NoEnclosure { what: "an attention bound", why: "its iteration does not settle" })
    }

    /// `φ(μ)` and the sum of the weights taken. With `|r|, |μ| <= 2^57` and `e <= 2^60` a term is below 2^118.
    fn phi(&self, network: &Network, weights: &Weights, r: &[i64], mu: i64) -> (i128, i128) {
        let (free, last) = r.split_at(self.free.len() * network.vocabulary);
        let own = self.tokens.iter().map(|u| last[crate::head::index(*u)]);
        let (mut phi, weight) = least_term(weights.own.iter().zip(own), mu);
        let mut total = i128::from(weight);
        let positions = self.free.iter().zip(&weights.free).zip(free.chunks_exact(network.vocabulary));
        for ((tokens, e), r) in positions {
            let r = tokens.iter().map(|token| r[crate::head::index(*token)]);
            let (least, weight) = least_term(e.iter().zip(r), mu);
            phi += least;
            total += i128::from(weight);
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

impl Weights {
    fn new(
        network: &Network,
        head: &HeadTables,
        free: &[Vec<u32>],
        tokens: &[u32],
    ) -> Result<Weights, Reject> {
        let (query, key) = (&head.query, &head.key);
        let shift = (query.places() + key.places()).checked_sub(SCORE_PLACES).ok_or_else(too_large)?;
        let error = (query.product_radius(key)? >> shift) + 2;
        if query.largest_product(key) >> shift >= 1 << 60 || error >= 1 << 60 {
            return Err(too_large());
        }
        let narrow = |s: i128| i64::try_from(s).map_err(|_| too_large());
        let score = |q: &[i64], k: &[i64]| narrow(dot(q, k) >> shift);
        let pairs_at = |(j, held): (usize, &Vec<u32>)| -> Vec<usize> {
            held.iter().map(|token| network.pair(j + 1, *token)).collect()
        };
        let pairs: Vec<usize> = free.iter().enumerate().flat_map(pairs_at).collect();
        let mean_key = key.mean(&pairs);
        let (mut queries, mut own) = (Vec::with_capacity(tokens.len()), Vec::with_capacity(tokens.len()));
        for u in tokens {
            let pair = network.pair(free.len() + 1, *u);
            let q = query.row(pair);
            let mean = score(q, &mean_key)?;
            // In the unit of products, where it fits as they do.
            queries.push((q, i128::from(mean) << shift));
            own.push(score(q, key.row(pair))? - mean);
        }
        let (mut low, mut high) = (Vec::with_capacity(pairs.len()), Vec::with_capacity(pairs.len()));
        for pair in pairs {
            let (k, mut least, mut most) = (key.row(pair), i128::MAX, i128::MIN);
            for (q, mean) in &queries {
                let s = dot(q, k) - mean;
                (least, most) = (least.min(s), most.max(s));
            }
            low.push(narrow(least >> shift)?);
            high.push(narrow(most >> shift)?);
        }
        // Another common factor: the highest weight becomes 1.
        let top = high.iter().chain(&own).copied().max().unwrap_or(0);
        let error = i64::try_from(error).map_err(|_| too_large())?;
        let below = |s: i64| u64::try_from(top - s).expect("the top is the highest");
        let error = u64::try_from(error).expect("a radius is not negative");
        let enclose = |low: i64, high: i64| [exp_minus(below(low) + 2 * error)[0], exp_minus(below(high))[1]];
        // Exponents are off by `error`, so that lowering all by as much keeps the high ends below 1.
        let mut of_free = low.iter().zip(&high).map(|(low, high)| enclose(*low, *high));
        Ok(Weights {
            free: free.iter().map(|held| of_free.by_ref().take(held.len()).collect()).collect(),
            own: own.iter().map(|s| enclose(*s, *s)).collect(),
        })
    }
}
