//! The attention oracle: exact extremes of a linear functional of all heads' outputs over every prefix.
//!
//! Fix the length `n` and the last token `u`. In the first block scores and values at position `j` depend on `(j, v)`
//! alone, so head `h` gives `D·o_h = Σ_j e_j(v_j) r_j(v_j) / Σ_j e_j(v_j)` with `r = D·value`, `e = e^score`. Its minimum
//! over all `|V|^{n−1}` prefixes is the root of `φ(μ) = Σ_j min_v e_j(v)(r_j(v) − μ)` (Dinkelbach 1967), found by Newton
//! steps in `O(n|V|)` each. One line certifies it: `φ(μ) >= 0` proves `D·o_h >= μ` for every prefix, since
//! `Σ_j e_j(v_j)(r_j(v_j) − μ) >= φ(μ)`. For a set of last tokens `e` ranges over intervals (each token's scores may first be
//! shifted by a constant of its own, which cancels); a term then takes the high end of `e` where `r < μ`, else the low end.
//! Several heads: the sum of the minima is a lower bound of the minimum. Where a position may not hold every token, its minimum is
//! taken over those that it may hold: a superset of the prefixes of a language, as good as exact for suffixes and slots.

use std::borrow::Cow;
use std::sync::Arc;

use super::deep::Deep;
use super::direction::{Columns, Direction};
use super::network::Network;
use super::sound::table_error;
use super::weights::HeadWeights;
use crate::model::TokenId;
use crate::num::{BallVec, Interval};

/// Attention weights (before normalisation) that prefixes of one length can put on each token, for a set of last tokens.
#[derive(Debug, Clone)]
pub struct Hull {
    /// Prefix length `n`; the last position holds one of `tokens`.
    pub length: usize,
    /// Last tokens covered, increasing.
    pub tokens: Vec<usize>,
    /// What the positions before the last may hold.
    pub free: Arc<Free>,
    pub(super) heads: Vec<HeadWeights>,
    /// Where tables of tokens do not tell what is read: through several blocks.
    pub(super) deep: Option<Arc<Deep>>,
}

/// The tokens that each position before the last may hold, increasing, none empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Free(Vec<Vec<usize>>);

impl Free {
    /// The tokens that a position may hold.
    #[must_use]
    pub fn at(&self, position: usize) -> &[usize] {
        &self.0[position]
    }

    /// Number of positions.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.0.len()
    }

    /// From the tokens of each position.
    #[must_use]
    pub fn new(positions: Vec<Vec<usize>>) -> Free {
        Free(positions)
    }

    /// Every token at every one of some positions.
    #[must_use]
    pub fn any(network: &Network, positions: usize) -> Free {
        Free(vec![(0..network.vocab).collect(); positions])
    }

    /// Rows of the tables, `position · vocab + token`, in order.
    pub(super) fn rows(&self, vocab: usize) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(move |(j, tokens)| tokens.iter().map(move |v| j * vocab + v))
    }

    /// For each position the tokens, where their entries begin among all, and their entries of a row over all pairs.
    pub(super) fn entries<'r>(
        &'r self,
        vocab: usize,
        row: &'r [f64],
    ) -> impl Iterator<Item = (&'r [usize], usize, Cow<'r, [f64]>)> + 'r {
        let mut next = 0;
        self.0.iter().enumerate().map(move |(j, tokens)| {
            let here = &row[j * vocab..(j + 1) * vocab];
            let own = match tokens.len() == vocab {
                true => Cow::Borrowed(here),
                false => Cow::Owned(tokens.iter().map(|&v| here[v]).collect()),
            };
            next += tokens.len();
            (tokens.as_slice(), next - tokens.len(), own)
        })
    }
}

/// What a head reads at a position.
#[derive(Debug, Clone, Copy)]
pub struct Read {
    /// The head.
    pub head: usize,
    /// Position and token, `position · vocab + token`.
    pub row: usize,
    /// Share of the head's attention.
    pub share: f64,
}

impl Hull {
    /// Hull of every prefix that ends in one of `tokens` (not empty).
    #[must_use]
    pub fn new(network: &Network, free: Arc<Free>, tokens: &[usize]) -> Hull {
        let heads = (0..network.heads).map(|h| HeadWeights::new(network, h, &free, tokens)).collect();
        Hull { length: free.0.len() + 1, tokens: tokens.to_vec(), free, heads, deep: None }
    }

    /// The same for other free tokens or last ones.
    fn with(&self, network: &Network, free: Arc<Free>, tokens: &[usize]) -> Hull {
        match (&self.deep, tokens) {
            (Some(deep), [token]) => deep.narrowed(&free, *token),
            _ => Hull::new(network, free, tokens),
        }
    }

    /// What each position may hold, the last one included.
    pub(super) fn held(&self) -> impl Iterator<Item = &[usize]> {
        self.free.0.iter().chain([&self.tokens]).map(Vec::as_slice)
    }

    /// The prefixes that end in one of `open`, if they are at most `most`.
    #[must_use]
    pub fn prefixes(&self, open: &[usize], most: usize) -> Option<Vec<Vec<TokenId>>> {
        let mut all = vec![Vec::new()];
        for held in self.free.0.iter().map(Vec::as_slice).chain([open]) {
            let longer = |prefix: &Vec<TokenId>| {
                held.iter().map(|&token| [prefix.as_slice(), &[token as TokenId]].concat()).collect()
            };
            if all.len() * held.len() > most {
                return None;
            }
            all = all.iter().flat_map::<Vec<Vec<TokenId>>, _>(longer).collect();
        }
        Some(all)
    }

    /// The only prefix's residual before the MLP, in floats, if there is only one that ends in `token`.
    #[must_use]
    pub fn only_residual(&self, network: &Network, token: usize) -> Option<Vec<f64>> {
        let known = self.tokens == [token] && self.free.0.iter().all(|held| held.len() == 1);
        let single = known && self.deep.is_none();
        let mut r = network.x.row((self.length - 1) * network.vocab + token).to_vec();
        for (h, weights) in self.heads.iter().enumerate().filter(|_| single) {
            let free = self.free.rows(network.vocab).zip(&weights.high);
            let own = ((self.length - 1) * network.vocab + token, &weights.own[0].1);
            let total: f64 = weights.high.iter().sum::<f64>() + own.1;
            for (row, e) in free.chain([own]) {
                r.iter_mut().zip(network.value[h].row(row)).for_each(|(r, v)| *r += e / total * v);
            }
        }
        single.then_some(r)
    }

    /// What a token at a position adds to the numerators and denominators of all heads.
    #[must_use]
    pub fn features(&self, network: &Network, position: usize, token: usize) -> Vec<f64> {
        let start: usize = self.free.0[..position].iter().map(Vec::len).sum();
        let Ok(i) = self.free.0[position].binary_search(&token) else { return Vec::new() };
        let mut all = Vec::new();
        for (h, weights) in self.heads.iter().enumerate() {
            let e = 0.5 * (weights.low[start + i] + weights.high[start + i]);
            all.extend(self.value(network, h, position * network.vocab + token).iter().map(|v| e * v));
            all.push(e);
        }
        all
    }

    /// About what a head adds for a row, `position · vocab + token`.
    #[must_use]
    pub fn value<'n>(&self, network: &'n Network, head: usize, row: usize) -> Cow<'n, [f64]> {
        match &self.deep {
            Some(deep) => Cow::Owned(deep.value(head, row)),
            None => Cow::Borrowed(network.value[head].row(row)),
        }
    }

    /// The same prefixes as far as a position before the last holds a token that is asked for; `None` if there are none.
    #[must_use]
    pub fn holding(&self, network: &Network, position: usize, asked: impl Fn(usize) -> bool) -> Option<Hull> {
        let mut free = Free::clone(&self.free);
        free.0.get_mut(position)?.retain(|&token| asked(token));
        (!free.0[position].is_empty()).then(|| self.with(network, Arc::new(free), &self.tokens))
    }

    /// The same prefixes as far as they end in one of `tokens`.
    #[must_use]
    pub fn ending_in(&self, network: &Network, tokens: &[usize]) -> Hull {
        self.with(network, self.free.clone(), tokens)
    }

    /// Fills a table for the attention of this hull.
    pub fn aim(&self, network: &Network, columns: &Columns, direction: &[f64], table: &mut Direction) {
        match &self.deep {
            Some(deep) => deep.aim(direction, table, self),
            None => Direction::set_held([table], network, columns, [direction], self),
        }
    }

    /// `min D·r` in floats for several directions, for a hull with one last token; `tables` are room, and with the minima come the
    /// minimisers, `[d]`.
    pub(super) fn least<const N: usize>(
        &self,
        network: &Network,
        columns: &Columns,
        directions: [&[f64]; N],
        tables: [&mut Direction; N],
    ) -> [(f64, Vec<f64>); N] {
        let x = network.x.row((self.length - 1) * network.vocab + self.tokens[0]);
        let mut tables = tables;
        match &self.deep {
            Some(deep) => {
                for (table, direction) in tables.iter_mut().zip(directions) {
                    deep.aim(direction, table, self);
                }
            }
            None => {
                Direction::set_held(tables.each_mut().map(|t| &mut **t), network, columns, directions, self)
            }
        }
        let mut directions = directions.into_iter();
        tables.map(|table| {
            let mut r = x.to_vec();
            let mut guess = std::mem::take(&mut table.guess);
            guess.resize(self.heads.len(), 0.0);
            let own = directions.next().map_or(0.0, |direction| super::dual::dot(direction, x));
            let least = self.minimise(network, table, &mut guess, Some(&mut r), None);
            table.guess = guess;
            (least + own, r)
        })
    }

    /// A proved lower bound on `D·r`, for a hull with one last token.
    pub(super) fn proved_least(&self, network: &Network, columns: &Columns, direction: &BallVec) -> f64 {
        let x = network.x.ball((self.length - 1) * network.vocab + self.tokens[0]);
        let attention = self.proved_attention(network, columns, direction);
        (direction.dot(&x).interval() + Interval::point(attention)).lo()
    }

    /// A proved lower bound on the part of `D·r` that does not come from the last token's row.
    pub(super) fn proved_attention(&self, network: &Network, columns: &Columns, direction: &BallVec) -> f64 {
        if let Some(deep) = &self.deep {
            return deep.proved(self, network, direction);
        }
        let mut table = Direction::default();
        let (error, largest) = table_error(network, direction);
        Direction::set_held([&mut table], network, columns, [&direction.mid], self);
        self.lower_bound(network, &table, error, largest)
    }

    /// Float minimum of `D·Σ_h o_h`; `mu` holds a guess per head and receives the minima. With `output`, adds the
    /// minimising attention output to it, and with `reads` what every head reads for it.
    pub fn minimise(
        &self,
        network: &Network,
        direction: &mut Direction,
        mu: &mut [f64],
        mut output: Option<&mut [f64]>,
        mut reads: Option<&mut Vec<Read>>,
    ) -> f64 {
        let mut total = 0.0;
        let mut picks: Vec<(usize, f64)> = Vec::with_capacity(self.length);
        for (h, weights) in self.heads.iter().enumerate() {
            let m =
                weights.minimise(network.vocab, &self.free, &self.tokens, &direction.r[h], mu[h], &mut picks);
            mu[h] = m;
            total += m;
            if let Some(out) = output.as_deref_mut() {
                let den: f64 = picks.iter().map(|p| p.1).sum();
                for &(row, e) in &picks {
                    let share = e / den;
                    if let Some(reads) = reads.as_deref_mut() {
                        reads.push(Read { head: h, row, share });
                    }
                    match &self.deep {
                        Some(deep) => deep.add_value(direction, h, row, share, out),
                        None => super::dual::add_scaled(out, share, network.value[h].row(row)),
                    }
                }
            }
        }
        match &self.deep {
            Some(deep) => total + deep.rest(direction, output),
            None => total,
        }
    }

    /// The token of each free position in head `h`'s minimiser at its minimum `mu`: a lead for witnesses.
    #[must_use]
    pub fn picks(&self, network: &Network, direction: &Direction, h: usize, mu: f64) -> Vec<usize> {
        let mut picks = Vec::with_capacity(self.length);
        self.heads[h].select(network.vocab, &self.free, &self.tokens, &direction.r[h], mu, &mut picks);
        picks[..self.length - 1].iter().map(|p| p.0 % network.vocab).collect()
    }

    /// A proved lower bound on `D·Σ_h o_h` over every prefix, where the true `r` lies within `error` of `direction.r` and
    /// `largest` bounds `|r|`. `−∞` when floats do not suffice.
    #[must_use]
    pub fn lower_bound(&self, network: &Network, direction: &Direction, error: f64, largest: f64) -> f64 {
        self.proved_heads(network, direction, std::iter::repeat([error, largest]))
    }

    /// The same of the heads alone, each with an error of its own.
    pub(super) fn proved_heads(
        &self,
        network: &Network,
        direction: &Direction,
        errors: impl Iterator<Item = [f64; 2]>,
    ) -> f64 {
        let mut total = Interval::ZERO;
        for ((weights, r), errors) in self.heads.iter().zip(&direction.r).zip(errors) {
            let least = weights.minimise(network.vocab, &self.free, &self.tokens, r, 0.0, &mut Vec::new());
            let bound = weights.certify(network.vocab, &self.free, &self.tokens, r, least, errors);
            total = total + Interval::point(bound);
        }
        total.lo()
    }
}
