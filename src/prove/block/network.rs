//! A one-block transformer folded into the tables that the block prover reads, every entry enclosed.
//!
//! For last token `u` at position `n` the residual after attention, projected by Π (centring for LayerNorm, identity for
//! RMSNorm), is `r = x(n,u) + Σ_h o_h`, where `o_h` is a convex combination of the vectors `value_h(j, v)` with weights
//! proportional to `e^{s_h}`. With `ρ = 1/sqrt(‖r‖²/d + ε)` the MLP reads the arguments `s_i = ρ w1_i·r + b_i`; its neuron
//! k of n is `g_k = φ(s_k)`, or `g_k = φ(s_k) s_{n+k}` where it is gated. The logits are `a_j·ẑ + c_j` where `ẑ` is the
//! normalised `R = r + Σ_k g_k w2_k + b2`. Gains and biases of the norms are folded into the matrices that read them,
//! exactly as real functions.

use crate::model::{Activation, Attention, Layer, Linear, Mlp, MlpKind, Model, Norm, Positions, Scale};
use crate::num::{BallVec, Interval, turns};
use crate::relax::{Graph, STEPS_PER_UNIT};

use super::{UNITS, directions};

/// Why the block prover cannot speak about a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the block prover does not apply: {0}")]
pub struct NotApplicable(pub String);

/// Rows of one width, each entry known to within one common radius.
#[derive(Debug, Clone)]
pub struct Rows {
    /// `[rows, width]`, row-major.
    mid: Vec<f64>,
    width: usize,
    /// Whether all rows are the one that is stored.
    same: bool,
    /// Radius of every entry.
    pub rad: f64,
    /// Upper bound on the Euclidean length of every row.
    pub longest: f64,
}

impl Rows {
    fn new(rows: &[BallVec], width: usize) -> Rows {
        let mid = rows.iter().flat_map(|r| r.mid.iter().copied()).collect();
        let rad = rows.iter().fold(0.0, |m, r| f64::max(m, r.rad));
        let longest = rows.iter().fold(0.0, |m, r| f64::max(m, r.norm2()));
        Rows { mid, width, same: false, rad, longest }
    }

    /// As many rows of zeros as anybody asks for.
    fn zeros(width: usize) -> Rows {
        Rows { mid: vec![0.0; width], width, same: true, rad: 0.0, longest: 0.0 }
    }

    /// Centres of row `i`.
    #[must_use]
    pub fn row(&self, i: usize) -> &[f64] {
        let i = if self.same { 0 } else { i };
        &self.mid[i * self.width..(i + 1) * self.width]
    }

    /// Row `i` with its radius.
    #[must_use]
    pub fn ball(&self, i: usize) -> BallVec {
        BallVec { mid: self.row(i).to_vec(), rad: self.rad }
    }

    /// All rows in order.
    pub fn iter(&self) -> impl Iterator<Item = &[f64]> {
        self.mid.chunks_exact(self.width)
    }
}

/// The folded network. Index of a (position, token) pair: `position · vocab + token`, positions from zero.
#[derive(Debug, Clone)]
pub struct Network {
    /// Residual width `d`.
    pub width: usize,
    /// Number of tokens.
    pub vocab: usize,
    /// Longest prefix.
    pub context: usize,
    /// Attention heads.
    pub heads: usize,
    /// Neurons `n`: those of the MLP, and one without output for each of `directions`.
    pub neurons: usize,
    /// Directions of the residual that are the last arguments, in the certificate's unit, `[few, d]`.
    pub directions: Vec<Vec<i64>>,
    /// Whether each neuron is multiplied by a second argument.
    pub gated: bool,
    /// Whether Π centres (LayerNorm) or is the identity (RMSNorm).
    pub centred: bool,
    /// `x(n,u)`, output bias of attention included, `[context · vocab, d]`.
    pub x: Rows,
    /// `value_h(j, v)` after the output projection, per head `[context · vocab, d]`.
    pub value: Vec<Rows>,
    /// Queries times the score scale, per head `[context · vocab, head_dim]`.
    pub query: Vec<Rows>,
    /// Keys, per head `[context · vocab, head_dim]`.
    pub key: Vec<Rows>,
    /// `w1_i`, `[arguments, d]`; arguments are as many as neurons, or twice as many where those are gated.
    pub up: Rows,
    /// `b_i`.
    pub up_bias: Vec<Interval>,
    /// `w2_k`, `[neurons, d]`.
    pub down: Rows,
    /// `b2`.
    pub down_bias: BallVec,
    /// `a_j`, `[vocab, d]`.
    pub logit: Rows,
    /// `c_j`.
    pub logit_bias: Vec<Interval>,
    /// ε of the norm before the MLP.
    pub eps: f64,
    /// ε' of the norm before the head.
    pub last_eps: f64,
    /// Table of the activation, wide enough for every `s_k` of the unit-norm ball.
    pub graph: Graph,
    /// Grid range of each argument: `|s_i − b_i| <= √d ‖w1_i‖` always.
    pub range: Vec<(i32, i32)>,
}

impl Network {
    /// Folds a model of one attention layer and one MLP, both pre-normed.
    ///
    /// # Errors
    /// Names the first property of the model that the prover does not cover.
    pub fn new(model: &Model) -> Result<Network, NotApplicable> {
        let refuse = |why: &str| NotApplicable(why.to_string());
        let [Layer::Attention(attention), Layer::Mlp(mlp)] = model.body.layers.as_slice() else {
            return Err(refuse(
                "it covers one block of attention and MLP, or two, and this model has other layers",
            ));
        };
        Network::of(model, attention, mlp, Place::Alone)
    }

    /// Folds one block of a model that may have others below it and above it.
    ///
    /// # Errors
    /// As [`Network::new`].
    pub(super) fn of(
        model: &Model,
        attention: &Attention,
        mlp: &Mlp,
        place: Place,
    ) -> Result<Network, NotApplicable> {
        let refuse = |why: &str| NotApplicable(why.to_string());
        if attention.head_norms.is_some() {
            return Err(refuse("norms of query and key heads are not covered"));
        }
        let (readers, down) = match &mlp.kind {
            MlpKind::Plain { up, down } => (vec![up], down),
            MlpKind::Gated { gate, up, down } => (vec![gate, up], down),
        };
        let (Some(before_mlp), Some(last)) = (&mlp.norm, &model.head.norm) else {
            return Err(refuse("it needs a norm before the MLP and before the head"));
        };
        let centred = match (before_mlp, last) {
            (Norm::Layer { .. }, Norm::Layer { .. }) => true,
            (Norm::Rms { .. }, Norm::Rms { .. }) => false,
            (Norm::Layer { .. }, Norm::Rms { .. }) | (Norm::Rms { .. }, Norm::Layer { .. }) => {
                return Err(refuse("LayerNorm and RMSNorm are mixed"));
            }
        };
        let width = model.head.width();
        let tokens = match place {
            Place::Alone | Place::First => TokenTables::new(model, attention, centred),
            Place::Upper => TokenTables::empty(attention.n_heads),
        };
        let fold = |linear: &&Linear| fold_reader(linear, before_mlp, centred);
        let (mut up, mut up_bias): (Vec<_>, Vec<_>) = readers.iter().flat_map(fold).unzip();
        let mut down_rows: Vec<BallVec> =
            down.weight.rows().into_iter().map(|r| project(&points(r.iter().copied()), centred)).collect();
        let gated = readers.len() > 1;
        let directions = match place {
            Place::Alone if !gated => directions::quiet(&tokens.value, width, centred),
            Place::Alone | Place::First | Place::Upper => Vec::new(),
        };
        for direction in &directions {
            up.push(BallVec::exact(direction.iter().map(|&x| x as f64 / UNITS).collect()));
            up_bias.push(Interval::ZERO);
            down_rows.push(BallVec::exact(vec![0.0; width]));
        }
        let down_bias = match &down.bias {
            Some(b) => project(&points(b.iter().copied()), centred),
            None => BallVec::exact(vec![0.0; width]),
        };
        let (logit, logit_bias) = fold_head(model, last, centred);
        let (range, graph) = tabulate(mlp.activation, down_rows.len(), &up, &up_bias)?;
        let [eps, last_eps] = [before_mlp, last].map(|norm| match norm {
            Norm::Layer { eps, .. } | Norm::Rms { eps, .. } => *eps,
        });
        if !(eps > 0.0 && last_eps > 0.0) {
            return Err(refuse("a norm has no positive epsilon"));
        }
        let network = Network {
            width,
            vocab: model.head.vocab_size(),
            context: model.context,
            heads: attention.n_heads,
            neurons: down_rows.len(),
            directions,
            gated,
            centred,
            x: if place == Place::Upper { Rows::zeros(width) } else { Rows::new(&tokens.x, width) },
            value: tokens.value.iter().map(|rows| Rows::new(rows, width)).collect(),
            query: tokens.query.iter().map(|rows| Rows::new(rows, attention.head_dim)).collect(),
            key: tokens.key.iter().map(|rows| Rows::new(rows, attention.head_dim)).collect(),
            up: Rows::new(&up, width),
            up_bias,
            down: Rows::new(&down_rows, width),
            down_bias,
            logit: Rows::new(&logit, width),
            logit_bias,
            eps,
            last_eps,
            graph,
            range,
        };
        network.finite().then_some(network).ok_or_else(|| refuse("its weights overflow double precision"))
    }

    /// Number of arguments, and of the products of them that dual vectors weigh.
    #[must_use]
    pub fn arguments(&self) -> usize {
        self.up_bias.len()
    }

    /// The two arguments of the `i`-th product: the squares `s_k²`, then where neurons are gated `s_k s_{n+k}`.
    #[must_use]
    pub fn product(&self, i: usize) -> (usize, usize) {
        (i % self.neurons, i)
    }

    fn finite(&self) -> bool {
        let tables = [&self.x, &self.up, &self.down, &self.logit];
        let heads = self.value.iter().chain(&self.query).chain(&self.key);
        let biases = self.up_bias.iter().chain(&self.logit_bias);
        tables.into_iter().chain(heads).all(|t| t.rad.is_finite() && t.longest.is_finite())
            && biases.into_iter().all(|b| b.is_finite())
            && self.down_bias.norm2().is_finite()
    }
}

/// Where a block stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// There is no other.
    Alone,
    /// Others read what it leaves.
    First,
    /// It reads what others leave: no table of tokens speaks of it.
    Upper,
}

/// Per-token tables of the attention layer, index `position · vocab + token`.
struct TokenTables {
    x: Vec<BallVec>,
    value: Vec<Vec<BallVec>>,
    query: Vec<Vec<BallVec>>,
    key: Vec<Vec<BallVec>>,
}

impl TokenTables {
    /// No rows for any of these heads.
    fn empty(heads: usize) -> TokenTables {
        let none = vec![Vec::new(); heads];
        TokenTables { x: Vec::new(), value: none.clone(), query: none.clone(), key: none }
    }

    fn new(model: &Model, attention: &Attention, centred: bool) -> TokenTables {
        let heads = attention.n_heads;
        let mut tables = TokenTables {
            x: Vec::new(),
            value: vec![Vec::new(); heads],
            query: vec![Vec::new(); heads],
            key: vec![Vec::new(); heads],
        };
        let (width, dim) = (model.head.width(), attention.head_dim);
        let scale = scale_of(attention);
        let output_bias: Vec<f64> = match &attention.output.bias {
            Some(b) => b.iter().map(|&b| f64::from(b)).collect(),
            None => vec![0.0; width],
        };
        for position in 0..model.context {
            let angles = match model.body.positions {
                Positions::Rotary { theta, dim } => turns(theta, dim, position),
                Positions::Learned(_) | Positions::None => Vec::new(),
            };
            for embedding in model.body.embed.rows() {
                let entry: Vec<Interval> = match &model.body.positions {
                    Positions::Learned(table) => {
                        let row = table.row(position);
                        embedding.iter().zip(row).map(|(&e, &p)| sum([f64::from(e), f64::from(p)])).collect()
                    }
                    Positions::Rotary { .. } | Positions::None => points(embedding.iter().copied()),
                };
                let read = match &attention.norm {
                    Some(norm) => normalise(&entry, norm),
                    None => BallVec::from_intervals(&entry),
                };
                let (q, k, v) = (
                    affine(&read, &attention.query),
                    affine(&read, &attention.key),
                    affine(&read, &attention.value),
                );
                let shifted: Vec<Interval> =
                    entry.iter().zip(&output_bias).map(|(&e, &b)| e + Interval::point(b)).collect();
                tables.x.push(project(&shifted, centred));
                for head in 0..heads {
                    let group = head * attention.n_kv_heads / heads;
                    tables.query[head].push(scaled(&rotated(&slice(&q, head, dim), &angles), scale));
                    tables.key[head].push(rotated(&slice(&k, group, dim), &angles));
                    tables.value[head]
                        .push(project(&output(&slice(&v, group, dim), attention, head), centred));
                }
            }
        }
        tables
    }
}

/// Factor on scores.
pub(super) fn scale_of(attention: &Attention) -> Interval {
    match attention.scale {
        // Head widths are far below 2^53, where the cast is exact.
        Scale::InvSqrt(n) => Interval::point(n as f64).sqrt().recip(),
        Scale::Inverse(c) => Interval::point(c).recip(),
        Scale::One => Interval::ONE,
    }
}

/// Head `head`'s share of the output projection applied to its value.
fn output(value: &BallVec, attention: &Attention, head: usize) -> Vec<Interval> {
    let weight = &attention.output.weight;
    let rows: Vec<Vec<f64>> = (0..attention.head_dim)
        .map(|i| weight.row(head * attention.head_dim + i).iter().map(|&w| f64::from(w)).collect())
        .collect();
    intervals(&through(value, &rows, weight.ncols()))
}

/// `Σ_i z_i W_i` for enclosed `z` and exact rows `W_i`.
fn through(z: &BallVec, rows: &[Vec<f64>], width: usize) -> BallVec {
    let mut y = BallVec::combine(&z.mid, rows.iter().map(Vec::as_slice), 0.0, width);
    let ones = vec![1.0; rows.len()];
    let sizes: Vec<Vec<f64>> = rows.iter().map(|r| r.iter().map(|w| w.abs()).collect()).collect();
    let columns = BallVec::combine(&ones, sizes.iter().map(Vec::as_slice), 0.0, width);
    let widest = columns.mid.iter().fold(0.0, |m, c| f64::max(m, *c)) + columns.rad;
    y.rad = crate::num::nonnegative_sum(y.rad + z.rad * widest);
    y
}

/// `z W + b`.
fn affine(z: &BallVec, linear: &Linear) -> BallVec {
    let rows: Vec<Vec<f64>> =
        linear.weight.rows().into_iter().map(|r| r.iter().map(|&w| f64::from(w)).collect()).collect();
    let y = through(z, &rows, linear.weight.ncols());
    match &linear.bias {
        Some(b) => y.plus_scaled(1.0, &BallVec::exact(b.iter().map(|&b| f64::from(b)).collect())),
        None => y,
    }
}

/// A norm with gain and bias applied to an enclosed vector.
fn normalise(x: &[Interval], norm: &Norm) -> BallVec {
    let (gain, bias, eps, centred) = match norm {
        Norm::Layer { gain, bias, eps } => (gain, bias.as_ref(), *eps, true),
        Norm::Rms { gain, eps } => (gain, None, *eps, false),
    };
    let x = if centred { centre(x) } else { x.to_vec() };
    let mean_square = x.iter().map(|x| x.square()).sum::<Interval>() / Interval::point(x.len() as f64);
    let inverse = (mean_square + Interval::point(eps)).sqrt().recip();
    let out: Vec<Interval> = x
        .iter()
        .enumerate()
        .map(|(i, &x)| {
            let y = x * inverse * f64::from(gain[i]);
            bias.map_or(y, |b| y + Interval::point(f64::from(b[i])))
        })
        .collect();
    BallVec::from_intervals(&out)
}

/// Rows `w1_i` and constants `b_i` of arguments: gain folded in and projected, norm bias moved to the constant.
pub(super) fn fold_reader(up: &Linear, norm: &Norm, centred: bool) -> Vec<(BallVec, Interval)> {
    let (gain, bias) = match norm {
        Norm::Layer { gain, bias, .. } => (gain, bias.as_ref()),
        Norm::Rms { gain, .. } => (gain, None),
    };
    let fold = |k: usize| {
        let column = up.weight.column(k);
        let product = |(w, g): (&f32, &f32)| Interval::point(f64::from(*w)) * f64::from(*g);
        let row: Vec<Interval> = column.iter().zip(gain).map(product).collect();
        let shift = bias.map_or(Interval::ZERO, |b| column.iter().zip(b).map(product).sum());
        let own = up.bias.as_ref().map_or(0.0, |b| f64::from(b[k]));
        (project(&row, centred), shift + Interval::point(own))
    };
    (0..up.weight.ncols()).map(fold).collect()
}

/// Rows `a_j` and constants `c_j` of the logits.
fn fold_head(model: &Model, norm: &Norm, centred: bool) -> (Vec<BallVec>, Vec<Interval>) {
    let (gain, bias) = match norm {
        Norm::Layer { gain, bias, .. } => (gain, bias.as_ref()),
        Norm::Rms { gain, .. } => (gain, None),
    };
    let fold = |(j, row): (usize, ndarray::ArrayView1<'_, f32>)| {
        let product = |(w, g): (&f32, &f32)| Interval::point(f64::from(*w)) * f64::from(*g);
        let scaled: Vec<Interval> = row.iter().zip(gain).map(product).collect();
        let shift = bias.map_or(Interval::ZERO, |b| row.iter().zip(b).map(product).sum());
        let own = model.head.bias.as_ref().map_or(0.0, |b| f64::from(b[j]));
        (project(&scaled, centred), shift + Interval::point(own))
    };
    model.head.unembed.rows().into_iter().enumerate().map(fold).unzip()
}

/// Grid range of every argument and a table that covers those of the activation, the first `neurons`.
fn tabulate(
    activation: Activation,
    neurons: usize,
    up: &[BallVec],
    bias: &[Interval],
) -> Result<(Vec<(i32, i32)>, Graph), NotApplicable> {
    /// Widest argument range that is worth a table.
    const WIDEST: f64 = 2000.0;
    let mut range = Vec::with_capacity(up.len());
    for (row, b) in up.iter().zip(bias) {
        let reach = Interval::point((row.mid.len() as f64).sqrt().next_up()) * row.norm2();
        let (lo, hi) = (*b - reach, *b + reach);
        if !(lo.lo() >= -WIDEST && hi.hi() <= WIDEST) {
            return Err(NotApplicable(format!(
                "a neuron's argument may reach {hi}, beyond the table of its activation"
            )));
        }
        let steps = f64::from(STEPS_PER_UNIT);
        // Within ±2000 · 512 the products are exact and the casts lossless.
        range.push(((lo.lo() * steps).floor() as i32, (hi.hi() * steps).ceil() as i32));
    }
    let first = range[..neurons].iter().map(|r| r.0).min().unwrap_or(0).min(0) - 1;
    let last = range[..neurons].iter().map(|r| r.1).max().unwrap_or(0).max(0) + 1;
    Ok((range, Graph::new(activation, first, last)))
}

/// Π: centring or the identity.
pub(super) fn project(x: &[Interval], centred: bool) -> BallVec {
    if centred { BallVec::from_intervals(&centre(x)) } else { BallVec::from_intervals(x) }
}

fn centre(x: &[Interval]) -> Vec<Interval> {
    let mean = x.iter().copied().sum::<Interval>() / Interval::point(x.len() as f64);
    x.iter().map(|&x| x - mean).collect()
}

pub(super) fn points(xs: impl Iterator<Item = f32>) -> Vec<Interval> {
    xs.map(|x| Interval::point(f64::from(x))).collect()
}

fn sum(terms: [f64; 2]) -> Interval {
    Interval::point(terms[0]) + Interval::point(terms[1])
}

pub(super) fn intervals(x: &BallVec) -> Vec<Interval> {
    x.mid.iter().map(|&mid| crate::num::Ball { mid, rad: x.rad }.interval()).collect()
}

/// Elements `i` and `i + n` turned by the `i`-th of `n` angles, given as cosine and sine.
fn rotated(x: &BallVec, angles: &[(Interval, Interval)]) -> BallVec {
    if angles.is_empty() {
        return x.clone();
    }
    let mut y = intervals(x);
    for (i, &(cos, sin)) in angles.iter().enumerate() {
        let (a, b) = (y[i], y[i + angles.len()]);
        y[i] = a * cos - b * sin;
        y[i + angles.len()] = b * cos + a * sin;
    }
    BallVec::from_intervals(&y)
}

pub(super) fn scaled(x: &BallVec, factor: Interval) -> BallVec {
    BallVec::from_intervals(&intervals(x).into_iter().map(|x| x * factor).collect::<Vec<_>>())
}

fn slice(x: &BallVec, block: usize, dim: usize) -> BallVec {
    BallVec { mid: x.mid[block * dim..(block + 1) * dim].to_vec(), rad: x.rad }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
pub(super) mod tests {
    use super::*;

    /// The shipped models of one block: with plain neurons, or with gated ones.
    pub fn shipped(gated: bool) -> &'static Network {
        static NETWORKS: std::sync::OnceLock<[Network; 2]> = std::sync::OnceLock::new();
        let load = |name: &str| {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name);
            Network::new(&crate::model::ModelFolder::open(&folder).unwrap().load().unwrap()).unwrap()
        };
        &NETWORKS.get_or_init(|| ["moby-l1", "moby-llama"].map(load))[usize::from(gated)]
    }
}
