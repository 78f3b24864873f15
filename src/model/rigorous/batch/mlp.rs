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
//! whose squared Frobenius norm is a [quadratic form](Form) of `(A, B)`, with the matrix `H = DᵀD ⊙ GGᵀ`; the
//! other part is at most `‖D‖` times a sum of squares. Without a gate `û = 1` and `B` is absent.
//!
//! Entry `i` of `(A, B)` is measured in units of `1/s_i`, with `s_i` about the root of `H_ii`: rows of `G` and columns of `D` differ
//! much in length, and a neuron that says little should not count as one that says much.

use multiversion::multiversion;
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut1, Axis, concatenate};

use super::maps::Map;
use super::{COVER, Centring, Column};
use crate::model::{Activation, Mlp, MlpKind};
use crate::num::gamma::{ROUNDOFF_F64, gamma};
use crate::num::precise::Gelu;
use crate::num::wide::{Lanes, Number, TINY, Wave, Wide, activated, each, nearest};
use crate::num::{nonnegative_sum, spectral_norm};

/// Most arguments of neurons for which the form is computed rather than estimated.
const MOST: usize = 512;
/// Directions of a form that are told apart.
const DIRECTIONS: usize = 2;

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

/// `Σ c_i (v_i·x)² + rest |x|²`, an upper bound of a quadratic form of `x = s ⊙ (A, B)`.
#[derive(Debug)]
struct Form {
    /// For each neuron what belongs to its entries of `A` and of `B`.
    entries: Vec<[Entry; 2]>,
    rest: f64,
    /// Upper bound on the largest eigenvalue.
    most: f64,
}

/// One entry of a form's argument.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    /// `s`.
    scale: f64,
    /// `√c_i v_i s`.
    directions: [f64; DIRECTIONS],
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
    /// Squares of how far `s ⊙ (A, B)` may be from these.
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
        let ((z, reach), eps) = (x.normed(self.norm), self.up.eps::<N>());
        let off: Lanes = each(|l| COVER * (z.radius[l] + eps * reach[l]));
        let mut hidden = self.gate.as_ref().unwrap_or(&self.up).middles(&z);
        let ups = self.gate.as_ref().map(|_| self.up.middles(&z));
        let sums = fire(self.curve, &mut hidden, ups.as_deref(), (&self.rows, &self.form.entries), off);
        let hidden = Column { x: hidden, radius: Lanes::ZERO };
        let (height, down) = (hidden.reach(), self.down.blocks[0]);
        let rounding = self.down.eps::<N>() * down.long;
        let radius = each(|l| {
            let along: f64 = sums.directions.iter().map(|d| d[l] * d[l]).sum();
            let near = (along + self.form.rest * sums.squares[l]).sqrt();
            // No direction is longer than the root of twice the trace, and that is at most MOST times the largest eigenvalue.
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
            None => each(|l| if at[l].abs() <= off[l] { 1.0 } else { 0.0 }),
            Some(bend) => each(|l| bend * off[l] + 1e-9 + 1e-13 * at[l].abs()),
        }
    }
}

/// Turns arguments into what the neurons say.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn fire<N: Number>(
    curve: Curve,
    arguments: &mut [N],
    ups: Option<&[N]>,
    (rows, entries): (&[[f64; 2]], &[[Entry; 2]]),
    off: Lanes,
) -> Sums {
    let zero = Lanes::ZERO;
    let mut sums = Sums { directions: [zero; DIRECTIONS], squares: zero, off: zero, rows: zero, size: zero };
    for (k, ((x, [row, other]), [of_a, of_b])) in arguments.iter_mut().zip(rows).zip(entries).enumerate() {
        let at = *x.hi();
        let (value, slope) = activated(curve.wave, *x);
        let moved: Lanes = each(|l| row * off[l]);
        let change = curve.change(at, moved);
        let (a, b, off_a, off_b, size): (Lanes, Lanes, Lanes, Lanes, Lanes);
        if let Some(ups) = ups {
            let u = ups[k].hi();
            *x = value.times(ups[k]);
            a = each(|l| slope[l] * u[l]);
            b = *value.hi();
            off_a = each(|l| change[l] * u[l].abs());
            off_b = each(|l| (slope[l].abs() + change[l]) * moved[l] + 1e-12 * at[l].abs());
            size = each(|l| at[l] * u[l]);
        } else {
            *x = value;
            (a, b, off_a, off_b, size) = (slope, zero, change, zero, at);
        }
        for (sum, (in_a, in_b)) in
            sums.directions.iter_mut().zip(of_a.directions.iter().zip(&of_b.directions))
        {
            *sum = each(|l| a[l].mul_add(*in_a, b[l].mul_add(*in_b, sum[l])));
        }
        let (in_a, in_b) = (of_a.scale * of_a.scale, of_b.scale * of_b.scale);
        let add = |sum: Lanes, a: Lanes, b: Lanes| {
            each(|l| (a[l] * a[l]).mul_add(in_a, (b[l] * b[l]).mul_add(in_b, sum[l])))
        };
        sums.squares = add(sums.squares, a, b);
        sums.off = add(sums.off, off_a, off_b);
        let both: Lanes = each(|l| (a[l].abs() + off_a[l]).mul_add(*row, (b[l].abs() + off_b[l]) * other));
        sums.rows = each(|l| both[l].mul_add(both[l], sums.rows[l]));
        sums.size = each(|l| size[l].mul_add(size[l], sums.size[l]));
    }
    sums
}

impl Form {
    /// The form of `DᵀD ⊙ GGᵀ`. Its largest eigenvalue is at most the largest diagonal entry of one factor times the largest
    /// eigenvalue of the other (Schur 1911); where the matrix is small, what is left after taking its main directions out is measured.
    fn new(gate: Option<&Map>, up: &Map, down: &Map) -> Form {
        let twice = |x: ArrayView2<f64>, y: Option<ArrayView2<f64>>| {
            let parts: Vec<ArrayView2<f64>> = [Some(x), y].into_iter().flatten().collect();
            concatenate(Axis(0), &parts).expect("parts of the same width")
        };
        let mut g = twice(gate.unwrap_or(up).weights(), gate.map(|_| up.weights()));
        let down = down.weights();
        let mut d = twice(down.t(), gate.map(|_| down.t()));
        // Rows of both of length one, but for rounding, or zero.
        let scales: Vec<f64> = [&mut g, &mut d].map(unit_rows).concat();
        let (n, arguments) = (up.rows.len(), g.nrows());
        let scale = |k: usize| scales[k] * scales[arguments + k];
        let mut entries = vec![[Entry::default(); 2]; n];
        for k in 0..arguments {
            entries[k % n][k / n].scale = scale(k);
        }
        let estimate = COVER * spectral_norm(g.view()).min(spectral_norm(d.view())).powi(2);
        let mut form = Form { entries, rest: estimate, most: estimate };
        if arguments > MOST {
            return form;
        }
        let matrix = g.dot(&g.t()) * d.dot(&d.t());
        // Each entry of the two products errs by at most γ of the lengths of its rows, and so do those of what is taken out.
        let trace = arguments as f64;
        let error = 8.0 * gamma(g.ncols().max(d.ncols()) + 2 * DIRECTIONS + 4, ROUNDOFF_F64) * trace;
        let directions = main_directions(&matrix);
        let mut rest = matrix.clone();
        for v in &directions {
            let column = v.view().insert_axis(Axis(1));
            rest = rest - column.dot(&column.t());
        }
        let [rest, most] = [&rest, &matrix].map(|m| nonnegative_sum(spectral_norm(m.view()) + error));
        if rest <= estimate && directions.iter().all(|v| v.dot(v) <= 2.0 * trace) {
            form.rest = rest;
            for (i, v) in directions.iter().enumerate() {
                for (k, &x) in v.iter().enumerate() {
                    form.entries[k % n][k / n].directions[i] = x * scale(k);
                }
            }
        }
        form.most = most.min(estimate);
        form
    }
}

/// Divides each row by its length; these.
fn unit_rows(x: &mut Array2<f64>) -> Vec<f64> {
    let unit = |mut row: ArrayViewMut1<f64>| {
        let length = row.dot(&row).sqrt();
        // Rows that are next to nothing stay as they are.
        let length = if length > TINY && length.is_finite() { length } else { 1.0 };
        row /= length;
        length
    };
    x.rows_mut().into_iter().map(unit).collect()
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Linear;

    proptest! {
        #[test]
        fn forms_bound_frobenius_norms(
            entries in prop::collection::vec(-1.0f32..1.0, 3 * 54),
            sizes in prop::collection::vec(prop_oneof![Just(0.0f32), Just(1e-12), 0.01f32..10.0], 9),
            arguments in prop::collection::vec(-3.0f64..3.0, 18),
            gated in any::<bool>(),
        ) {
            // Nine neurons between six inputs and six outputs; rows of very different lengths.
            let map = |k: usize, shape: (usize, usize), scaled: bool| {
                let part = &entries[54 * k..54 * (k + 1)];
                let mut weight = Array2::from_shape_vec(shape, part.to_vec()).unwrap();
                if scaled {
                    weight.columns_mut().into_iter().zip(&sizes).for_each(|(mut column, s)| column *= *s);
                }
                Map::folded(&Linear { weight, bias: None }, None, 1)
            };
            let (up, gate, down) = (map(0, (6, 9), true), map(1, (6, 9), false), map(2, (9, 6), false));
            let gate = gated.then_some(&gate);
            let form = Form::new(gate, &up, &down);
            let (mut along, mut squares, mut matrix) = ([0.0; DIRECTIONS], 0.0, Array2::<f64>::zeros((6, 6)));
            for (k, x) in arguments.iter().take(if gated { 18 } else { 9 }).enumerate() {
                let entry = &form.entries[k % 9][k / 9];
                along.iter_mut().zip(&entry.directions).for_each(|(sum, d)| *sum += d * x);
                squares += (entry.scale * x).powi(2);
                let row = if k < 9 { gate.unwrap_or(&up) } else { &up }.weights().row(k % 9).to_owned();
                let column = down.weights().column(k % 9).to_owned().insert_axis(Axis(1));
                matrix = matrix + column.dot(&row.insert_axis(Axis(0))) * *x;
            }
            let exact = matrix.iter().map(|x| x * x).sum::<f64>();
            let bound = along.iter().map(|x| x * x).sum::<f64>() + form.rest * squares;
            prop_assert!(exact <= bound * (1.0 + 1e-9) + 1e-30, "{exact} {bound}");
            prop_assert!(exact <= form.most * squares * (1.0 + 1e-9) + 1e-30);
            prop_assert!(form.rest <= form.most);
        }
    }
}
