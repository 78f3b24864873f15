//! A model of one block folded into the tables that the block rule reads.
//!
//! For last token u at position n the residual after attention, centred where the norms centre, is `r = x(n,u) + Σ_h o_h`, where
//! `o_h` is the mean of the vectors `value_h(j, v)` with weights `e^(query_h(n,u)·key_h(j,v))`. With `ρ = 1/sqrt(‖r‖²/d + ε)` the
//! MLP reads the arguments `s_i = ρ w1_i·r + b_i`. Neuron k of n is `g_k = φ(s_k)` or, gated, `g_k = φ(s_k) s_{n+k}`. The
//! residual before the final norm, centred likewise, is `R = r + Σ_k g_k w2_k + b2`; the logits are `a_j·ẑ + c_j` with
//! `ẑ = R / sqrt(‖R‖²/d + ε')`. Gains, shifts, centring and rotations are folded into the matrices beside them.

use dashu_int::IBig;

use crate::family::{Centring, Head};
use crate::folder::Folder;
use crate::interval::Interval;
use crate::network::{Attention, Layer};
use crate::parallel::both;
use crate::reject::{CheckError, Reject};
use crate::tensor::Tensor;

use super::deep::Below;
use super::fixed::Table;
use super::folded::{argument, fold_up, logits, projected, ranges, transposed};
use super::graph::Graph;
use super::heads::{projections, turned};
use super::normed::Functionals;
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
    /// The arguments as functionals of ŷ, with their constants.
    pub readers: Functionals,
    /// The block below, where there is one: then x is zero and there are no heads here.
    pub below: Option<Below>,
}

/// What enters a model.
struct Entries<'a> {
    embed: &'a Tensor,
    positions: Option<&'a Tensor>,
    longest: usize,
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
        let (embed, positions) = folder.embeddings()?;
        let blocks = (0..folder.n_blocks()?).map(|i| folder.block(i)).collect::<Result<Vec<_>, _>>()?;
        folder.refuse_unused()?;
        let parts = |layers: &'_ [Layer<'_>]| match layers {
            [Layer::Attention(_), Layer::Mlp(_)] => Ok(()),
            _ => Err(not_covered("layers other than one attention and one MLP")),
        };
        blocks.iter().try_for_each(|layers| parts(layers))?;
        let entries = Entries { embed, positions, longest };
        match &blocks[..] {
            [only] => Network::block(head, only, &entries, Some(directions)),
            [first, last] => {
                if !directions.is_empty() {
                    return Err(not_covered("directions through two blocks"));
                }
                let floor = Network::block(head, first, &entries, Some(&[]))?;
                let mut network = Network::block(head, last, &entries, None)?;
                network.below = Some(Below::new(floor, last, network.centred)?);
                Ok(network)
            }
            _ => Err(not_covered("models of more than two blocks")),
        }
    }

    /// Folds one block; without directions it is one that no table of tokens speaks of.
    fn block(
        head: &Head,
        layers: &[Layer<'_>],
        &Entries { embed, positions, longest }: &Entries<'_>,
        directions: Option<&[Vec<i64>]>,
    ) -> Result<Network, CheckError> {
        let [Layer::Attention(attention), Layer::Mlp(mlp)] = layers else {
            return Err(not_covered("layers other than one attention and one MLP"));
        };
        let (upper, directions) = (directions.is_none(), directions.unwrap_or_default());
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
        let readers = Functionals::new(&up, up_bias.clone())?;
        let (up_columns, up) = (Table::new(&transposed(&up))?, Table::new(&up)?);
        let pairs = longest * vocabulary;
        let inside = || {
            if upper {
                let zeros = |rows: usize, width: usize| Table::settle(width, &vec![0; rows * width], 0, 0, 0);
                return Ok((zeros(pairs, width)?, Vec::new(), zeros(up.rows().count(), pairs)?));
            }
            let norm = attention.norm.as_ref();
            let Inputs { residual: x, read } =
                Inputs::new(embed, positions, longest, norm, (&output_bias, centring))?;
            let head = |h: usize| HeadTables::new(attention, h, &read, &up, vocabulary, projected);
            let heads = (0..attention.n_heads).map(head).collect::<Result<_, Reject>>()?;
            let up_x = up.products(&x, 0..pairs)?;
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
            readers,
            below: None,
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
