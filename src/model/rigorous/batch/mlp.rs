//! Feed-forward layers.
//!
//! Let the arguments of a neuron be computed as `ĝ`, `û` and be `ĝ + δ`, `û + ν` exactly. By the mean value theorem
//!
//! ```text
//! s(ĝ + δ)(û + ν) − s(ĝ) û = A δ + B ν,     A = m û,   B = s(ĝ) + m δ,   |m − s'(ĝ)| <= S |δ|,   S = sup |s''|
//! ```
//!
//! (for ReLU `m = s'(ĝ)` unless the sign is in doubt). `(δ, ν) = G e + ε`, with `e` the error of the input and `ε` that of
//! rounding, each entry at most `eps ‖row‖ ‖input‖`. The output is off by `D (A ⊙ δ + B ⊙ ν)`. Its part in `e` is a matrix
//! whose squared Frobenius norm is a [quadratic form](Form) of `(A, B)`, with the matrix `DᵀD ⊙ GGᵀ`; the
//! other part is at most `‖D‖` times a sum of squares. Without a gate `û = 1` and `B` is absent.

use std::array::from_fn;

use multiversion::multiversion;
use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate};

use super::maps::Map;
use super::{COVER, Centring, Column};
use crate::model::{Activation, Mlp, MlpKind};
use crate::num::gamma::{ROUNDOFF_F64, gamma};
use crate::num::precise::Gelu;
use crate::num::wide::{LANES, Lanes, Number, TINY, Wave, Wide, activated, nearest};
use crate::num::{nonnegative_sum, spectral_norm};

/// Most arguments of neurons for which the form is computed rather than estimated.
const MOST: usize = 512;
/// Directions of a form that are told apart.
const DIRECTIONS: usize = 4;

/// A prepared layer.
#[derive(Debug)]
pub struct Neurons {
    norm: Option<Centring>,
    /// Without a gate the activation applies to `up`.
    gate: Option<Map>,
    up: Map,
    down: Map,
    curve: Curve,
    /// Per neuron: length of the row that the activation's argument comes from, and of the other one.
    rows: Vec<[f64; 2]>,
    form: Form,
}

/// `Σ c_i (v_i·x)² + rest |x|²`, an upper bound of a quadratic form.
#[derive(Debug)]
struct Form {
    /// `√c_i v_i`, for each neuron the entries of `A` and of `B`.
    directions: Vec<[[f64; DIRECTIONS]; 2]>,
    rest: f64,
    /// Upper bound on the largest eigenvalue.
    most: f64,
}

/// An activation.
#[derive(Debug, Clone, Copy)]
struct Curve {
    wave: Wave,
    /// Largest second derivative; `None` for a kink at zero, from slope 0 to slope 1.
    bend: Option<f64>,
}

/// Sums over neurons.
#[derive(Debug, Clone, Copy)]
struct Sums {
    /// The part of the form's sum along each direction, and of squares, for the slopes at the computed arguments.
    directions: [Lanes; DIRECTIONS],
    squares: Lanes,
    /// Squares of how far `(A, B)` may be from these.
    off: Lanes,
    /// Squares of `|A| ‖row‖ + |B| ‖row'‖`.
    rows: Lanes,
    /// Squares of `ĝ û`.
    size: Lanes,
}

impl Neurons {
    /// Prepares a layer; `None` for an activation that has no kernel.
    pub fn new(layer: &Mlp) -> Option<Neurons> {
        let curve = Curve::new(layer.activation)?;
        let norm = layer.norm.as_ref();
        let (gate, up, down) = match &layer.kind {
            MlpKind::Plain { up, down } => (None, up, down),
            MlpKind::Gated { gate, up, down } => (Some(Map::folded(gate, norm, 1)), up, down),
        };
        let (up, down) = (Map::folded(up, norm, 1), Map::folded(down, None, 1));
        let rows = match &gate {
            None => up.rows.iter().map(|&row| [row, 0.0]).collect(),
            Some(gate) => gate.rows.iter().zip(&up.rows).map(|(&g, &u)| [g, u]).collect(),
        };
        let form = Form::new(gate.as_ref(), &up, &down);
        Some(Neurons { norm: norm.map(Centring::new), gate, up, down, curve, rows, form })
    }

    /// What the layer adds.
    pub fn apply<N: Number>(&self, x: &Column<N>) -> Column<N> {
        let z = x.normed(self.norm);
        let eps = self.up.eps::<N>();
        let reach = z.reach();
        let off: Lanes = from_fn(|l| COVER * (z.radius[l] + eps * reach[l]));
        let mut hidden = self.gate.as_ref().unwrap_or(&self.up).middles(&z);
        let ups = self.gate.as_ref().map(|_| self.up.middles(&z));
        let sums = fire(self.curve, &mut hidden, ups.as_deref(), (&self.rows, &self.form.directions), off);
        let hidden = Column { x: hidden, radius: [0.0; LANES] };
        let (height, down) = (hidden.reach(), self.down.blocks[0]);
        let rounding = self.down.eps::<N>() * down.long;
        let radius = from_fn(|l| {
            let along: f64 = sums.directions.iter().map(|d| d[l] * d[l]).sum();
            let near = (along + self.form.rest * sums.squares[l]).sqrt();
            // No direction is longer than the root of the trace, which is at most MOST times the largest eigenvalue.
            let rounding_of_form = 1e-9 * (self.form.most * sums.squares[l]).sqrt();
            let steep = COVER * (near + rounding_of_form + (self.form.most * sums.off[l]).sqrt());
            let rows = COVER * sums.rows[l].sqrt();
            let linear = steep.min(down.spectral * rows) * z.radius[l];
            let inner = rows * eps * reach[l] + 5.0 * N::EXP_EPS * sums.size[l].sqrt();
            // A minimum drops a NaN.
            let known = 0.0 * (steep + rows);
            COVER * (linear + down.spectral * inner + rounding * height[l] + known) + TINY
        });
        Column { x: self.down.middles(&hidden), radius }
    }
}

impl Curve {
    fn new(activation: Activation) -> Option<Curve> {
        match activation {
            Activation::Relu => Some(Curve { wave: Wave::Step, bend: None }),
            // The second derivative of x σ(x) is greatest at zero, 0.5.
            Activation::Silu => Some(Curve { wave: Wave::Sigmoid, bend: Some(0.501) }),
            // There too, 0.7979.
            Activation::GeluTanh => {
                let (a, b) = Gelu::<4>::default().cubic();
                let ((a, da), (b, db)) = (nearest(a), nearest(b));
                let exact = da <= Wide::EPS / 4.0 && db <= Wide::EPS / 64.0;
                exact.then_some(Curve { wave: Wave::Cubic(a, b), bend: Some(0.8) })
            }
            // The second derivative of x Φ(x) is greatest at zero, 0.7979.
            Activation::GeluErf => Some(Curve { wave: Wave::Normal, bend: Some(0.8) }),
            Activation::SquaredRelu => None,
        }
    }

    /// Upper bound on `|m − slope|` for arguments within `off` of `at`.
    #[inline(always)]
    fn change(&self, at: Lanes, off: Lanes) -> Lanes {
        match self.bend {
            None => from_fn(|l| if at[l].abs() <= off[l] { 1.0 } else { 0.0 }),
            Some(bend) => from_fn(|l| bend * off[l] + 1e-9 + 1e-13 * at[l].abs()),
        }
    }
}

/// Turns arguments into what the neurons say.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn fire<N: Number>(
    curve: Curve,
    arguments: &mut [N],
    ups: Option<&[N]>,
    (rows, directions): (&[[f64; 2]], &[[[f64; DIRECTIONS]; 2]]),
    off: Lanes,
) -> Sums {
    let zero = [0.0; LANES];
    let mut sums = Sums { directions: [zero; DIRECTIONS], squares: zero, off: zero, rows: zero, size: zero };
    for (k, ((x, [row, other]), [for_a, for_b])) in arguments.iter_mut().zip(rows).zip(directions).enumerate()
    {
        let at = *x.hi();
        let (value, slope) = activated(curve.wave, *x);
        let moved: Lanes = from_fn(|l| row * off[l]);
        let change = curve.change(at, moved);
        let (a, b, off_a, off_b, size): (Lanes, Lanes, Lanes, Lanes, Lanes);
        if let Some(ups) = ups {
            let u = ups[k].hi();
            *x = value.times(ups[k]);
            a = from_fn(|l| slope[l] * u[l]);
            b = *value.hi();
            off_a = from_fn(|l| change[l] * u[l].abs());
            off_b = from_fn(|l| (slope[l].abs() + change[l]) * moved[l] + 1e-12 * at[l].abs());
            size = from_fn(|l| at[l] * u[l]);
        } else {
            *x = value;
            (a, b, off_a, off_b, size) = (slope, zero, change, zero, at);
        }
        for (sum, (in_a, in_b)) in sums.directions.iter_mut().zip(for_a.iter().zip(for_b)) {
            *sum = from_fn(|l| sum[l] + a[l] * in_a + b[l] * in_b);
        }
        sums.squares = from_fn(|l| sums.squares[l] + a[l] * a[l] + b[l] * b[l]);
        sums.off = from_fn(|l| sums.off[l] + off_a[l] * off_a[l] + off_b[l] * off_b[l]);
        let both: Lanes = from_fn(|l| (a[l].abs() + off_a[l]) * row + (b[l].abs() + off_b[l]) * other);
        sums.rows = from_fn(|l| sums.rows[l] + both[l] * both[l]);
        sums.size = from_fn(|l| sums.size[l] + size[l] * size[l]);
    }
    sums
}

impl Form {
    /// The form of `DᵀD ⊙ GGᵀ`. Its largest eigenvalue is at most the largest diagonal entry of one factor times that of the
    /// other (Schur 1911); where the matrix is small, what is left after taking its main directions out is measured.
    fn new(gate: Option<&Map>, up: &Map, down: &Map) -> Form {
        let width = |map: &Map| map.blocks[0].spectral;
        let inputs = gate.map_or(width(up), |gate| width(gate).hypot(width(up)));
        let d = down.weights();
        let longest = d.columns().into_iter().map(|c| nonnegative_sum(c.dot(&c))).fold(0.0, f64::max);
        let estimate = COVER * longest * inputs * inputs;
        let n = up.rows.len();
        let mut form = Form { directions: vec![[[0.0; DIRECTIONS]; 2]; n], rest: estimate, most: estimate };
        let arguments = if gate.is_some() { 2 * n } else { n };
        if arguments > MOST {
            return form;
        }
        let twice = |x: ArrayView2<f64>, y: Option<ArrayView2<f64>>| {
            let parts: Vec<ArrayView2<f64>> = [Some(x), y].into_iter().flatten().collect();
            concatenate(Axis(0), &parts).expect("parts of the same width")
        };
        let g = twice(gate.unwrap_or(up).weights(), gate.map(|_| up.weights()));
        let d = twice(d.t(), gate.map(|_| d.t()));
        let matrix = g.dot(&g.t()) * d.dot(&d.t());
        // Each entry of the two products errs by at most γ of the lengths of its rows, and so do those of what is taken out.
        let lengths = |x: &Array2<f64>| x.map_axis(Axis(1), |row| row.dot(&row));
        let trace = nonnegative_sum((lengths(&g) * lengths(&d)).sum());
        let error = 8.0 * gamma(g.ncols().max(d.ncols()) + 2 * DIRECTIONS + 4, ROUNDOFF_F64) * trace;
        let directions = main_directions(&matrix);
        let mut rest = matrix.clone();
        for v in &directions {
            let column = v.view().insert_axis(Axis(1));
            rest = rest - column.dot(&column.t());
        }
        let [rest, most] = [&rest, &matrix].map(|m| nonnegative_sum(spectral_norm(m.view()) + error));
        if rest <= estimate && directions.iter().all(|v| v.dot(v) <= trace) {
            form.rest = rest;
            for (i, v) in directions.iter().enumerate() {
                for (k, &x) in v.iter().enumerate() {
                    form.directions[k % n][k / n][i] = x;
                }
            }
        }
        form.most = most.min(estimate);
        form
    }
}

/// `√c_i v_i` for about the largest eigenvectors of a positive semidefinite matrix, by power iteration; `c_i` is by how much
/// their eigenvalues exceed the next one. Whatever they are, the rest is measured afterwards.
fn main_directions(matrix: &Array2<f64>) -> Vec<Array1<f64>> {
    let n = matrix.nrows();
    let mut found: Vec<(f64, Array1<f64>)> = Vec::new();
    for i in 0..=DIRECTIONS.min(n - 1) {
        let mut v = Array1::from_shape_fn(n, |k| 1.0 + ((k * (i + 3)) % 7) as f64 / 7.0);
        let mut value = 0.0;
        for _ in 0..60 {
            for (_, old) in &found {
                let part = old.dot(&v);
                v.scaled_add(-part, old);
            }
            v = matrix.dot(&v);
            value = v.dot(&v).sqrt();
            if !(value > 0.0) {
                break;
            }
            v /= value;
        }
        found.push((value, v));
    }
    let Some((next, _)) = found.pop() else { return Vec::new() };
    found.into_iter().map(|(value, v)| v * (value - next).max(0.0).sqrt()).collect()
}
