//! One head of attention for one query: `o = Σ_j e^{s_j} v_j / Σ_j e^{s_j}`, `s_j = scale · q·k_j`.
//!
//! Scores are affine up to the products of the deviations of query and key ([`Form::deviation_product`]), which are no larger
//! than `‖α‖‖β‖`. Let `w_j` be floats near the softmax of the centres, and `a_j = s_j − ln w_j − Σ_k w_k (s_k − ln w_k)`
//! (softmax does not see a common shift). With `e^{a} = 1 + E`, any fixed vector `c`, and `v_j = c + m_j + δ_j`,
//!
//! ```text
//! o − c = (1/Z) [ Σ w_j (m_j + δ_j) + Σ w_j E_j m_j + Σ w_j E_j δ_j ],     Z = Σ w_j + Σ w_j E_j,
//! ```
//!
//! where `Σ w_j a_j` is zero up to rounding, so `Z − 1` is of second order. `E` is `a` and a remainder within
//! `[0, e^a − 1 − a]`, or a polynomial of `a` ([`interpolate`]) where products of symbols are kept track of; `1/Z` likewise. Where
//! scores vary too much for this, each entry takes the exact range of a softmax-weighted sum over boxes ([`Weights`]) instead.

use ndarray::{Array2, s};

use super::super::softmax::Weights;
use super::interpolate::{Bends, Fit, interpolate, span};
use super::polynomial::Parts;
use super::{Form, Map, NEGLIGIBLE, Symbols, n_symbols, union_of};
use crate::num::{Interval, dot_error, exp, ln, nonnegative_sum};

/// Key and value of one head at one position.
#[derive(Debug, Clone)]
pub struct Source {
    /// `[head_dim]`.
    pub key: Form,
    /// `[head_dim]`.
    pub value: Form,
}

/// Scores vary too much for the expansion to be the better choice without a look at the box.
const SMALL: f64 = 0.05;

/// Largest deviation of `Z`, as a share of it, that is worth a polynomial.
const MODERATE: f64 = 0.5;

/// Least logarithm of a weight.
const LEAST: f64 = -600.0;

impl Form {
    /// The head's output for this query; `scale` is the factor on scores. At least one source.
    #[must_use]
    pub fn attend(&self, sources: &[&Source], scale: Interval, symbols: &mut Symbols) -> Form {
        let scores = self.scores(sources, scale);
        let ranges = scores.ranges();
        let (w, logs): (Vec<f64>, Vec<Interval>) = softmax_hint(&scores.mid).into_iter().unzip();
        let (b, rad): (Vec<f64>, Vec<f64>) = logs.iter().map(|b| (-*b).mid_rad()).unzip();
        let a = scores.shifted(&b).widened(&rad).minus_mean(&w);
        let widest = a.radius().into_iter().fold(0.0, super::worse);
        let mixed = mix(sources, a, &w, symbols);
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
        let (n, width) = (sources.len(), self.width());
        let radius = self.radius();
        let products: Vec<Form> = sources.iter().map(|s| self.deviation_dot(&radius, &s.key)).collect();
        let of_keys = sources.iter().map(|s| s.key.groups.as_slice());
        let of_products = products.iter().map(|p| p.groups.as_slice());
        let groups = union_of(of_keys.chain(of_products).chain([self.groups.as_slice()]));
        let keys = Array2::from_shape_fn((width, n), |(i, j)| sources[j].key.mid[i]);
        let query = ndarray::aview1(&self.mid);
        let mut coef = Array2::zeros((n_symbols(&groups), n));
        let of_query = self.coef.dot(&keys);
        let as_form =
            Form { mid: vec![0.0; n], groups: self.groups.clone(), coef: of_query, err: vec![0.0; n] };
        as_form.scatter(&groups, |rows, source| coef.slice_mut(s![rows, ..]).assign(&source));
        let (size, reach) = (self.magnitude(), self.reach());
        let mut mid = keys.t().dot(&query).to_vec();
        let mut err = vec![0.0; n];
        for (j, (source, product)) in sources.iter().zip(&products).enumerate() {
            let key = &source.key;
            key.scatter(&groups, |rows, key| {
                let mut column = coef.slice_mut(s![rows, j]);
                column += &key.dot(&query);
            });
            let (mut rounding, mut passed) = (0.0, 0.0);
            for (i, key_size) in key.magnitude().into_iter().enumerate() {
                rounding += size[i] * key_size;
                passed += self.err[i] * key.mid[i].abs() + self.mid[i].abs() * key.err[i];
            }
            // Products that hardly differ from zero need no other bound.
            let own = product.radius()[0];
            let by_length = if own <= NEGLIGIBLE { own } else { nonnegative_sum(reach * key.reach()) };
            if own <= by_length {
                product.scatter(&groups, |rows, product| {
                    let mut column = coef.slice_mut(s![rows, j]);
                    column += &product.column(0);
                });
                mid[j] += product.mid[0];
                passed += product.err[0];
            } else {
                passed += by_length;
            }
            err[j] = nonnegative_sum(passed + dot_error(2 * width + 6, nonnegative_sum(rounding)));
        }
        Form { mid, groups, coef, err }.times_enclosed(scale)
    }

    /// Replaces entries by their box over scores and values where that is narrower.
    fn meet_box(mut self, sources: &[&Source], scores: &[Interval]) -> Form {
        let radius = match self.tracked() {
            // What is known of the dependence on a group is worth more than a narrow range.
            Some(group) => {
                let Parts { linear, rest, .. } = self.parts(group);
                if rest.iter().zip(&linear).all(|(rest, linear)| 2.0 * rest <= *linear) {
                    // The entries move by more than the rest, and so by more than any box that is narrower.
                    return self;
                }
                rest
            }
            None => self.radius(),
        };
        let weights = Weights::new(scores.iter().map(std::slice::from_ref));
        let values: Vec<Vec<Interval>> = sources.iter().map(|source| source.value.ranges()).collect();
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

/// Weights near the softmax of some scores, with enclosures of their logarithms.
fn softmax_hint(scores: &[f64]) -> Vec<(f64, Interval)> {
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weight = |b: f64| exp(Interval::point(b)).mid_rad().0;
    let sum: f64 = scores.iter().map(|s| weight(s - top)).sum();
    let log = top + ln(Interval::point(sum)).mid_rad().0;
    // Any weights will do; the least is far from underflow.
    let of = |s: &f64| weight((s - log).max(LEAST));
    scores.iter().map(of).map(|w| (w, ln(Interval::point(w)))).collect()
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

/// `e^a − 1`, with a symbol for the remainder of each entry.
fn exponential(a: Form, symbols: &mut Symbols) -> Form {
    let ranges = a.ranges();
    let form = if let Some(group) = a.tracked() {
        let fit = |a: Interval| {
            let size = a.magnitude();
            let bend = exp(Interval::point(span(size))).hi();
            interpolate(group.degree, exp, size, Bends { third: bend, fourth: bend })
        };
        let fits: Vec<Fit> = ranges.into_iter().map(fit).collect();
        a.fitted(&fits).shifted(&vec![-1.0; fits.len()])
    } else {
        let half: Vec<f64> = ranges.into_iter().map(|a| beyond_linear(a) / 2.0).collect();
        a.shifted(&half).widened(&half)
    };
    form.absorb(symbols)
}

/// The expansion above.
fn mix(sources: &[&Source], a: Form, w: &[f64], symbols: &mut Symbols) -> Form {
    let (n, width) = (sources.len(), sources[0].value.width());
    let e = exponential(a, symbols).times(w);
    let total: Interval = w.iter().map(|&w| Interval::point(w)).sum();
    let sum = e.total();
    let z = total + sum.ranges()[0];
    let inverse = if z.lo() > 0.0 { z.recip() } else { Interval::ENTIRE };
    let centre: Vec<f64> =
        (0..width).map(|i| sources.iter().zip(w).map(|(s, w)| w * s.value.mid[i]).sum()).collect();
    let minus: Vec<f64> = centre.iter().map(|c| -c).collect();
    let values: Vec<Form> = sources.iter().map(|s| s.value.clone().shifted(&minus)).collect();
    let lever = Array2::from_shape_fn((n, width), |(j, i)| values[j].mid[i]);
    let levered = e.map(&Map::new(lever, &vec![Interval::ZERO; width]));
    let radius = e.ranges();
    let mut products = Vec::new();
    let mut passed = vec![0.0; width];
    for (j, value) in values.iter().enumerate() {
        if value.groups.is_empty() {
            passed.iter_mut().zip(&value.err).for_each(|(to, err)| *to += radius[j].magnitude() * err);
        } else {
            let deviation = Form { mid: vec![0.0; width], ..value.clone() };
            products.push(e.slice(j, j + 1).product(&deviation));
        }
    }
    let of_values = w.iter().copied().zip(&values);
    let terms: Vec<(f64, &Form)> =
        of_values.chain(products.iter().map(|p| (1.0, p))).chain([(1.0, &levered)]).collect();
    let form = Form::combination(&terms).widened(&passed);
    if let Some(inverse) = reciprocal(sum.plus(&Form::of_intervals(&[total]))) {
        return inverse.product(&form).shifted(&centre);
    }
    let (factor, spread) = inverse.mid_rad();
    // The error 1/Z − factor multiplies what is there: its range, not its magnitude.
    let reach: Vec<f64> = form.ranges().iter().map(|x| x.magnitude() * spread).collect();
    form.times(&vec![factor; width]).widened(&reach).shifted(&centre)
}

/// `1/z` as a polynomial, for a form of width one well above zero that keeps track of products: the derivatives of `1/(z0 + t)` are
/// at most `6/(z0 − |t|)⁴` and `24/(z0 − |t|)⁵` in size.
fn reciprocal(z: Form) -> Option<Form> {
    let degree = z.tracked()?.degree;
    let centre = Interval::point(z.mid[0]);
    let size = z.radius()[0];
    let least = centre - Interval::point(span(size));
    if !(least.lo() > 0.0 && size <= MODERATE * z.mid[0]) {
        return None;
    }
    let third = Interval::point(6.0) / least.square().square();
    let bends = Bends { third: third.hi(), fourth: (third * 4.0 / least).hi() };
    let fit = interpolate(degree, |t| (centre + t).recip(), size, bends);
    Some(z.shifted(&[-centre.mid_rad().0]).fitted(&[fit]))
}
