//! Products of affine forms, entry by entry.
//!
//! `(a + α)(b + β) = ab + aβ + bα + αβ`; for the last see [`Form::deviation_products`].

use ndarray::{Array2, s};

use super::{Form, n_symbols, union_of};
use crate::num::{Interval, dot_error, nonnegative_sum};

impl Form {
    /// `x_i y_i` of two forms of one width.
    #[must_use]
    pub fn product(&self, other: &Form) -> Form {
        let width = self.width();
        let groups = union_of([self.groups.as_slice(), other.groups.as_slice()].into_iter());
        let mut coef = Array2::zeros((n_symbols(&groups), width));
        for (form, factor) in [(self, &other.mid), (other, &self.mid)] {
            form.scatter(&groups, |rows, source| {
                for (mut to, from) in coef.slice_mut(s![rows, ..]).rows_mut().into_iter().zip(source.rows()) {
                    to.iter_mut().zip(from).zip(factor).for_each(|((to, x), f)| *to += x * f);
                }
            });
        }
        let second: Vec<(f64, f64)> =
            self.deviation_products(other).into_iter().map(Interval::mid_rad).collect();
        let (size_a, size_b) = (self.magnitude(), other.magnitude());
        let err = (0..width)
            .map(|i| {
                let passed = self.err[i] * other.mid[i].abs() + other.err[i] * self.mid[i].abs();
                nonnegative_sum(passed + second[i].1 + dot_error(5, size_a[i] * size_b[i]))
            })
            .collect();
        let centres = self.mid.iter().zip(&other.mid).zip(&second);
        let mid = centres.map(|((a, b), (second, _))| a * b + second).collect();
        Form { mid, groups, coef, err }
    }
}
