//! Feed-forward layers.
//!
//! Let the arguments of a neuron be computed as `ĝ`, `û` and be `ĝ + δ`, `û + ν` exactly. By the mean value theorem
//!
//! ```text
//! s(ĝ + δ)(û + ν) − s(ĝ) û = A δ + B ν,     A = m û,   B = s(ĝ) + m δ,
//! |m| <= min(L, |s'(ĝ)| + S |δ|),   L = sup |s'|,   S = sup |s''|
//! ```
//!
//! (for ReLU `m` is 0 or 1 unless the sign is in doubt). `(δ, ν) = G e + ε`, with `e` the error of the input and `ε` that of
//! rounding, each entry at most `eps ‖row‖ ‖input‖`. The output is off by `D (A ⊙ δ + B ⊙ ν)`. Its part in `e` is a matrix
//! whose squared Frobenius norm is a quadratic form `(A, B)ᵀ (DᵀD ⊙ GGᵀ) (A, B)`, at most `λ (|A|² + |B|²)`; the
//! other part is at most `‖D‖` times a sum of squares. Without a gate `û = 1` and `B` is absent.

use std::array::from_fn;

use multiversion::multiversion;
use ndarray::{ArrayView2, Axis, concatenate};

use super::maps::Map;
use super::{COVER, Centring, Column};
use crate::model::{Activation, Mlp, MlpKind};
use crate::num::gamma::{ROUNDOFF_F64, gamma};
use crate::num::precise::Gelu;
use crate::num::wide::{Lanes, Number, TINY, Wave, Wide, activated, nearest};
use crate::num::{nonnegative_sum, spectral_norm};

/// Most arguments of neurons for which λ is computed rather than estimated.
const MOST: usize = 512;

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
    /// Upper bound on `√λ`.
    root_lambda: f64,
}

/// An activation.
#[derive(Debug, Clone, Copy)]
struct Curve {
    wave: Wave,
    /// Largest slope.
    steepest: f64,
    /// Largest second derivative; `None` for a kink at zero.
    bend: Option<f64>,
}

/// Sums of squares over neurons: of `(A, B)`, of `|A| ‖row‖ + |B| ‖row'‖`, and of `ĝ û`.
#[derive(Debug, Clone, Copy)]
struct Sums {
    steep: Lanes,
    rows: Lanes,
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
        let root_lambda = root_lambda(gate.as_ref(), &up, &down);
        Some(Neurons { norm: norm.map(Centring::new), gate, up, down, curve, rows, root_lambda })
    }

    /// What the layer adds.
    pub fn apply<N: Number>(&self, x: &Column<N>) -> Column<N> {
        let z = x.normed(self.norm);
        let eps = self.up.eps::<N>();
        let reach = z.reach();
        let off: Lanes = from_fn(|l| COVER * (z.radius[l] + eps * reach[l]));
        let mut hidden = self.gate.as_ref().unwrap_or(&self.up).middles(&z);
        let ups = self.gate.as_ref().map(|_| self.up.middles(&z));
        let sums = fire(self.curve, &mut hidden, ups.as_deref(), &self.rows, off);
        let hidden = Column { x: hidden, radius: [0.0; 8] };
        let (height, down) = (hidden.reach(), self.down.blocks[0]);
        let rounding = self.down.eps::<N>() * down.long;
        let radius = from_fn(|l| {
            let (steep, rows) = (COVER * sums.steep[l].sqrt(), COVER * sums.rows[l].sqrt());
            let linear = (self.root_lambda * steep).min(down.spectral * rows) * z.radius[l];
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
            Activation::Relu => Some(Curve { wave: Wave::Step, steepest: 1.0, bend: None }),
            // The slope of x σ(x) is greatest where x = 2.3994, 1.0998, and the second derivative at zero, 0.5.
            Activation::Silu => Some(Curve { wave: Wave::Sigmoid, steepest: 1.1, bend: Some(0.501) }),
            // 1.1290 and 0.7979 at most.
            Activation::GeluTanh => {
                let (a, b) = Gelu::<4>::default().cubic();
                let ((a, da), (b, db)) = (nearest(a), nearest(b));
                let exact = da <= Wide::EPS / 4.0 && db <= Wide::EPS / 64.0;
                exact.then_some(Curve { wave: Wave::Cubic(a, b), steepest: 1.13, bend: Some(0.8) })
            }
            Activation::SquaredRelu | Activation::GeluErf => None,
        }
    }

    /// Upper bound on `|m|` for arguments within `off` of `at`, where the slope is about `slope`.
    #[inline(always)]
    fn mean_slope(&self, at: Lanes, slope: Lanes, off: Lanes) -> Lanes {
        from_fn(|l| match self.bend {
            None if at[l] >= -off[l] => 1.0,
            None => 0.0,
            Some(bend) => {
                let near = slope[l].abs() + bend * off[l] + 1e-9 + 1e-13 * at[l].abs();
                if near < self.steepest { near } else { self.steepest }
            }
        })
    }
}

/// Turns arguments into what the neurons say.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn fire<N: Number>(
    curve: Curve,
    arguments: &mut [N],
    ups: Option<&[N]>,
    rows: &[[f64; 2]],
    off: Lanes,
) -> Sums {
    let mut sums = Sums { steep: [0.0; 8], rows: [0.0; 8], size: [0.0; 8] };
    for (k, (x, [row, other])) in arguments.iter_mut().zip(rows).enumerate() {
        let at = *x.hi();
        let (value, slope) = activated(curve.wave, *x);
        let moved: Lanes = from_fn(|l| row * off[l]);
        let m = curve.mean_slope(at, slope, moved);
        let (a, b, size): (Lanes, Lanes, Lanes);
        if let Some(ups) = ups {
            let (u, s) = (ups[k].hi(), value.hi());
            *x = value.times(ups[k]);
            a = from_fn(|l| m[l] * u[l].abs());
            b = from_fn(|l| s[l].abs() + m[l] * moved[l] + 1e-12 * at[l].abs());
            size = from_fn(|l| at[l] * u[l]);
        } else {
            *x = value;
            (a, b, size) = (m, [0.0; 8], at);
        }
        sums.steep = from_fn(|l| sums.steep[l] + a[l] * a[l] + b[l] * b[l]);
        let both: Lanes = from_fn(|l| a[l] * row + b[l] * other);
        sums.rows = from_fn(|l| sums.rows[l] + both[l] * both[l]);
        sums.size = from_fn(|l| sums.size[l] + size[l] * size[l]);
    }
    sums
}

/// Upper bound on the root of the largest eigenvalue of `DᵀD ⊙ GGᵀ`, which is at most the largest diagonal entry of one factor
/// times that of the other (Schur 1911).
fn root_lambda(gate: Option<&Map>, up: &Map, down: &Map) -> f64 {
    let width = |map: &Map| map.blocks[0].spectral;
    let inputs = gate.map_or(width(up), |gate| width(gate).hypot(width(up))) * COVER;
    let columns = down.weights();
    let squares: Vec<f64> =
        columns.columns().into_iter().map(|c| nonnegative_sum(c.iter().map(|x| x * x).sum())).collect();
    let estimate = squares.iter().copied().fold(0.0, f64::max).sqrt() * inputs * COVER;
    let n = gate.map_or(up.rows.len(), |_| 2 * up.rows.len());
    if n > MOST {
        return estimate;
    }
    let twice = |x: ArrayView2<f64>, y: Option<ArrayView2<f64>>| {
        let parts: Vec<ArrayView2<f64>> = [Some(x), y].into_iter().flatten().collect();
        concatenate(Axis(0), &parts).expect("parts of the same width")
    };
    let g = twice(gate.unwrap_or(up).weights(), gate.map(|_| up.weights()));
    let d = twice(columns.t(), gate.map(|_| columns.t()));
    let form = g.dot(&g.t()) * d.dot(&d.t());
    // Each entry of the two products errs by at most γ of the lengths of its rows.
    let lengths = |x: &ndarray::Array2<f64>| x.map_axis(Axis(1), |row| row.dot(&row));
    let trace = nonnegative_sum((lengths(&g) * lengths(&d)).sum());
    let error = 3.0 * gamma(g.ncols().max(d.ncols()) + 2, ROUNDOFF_F64) * trace;
    nonnegative_sum(spectral_norm(form.view()) + error).sqrt().min(estimate) * COVER
}
