//! Attention of an upper block as functionals of normalised residuals.
//!
//! With `z` the normalised residual without gain and bias, an entry of a query, key or value is `F·z + c`: gains go into `F`, biases
//! into `c`, the factor on scores into queries, and rotations mix entries of one head. `out_i` is what the `i`-th entry of a
//! head's mixture adds to the residual.

use super::super::dual::{add_scaled, dot};
use super::super::network::{fold_reader, intervals, points, project, scale_of, scaled};
use super::{After, Normed};
use crate::model::{Attention, Norm};
use crate::num::{Ball, BallVec, Interval};

/// A functional `F·z + c`.
pub(super) type Affine = (BallVec, Interval);

/// The maps of a layer.
#[derive(Debug)]
pub(super) struct Reader {
    heads: Vec<Maps>,
    /// Output bias, `[d]`.
    pub bias: BallVec,
    /// ε of the norm before it.
    pub eps: f64,
}

/// Of one head, `[head_dim]` each.
#[derive(Debug)]
struct Maps {
    query: Vec<Affine>,
    key: Vec<Affine>,
    value: Vec<Affine>,
    out: Vec<BallVec>,
}

impl Reader {
    /// Folds a layer; `None` without a norm before it.
    pub fn new(attention: &Attention, centred: bool) -> Option<Reader> {
        let norm = attention.norm.as_ref()?;
        let scale = scale_of(attention);
        let (heads, dim) = (attention.n_heads, attention.head_dim);
        let query = fold_reader(&attention.query, norm, centred);
        let query: Vec<Affine> = query.iter().map(|(f, c)| (scaled(f, scale), *c * scale)).collect();
        let [key, value] = [&attention.key, &attention.value].map(|map| fold_reader(map, norm, centred));
        let out = |i: usize| project(&points(attention.output.weight.row(i).iter().copied()), centred);
        let part = |all: &[Affine], i: usize| all[i * dim..(i + 1) * dim].to_vec();
        let maps = |h: usize| {
            let group = h * attention.n_kv_heads / heads;
            Maps {
                query: part(&query, h),
                key: part(&key, group),
                value: part(&value, group),
                out: (h * dim..(h + 1) * dim).map(out).collect(),
            }
        };
        let width = attention.output.weight.ncols();
        let bias = match &attention.output.bias {
            Some(bias) => project(&points(bias.iter().copied()), centred),
            None => BallVec::exact(vec![0.0; width]),
        };
        let (Norm::Layer { eps, .. } | Norm::Rms { eps, .. }) = *norm;
        Some(Reader { heads: (0..heads).map(maps).collect(), bias, eps })
    }

    /// Number of heads, and their width.
    pub fn shape(&self) -> (usize, usize) {
        (self.heads.len(), self.heads[0].out.len())
    }

    /// Encloses queries, times the factor on scores, per head.
    pub fn queries(&self, after: &After, angles: &[(Interval, Interval)]) -> Vec<Vec<Interval>> {
        let normed = after.normed();
        self.heads.iter().map(|maps| enclose(&rotated(&maps.query, angles), after, &normed)).collect()
    }

    /// Functionals of keys at a position, per head.
    pub fn keys(&self, angles: &[(Interval, Interval)]) -> Vec<Vec<Affine>> {
        self.heads.iter().map(|maps| rotated(&maps.key, angles)).collect()
    }

    /// Functionals of values, per head.
    pub fn values(&self) -> impl Iterator<Item = &[Affine]> {
        self.heads.iter().map(|maps| maps.value.as_slice())
    }

    /// `D·out_i` of every head in floats.
    pub fn along(&self, direction: &[f64]) -> Vec<Vec<f64>> {
        let head = |maps: &Maps| maps.out.iter().map(|out| dot(direction, &out.mid)).collect();
        self.heads.iter().map(head).collect()
    }

    /// The same around those floats, enclosed.
    pub fn proved_along(&self, direction: &BallVec) -> Vec<Vec<Ball>> {
        let along = self.along(&direction.mid);
        let ball = |(mid, out): (f64, &BallVec)| {
            let exact = direction.dot(out).interval();
            let off = (exact - Interval::point(mid)).magnitude();
            Ball { mid, rad: off }
        };
        let heads = along.into_iter().zip(&self.heads);
        heads.map(|(along, maps)| along.into_iter().zip(&maps.out).map(ball).collect()).collect()
    }

    /// Adds `share Σ_i value_i out_i`.
    pub fn add_output(&self, head: usize, value: &[f64], share: f64, out: &mut [f64]) {
        for (y, row) in value.iter().zip(&self.heads[head].out) {
            add_scaled(out, share * y, &row.mid);
        }
    }
}

/// Ranges of functionals.
pub(super) fn enclose(all: &[Affine], after: &After, normed: &Normed) -> Vec<Interval> {
    all.iter().map(|(f, c)| normed.range(f, |direction| after.range(direction)) + *c).collect()
}

/// Entries `i` and `i + n` turned by the `i`-th of `n` angles, given as cosine and sine.
fn rotated(all: &[Affine], angles: &[(Interval, Interval)]) -> Vec<Affine> {
    let mut turned = all.to_vec();
    let n = angles.len();
    for (i, &(cos, sin)) in angles.iter().enumerate() {
        let [a, b] = [&all[i], &all[i + n]];
        let mix = |x: &Affine, by: Interval, y: &Affine, other: Interval| {
            let pairs = intervals(&x.0).into_iter().zip(intervals(&y.0));
            let row: Vec<Interval> = pairs.map(|(x, y)| x * by + y * other).collect();
            (BallVec::from_intervals(&row), x.1 * by + y.1 * other)
        };
        turned[i] = mix(a, cos, b, -sin);
        turned[i + n] = mix(b, cos, a, sin);
    }
    turned
}
