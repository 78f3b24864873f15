//! Two blocks: the upper one reads what the lower one leaves.
//!
//! Before the upper MLP the residual of the last position is `r = R + b + Σ_h o_h`: R is what the lower block left there
//! ([`After`]), and `o_h` a mean of values with weights `e^score`. Keys and values of each token at each position are enclosed
//! whatever comes before ([`Enclosed`]), and so are queries of the last token. So `min D·r` is at least the sum of
//! the least `D·R`, of `D·b` and of the heads' minima over these enclosures.

use std::sync::Arc;

use crate::family::{Centring, Norm};
use crate::forward::{rotate, turns};
use crate::interval::Interval;
use crate::network::{Attention, Layer};
use crate::reject::{CheckError, Reject};

use super::after::After;
use super::enclosed::Enclosed;
use super::fixed::Table;
use super::folded::{fold, projected, transposed};
use super::heads::parts;
use super::normed::Functionals;
use super::tables::{Network, not_covered};

/// A functional `F·z + c` in intervals.
pub(super) type Affine = (Vec<Interval>, Interval);

/// The lower block, and the attention of the upper one.
pub(super) struct Below {
    pub floor: Box<Network>,
    heads: Vec<Maps>,
    /// Bias of the attention's output, `[1, d]`.
    bias: Table,
    /// ε of the norm before the attention.
    pub epsilon: Interval,
    rotary: Option<(Interval, usize)>,
}

/// One head of the upper attention, `[head_dim]` each.
struct Maps {
    /// Divided by the divisor of scores.
    query: Vec<Affine>,
    key: Vec<Affine>,
    value: Vec<Affine>,
    /// What an entry of the mixture adds to the residual, `[head_dim, d]`.
    out: Table,
}

/// What a hull of the upper block has beside weights.
#[derive(Debug)]
pub(super) struct Deep {
    pub enclosed: Arc<Enclosed>,
    pub under: After,
}

impl Below {
    pub fn new(floor: Network, upper: &[Layer<'_>], centred: bool) -> Result<Below, CheckError> {
        let [Layer::Attention(attention), _] = upper else {
            return Err(not_covered("layers other than one attention and one MLP"));
        };
        let centring = if centred { Centring::Mean } else { Centring::None };
        let norm = attention.norm.as_ref().filter(|norm| norm.centring == centring);
        let norm = norm.ok_or_else(|| not_covered("an upper attention without a norm like the others"))?;
        if floor.arguments() > floor.neurons || floor.centred != centred {
            return Err(not_covered("gated neurons in a lower block, or other norms there"));
        }
        let maps = |h: usize| Maps::new(attention, h, norm, centring);
        let heads = (0..attention.n_heads).map(maps).collect::<Result<_, Reject>>()?;
        let bias: Vec<Interval> = (0..floor.width).map(|r| attention.output.bias(r)).collect();
        let bias = Table::new(&[projected(centring, &bias)?])?;
        let (epsilon, rotary) = (norm.epsilon.clone(), attention.rotary.clone());
        Ok(Below { floor: Box::new(floor), heads, bias, epsilon, rotary })
    }

    /// Number of heads and their width.
    pub fn shape(&self) -> (usize, usize) {
        (self.heads.len(), self.heads[0].value.len())
    }

    /// Queries, per head, of what a block leaves at a position (from zero).
    pub fn queries(&self, after: &After, position: usize) -> Result<Vec<Vec<Interval>>, Reject> {
        let all = self.heads.iter().map(|maps| self.turned(&maps.query, position));
        let all = all.collect::<Result<Vec<_>, _>>()?.concat();
        let normed = after.normed(&self.floor, &self.epsilon)?;
        let found = after.enclose(&self.floor, &normed, &functionals(all)?)?;
        Ok(found.chunks(self.shape().1).map(<[Interval]>::to_vec).collect())
    }

    /// Keys at a position, per head.
    pub fn keys(&self, position: usize) -> Result<Vec<Vec<Affine>>, Reject> {
        self.heads.iter().map(|maps| self.turned(&maps.key, position)).collect()
    }

    /// Values, per head.
    pub fn values(&self) -> Vec<Vec<Affine>> {
        self.heads.iter().map(|maps| maps.value.clone()).collect()
    }

    /// `D·out_i` of one head for each D of a batch.
    pub fn along(&self, head: usize, batch: &Table) -> Result<Table, Reject> {
        batch.products(&self.heads[head].out, 0..self.shape().1)
    }

    /// Functionals of one head as they are at a position.
    fn turned(&self, all: &[Affine], position: usize) -> Result<Vec<Affine>, Reject> {
        let Some((theta, width)) = &self.rotary else { return Ok(all.to_vec()) };
        let angles = turns(theta, *width, position)?;
        let rows: Vec<Vec<Interval>> =
            all.iter().map(|(row, c)| [row.as_slice(), std::slice::from_ref(c)].concat()).collect();
        let mut columns = transposed(&rows);
        columns.iter_mut().for_each(|column| rotate(column, &angles));
        let split = |mut row: Vec<Interval>| {
            let c = row.pop().unwrap_or_else(|| Interval::from_int(0));
            (row, c)
        };
        Ok(transposed(&columns).into_iter().map(split).collect())
    }
}

impl Maps {
    fn new(attention: &Attention<'_>, h: usize, norm: &Norm<'_>, centring: Centring) -> Result<Maps, Reject> {
        let [query, key, value] = parts(attention, h)?;
        // Biases stand in the last column.
        let affine = |row: &Vec<Interval>| {
            let (bias, weights) = row.split_last().expect("a bias");
            let (row, shift) = fold(norm, weights)?;
            Ok((row, &shift + bias))
        };
        let all = |rows: &[Vec<Interval>]| rows.iter().map(affine).collect::<Result<Vec<Affine>, Reject>>();
        let dim = attention.head_dim;
        let outputs: Vec<Vec<Interval>> = (0..attention.output.rows())
            .map(|r| attention.output.row(r)[h * dim..][..dim].to_vec())
            .collect();
        let outputs = transposed(&outputs);
        let out = outputs.iter().map(|column| projected(centring, column)).collect::<Result<Vec<_>, _>>()?;
        let out = Table::new(&out)?;
        Ok(Maps { query: all(&query)?, key: all(&key)?, value: all(&value)?, out })
    }
}

impl Deep {
    /// Ranges of functionals of `R + b`.
    pub fn rest(&self, below: &Below, batch: &Table) -> Result<Vec<[i128; 2]>, Reject> {
        let mut ranges = self.under.ranges(&below.floor, batch)?;
        let bias = batch.products(&below.bias, 0..1)?;
        for (range, x) in ranges.iter_mut().zip(bias.rows()) {
            let (mid, radius) = (i128::from(x[0]), i128::from(bias.radius()));
            *range = [range[0] + bias.in_sum(mid - radius), range[1] + bias.in_sum(mid + radius)];
        }
        Ok(ranges)
    }
}

/// A batch of functionals.
pub(super) fn functionals(all: Vec<Affine>) -> Result<Functionals, Reject> {
    let (rows, constants): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    Functionals::new(&rows, constants)
}

#[cfg(test)]
mod tests;
