//! One head of attention for one query: `o = Σ_j e^{s_j} v_j / Σ_j e^{s_j}`, `s_j = scale · q·k_j`.
//!
//! Scores are affine up to `|α·β| <= ‖α‖‖β‖` for the deviations α of the query and β of the key. Let `w_j = e^{b_j}` be
//! weights near the softmax of the centres, and `a_j = s_j − b_j − Σ_k w_k (s_k − b_k)` (softmax does not see a common
//! shift). With `e^{a} = 1 + a + r`, `0 <= r <= ρ`, any fixed vector `c`, and `v_j = m_j + δ_j`,
//!
//! ```text
//! o − c = (1/Z) [ Σ w_j (1 + a_j + r_j)(m_j − c) + Σ w_j δ_j + Σ w_j (e^{a_j} − 1) δ_j ],     Z = Σ w_j (1 + a_j + r_j),
//! ```
//!
//! where `Σ w_j a_j` is zero up to rounding, so `Z − 1` is of second order. Where scores vary too much for this, each entry
//! takes the exact range of a softmax-weighted sum over boxes ([`Weights`]) instead.

use ndarray::{Array2, s};

use super::super::softmax::Weights;
use super::{Form, Shape, Symbols, n_symbols, union_of};
use crate::num::{Interval, dot_error, exp, nonnegative_sum};

/// Key and value of one head at one position.
#[derive(Debug, Clone)]
pub struct Source {
    /// `[head_dim]`.
    pub key: Form,
    /// `[head_dim]`.
    pub value: Form,
}

impl Source {
    /// The same enclosures without any symbols.
    #[must_use]
    pub fn forget(&self) -> Source {
        Source { key: self.key.forget(), value: self.value.forget() }
    }
}

/// Scores vary too much for the expansion to be the better choice without a look at the box.
const SMALL: f64 = 0.05;

/// Curvatures up to this go to the error radii: not worth symbols.
const NEGLIGIBLE: f64 = 1e-11;

/// Least logarithm of a weight.
const LEAST: f64 = -600.0;

impl Form {
    /// The head's output for this query; `scale` is the factor on scores. At least one source.
    #[must_use]
    pub fn attend(&self, sources: &[&Source], scale: Interval, symbols: &mut Symbols) -> Form {
        let scores = self.scores(sources, scale);
        let ranges = scores.ranges();
        let weights = softmax_hint(&scores.mid);
        let (hints, enclosures): (Vec<f64>, Vec<Interval>) = weights.into_iter().unzip();
        let shifted = scores.shifted(&hints.iter().map(|b| -b).collect::<Vec<_>>());
        let w: Vec<f64> = enclosures.iter().map(|w| w.mid_rad().0).collect();
        let common = shifted.magnitude().iter().zip(&w).map(|(m, w)| m * w).sum::<f64>();
        let a = shifted.minus_mean(&w);
        let mixed = mix(sources, &a, &enclosures, &w, common, symbols);
        let widest = a.radius().into_iter().fold(0.0, super::worse);
        if widest < SMALL { mixed } else { mixed.meet_box(sources, &ranges) }
    }

    /// Encloses `scale · q·k`.
    pub fn score(&self, key: &Form, scale: Interval) -> Interval {
        let width = self.width();
        let (of_query, of_key) = (ndarray::aview1(&key.mid), ndarray::aview1(&self.mid));
        let centre: f64 = self.mid.iter().zip(&key.mid).map(|(q, k)| q * k).sum();
        let part = |form: &Form, other: ndarray::ArrayView1<f64>| {
            let coef = form.coef.dot(&other).insert_axis(ndarray::Axis(1));
            let err = form.err.iter().zip(other).map(|(e, x)| e * x.abs()).sum();
            Form { mid: vec![0.0], groups: form.groups.clone(), coef, err: vec![err] }.radius()[0]
        };
        let product: f64 = self.radius().iter().zip(key.radius()).map(|(q, k)| q * k).sum();
        let size: f64 = self.magnitude().iter().zip(key.magnitude()).map(|(q, k)| q * k).sum();
        let rad = part(self, of_query) + part(key, of_key) + product.min(self.reach() * key.reach());
        let rad = nonnegative_sum(rad + dot_error(2 * width + 2, nonnegative_sum(size)));
        if !(centre.is_finite() && rad.is_finite()) {
            return Interval::ENTIRE;
        }
        (Interval::point(centre) + Interval::new(-rad, rad)) * scale
    }

    /// `scale · q·k_j` for every source, `[sources]`.
    fn scores(&self, sources: &[&Source], scale: Interval) -> Form {
        let groups = union_of(
            std::iter::once(self.groups.as_slice()).chain(sources.iter().map(|s| s.key.groups.as_slice())),
        );
        let (n, width) = (sources.len(), self.width());
        let keys = Array2::from_shape_fn((width, n), |(i, j)| sources[j].key.mid[i]);
        let query = ndarray::aview1(&self.mid);
        let mut coef = Array2::zeros((n_symbols(&groups), n));
        let of_query = self.coef.dot(&keys);
        let as_form =
            Form { mid: vec![0.0; n], groups: self.groups.clone(), coef: of_query, err: vec![0.0; n] };
        as_form.scatter(&groups, |rows, source| coef.slice_mut(s![rows, ..]).assign(&source));
        for (j, source) in sources.iter().enumerate() {
            source.key.scatter(&groups, |rows, key| {
                let mut column = coef.slice_mut(s![rows, j]);
                column += &key.dot(&query);
            });
        }
        let (size, reach) = (self.magnitude(), self.reach());
        let mut mid = keys.t().dot(&query).to_vec();
        let err = sources
            .iter()
            .zip(&mut mid)
            .map(|(source, mid)| {
                let key = &source.key;
                let (mut rounding, mut passed) = (0.0, 0.0);
                for (i, key_size) in key.magnitude().into_iter().enumerate() {
                    rounding += size[i] * key_size;
                    passed += self.err[i] * key.mid[i].abs() + self.mid[i].abs() * key.err[i];
                }
                let products: Interval = self.deviation_products(key).into_iter().sum();
                let by_length = nonnegative_sum(reach * key.reach());
                let (shift, rad) = products.mid_rad();
                let product = if rad <= by_length { rad } else { by_length };
                if rad <= by_length {
                    *mid += shift;
                }
                nonnegative_sum(passed + product + dot_error(2 * width + 4, nonnegative_sum(rounding)))
            })
            .collect();
        Form { mid, groups, coef, err }.times_enclosed(scale)
    }

    /// Replaces entries by their box over scores and values where that is narrower.
    fn meet_box(mut self, sources: &[&Source], scores: &[Interval]) -> Form {
        let weights = Weights::new(scores.iter().map(std::slice::from_ref));
        let values: Vec<Vec<Interval>> = sources.iter().map(|source| source.value.ranges()).collect();
        let radius = self.radius();
        for i in 0..self.width() {
            let of_entry: Vec<Interval> = values.iter().map(|v| v[i]).collect();
            let (mid, rad) = weights.mean(&of_entry).mid_rad();
            if !(radius[i] <= rad) {
                self.mid[i] = mid;
                self.err[i] = rad;
                self.coef.column_mut(i).fill(0.0);
            }
        }
        self
    }
}

/// `b_j` near the logarithm of the softmax of some scores, with enclosures of `e^{b_j}`.
fn softmax_hint(scores: &[f64]) -> Vec<(f64, Interval)> {
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weight = |b: f64| exp(Interval::point(b));
    let sum: f64 = scores.iter().map(|s| weight(s - top).mid_rad().0).sum();
    let log = top + crate::num::ln(Interval::point(sum)).mid_rad().0;
    // Any `b` will do; one that is not too low keeps the weights away from underflow.
    let b = |s: &f64| (s - log).max(LEAST);
    scores.iter().map(b).map(|b| (b, weight(b))).collect()
}

/// Upper bound on `e^x − 1 − x` over a range around zero: it is convex, zero at zero.
fn beyond_linear(x: Interval) -> f64 {
    // Taylor's remainder x²/2 e^ξ for small x, where the formula itself cancels.
    let at = |x: f64| {
        let x = Interval::point(x);
        let taylor = x.square() * 0.5 * exp(x).max(Interval::ONE);
        let exact = exp(x) - Interval::ONE - x;
        taylor.hi().min(exact.hi())
    };
    super::worse(at(x.lo()), at(x.hi()))
}

/// The expansion above; `w` are the middles of the enclosed weights, `common` bounds `|Σ w_k (s_k − b_k)|`.
fn mix(
    sources: &[&Source],
    a: &Form,
    enclosures: &[Interval],
    w: &[f64],
    common: f64,
    symbols: &mut Symbols,
) -> Form {
    let (n, width) = (sources.len(), sources[0].value.width());
    let ranges = a.ranges();
    let rho: Vec<f64> = ranges.iter().map(|&a| beyond_linear(a)).collect();
    // Relative error of the weights.
    let off = enclosures.iter().zip(w).map(|(e, w)| e.mid_rad().1 / w).fold(0.0, super::worse);
    let centre: Vec<f64> =
        (0..width).map(|i| sources.iter().zip(w).map(|(s, w)| w * s.value.mid[i]).sum()).collect();
    let lever = Array2::from_shape_fn((n, width), |(j, i)| w[j] * (sources[j].value.mid[i] - centre[i]));

    let groups = union_of(
        std::iter::once(a.groups.as_slice()).chain(sources.iter().map(|s| s.value.groups.as_slice())),
    );
    let mut coef = Array2::zeros((n_symbols(&groups), width));
    let of_scores = Form {
        mid: vec![0.0; width],
        groups: a.groups.clone(),
        coef: a.coef.dot(&lever),
        err: vec![0.0; width],
    };
    of_scores.scatter(&groups, |rows, source| coef.slice_mut(s![rows, ..]).assign(&source));
    let (mut mid, mut err) = (vec![0.0; width], vec![0.0; width]);
    let bends = rho.iter().any(|r| *r > NEGLIGIBLE);
    let size_a = a.magnitude();
    // Σ w_j (1 + ρ_j) and Σ w_j ρ_j, for what is of second order.
    let curved: f64 = nonnegative_sum(w.iter().zip(&rho).map(|(w, r)| w * r).sum());
    for (j, source) in sources.iter().enumerate() {
        let value = &source.value;
        value.scatter(&groups, |rows, source| coef.slice_mut(s![rows, ..]).scaled_add(w[j], &source));
        let (radius, size) = (value.radius(), value.magnitude());
        // (e^a − 1) δ = a δ + r δ.
        let products = a.slice(j, j + 1).deviation_products(value);
        for i in 0..width {
            let lever = lever[[j, i]];
            let arm = lever.abs() + dot_error(2, w[j] * (size[i] + centre[i].abs()));
            // w_j (m_j − c) and half of its w_j ρ_j (m_j − c); errors of a_j; the other half of ρ_j; w_j (e^a − 1) δ_j.
            let (shift, rad) = products[i].mid_rad();
            mid[i] += lever * (1.0 + a.mid[j] + rho[j] / 2.0) + w[j] * shift;
            let second = rad + (a.mid[j].abs() + rho[j]) * radius[i];
            err[i] += a.err[j] * arm + w[j] * (value.err[i] + second);
            // The other half of r is a symbol of its own where it is worth one.
            err[i] += rho[j] / 2.0 * if bends { arm - lever.abs() } else { arm };
            // Weights are off by a relative `off`; rounding of sums of n terms.
            let all = (1.0 + size_a[j] + rho[j]) * (arm + w[j] * radius[i]) + w[j] * size[i];
            err[i] += 2.0 * off * all + dot_error(n + 4, all);
        }
    }
    // Z − 1 = Σ w_j − 1 + Σ w_j a_j + Σ w_j r_j; the second is common · (1 − Σ w_j), up to the errors of a.
    let total: Interval = enclosures.iter().copied().sum();
    let gap = (total - Interval::ONE).magnitude();
    let left: f64 =
        a.err.iter().zip(w).zip(&size_a).map(|((e, w), m)| w * (e + off * m + dot_error(n, *m))).sum();
    let slack = nonnegative_sum(gap * common + left + 2.0 * off * curved);
    let z = total + Interval::new(-slack, nonnegative_sum(curved + slack));
    let inverse = if z.lo() > 0.0 { z.recip() } else { Interval::ENTIRE };
    let err = err.into_iter().map(nonnegative_sum).collect();
    let mut form = Form { mid, groups, coef, err };
    if bends {
        let rows = Array2::from_shape_fn((n, width), |(j, i)| lever[[j, i]] * rho[j] / 2.0);
        form = form.with_group(symbols.fresh(Shape::Box, n), rows);
    }
    let (factor, spread) = inverse.mid_rad();
    // The error 1/Z − factor multiplies what is there: its range, not its magnitude.
    let reach: Vec<f64> = form.ranges().iter().map(|x| x.magnitude() * spread).collect();
    form.times(&vec![factor; width]).widened(&reach).shifted(&centre)
}
