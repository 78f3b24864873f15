//! `Σ_p x_p W_p + Σ_p b_p` of affine forms that come one by one, with each entry's error as a symbol of its own.
//!
//! All products for one output are terms of a single sum, whatever its order, so that its rounding is at most `γ_n` times the sum of their
//! sizes for `n` terms in all.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, Axis, concatenate, s};

use super::{Form, Group, Map, Shape, Symbols, n_symbols, union_of};
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
        Sum { terms: 2 * n + 1, form, spread: Array1::zeros(width), errors: Vec::new() }
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
        let x = aligned(x, &groups);
        if self.form.groups != groups {
            let form = std::mem::replace(&mut self.form, Form::point(Vec::new()));
            self.form = aligned(form, &groups);
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

/// The same form with rows for all symbols of some groups, its own among them.
fn aligned(form: Form, groups: &[Group]) -> Form {
    if form.groups == groups {
        return form;
    }
    let mut coef = Array2::zeros((n_symbols(groups), form.width()));
    form.scatter(groups, |rows, source| coef.slice_mut(s![rows, ..]).assign(&source));
    Form { groups: groups.to_vec(), coef, ..form }
}
