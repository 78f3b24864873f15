//! Weights that a head can put on tokens, up to a common factor.

use dashu_int::IBig;

use crate::interval::{FRACTION_BITS, Interval, shift_down, shift_up};
use crate::linear::dot;
use crate::reject::Reject;

use super::fixed::too_large;
use super::tables::{HeadTables, Network};
use crate::exponential::{SCORE_PLACES, exp_minus};

/// `[low, high]` of e of one head, for each of the rows.
#[derive(Debug)]
pub(super) struct Weights(pub Vec<[i64; 2]>);

impl Weights {
    /// Of the tokens of each position before the last, in a row, and of last tokens on themselves.
    pub fn new(
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
        let error = i64::try_from(error).map_err(|_| too_large())?;
        low.extend(&own);
        high.extend(&own);
        let ends = low.iter().zip(&high).map(|(low, high)| [low - error, high + error]).collect::<Vec<_>>();
        Ok(Weights::between(&ends))
    }

    /// Of scores in intervals, one for each row.
    pub fn enclosing(scores: &[Interval]) -> Result<Weights, Reject> {
        let unit = FRACTION_BITS - usize::try_from(SCORE_PLACES).expect("50 fits");
        let fit = |n: IBig| i64::try_from(n).ok().filter(|n| n.abs() < 1 << 60).ok_or_else(too_large);
        let ends = |s: &Interval| Ok([fit(shift_down(s.lo(), unit))?, fit(shift_up(s.hi(), unit))?]);
        Ok(Weights::between(&scores.iter().map(ends).collect::<Result<Vec<_>, Reject>>()?))
    }

    /// Of scores between two numbers in units of `2^-SCORE_PLACES`, up to a common factor, so that the highest weight becomes 1.
    fn between(ends: &[[i64; 2]]) -> Weights {
        let top = ends.iter().map(|[_, high]| *high).max().unwrap_or(0);
        let below = |s: i64| u64::try_from(top - s).expect("the top is the highest");
        let enclose = |[low, high]: &[i64; 2]| [exp_minus(below(*low))[0], exp_minus(below(*high))[1]];
        Weights(ends.iter().map(enclose).collect())
    }
}
