//! Margins of a one-layer attention-only model without norms, over products of token sets.
//!
//! For the last token u at position n the logits are `base(n,u) + Σ_h Σ_j e_h(j,v_j) read_h(j,v_j) / Σ_j e_h(j,v_j)` with
//! `e = e^score > 0`, where `base` and `read` don't depend on the rest of the prefix. For a margin `Σ w·l` let r and g be its
//! shares of `read` and `base`. If `φ(μ) = Σ_j min_v e(v) (r(v) − μ) >= 0`, then a head's share is at least μ for every prefix
//! (Dinkelbach 1967). Each head but the last gets the largest such μ; the last one is asked for the rest,
//! `φ(floor − g(u) − Σ μ_h) > 0`. For a set of last tokens e ranges over intervals; a common factor of all e of one last token
//! cancels, so its greatest score is made zero before the intervals are taken. φ is computed exactly, in integers.

use crate::family::Head;
use crate::folder::Folder;
use crate::forward::{row, sum};
use crate::head::index;
use crate::interval::Interval;
use crate::linear::dot;
use crate::network::Layer;
use crate::reject::{CheckError, Reject};

use super::fixed::{Table, too_large};
use super::heads::projections;
use super::tables::{MOST, MOST_HEADS, MOST_POSITIONS, not_covered};
use crate::exponential::{SCORE_PLACES, exp_minus};

/// Fractional bits of logits.
pub(super) const LOGIT_PLACES: u32 = 40;
/// Largest magnitude of a logit's part, and of a margin's floor, in units of `2^-LOGIT_PLACES`.
const LARGEST: i64 = 1 << 50;
/// Newton steps take about five.
const MOST_STEPS: usize = 1000;

/// The folded model; rows are pairs of position and token.
pub(super) struct Logits {
    pub vocabulary: usize,
    base: Table,
    heads: Vec<HeadLogits>,
}

struct HeadLogits {
    query: Table,
    key: Table,
    read: Table,
}

/// `Σ weight/2^bits · logit > floor`.
pub(super) struct Margin {
    pub weights: Vec<(u32, i64)>,
    pub bits: u32,
    /// In units of `2^-LOGIT_PLACES`.
    pub floor: i128,
}

impl Logits {
    /// Folds the model for prefixes of up to `longest` tokens.
    pub fn new(folder: &Folder, head: &Head, longest: usize) -> Result<Logits, CheckError> {
        if folder.n_blocks()? != 1 {
            return Err(not_covered("models of more than one block"));
        }
        let (embed, positions) = folder.embeddings()?;
        let layers = folder.block(0)?;
        folder.refuse_unused()?;
        let [Layer::Attention(attention)] = &layers[..] else {
            return Err(not_covered("layers other than one attention"));
        };
        let (Some(positions), None, None, None) = (positions, &attention.rotary, &attention.norm, &head.norm)
        else {
            return Err(not_covered("norms, and positions that are not learned"));
        };
        let (vocabulary, width) = (head.vocabulary(), head.unembed.shape[1]);
        if [vocabulary, width].iter().any(|n| *n > MOST)
            || longest > MOST_POSITIONS
            || attention.n_heads > MOST_HEADS
            || attention.n_kv_heads != attention.n_heads
        {
            return Err(not_covered("a model of this size"));
        }
        // Inputs of the attention and of the unembedding, with a 1 for the biases.
        let output_bias: Vec<Interval> = (0..width).map(|r| attention.output.bias(r)).collect();
        let one = || std::iter::once(Interval::from_int(1));
        let (mut x, mut input) = (Vec::new(), Vec::new());
        for position in 0..longest {
            let place = row(positions, position);
            for token in 0..vocabulary {
                let entry = sum(&row(embed, token), &place);
                x.push(sum(&entry, &output_bias).into_iter().chain(one()).collect());
                input.push(entry.into_iter().chain(one()).collect());
            }
        }
        let (x, input) = (Table::new(&x)?, Table::new(&input)?);
        let unembed: Vec<Vec<Interval>> = (0..vocabulary).map(|token| row(&head.unembed, token)).collect();
        let bias = |token: usize| head.bias.map_or(Interval::from_int(0), |b| b.values[token].interval());
        let with_bias = unembed.iter().enumerate().map(|(t, row)| [row.clone(), vec![bias(t)]].concat());
        let base = x.products(&Table::new(&with_bias.collect::<Vec<_>>())?, 0..vocabulary)?;
        let unembed = Table::new(&unembed)?;
        let heads: Result<_, CheckError> = (0..attention.n_heads)
            .map(|h| {
                let [query, key, value] = projections(attention, h, |column| Ok(column.to_vec()))?;
                let of = |rows: &[Vec<Interval>]| input.products(&Table::new(rows)?, 0..rows.len());
                let read = of(&value)?.products(&unembed, 0..vocabulary)?;
                Ok(HeadLogits { query: of(&query)?, key: of(&key)?, read: fixed(&read)? })
            })
            .collect();
        Ok(Logits { vocabulary, base: fixed(&base)?, heads: heads? })
    }

    /// A lower bound on a margin's share of a table's row, in units of `2^-LOGIT_PLACES`; below `2^52` in magnitude, as weights
    /// sum to at most two.
    fn share(table: &Table, pair: usize, margin: &Margin) -> i64 {
        let row = table.row(pair);
        let term = |(token, weight): &(u32, i64)| {
            i128::from(*weight) * i128::from(row[index(*token)])
                - i128::from(weight.abs()) * i128::from(table.radius())
        };
        let sum: i128 = margin.weights.iter().map(term).sum();
        i64::try_from(sum >> margin.bits).expect("parts of logits are below 2^50")
    }
}

fn fixed(table: &Table) -> Result<Table, Reject> {
    let table = table.fixed(LOGIT_PLACES)?;
    if table.largest() < i128::from(LARGEST) && table.radius() < LARGEST {
        Ok(table)
    } else {
        Err(too_large())
    }
}

/// A product of token sets, and the attention weights that its prefixes can have.
pub(super) struct Product<'a> {
    logits: &'a Logits,
    /// Pairs of each position; of the last one, those of the last tokens.
    pairs: Vec<Vec<usize>>,
    /// `[head][position][i]`: an interval of e.
    weights: Vec<Vec<Vec<[i64; 2]>>>,
}

impl<'a> Product<'a> {
    /// No set is empty.
    pub fn new(logits: &'a Logits, sets: &[Vec<u32>]) -> Result<Product<'a>, Reject> {
        let pair = |(position, set): (usize, &Vec<u32>)| -> Vec<usize> {
            set.iter().map(|token| position * logits.vocabulary + index(*token)).collect()
        };
        let mut product =
            Product { logits, pairs: sets.iter().enumerate().map(pair).collect(), weights: Vec::new() };
        product.weights = logits.heads.iter().map(|head| product.weigh(head)).collect::<Result<_, _>>()?;
        Ok(product)
    }

    fn weigh(&self, head: &HeadLogits) -> Result<Vec<Vec<[i64; 2]>>, Reject> {
        let (query, key) = (&head.query, &head.key);
        let shift = (query.places() + key.places()).checked_sub(SCORE_PLACES).ok_or_else(too_large)?;
        let error = (query.product_radius(key)? >> shift) + 2;
        if query.largest_product(key) >> shift >= 1 << 60 || error >= 1 << 60 {
            return Err(too_large());
        }
        let error = u64::try_from(error).expect("a radius is not negative");
        let (own, free) = self.pairs.split_last().expect("a prefix has a last token");
        let mut spans: Vec<Vec<[i64; 2]>> =
            free.iter().map(|pairs| vec![[0, i64::MIN]; pairs.len()]).collect();
        let mut own_spans = Vec::with_capacity(own.len());
        for u in own {
            let score = |pair: usize| {
                i64::try_from(dot(query.row(*u), key.row(pair)) >> shift).map_err(|_| too_large())
            };
            let of =
                |pairs: &Vec<usize>| pairs.iter().map(|pair| score(*pair)).collect::<Result<Vec<_>, _>>();
            let scores = free.iter().map(of).collect::<Result<Vec<_>, _>>()?;
            let own_score = score(*u)?;
            let top = scores.iter().flatten().copied().fold(own_score, i64::max);
            for (span, s) in spans.iter_mut().flatten().zip(scores.iter().flatten()) {
                *span = [span[0].min(s - top), span[1].max(s - top)];
            }
            own_spans.push([own_score - top; 2]);
        }
        spans.push(own_spans);
        // Scores are off by `error`; lowering all by as much is a common factor, and keeps the high ends at most 1.
        let enclose = |[low, high]: &[i64; 2]| {
            [exp_minus(low.unsigned_abs() + 2 * error)[0], exp_minus(high.unsigned_abs())[1]]
        };
        Ok(spans.iter().map(|span| span.iter().map(enclose).collect()).collect())
    }

    /// Whether the margin is proved to exceed its floor after every prefix of the product.
    pub fn proves(&self, margin: &Margin) -> Result<bool, Reject> {
        if margin.floor.unsigned_abs() >= 1 << 54 {
            return Err(too_large());
        }
        let own = self.pairs.last().expect("a prefix has a last token");
        let g: Vec<i64> = own.iter().map(|u| Logits::share(&self.logits.base, *u, margin)).collect();
        let least = g.iter().copied().min().unwrap_or(0);
        let mut rest = margin.floor;
        for (h, (head, weights)) in self.logits.heads.iter().zip(&self.weights).enumerate() {
            let values: Vec<Vec<i64>> = self
                .pairs
                .iter()
                .map(|pairs| pairs.iter().map(|pair| Logits::share(&head.read, *pair, margin)).collect())
                .collect();
            if h + 1 < self.weights.len() {
                rest -= largest(weights, &values)?;
            } else {
                let floors: Vec<i128> = g.iter().map(|g| rest - i128::from(*g)).collect();
                return Ok(phi(weights, &values, rest - i128::from(least), &floors).0 > 0);
            }
        }
        Ok(false)
    }
}

/// The largest integer μ with `φ(μ) >= 0`: φ is concave and falls, so that Newton's steps from anywhere lead to the right of its
/// root or onto it, then down; rounded down they end there.
fn largest(weights: &[Vec<[i64; 2]>], values: &[Vec<i64>]) -> Result<i128, Reject> {
    let mut mu = 0;
    for step in 0..MOST_STEPS {
        let floors = vec![mu; values.last().map_or(0, Vec::len)];
        let (phi, total) = phi(weights, values, mu, &floors);
        if total == 0 {
            return Err(too_large());
        }
        if phi >= 0 && (step > 0 || phi < total) {
            return Ok(mu);
        }
        mu += phi.div_euclid(total);
    }
    Err(Reject::NoEnclosure { what: "an attention bound", why: "its iteration does not settle" })
}

/// `Σ_j min e (r − floor)` with floors of their own for the last tokens, and the sum of the weights taken. Values are below 2^52
/// and floors below 2^58, weights at most 2^60 and positions at most 2^8, so that the sum is below 2^127.
fn phi(weights: &[Vec<[i64; 2]>], values: &[Vec<i64>], floor: i128, own: &[i128]) -> (i128, i128) {
    let (mut sum, mut total, n_positions) = (0, 0, weights.len());
    for (position, (weights, values)) in weights.iter().zip(values).enumerate() {
        let is_last = position + 1 == n_positions;
        let (mut least, mut weight) = (i128::MAX, 0);
        for (i, (e, r)) in weights.iter().zip(values).enumerate() {
            let x = i128::from(*r) - if is_last { own[i] } else { floor };
            let e = e[usize::from(x < 0)];
            if i128::from(e) * x < least {
                (least, weight) = (i128::from(e) * x, e);
            }
        }
        sum += least;
        total += i128::from(weight);
    }
    (sum, total)
}
