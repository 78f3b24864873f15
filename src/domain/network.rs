//! A model prepared for the domains: weights in `f64`, gains and biases of norms folded into the maps that read them.
//!
//! Products of two `f32` are exact in `f64`; folded biases are sums and therefore enclosed.

use ndarray::{Array1, Array2};

use super::form::{Curve, Form, Map, Sphere, Sum, Symbols};
use crate::model::rigorous::batch;
use crate::model::{Attention, Layer, Linear, Mlp, MlpKind, Model, Norm, Positions, Scale, TokenId};
use crate::num::{Interval, dot_error, nonnegative_sum, turns};

/// Widest argument of an activation that is worth a table.
const WIDEST: f64 = 2000.0;

/// Why the domains cannot speak about a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("linear bounds do not apply: {0}")]
pub struct NotApplicable(pub String);

/// A prepared model.
#[derive(Debug)]
pub struct Network<'m> {
    /// For known tokens.
    pub(super) exact: batch::Network<'m>,
    pub(super) width: usize,
    pub(super) vocab: usize,
    pub(super) context: usize,
    /// `[vocabulary, d]`.
    embed: Array2<f64>,
    /// `[context, d]`.
    table: Option<Array2<f64>>,
    /// `(cos, sin)` per position and pair; empty without rotary positions.
    angles: Vec<Vec<(Interval, Interval)>>,
    pub(super) steps: Vec<Step>,
    pub(super) last: Option<Sphere>,
    /// Logits from normalised residuals, `[d, vocabulary]`.
    pub(super) head: Map,
}

/// One residual layer.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Attention(Box<Heads>),
    Mlp(Box<Neurons>),
    /// Both at once, of the same residual.
    Parallel(Box<(Heads, Neurons)>),
}

/// Self-attention.
#[derive(Debug, Clone)]
pub(super) struct Heads {
    pub norm: Option<Sphere>,
    pub query: Projection,
    pub key: Projection,
    pub value: Map,
    pub output: Map,
    pub n_heads: usize,
    pub n_kv_heads: usize,
    pub head_dim: usize,
    pub scale: Interval,
}

/// Queries or keys from normalised residuals.
#[derive(Debug, Clone)]
pub(super) struct Projection {
    map: Map,
    norm: Option<HeadNorm>,
}

/// Norm of single heads.
#[derive(Debug, Clone)]
struct HeadNorm {
    sphere: Sphere,
    gain: Vec<f64>,
    /// Zeros for RMSNorm.
    shift: Vec<f64>,
}

/// Neurons that are taken at a time: few, so that their coefficients stay in the cache.
const TOGETHER: usize = 32;

/// Feed-forward layer.
#[derive(Debug, Clone)]
pub(super) struct Neurons {
    norm: Sphere,
    curve: Curve,
    /// All neurons in order.
    parts: Vec<Part>,
}

/// Some neurons of a layer.
#[derive(Debug, Clone)]
struct Part {
    /// What the activation reads.
    inner: Map,
    /// What its result is multiplied by.
    factor: Option<Map>,
    /// The first part's has the bias of the layer.
    down: Map,
    /// Range of each argument of the activation over the whole ball of normalised inputs.
    within: Vec<Interval>,
}

impl<'m> Network<'m> {
    /// Prepares a model.
    ///
    /// # Errors
    /// Names the first property of the model that is not covered.
    pub fn new(model: &'m Model) -> Result<Network<'m>, NotApplicable> {
        let d = model.head.width();
        let steps = model.body.layers.iter().map(|layer| match layer {
            Layer::Attention(attention) => Ok(Step::Attention(Box::new(heads(attention)?))),
            Layer::Mlp(mlp) => Ok(Step::Mlp(Box::new(neurons(mlp)?))),
            Layer::Parallel(both) => {
                Ok(Step::Parallel(Box::new((heads(&both.attention)?, neurons(&both.mlp)?))))
            }
            Layer::Norm(_) => Err(NotApplicable("a norm on the residual itself is not covered".into())),
            Layer::Wkv4(_) | Layer::Wkv7(_) | Layer::ChannelMix(_) => {
                Err(NotApplicable("recurrent layers are not covered".into()))
            }
        });
        let steps = steps.collect::<Result<Vec<Step>, NotApplicable>>()?;
        let last = model.head.norm.as_ref().map(sphere).transpose()?;
        let unembed = Linear { weight: model.head.unembed.t().to_owned(), bias: model.head.bias.clone() };
        let head = fold(&unembed, model.head.norm.as_ref());
        let wide = |x: &Array2<f32>| x.mapv(f64::from);
        let (table, angles) = match &model.body.positions {
            Positions::Learned(table) => (Some(wide(table)), Vec::new()),
            &Positions::Rotary { theta, dim } => {
                (None, (0..model.context).map(|position| turns(theta, dim, position)).collect())
            }
            Positions::None => (None, Vec::new()),
        };
        let exact = batch::Network::new(model, model.context)
            .ok_or_else(|| NotApplicable("constants of its attention are too long for 31 digits".into()))?;
        Ok(Network {
            exact,
            width: d,
            vocab: model.head.vocab_size(),
            context: model.context,
            embed: wide(&model.body.embed),
            table,
            angles,
            steps,
            last,
            head,
        })
    }

    /// The residual of a token at a position, before all layers.
    pub(super) fn embedding(&self, position: usize, token: TokenId) -> Form {
        let row = self.embed.row(token as usize).to_vec();
        match &self.table {
            Some(table) => Form::point(row).shifted(&table.row(position).to_vec()),
            None => Form::point(row),
        }
    }

    /// What `l_j − l_t` can be at all, as `bias ± √d length`: the last norm's output lies in a ball. `None` without a norm.
    pub(super) fn widest_margin(&self, j: usize, t: usize) -> Option<(Interval, f64)> {
        self.last?;
        let (w, v) = (self.head.weight().column(j), self.head.weight().column(t));
        let difference: Vec<f64> = w.iter().zip(v).map(|(w, v)| w - v).collect();
        let size: f64 = w.iter().zip(v).map(|(w, v)| w.abs() + v.abs()).sum();
        let length = self.length(&difference, size);
        let bias = self.head.bias(j) - self.head.bias(t);
        Some((bias + radius(self.width) * Interval::new(-length, length), length))
    }

    /// Bound on `‖Π w‖`, where `w` is known up to a few roundings of entries whose sizes add up to `size`.
    pub(super) fn length(&self, w: &[f64], size: f64) -> f64 {
        let d = w.len();
        let centred = self.last.is_some_and(|norm| norm.centred);
        let mean = if centred { w.iter().sum::<f64>() / d as f64 } else { 0.0 };
        let square: f64 = w.iter().map(|x| (x - mean) * (x - mean)).sum();
        // Centring with a mean that is slightly off makes the vector longer, never shorter than the projection; the
        // rounding of each entry is bounded by that of its parts.
        nonnegative_sum(nonnegative_sum(square).sqrt() + dot_error(d, size))
    }

    /// Rotates queries or keys `[heads · head_dim]` of a position.
    pub(super) fn rotate(&self, x: Form, position: usize, head_dim: usize) -> Form {
        match self.angles.get(position) {
            Some(angles) if !angles.is_empty() => x.rotated(angles, head_dim),
            _ => x,
        }
    }
}

impl Step {
    /// Its attention.
    pub fn heads(&self) -> Option<&Heads> {
        match self {
            Step::Attention(heads) => Some(heads),
            Step::Parallel(both) => Some(&both.0),
            Step::Mlp(_) => None,
        }
    }
}

impl Projection {
    fn new(map: Map, norm: Option<&Norm>) -> Result<Projection, NotApplicable> {
        Ok(Projection { map, norm: norm.map(HeadNorm::new).transpose()? })
    }

    /// `[heads · head_dim]`, before any rotation.
    pub fn apply(&self, z: &Form, symbols: &mut Symbols) -> Form {
        let heads = z.map(&self.map);
        match &self.norm {
            Some(norm) => norm.apply(&heads, symbols),
            None => heads,
        }
    }
}

impl HeadNorm {
    fn new(norm: &Norm) -> Result<HeadNorm, NotApplicable> {
        let (gain, shift) = match norm {
            Norm::Layer { gain, bias, .. } => (gain, bias.as_ref()),
            Norm::Rms { gain, .. } => (gain, None),
        };
        let wide = |x: &Array1<f32>| x.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
        let shift = shift.map_or_else(|| vec![0.0; gain.len()], wide);
        Ok(HeadNorm { sphere: sphere(norm)?, gain: wide(gain), shift })
    }

    /// The norm of every head of `[heads · head_dim]`.
    fn apply(&self, x: &Form, symbols: &mut Symbols) -> Form {
        let dim = self.gain.len();
        let head = |h: usize, symbols: &mut Symbols| {
            let z = self.sphere.apply(&x.slice(h * dim, (h + 1) * dim), symbols).into_form(symbols);
            z.times(&self.gain).shifted(&self.shift)
        };
        let heads: Vec<Form> = (0..x.width() / dim).map(|h| head(h, symbols)).collect();
        Form::join(&heads)
    }
}

impl Heads {
    /// The key/value head that a query head reads.
    pub fn source(&self, head: usize) -> usize {
        head / (self.n_heads / self.n_kv_heads)
    }
}

impl Neurons {
    /// What the layer adds to a residual.
    pub fn apply(&self, x: &Form, symbols: &mut Symbols) -> Form {
        let z = self.norm.apply(x, symbols).into_form(symbols).absorb(symbols);
        let spread = z.spread();
        let hidden = |part: &Part| {
            let active = z.map_spread(&part.inner, &spread).activated(&self.curve, &part.within);
            match &part.factor {
                Some(factor) => active.product(&z.map_spread(factor, &spread)),
                None => active,
            }
        };
        let n = self.parts.iter().map(|part| part.within.len()).sum();
        let mut sum = Sum::new(n, x.width());
        self.parts.iter().for_each(|part| sum.add(hidden(part), &part.down));
        sum.absorbing(symbols)
    }
}

fn heads(layer: &Attention) -> Result<Heads, NotApplicable> {
    let norm = layer.norm.as_ref();
    let scale = match layer.scale {
        // Head widths are far below 2^53, where the cast is exact.
        Scale::InvSqrt(n) => Interval::point(n as f64).sqrt().recip(),
        Scale::Inverse(c) => Interval::point(c).recip(),
        Scale::One => Interval::ONE,
    };
    Ok(Heads {
        norm: norm.map(sphere).transpose()?,
        query: Projection::new(fold(&layer.query, norm), layer.query_norm())?,
        key: Projection::new(fold(&layer.key, norm), layer.key_norm())?,
        value: fold(&layer.value, norm),
        output: fold(&layer.output, None),
        n_heads: layer.n_heads,
        n_kv_heads: layer.n_kv_heads,
        head_dim: layer.head_dim,
        scale,
    })
}

fn neurons(mlp: &Mlp) -> Result<Neurons, NotApplicable> {
    let Some(norm) = &mlp.norm else {
        return Err(NotApplicable("an MLP without a norm before it has arguments of any size".into()));
    };
    let (inner, factor, down) = match &mlp.kind {
        MlpKind::Plain { up, down } => (up, None, down),
        MlpKind::Gated { gate, up, down } => (gate, Some(up), down),
    };
    let inner = fold(inner, Some(norm));
    let ball = sphere(norm)?;
    let lengths = lengths(&inner, Some(ball));
    let within: Vec<Interval> = Form::point(vec![0.0; inner.weight().nrows()])
        .map(&inner)
        .ranges()
        .into_iter()
        .zip(lengths)
        .map(|(bias, length)| bias + radius(inner.weight().nrows()) * Interval::new(-length, length))
        .collect();
    let reach = within.iter().map(|x| x.magnitude()).fold(0.0, f64::max);
    if !(reach <= WIDEST && within.iter().all(|x| x.is_finite())) {
        return Err(NotApplicable(format!("an activation's argument may reach {reach}, beyond its table")));
    }
    if within.is_empty() {
        return Err(NotApplicable("an MLP has no neurons".into()));
    }
    let (factor, down) = (factor.map(|up| fold(up, Some(norm))), fold(down, None));
    let part = |first: usize| {
        let last = (first + TOGETHER).min(within.len());
        Part {
            inner: inner.outputs(first, last),
            factor: factor.as_ref().map(|factor| factor.outputs(first, last)),
            down: down.inputs(first, last),
            within: within[first..last].to_vec(),
        }
    };
    Ok(Neurons {
        norm: ball,
        // At most WIDEST, a small whole number after rounding up.
        curve: Curve::new(mlp.activation, reach.ceil() as u16),
        parts: (0..within.len()).step_by(TOGETHER).map(part).collect(),
    })
}

fn sphere(norm: &Norm) -> Result<Sphere, NotApplicable> {
    let (centred, eps) = match norm {
        Norm::Layer { eps, .. } => (true, *eps),
        Norm::Rms { eps, .. } => (false, *eps),
    };
    if eps > 0.0 {
        Ok(Sphere { centred, eps })
    } else {
        Err(NotApplicable("a norm has no positive epsilon".into()))
    }
}

/// `√d`.
fn radius(d: usize) -> Interval {
    Interval::point(d as f64).sqrt()
}

/// `x W + b` read from the normalised vector itself: gain and bias of the norm folded in.
fn fold(map: &Linear, norm: Option<&Norm>) -> Map {
    let mut weight = map.weight.mapv(f64::from);
    let mut bias: Vec<Interval> = match &map.bias {
        Some(bias) => bias.iter().map(|&b| Interval::point(f64::from(b))).collect(),
        None => vec![Interval::ZERO; weight.ncols()],
    };
    let (gain, shift) = match norm {
        None => return Map::new(weight, &bias),
        Some(Norm::Layer { gain, bias, .. }) => (gain, bias.as_ref()),
        Some(Norm::Rms { gain, .. }) => (gain, None),
    };
    if let Some(shift) = shift {
        for (row, &s) in map.weight.rows().into_iter().zip(shift) {
            for (b, &w) in bias.iter_mut().zip(row) {
                *b = *b + Interval::point(f64::from(w)) * f64::from(s);
            }
        }
    }
    for (mut row, &g) in weight.rows_mut().into_iter().zip(gain) {
        row *= f64::from(g);
    }
    Map::new(weight, &bias)
}

/// Bounds on `‖w‖` of the columns of a map, after centring where the norm centres: that never makes them longer.
fn lengths(map: &Map, sphere: Option<Sphere>) -> Vec<f64> {
    let d = map.weight().nrows() as f64;
    let length = |column: ndarray::ArrayView1<f64>| {
        let mean = match sphere {
            Some(Sphere { centred: true, .. }) => {
                column.iter().map(|&w| Interval::point(w)).sum::<Interval>() / Interval::point(d)
            }
            Some(Sphere { centred: false, .. }) | None => Interval::ZERO,
        };
        let squares: Interval = column.iter().map(|&w| (Interval::point(w) - mean).square()).sum();
        squares.sqrt().hi()
    };
    map.weight().columns().into_iter().map(length).collect()
}
