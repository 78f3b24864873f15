//! A model of one block folded into the tables that the block rule reads.
//!
//! For last token u at position n the residual after attention, centred, is `r = x(n,u) + Σ_h o_h`, where `o_h` is the mean of
//! the vectors `value_h(j, v)` with weights `e^(query_h(n,u)·key_h(j,v))`. With `ρ = 1/sqrt(‖r‖²/d + ε)` neuron k reads
//! `s_k = ρ w1_k·r + b_k`; the residual before the final norm, centred, is `R = r + Σ_k φ(s_k) w2_k + b2`; the logits are
//! `a_j·ẑ + c_j` with `ẑ = R / sqrt(‖R‖²/d + ε')`. Gains, shifts and centring are folded into the matrices beside them.

use dashu_int::IBig;

use crate::family::{Centring, Head, Norm};
use crate::folder::Folder;
use crate::forward::{dot, normalised, row, sum};
use crate::interval::{FRACTION_BITS, Interval, shift_down, shift_up};
use crate::network::{Attention, Layer, Mlp};
use crate::reject::{CheckError, Reject};

use super::fixed::{Table, too_large};
use super::graph::{GRID_BITS, Graph};

/// Largest width, number of neurons, vocabulary and context: bounds on the lengths of sums.
pub(super) const MOST: usize = 1 << 13;
pub(super) const MOST_POSITIONS: usize = 256;
pub(super) const MOST_HEADS: usize = 32;

/// Row `position · vocabulary + token` of a table of pairs; positions from zero.
pub(super) struct Network {
    pub width: usize,
    pub vocabulary: usize,
    /// Longest prefix spoken of.
    pub longest: usize,
    pub neurons: usize,
    /// `x(n,u)`, the bias of the attention's output included, `[pairs, d]`.
    pub x: Table,
    pub heads: Vec<HeadTables>,
    /// `w1_k`, `[neurons, d]`, and transposed.
    pub up: Table,
    pub up_columns: Table,
    /// `b_k`, `[1, neurons]` and as intervals.
    pub up_bias: Table,
    pub up_bias_exact: Vec<Interval>,
    /// `w2_k`, `[neurons, d]`, and `b2`, `[1, d]`.
    pub down: Table,
    pub down_bias: Table,
    /// `a`, transposed, `[d, vocabulary]`, and `c`, `[1, vocabulary]`.
    pub logit_columns: Table,
    pub logit_bias: Table,
    /// ε of the norm before the MLP, above 0.
    pub epsilon: Interval,
    /// ε' of the norm before the head, not below 0.
    pub last_epsilon: Interval,
    pub graph: Graph,
    /// `|s_k − b_k| <= √d ‖w1_k‖`, on the grid.
    pub range: Vec<[i32; 2]>,
    /// `w1_k·x(n,u)`, `[neurons, pairs]`.
    pub up_x: Table,
    /// x transposed, `[d, pairs]`.
    pub x_columns: Table,
}

/// One attention head.
pub(super) struct HeadTables {
    /// Divided by the divisor of the scores, `[pairs, head_dim]`.
    pub query: Table,
    /// `[pairs, head_dim]`.
    pub key: Table,
    /// After the output projection, `[pairs, d]`.
    pub value: Table,
    /// `w1_k·value(j,v)`, `[neurons, pairs]`.
    pub up_value: Table,
    /// value transposed, `[d, pairs]`.
    pub value_columns: Table,
}

pub(super) fn not_covered(why: &str) -> CheckError {
    Reject::NotCovered { why: why.into() }.into()
}

/// `x` without its mean.
fn centred(x: &[Interval]) -> Result<Vec<Interval>, Reject> {
    let mean = x.iter().cloned().sum::<Interval>().divide(&Interval::from_int(x.len()), "a mean")?;
    Ok(x.iter().map(|x| x - &mean).collect())
}

fn transposed(rows: &[Vec<Interval>]) -> Vec<Vec<Interval>> {
    let width = rows.first().map_or(0, Vec::len);
    (0..width).map(|c| rows.iter().map(|row| row[c].clone()).collect()).collect()
}

/// A reader of a norm, `weights·(γ ⊙ ẑ + β)`, as `(Π (γ ⊙ weights), β·weights)`.
fn fold(norm: &Norm, weights: &[Interval]) -> Result<(Vec<Interval>, Interval), Reject> {
    let scaled: Vec<Interval> = weights.iter().zip(norm.gain.intervals()).map(|(w, g)| w * &g).collect();
    let shift = norm.shift.map_or_else(|| Interval::from_int(0), |b| dot(weights, &b.intervals()));
    Ok((centred(&scaled)?, shift))
}

impl Network {
    /// Folds the model for prefixes of up to `max_len` tokens (or its context).
    pub fn new(folder: &Folder, head: &Head, max_len: Option<usize>) -> Result<Network, CheckError> {
        let context = folder.context()?;
        let longest = max_len.unwrap_or(context);
        if longest > context {
            return Err(not_covered("max_len is beyond the model's context"));
        }
        if folder.n_blocks()? != 1 {
            return Err(not_covered("models of more than one block"));
        }
        let (embed, positions) = folder.embeddings()?;
        let layers = folder.block(0)?;
        folder.refuse_unused()?;
        let [Layer::Attention(attention), Layer::Mlp(mlp)] = &layers[..] else {
            return Err(not_covered("layers other than one attention and one MLP"));
        };
        let (Some(positions), None, None) = (positions, &attention.rotary, &mlp.gate) else {
            return Err(not_covered("positions that are not learned, and gated MLPs"));
        };
        let (Some(before), Some(last)) = (&mlp.norm, &head.norm) else {
            return Err(not_covered("an MLP or a head without a norm"));
        };
        if before.centring != Centring::Mean || last.centring != Centring::Mean {
            return Err(not_covered("RMSNorm"));
        }
        if *before.epsilon.lo() <= IBig::ZERO || *last.epsilon.lo() < IBig::ZERO {
            return Err(not_covered("a norm before the MLP without a positive epsilon"));
        }
        let (vocabulary, width, neurons) = (head.vocabulary(), head.unembed.shape[1], mlp.up.rows());
        if [vocabulary, width, neurons].iter().any(|n| *n > MOST)
            || longest > MOST_POSITIONS
            || attention.n_heads > MOST_HEADS
            || attention.n_kv_heads != attention.n_heads
        {
            return Err(not_covered("a model of this size"));
        }

        // Inputs of the attention, with a 1 for the biases.
        let output_bias: Vec<Interval> = (0..width).map(|r| attention.output.bias(r)).collect();
        let (mut x, mut input) = (Vec::new(), Vec::new());
        for position in 0..longest {
            let place = row(positions, position);
            for token in 0..vocabulary {
                let entry = sum(&row(embed, token), &place);
                x.push(centred(&sum(&entry, &output_bias))?);
                let mut read = normalised(attention.norm.as_ref(), &entry)?;
                read.push(Interval::from_int(1));
                input.push(read);
            }
        }
        let (x, input) = (Table::new(&x)?, Table::new(&input)?);
        let n_pairs = longest * vocabulary;

        let (up, up_bias) = fold_up(before, mlp)?;
        let (range, last_point) = ranges(&up, &up_bias)?;
        let (up_columns, up) = (Table::new(&transposed(&up))?, Table::new(&up)?);
        let heads: Result<_, CheckError> = (0..attention.n_heads)
            .map(|h| {
                let [query, key, value] = projections(attention, h, centred)?;
                let of = |rows: &[Vec<Interval>]| input.products(&Table::new(rows)?, 0..rows.len());
                let value = of(&value)?;
                let up_value = up.products(&value, 0..n_pairs)?;
                let value_columns = value.transposed();
                Ok(HeadTables { query: of(&query)?, key: of(&key)?, value, up_value, value_columns })
            })
            .collect();
        let down = transposed(&(0..width).map(|r| mlp.down.row(r)).collect::<Vec<_>>());
        let down = down.iter().map(|row| centred(row)).collect::<Result<Vec<_>, _>>()?;
        let down_bias: Vec<Interval> = (0..width).map(|r| mlp.down.bias(r)).collect();
        let (mut logit, mut logit_bias) = (Vec::new(), Vec::new());
        for token in 0..vocabulary {
            let (row, shift) = fold(last, &row(&head.unembed, token))?;
            logit.push(row);
            logit_bias.push(head.bias.map_or(shift.clone(), |b| &shift + &b.values[token].interval()));
        }
        Ok(Network {
            width,
            vocabulary,
            longest,
            neurons,
            up_x: up.products(&x, 0..n_pairs)?,
            x_columns: x.transposed(),
            x,
            heads: heads?,
            up,
            up_columns,
            up_bias: Table::new(std::slice::from_ref(&up_bias))?,
            up_bias_exact: up_bias,
            down: Table::new(&down)?,
            down_bias: Table::new(&[centred(&down_bias)?])?,
            logit_columns: Table::new(&transposed(&logit))?,
            logit_bias: Table::new(&[logit_bias])?,
            epsilon: before.epsilon.clone(),
            last_epsilon: last.epsilon.clone(),
            graph: Graph::new(mlp.activation, last_point)?,
            range,
        })
    }

    /// Row of the pair of a prefix length and its last token.
    pub fn pair(&self, length: usize, token: u32) -> usize {
        (length - 1) * self.vocabulary + crate::head::index(token)
    }
}

/// `w1` and `b`.
fn fold_up(norm: &Norm, mlp: &Mlp) -> Result<(Vec<Vec<Interval>>, Vec<Interval>), Reject> {
    let neuron = |k: usize| {
        let (row, shift) = fold(norm, &mlp.up.row(k))?;
        Ok((row, &shift + &mlp.up.bias(k)))
    };
    Ok((0..mlp.up.rows()).map(neuron).collect::<Result<Vec<_>, Reject>>()?.into_iter().unzip())
}

/// Grid range of every neuron, and the largest grid point in magnitude.
fn ranges(up: &[Vec<Interval>], bias: &[Interval]) -> Result<(Vec<[i32; 2]>, i32), Reject> {
    let grid = FRACTION_BITS - usize::try_from(GRID_BITS).expect("9 fits");
    let fit = |n: IBig| i32::try_from(n).ok().filter(|n| n.abs() < 1 << 30).ok_or_else(too_large);
    let mut ranges = Vec::new();
    for (row, bias) in up.iter().zip(bias) {
        let square = row.iter().map(Interval::square).sum::<Interval>() * Interval::from_int(row.len());
        let reach = square.sqrt();
        let (lo, hi) = (bias - &reach, bias + &reach);
        ranges.push([fit(shift_down(lo.lo(), grid))?, fit(shift_up(hi.hi(), grid))?]);
    }
    let last = ranges.iter().flatten().map(|i| i.abs()).max().unwrap_or(0);
    Ok((ranges, last + 1))
}

/// Rows of head h's queries (scaled), keys and values (after the output projection and what the reader does to it, such as
/// centring), biases in the last column.
pub(super) fn projections(
    attention: &Attention,
    h: usize,
    reader: impl Fn(&[Interval]) -> Result<Vec<Interval>, Reject>,
) -> Result<[Vec<Vec<Interval>>; 3], Reject> {
    let Attention { n_heads, head_dim, .. } = *attention;
    let rows: Vec<(usize, usize)> = attention
        .projections
        .iter()
        .enumerate()
        .flat_map(|(p, projection)| (0..projection.rows()).map(move |r| (p, r)))
        .collect();
    let part = |i: usize| -> Vec<Vec<Interval>> {
        let of = |(p, r): &(usize, usize)| {
            let projection = &attention.projections[*p];
            let mut row = projection.row(*r);
            row.push(projection.bias(*r));
            row
        };
        rows[(i * n_heads + h) * head_dim..][..head_dim].iter().map(of).collect()
    };
    let mut query = part(0);
    for entry in query.iter_mut().flatten() {
        *entry = entry.divide(&attention.divisor, "an attention score")?;
    }
    // Column i of the output projection belongs to element i of the heads' values in a row.
    let outputs: Vec<Vec<Interval>> = (0..attention.output.rows())
        .map(|r| attention.output.row(r)[h * head_dim..][..head_dim].to_vec())
        .collect();
    let outputs = transposed(&outputs).iter().map(|column| reader(column)).collect::<Result<Vec<_>, _>>()?;
    let inputs = transposed(&part(2));
    let value = transposed(&outputs).iter().map(|o| inputs.iter().map(|v| dot(o, v)).collect()).collect();
    Ok([query, part(1), value])
}
