//! `Σ_p x_p W_p + Σ_p b_p` of affine forms that come one by one, with each entry's error as a symbol of its own.
//!
//! All products for one output are terms of a single sum, whatever its order, so that its rounding is at most `γ_n` times the sum of their
//! sizes for `n` terms in all.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, Axis, concatenate};

use super::{Form, Map, Shape, Symbols, union_of};
use crate::num::{dot_error, nonnegative_sum};

/// A sum that is not complete yet.
#[derive(Debug)]
pub struct Sum {
    /// Terms of every output, biases among them.
    terms: usize,
    /// Without errors.
    form: Form,
    /// What errors of biases and roundings add, `[out]`.
    spread: Array1<f64>,
    /// Errors of the inputs times their weights, `[inputs so far, out]`.
    errors: Vec<Array2<f64>>,
}

impl Sum {
    /// An empty sum of `n` inputs with `width` outputs, to be added in at most as many parts.
    #[must_use]
    pub fn new(n: usize, width: usize) -> Sum {
        let form = Form::point(vec![0.0; width]);
        Sum { terms: 2 * n + 1, form, spread: Array1::zeros(width), errors: vec![Array2::zeros((0, width))] }
    }

    /// Adds `x W + b`.
    pub fn add(&mut self, x: Form, map: &Map) {
        let rounding: Vec<f64> = x.magnitude().iter().map(|m| dot_error(self.terms, *m)).collect();
        self.spread += &Array1::from_vec(rounding).dot(&map.size);
        let own = map.bias.iter().zip(&map.bias_err).map(|(b, e)| e + dot_error(self.terms, b.abs()));
        self.spread.iter_mut().zip(own).for_each(|(spread, own)| *spread += own);
        let mid = Array1::from_vec(x.mid.clone()).dot(&map.weight);
        for (to, (x, b)) in self.form.mid.iter_mut().zip(mid.iter().zip(&map.bias)) {
            *to += x + b;
        }
        let mut rows = map.weight.clone();
        rows.axis_iter_mut(Axis(0)).zip(&x.err).for_each(|(mut row, e)| row *= *e);
        self.errors.push(rows);
        let groups = union_of([self.form.groups.as_slice(), &x.groups].into_iter());
        let x = x.aligned(&groups);
        if self.form.groups != groups {
            let form = std::mem::replace(&mut self.form, Form::point(Vec::new()));
            self.form = form.aligned(&groups);
        }
        general_mat_mul(1.0, &x.coef, &map.weight, 1.0, &mut self.form.coef);
    }

    /// The sum.
    #[must_use]
    pub fn absorbing(mut self, symbols: &mut Symbols) -> Form {
        let views: Vec<_> = self.errors.iter().map(|rows| rows.view()).collect();
        let errors = concatenate(Axis(0), &views).unwrap_or_default();
        let rounding = errors.map(|x| dot_error(1, x.abs())).sum_axis(Axis(0));
        self.form.err = (&self.spread + &rounding).mapv(nonnegative_sum).to_vec();
        match errors.iter().all(|x| *x == 0.0) {
            true => self.form,
            false => self.form.with_group(symbols.fresh(Shape::Box, errors.nrows()), errors),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{member_of, value_at};
    use super::*;
    use crate::num::Interval;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sums_hold_member_by_member(
            numbers in prop::collection::vec(-1e2f64..1e2, 60),
            err in prop::collection::vec(0.0f64..1.0, 5),
            signs in prop::collection::vec(-1.0f64..1.0, 13),
            first in 0usize..2,
        ) {
            // The parts of five inputs know different groups, in either order.
            let mut symbols = Symbols::default();
            let groups = [symbols.fresh(Shape::Ball, 3), symbols.fresh(Shape::Box, 2)];
            let e = [member_of(Shape::Ball, &signs[..3]), member_of(Shape::Box, &signs[3..5])];
            let sizes = [2, 3];
            let weight = Array2::from_shape_fn((5, 2), |(i, j)| numbers[2 * i + j]);
            let map = Map::new(weight, &[Interval::point(0.5), Interval::new(1.0, 2.0)]);
            let (mut sum, mut at) = (Sum::new(5, 2), 0);
            let mut expected = vec![0.5, 1.5 + 0.5 * signs[11]];
            for (n, size) in sizes.into_iter().enumerate() {
                let k = (n + first) % 2;
                let rows = Array2::from_shape_fn((groups[k].size, size), |(i, j)| numbers[10 + 15 * n + 3 * i + j]);
                let centre = numbers[50 + 3 * n..][..size].to_vec();
                let x = Form::enclosed(centre, err[at..at + size].to_vec()).with_group(groups[k], rows);
                for i in 0..size {
                    let value = value_at(&x, &e[k], i) + x.err[i] * signs[5 + at + i];
                    expected.iter_mut().enumerate().for_each(|(j, y)| *y += value * map.weight[[at + i, j]]);
                }
                sum.add(x, &map.inputs(at, at + size));
                at += size;
            }
            let y = sum.absorbing(&mut symbols);
            // Members are told apart by their symbols, errors of inputs among them.
            let known = [&e[0][..], &e[1], &signs[5..10]].concat();
            for (j, expected) in expected.into_iter().enumerate() {
                let at = value_at(&y, &known, j);
                let slack = 1e-9 * (1.0 + expected.abs());
                prop_assert!((expected - at).abs() <= y.err[j] + slack, "{expected} {at} {}", y.err[j]);
                let of_bias = if j == 1 { 0.5 } else { 0.0 };
                prop_assert!(y.err[j] <= of_bias + slack);
            }
        }
    }
}
