//! A model of one block folded into the tables that the block rule reads.
//!
//! For last token u at position n the residual after attention, centred where the norms centre, is `r = x(n,u) + Σ_h o_h`, where
//! `o_h` is the mean of the vectors `value_h(j, v)` with weights `e^(query_h(n,u)·key_h(j,v))`. With `ρ = 1/sqrt(‖r‖²/d + ε)` the
//! MLP reads the arguments `s_i = ρ w1_i·r + b_i`. Neuron k of n is `g_k = φ(s_k)` or, gated, `g_k = φ(s_k) s_{n+k}`. The
//! residual before the final norm, centred likewise, is `R = r + Σ_k g_k w2_k + b2`; the logits are `a_j·ẑ + c_j` with
//! `ẑ = R / sqrt(‖R‖²/d + ε')`. Gains, shifts, centring and rotations are folded into the matrices beside them.

use dashu_int::IBig;

use crate::family::{Centring, Head, Norm};
use crate::folder::Folder;
use crate::format::MAX_MULTIPLIER;
use crate::forward::{dot, row};
use crate::interval::{FRACTION_BITS, Interval, shift_down, shift_up};
use crate::linear::Linear;
use crate::network::{Attention, Layer, Mlp};
use crate::parallel::both;
use crate::reject::{CheckError, Reject};

use super::dual::rho_interval;
use super::fixed::{Table, too_large};
use super::graph::{GRID_BITS, Graph, LAST};
use super::heads::{projections, turned};
use super::pairs::Inputs;

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
    /// n, those of directions included, which are the last ones.
    pub neurons: usize,
    /// Whether norms subtract the mean.
    pub centred: bool,
    /// `x(n,u)`, the bias of the attention's output included, `[pairs, d]`.
    pub x: Table,
    pub heads: Vec<HeadTables>,
    /// `w1_i`, `[arguments, d]`, and transposed; n arguments, or 2n of gated neurons.
    pub up: Table,
    pub up_columns: Table,
    /// `b_i`, `[1, arguments]` and as intervals.
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
    /// `|s_i − b_i| <= √d ‖w1_i‖`, on the grid.
    pub range: Vec<[i32; 2]>,
    /// `w1_i·x(n,u)`, `[arguments, pairs]`.
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
    /// `w1_i·value(j,v)`, `[arguments, pairs]`.
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

pub(super) fn transposed(rows: &[Vec<Interval>]) -> Vec<Vec<Interval>> {
    let width = rows.first().map_or(0, Vec::len);
    (0..width).map(|c| rows.iter().map(|row| row[c].clone()).collect()).collect()
}

/// What a norm makes of a residual before it divides: Π, which centres or does nothing.
fn projected(centring: Centring, x: &[Interval]) -> Result<Vec<Interval>, Reject> {
    match centring {
        Centring::Mean => centred(x),
        Centring::None => Ok(x.to_vec()),
    }
}

/// A reader of a norm, `weights·(γ ⊙ ẑ + β)`, as `(Π (γ ⊙ weights), β·weights)`.
fn fold(norm: &Norm, weights: &[Interval]) -> Result<(Vec<Interval>, Interval), Reject> {
    let scaled: Vec<Interval> = weights.iter().zip(norm.gain.intervals()).map(|(w, g)| w * &g).collect();
    let shift = norm.shift.map_or_else(|| Interval::from_int(0), |b| dot(weights, &b.intervals()));
    Ok((projected(norm.centring, &scaled)?, shift))
}

impl Network {
    /// Folds the model for prefixes of up to `max_len` tokens (or its context), with neurons without output that read `directions`.
    pub fn new(
        folder: &Folder,
        head: &Head,
        max_len: Option<usize>,
        directions: &[Vec<i64>],
    ) -> Result<Network, CheckError> {
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
        let (Some(before), Some(last)) = (&mlp.norm, &head.norm) else {
            return Err(not_covered("an MLP or a head without a norm"));
        };
        let centring = before.centring;
        if last.centring != centring {
            return Err(not_covered("LayerNorm beside RMSNorm"));
        }
        if attention.head_norms.is_some() {
            return Err(not_covered("norms of queries and keys"));
        }
        if mlp.gate.is_some() && !directions.is_empty() {
            return Err(not_covered("directions beside gated neurons"));
        }
        let projected = |x: &[Interval]| projected(centring, x);
        if *before.epsilon.lo() <= IBig::ZERO || *last.epsilon.lo() < IBig::ZERO {
            return Err(not_covered("a norm before the MLP without a positive epsilon"));
        }
        let (vocabulary, width) = (head.vocabulary(), head.unembed.shape[1]);
        let neurons = mlp.up.rows() + directions.len();
        if [vocabulary, width, 2 * neurons].iter().any(|n| *n > MOST)
            || longest > MOST_POSITIONS
            || attention.n_heads > MOST_HEADS
        {
            return Err(not_covered("a model of this size"));
        }

        let output_bias: Vec<Interval> = (0..width).map(|r| attention.output.bias(r)).collect();
        let (mut up, mut up_bias) = fold_up(before, mlp)?;
        for direction in directions {
            up.push(argument(direction, width)?);
            up_bias.push(Interval::from_int(0));
        }
        let range = ranges(&up, &up_bias)?;
        let last_point = range[..neurons].iter().flatten().map(|i| i.abs()).max().unwrap_or(0) + 1;
        let (up_columns, up) = (Table::new(&transposed(&up))?, Table::new(&up)?);
        let inside = || {
            let norm = attention.norm.as_ref();
            let Inputs { residual: x, read } =
                Inputs::new(embed, positions, longest, norm, (&output_bias, centring))?;
            let head = |h: usize| HeadTables::new(attention, h, &read, &up, vocabulary, projected);
            let heads = (0..attention.n_heads).map(head).collect::<Result<_, Reject>>()?;
            let up_x = up.products(&x, 0..longest * vocabulary)?;
            Ok::<(Table, Vec<HeadTables>, Table), Reject>((x, heads, up_x))
        };
        let outside = || Ok::<_, Reject>((Graph::new(mlp.activation, last_point)?, logits(head, last)?));
        let (outside, inside) = both(outside, inside);
        let ((graph, (logit, logit_bias)), (x, heads, up_x)) = (outside?, inside?);
        let down = transposed(&(0..width).map(|r| mlp.down.row(r)).collect::<Vec<_>>());
        let mut down = down.iter().map(|row| projected(row)).collect::<Result<Vec<_>, _>>()?;
        down.resize(neurons, vec![Interval::from_int(0); width]);
        let down_bias: Vec<Interval> = (0..width).map(|r| mlp.down.bias(r)).collect();
        Ok(Network {
            width,
            vocabulary,
            longest,
            neurons,
            centred: centring == Centring::Mean,
            up_x,
            x_columns: x.transposed(),
            x,
            heads,
            up,
            up_columns,
            up_bias: Table::new(std::slice::from_ref(&up_bias))?,
            up_bias_exact: up_bias,
            down: Table::new(&down)?,
            down_bias: Table::new(&[projected(&down_bias)?])?,
            logit_columns: logit,
            logit_bias,
            epsilon: before.epsilon.clone(),
            last_epsilon: last.epsilon.clone(),
            graph,
            range,
        })
    }

    /// Number of arguments, and of their products `s_i s_j` that dual vectors weigh: the squares `s_k²`, then of gated neurons
    /// `s_k s_{n+k}`.
    pub fn arguments(&self) -> usize {
        self.range.len()
    }

    /// Row of the pair of a prefix length and its last token.
    pub fn pair(&self, length: usize, token: u32) -> usize {
        (length - 1) * self.vocabulary + crate::head::index(token)
    }
}

impl HeadTables {
    /// Head h of an attention that reads `[pairs, ·]`.
    fn new(
        attention: &Attention,
        h: usize,
        read: &Table,
        up: &Table,
        vocabulary: usize,
        reader: impl Fn(&[Interval]) -> Result<Vec<Interval>, Reject>,
    ) -> Result<HeadTables, Reject> {
        let [query, key, value] = projections(attention, h, reader)?;
        let of = |rows: &[Vec<Interval>]| read.products(&Table::new(rows)?, 0..rows.len());
        let turned = |rows: &[Vec<Interval>]| turned(attention, of(rows)?, vocabulary);
        let value = of(&value)?;
        let up_value = up.products(&value, 0..read.rows().count())?;
        let value_columns = value.transposed();
        Ok(HeadTables { query: turned(&query)?, key: turned(&key)?, value, up_value, value_columns })
    }
}

/// `a_j`, transposed, and `c_j`.
fn logits(head: &Head, norm: &Norm) -> Result<(Table, Table), Reject> {
    let of = |token: usize| {
        let (row, shift) = fold(norm, &row(&head.unembed, token))?;
        Ok((row, head.bias.map_or(shift.clone(), |b| &shift + &b.values[token].interval())))
    };
    let of_tokens = (0..head.vocabulary()).map(of).collect::<Result<Vec<_>, Reject>>()?;
    let (rows, bias): (Vec<_>, Vec<_>) = of_tokens.into_iter().unzip();
    Ok((Table::new(&transposed(&rows))?, Table::new(&[bias])?))
}

/// A direction as `w1_i`.
fn argument(direction: &[i64], width: usize) -> Result<Vec<Interval>, Reject> {
    let name = "directions";
    if direction.len() != width {
        return Err(Reject::VectorLength { name, found: direction.len(), expected: width });
    }
    match direction.iter().find(|x| x.unsigned_abs() > MAX_MULTIPLIER.unsigned_abs()) {
        Some(found) => Err(Reject::MultiplierRange { name, found: *found }),
        None => Ok(direction.iter().map(|x| rho_interval(*x)).collect()),
    }
}

/// `w1` and `b`.
fn fold_up(norm: &Norm, mlp: &Mlp) -> Result<(Vec<Vec<Interval>>, Vec<Interval>), Reject> {
    let argument = |(linear, i): (&Linear, usize)| {
        let (row, shift) = fold(norm, &linear.row(i))?;
        Ok((row, &shift + &linear.bias(i)))
    };
    let readers = mlp.gate.iter().chain([&mlp.up]);
    let all = readers.flat_map(|linear| (0..linear.rows()).map(move |i| (linear, i)));
    Ok(all.map(argument).collect::<Result<Vec<_>, Reject>>()?.into_iter().unzip())
}

/// Grid range of every argument.
fn ranges(up: &[Vec<Interval>], bias: &[Interval]) -> Result<Vec<[i32; 2]>, Reject> {
    let grid = FRACTION_BITS - usize::try_from(GRID_BITS).expect("9 fits");
    let fit = |n: IBig| i32::try_from(n).ok().filter(|n| n.abs() < LAST).ok_or_else(too_large);
    let range = |(row, bias): (&Vec<Interval>, &Interval)| {
        let square = row.iter().map(Interval::square).sum::<Interval>() * Interval::from_int(row.len());
        let reach = square.sqrt();
        let (lo, hi) = (bias - &reach, bias + &reach);
        Ok([fit(shift_down(lo.lo(), grid))?, fit(shift_up(hi.hi(), grid))?])
    };
    up.iter().zip(bias).map(range).collect()
}
