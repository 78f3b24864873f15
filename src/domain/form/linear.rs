//! Linear operations on affine forms: matrices, sums, weighted means.
//!
//! A computed combination `Σ_i x_i w_i` of the columns of a form differs from the exact one, over all coefficients of the
//! result together, by at most `γ_n Σ_i magnitude_i |w_i|`; errors pass through as `Σ_i err_i |w_i|`.

use ndarray::{Array1, Array2, s};

use super::rows::{add_rows, less_column, scale_rows, subtract_means};
use super::{Form, Group, Sum, Symbols, n_symbols, union_of};
use crate::num::{Interval, dot_error, nonnegative_sum};

/// `y = x W + b` with `W` known exactly and `b` to within radii.
#[derive(Debug, Clone)]
pub struct Map {
    /// `[in, out]`.
    pub(super) weight: Array2<f64>,
    /// `|W|`.
    pub(super) size: Array2<f64>,
    /// `[out]`.
    pub(super) bias: Vec<f64>,
    /// Radii of `bias`, `[out]`.
    pub(super) bias_err: Vec<f64>,
}

impl Map {
    /// A map of weights `[in, out]` and enclosed biases `[out]`.
    #[must_use]
    pub fn new(weight: Array2<f64>, bias: &[Interval]) -> Map {
        let (bias, bias_err) = bias.iter().map(|b| b.mid_rad()).unzip();
        Map { size: weight.mapv(f64::abs), weight, bias, bias_err }
    }

    /// The same for the outputs `first..last`.
    #[must_use]
    pub fn outputs(&self, first: usize, last: usize) -> Map {
        Map {
            weight: self.weight.slice(s![.., first..last]).to_owned(),
            size: self.size.slice(s![.., first..last]).to_owned(),
            bias: self.bias[first..last].to_vec(),
            bias_err: self.bias_err[first..last].to_vec(),
        }
    }

    /// What the inputs `first..last` add; those from zero bring the biases.
    #[must_use]
    pub fn inputs(&self, first: usize, last: usize) -> Map {
        let bias = |x: &[f64]| if first == 0 { x.to_vec() } else { vec![0.0; x.len()] };
        Map {
            weight: self.weight.slice(s![first..last, ..]).to_owned(),
            size: self.size.slice(s![first..last, ..]).to_owned(),
            bias: bias(&self.bias),
            bias_err: bias(&self.bias_err),
        }
    }

    /// Width of what comes out.
    #[must_use]
    pub fn width(&self) -> usize {
        self.weight.ncols()
    }

    /// Encloses the bias of output `j`.
    pub fn bias(&self, j: usize) -> Interval {
        Interval::point(self.bias[j]) + Interval::new(-self.bias_err[j], self.bias_err[j])
    }

    /// The weights `[in, out]`.
    #[must_use]
    pub fn weight(&self) -> &Array2<f64> {
        &self.weight
    }
}

impl Form {
    /// `x W + b`.
    #[must_use]
    pub fn map(&self, map: &Map) -> Form {
        self.map_spread(map, &self.spread())
    }

    /// What passes through `|W|` of a map: errors, and the roundings that magnitudes bound.
    #[must_use]
    pub fn spread(&self) -> Array1<f64> {
        let n = self.width() + 1;
        self.err.iter().zip(self.magnitude()).map(|(e, m)| e + dot_error(n, m)).collect()
    }

    /// [`Form::map`], given the [`Form::spread`] of this form.
    #[must_use]
    pub fn map_spread(&self, map: &Map, spread: &Array1<f64>) -> Form {
        let mid = ndarray::aview1(&self.mid).dot(&map.weight);
        let mid = mid.iter().zip(&map.bias).map(|(x, b)| x + b).collect();
        let n = self.width() + 1;
        let spread = spread.dot(&map.size);
        // `dot_error` also holds what may underflow in all rows together.
        let own = map.bias.iter().zip(&map.bias_err).map(|(b, e)| e + dot_error(n, b.abs()));
        let err = spread.iter().zip(own).map(|(s, own)| nonnegative_sum(s + own)).collect();
        Form { mid, groups: self.groups.clone(), coef: self.coef.dot(&map.weight), err }
    }

    /// `x W + b`, with each entry's error as a symbol of its own that passes through the map.
    #[must_use]
    pub fn map_absorbing(self, map: &Map, symbols: &mut Symbols) -> Form {
        let mut sum = Sum::new(self.width(), map.width());
        sum.add(self, map);
        sum.absorbing(symbols)
    }

    /// `x + y`.
    #[must_use]
    pub fn plus(self, other: &Form) -> Form {
        let groups = union_of([self.groups.as_slice(), &other.groups].into_iter());
        let mut sum = self.aligned(&groups);
        other.scatter(&groups, |rows, source| {
            let mut to = sum.coef.slice_mut(s![rows, ..]);
            to += &source;
        });
        sum.mid.iter_mut().zip(&other.mid).for_each(|(to, x)| *to += x);
        // A sum of two rounds with the size of what comes out.
        let size = sum.magnitude();
        for ((err, other), size) in sum.err.iter_mut().zip(&other.err).zip(size) {
            *err = nonnegative_sum(*err + other + dot_error(1, size));
        }
        sum
    }

    /// `Σ_n factor_n x_n` for exact factors and forms of one width (at least one form).
    #[must_use]
    pub fn combination(terms: &[(f64, &Form)]) -> Form {
        let width = terms[0].1.width();
        let groups = union_of(terms.iter().map(|(_, form)| form.groups.as_slice()));
        let mut coef = Array2::zeros((n_symbols(&groups), width));
        let (mut mid, mut err) = (vec![0.0; width], vec![0.0; width]);
        for &(factor, form) in terms {
            let factors = vec![factor; width];
            form.scatter(&groups, |rows, source| {
                add_rows(coef.slice_mut(s![rows, ..]), source, &factors);
            });
            mid.iter_mut().zip(&form.mid).for_each(|(to, x)| *to += factor * x);
            // A factor of one multiplies without rounding; the bound covers the other case.
            let each = form.err.iter().zip(form.magnitude());
            err.iter_mut()
                .zip(each)
                .for_each(|(to, (e, m))| *to += factor.abs() * (e + dot_error(terms.len() + 1, m)));
        }
        let err = err.into_iter().map(|e| nonnegative_sum(e + dot_error(1, 0.0))).collect();
        Form { mid, groups, coef, err }
    }

    /// `factor_i x_i + Σ factor'_i y_i` for exact factors and some forms `y` with factors of their own.
    #[must_use]
    pub fn scaled_sum(self, factors: &[f64], terms: &[(&[f64], &Form)]) -> Form {
        let groups = union_of(terms.iter().map(|(_, y)| y.groups.as_slice()).chain([self.groups.as_slice()]));
        // Each number that comes out is a sum of one product per form.
        let n = terms.len() + 2;
        let rounded = |size: Vec<f64>, err: &[f64]| {
            size.into_iter().zip(err).map(move |(m, e)| e + dot_error(n, m)).collect::<Vec<f64>>()
        };
        let passed = rounded(self.magnitude(), &self.err);
        let mut sum = self.aligned(&groups);
        scale_rows(sum.coef.view_mut(), factors);
        for (i, factor) in factors.iter().enumerate() {
            sum.mid[i] *= factor;
            sum.err[i] = factor.abs() * passed[i];
        }
        for (factors, y) in terms {
            y.scatter(&groups, |rows, source| add_rows(sum.coef.slice_mut(s![rows, ..]), source, factors));
            let passed = rounded(y.magnitude(), &y.err);
            for (i, factor) in factors.iter().enumerate() {
                sum.mid[i] += factor * y.mid[i];
                sum.err[i] += factor.abs() * passed[i];
            }
        }
        sum.err.iter_mut().for_each(|e| *e = nonnegative_sum(*e + dot_error(1, 0.0)));
        sum
    }

    /// The same form with rows for all symbols of some groups, its own among them.
    #[must_use]
    pub(super) fn aligned(self, groups: &[Group]) -> Form {
        if self.groups == groups {
            return self;
        }
        let mut coef = Array2::zeros((n_symbols(groups), self.width()));
        self.scatter(groups, |rows, source| coef.slice_mut(s![rows, ..]).assign(&source));
        Form { groups: groups.to_vec(), coef, ..self }
    }

    /// `x_i · factor_i` for exact factors.
    #[must_use]
    pub fn times(self, factors: &[f64]) -> Form {
        let magnitude = self.magnitude();
        self.times_of(factors, &magnitude)
    }

    /// [`Form::times`], given the [`Form::magnitude`] of this form.
    fn times_of(mut self, factors: &[f64], magnitude: &[f64]) -> Form {
        for (i, factor) in factors.iter().enumerate() {
            self.mid[i] *= factor;
            let passed = factor.abs() * (self.err[i] + dot_error(1, magnitude[i]));
            self.err[i] = nonnegative_sum(passed + dot_error(1, 0.0));
        }
        scale_rows(self.coef.view_mut(), factors);
        self
    }

    /// `x · c` for a number `c` known to lie in an interval.
    #[must_use]
    pub fn times_enclosed(self, c: Interval) -> Form {
        let (mid, rad) = c.mid_rad();
        let magnitude = self.magnitude();
        let mut y = self.times_of(&vec![mid; magnitude.len()], &magnitude);
        y.err.iter_mut().zip(magnitude).for_each(|(e, m)| *e = nonnegative_sum(*e + rad * m));
        y
    }

    /// `x_i + c_i` for exact `c`.
    #[must_use]
    pub fn shifted(mut self, c: &[f64]) -> Form {
        for ((mid, err), c) in self.mid.iter_mut().zip(&mut self.err).zip(c) {
            *mid += c;
            *err = nonnegative_sum(*err + f64::EPSILON * mid.abs());
        }
        self
    }

    /// Adds to the error radii.
    #[must_use]
    pub fn widened(mut self, by: &[f64]) -> Form {
        self.err.iter_mut().zip(by).for_each(|(e, by)| *e = nonnegative_sum(*e + by));
        self
    }

    /// `x_i − x_t` for every entry: zero for `t` itself.
    #[must_use]
    pub fn less_entry(&self, t: usize) -> Form {
        let magnitude = self.magnitude();
        let err = |(e, m): (&f64, &f64)| nonnegative_sum(e + self.err[t] + dot_error(1, m + magnitude[t]));
        let mut err: Vec<f64> = self.err.iter().zip(&magnitude).map(err).collect();
        err[t] = 0.0;
        let mid = self.mid.iter().map(|x| x - self.mid[t]).collect();
        Form { mid, groups: self.groups.clone(), coef: less_column(self.coef.view(), t), err }
    }

    /// `x_i − Σ_j weight_j x_j` for exact weights that are not negative.
    #[must_use]
    pub fn minus_mean(mut self, weights: &[f64]) -> Form {
        let n = self.width() + 1;
        let magnitude = self.magnitude();
        let mean = |row: ndarray::ArrayView1<f64>| row.iter().zip(weights).map(|(x, w)| x * w).sum::<f64>();
        let centre = mean(ndarray::aview1(&self.mid));
        let centre_err = mean(ndarray::aview1(&self.err)) + dot_error(n, mean(ndarray::aview1(&magnitude)));
        for ((mid, err), magnitude) in self.mid.iter_mut().zip(&mut self.err).zip(&magnitude) {
            *mid -= centre;
            *err = nonnegative_sum(*err + centre_err + dot_error(2, *magnitude) + dot_error(2, centre.abs()));
        }
        if !self.coef.is_standard_layout() {
            self.coef = self.coef.as_standard_layout().into_owned();
        }
        let means = self.coef.as_slice_mut().map_or(f64::INFINITY, |all| subtract_means(all, weights));
        let rounding = dot_error(2, nonnegative_sum(means));
        self.err.iter_mut().for_each(|err| *err = nonnegative_sum(*err + rounding));
        self
    }
}

impl Form {
    /// Rotates the pairs `(i, i + n)` of every head by `n` angles given as enclosed `(cos, sin)`.
    #[must_use]
    pub fn rotated(mut self, angles: &[(Interval, Interval)], head_dim: usize) -> Form {
        let magnitude = self.magnitude();
        let n = angles.len();
        for first in (0..self.width()).step_by(head_dim) {
            for (k, (cos, sin)) in angles.iter().enumerate() {
                let (i, j) = (first + k, first + k + n);
                let ((c, c_rad), (s, s_rad)) = (cos.mid_rad(), sin.mid_rad());
                let turn = |a: f64, b: f64| (a * c - b * s, b * c + a * s);
                (self.mid[i], self.mid[j]) = turn(self.mid[i], self.mid[j]);
                for mut row in self.coef.rows_mut() {
                    (row[i], row[j]) = turn(row[i], row[j]);
                }
                let (a, b) = (magnitude[i], magnitude[j]);
                let (e, f) = (self.err[i], self.err[j]);
                let extra = (c_rad + s_rad) * (a + b) + dot_error(2, a + b);
                self.err[i] = nonnegative_sum(e * c.abs() + f * s.abs() + extra);
                self.err[j] = nonnegative_sum(f * c.abs() + e * s.abs() + extra);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::Shape;
    use super::super::tests::{member_of, value_at};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn scaled_sums_are_those_of_their_members(
            numbers in prop::collection::vec(-1e2f64..1e2, 40),
            signs in prop::collection::vec(-1.0f64..1.0, 9),
            common in any::<bool>(),
        ) {
            let mut symbols = Symbols::default();
            let (one, other) = (symbols.fresh(Shape::Ball, 3), symbols.fresh(Shape::Box, 3));
            let e = [member_of(Shape::Ball, &signs[..3]), signs[3..6].to_vec()];
            let form = |group, from: usize| {
                let rows = Array2::from_shape_fn((3, 2), |(k, i)| numbers[from + 2 * k + i]);
                Form::enclosed(numbers[from + 6..from + 8].to_vec(), vec![0.25, 0.5]).with_group(group, rows)
            };
            let (x, y) = (form(one, 0), form(if common { one } else { other }, 10));
            let (own, of_y) = (&numbers[22..24], if common { &e[0] } else { &e[1] });
            let factors = &numbers[20..22];
            let sum = x.clone().scaled_sum(own, &[(factors, &y)]);
            let known = if common { e[0].clone() } else { e.concat() };
            for (i, factor) in factors.iter().enumerate() {
                let x_i = value_at(&x, &e[0], i) + x.err[i] * signs[6];
                let y_i = value_at(&y, of_y, i) + y.err[i] * signs[7];
                let expected = own[i] * x_i + factor * y_i;
                let slack = 1e-9 * (1.0 + expected.abs());
                prop_assert!((expected - value_at(&sum, &known, i)).abs() <= sum.err[i] + slack);
                let least = own[i].abs() * x.err[i] + factor.abs() * y.err[i];
                prop_assert!(sum.err[i] <= least * (1.0 + 1e-9) + slack);
            }
        }
    }
}
