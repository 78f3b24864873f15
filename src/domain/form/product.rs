//! Products of affine forms, entry by entry.
//!
//! `(a + α)(b + β) = ab + aβ + bα + αβ`; for the last see [`Form::deviation_product`].

use ndarray::{Array2, s};

use super::rows::add_rows;
use super::{Form, n_symbols, union_of};
use crate::num::{dot_error, nonnegative_sum};

impl Form {
    /// `x_i y_i` for every entry of `other`; a form of width one is a factor of all.
    #[must_use]
    pub fn product(&self, other: &Form) -> Form {
        let width = other.width();
        let column = |i: usize| if self.width() == 1 { 0 } else { i };
        let second = self.deviation_product(other);
        let groups = union_of([&self.groups, &other.groups, &second.groups].into_iter().map(Vec::as_slice));
        let mut coef = Array2::zeros((n_symbols(&groups), width));
        second.scatter(&groups, |rows, source| coef.slice_mut(s![rows, ..]).assign(&source));
        let a: Vec<f64> = (0..width).map(|i| self.mid[column(i)]).collect();
        if self.width() == width {
            self.scatter(&groups, |rows, source| add_rows(coef.slice_mut(s![rows, ..]), source, &other.mid));
        } else {
            self.scatter(&groups, |rows, source| {
                for (to, x) in coef.slice_mut(s![rows, ..]).rows_mut().into_iter().zip(source.column(0)) {
                    to.into_iter().zip(&other.mid).for_each(|(to, b)| *to += x * b);
                }
            });
        }
        if a.iter().any(|a| *a != 0.0) {
            other.scatter(&groups, |rows, source| add_rows(coef.slice_mut(s![rows, ..]), source, &a));
        }
        let (size_a, size_b) = (self.magnitude(), other.magnitude());
        let err = (0..width)
            .map(|i| {
                let k = column(i);
                let passed = self.err[k] * other.mid[i].abs() + other.err[i] * a[i].abs();
                nonnegative_sum(passed + second.err[i] + dot_error(6, size_a[k] * size_b[i]))
            })
            .collect();
        let mid = a.iter().zip(&other.mid).zip(&second.mid).map(|((a, b), second)| a * b + second).collect();
        Form { mid, groups, coef, err }
    }

    /// The sum of all entries, of width one.
    #[must_use]
    pub fn total(&self) -> Form {
        let n = self.width() + 1;
        let coef = self.coef.sum_axis(ndarray::Axis(1)).insert_axis(ndarray::Axis(1));
        let rounding = dot_error(n, nonnegative_sum(self.magnitude().iter().sum()));
        let err = vec![nonnegative_sum(self.err.iter().sum::<f64>() + rounding)];
        Form { mid: vec![self.mid.iter().sum()], groups: self.groups.clone(), coef, err }
    }
}
