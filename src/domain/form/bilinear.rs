//! Products of deviations that share symbols.
//!
//! For `x = Σ ε_k x_k`, `y = Σ ε_k y_k` and any `r > 0`: `4 r x y = (r x + y)² − (r x − y)²`, hence
//!
//! ```text
//! −U₋²/(4r) <= x y <= U₊²/(4r),     |r x ± y| <= U±,
//! ```
//!
//! where `U±` are ranges of affine forms. With `r = rad y / rad x` that is never much worse than `rad x · rad y`, and half of
//! it where the two have little to do with each other: they are not both large for the same ε.

use multiversion::multiversion;
use ndarray::{Array2, s};

use super::{Form, Group, NEGLIGIBLE, Shape, n_symbols, union_of, worse};
use crate::num::{Interval, dot_error, nonnegative_sum};

impl Form {
    /// Encloses `Σ_i (x_i − mid x_i)(y_i − mid y_i)`, given the radius of `x`.
    pub(super) fn deviation_dot(&self, radius: &[f64], other: &Form) -> Form {
        // Without symbols there is nothing to keep track of.
        match other.groups.is_empty() {
            true => {
                let size = radius.iter().zip(&other.err).map(|(x, e)| x * e).sum::<f64>();
                Form::enclosed(vec![0.0], vec![nonnegative_sum(size)])
            }
            false => self.deviation_product(other).total(),
        }
    }

    /// Encloses `(x_i − mid x_i)(y_i − mid y_i)` for every entry of `other`; a form of width one is a factor of all.
    #[must_use]
    pub fn deviation_product(&self, other: &Form) -> Form {
        match self.tracked().filter(|group| other.groups.contains(group)) {
            Some(group) => self.polynomial_product(other, group),
            None => Form::of_intervals(&self.deviation_products(other)),
        }
    }

    /// Encloses `(x_i − mid x_i)(y_i − mid y_i)` for every entry of `other`, which is a factor of all where it has width one.
    fn deviation_products(&self, other: &Form) -> Vec<Interval> {
        let width = other.width();
        let column = |i: usize| if self.width() == 1 { 0 } else { i };
        let (rad_x, rad_y) = (self.radius(), other.radius());
        let ratio: Vec<f64> = (0..width).map(|i| rad_y[i] / rad_x[column(i)]).collect();
        // A factor without symbols has none in common.
        let usable = |i: usize| {
            !other.groups.is_empty() && ratio[i].is_normal() && !(rad_x[column(i)] * rad_y[i] <= NEGLIGIBLE)
        };
        if !(0..width).any(usable) {
            return (0..width).map(|i| symmetric(rad_x[column(i)] * rad_y[i])).collect();
        }
        let groups = union_of([self.groups.as_slice(), other.groups.as_slice()].into_iter());
        let (mut x, mut y) =
            (Array2::zeros((n_symbols(&groups), width)), Array2::zeros((n_symbols(&groups), width)));
        self.scatter(&groups, |rows, source| {
            for (mut to, from) in x.slice_mut(s![rows, ..]).rows_mut().into_iter().zip(source.rows()) {
                to.iter_mut().enumerate().for_each(|(i, to)| *to = from[column(i)] * ratio[i]);
            }
        });
        other.scatter(&groups, |rows, source| y.slice_mut(s![rows, ..]).assign(&source));
        let sums = reach_of(&groups, &x, &y, 1.0);
        let differences = reach_of(&groups, &x, &y, -1.0);
        let (size_x, size_y) = (self.magnitude(), other.magnitude());
        (0..width)
            .map(|i| {
                let k = column(i);
                let plain = symmetric(rad_x[k] * rad_y[i]);
                if !usable(i) {
                    return plain;
                }
                let rounding = dot_error(4, ratio[i] * size_x[k] + size_y[i]);
                let passed = ratio[i] * self.err[k] + other.err[i];
                let square = |u: f64| {
                    let u = Interval::point(nonnegative_sum(u + passed + rounding));
                    (u.square() / (Interval::point(ratio[i]) * 4.0)).hi()
                };
                let (below, above) = (square(differences[i]), square(sums[i]));
                Interval::new(-below.min(plain.hi()), above.min(plain.hi()))
            })
            .collect()
    }
}

/// `[−x, x]`, a little wider.
fn symmetric(x: f64) -> Interval {
    let x = nonnegative_sum(x);
    Interval::new(-x, x)
}

/// Range of `x + sign y` in size, entry by entry, up to rounding.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2", "aarch64+neon"))]
fn reach_of(groups: &[Group], x: &Array2<f64>, y: &Array2<f64>, sign: f64) -> Vec<f64> {
    let width = x.ncols();
    let (mut total, mut own) = (vec![0.0f64; width], vec![0.0f64; width]);
    let mut first = 0;
    for group in groups {
        own.fill(0.0);
        for k in first..first + group.size {
            let rows = x.row(k).into_iter().zip(y.row(k));
            let terms = own.iter_mut().zip(rows).map(|(own, (x, y))| (own, x + sign * y));
            match group.shape {
                Shape::Box => terms.for_each(|(own, z)| *own += z.abs()),
                Shape::Ball => terms.for_each(|(own, z)| *own += z * z),
                Shape::Choice => terms.for_each(|(own, z)| *own = worse(*own, z.abs())),
            }
        }
        first += group.size;
        let finish = |z: f64| match group.shape {
            // A square that underflows loses less than the smallest normal number.
            Shape::Ball => (z + group.size as f64 * f64::MIN_POSITIVE).sqrt(),
            Shape::Box | Shape::Choice => z,
        };
        total.iter_mut().zip(&own).for_each(|(total, own)| *total += finish(*own));
    }
    total
}

#[cfg(test)]
mod tests {
    use super::super::Symbols;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_product_of_independent_symbols_is_not_cut() {
        let group = Symbols::default().fresh(Shape::Box, 2);
        let rows = |a: f64, b: f64| Array2::from_shape_vec((2, 1), vec![a, b]).unwrap();
        let form = |a, b| Form::point(vec![0.0]).with_group(group, rows(a, b));
        let product = form(2.0, 0.0).deviation_products(&form(0.0, 3.0))[0];
        assert!(product.lo() <= -6.0 && product.hi() >= 6.0 && product.width() < 12.1, "{product}");
        let square = form(2.0, 1.0).deviation_products(&form(2.0, 1.0))[0];
        assert!(square.hi() >= 9.0 && square.hi() < 9.1 && square.lo() > -1e-6, "{square}");
    }

    proptest! {
        #[test]
        fn products_of_members_are_enclosed(
            coef in prop::collection::vec(-1e2f64..1e2, 36),
            err in prop::collection::vec(0.0f64..10.0, 5),
            signs in prop::collection::vec(-1.0f64..1.0, 12),
            shape in 0usize..3,
            scalar in any::<bool>(),
        ) {
            let shape = [Shape::Box, Shape::Ball, Shape::Choice][shape];
            let group = Symbols::default().fresh(shape, 6);
            let width = if scalar { 1 } else { 3 };
            let x = Array2::from_shape_fn((6, width), |(k, i)| coef[3 * k + i]);
            let y = Array2::from_shape_fn((6, 3), |(k, i)| coef[18 + 3 * k + i]);
            let e = super::super::tests::member_of(shape, &signs[..6]);
            let at = |rows: &Array2<f64>, i: usize| (0..6).map(|k| e[k] * rows[[k, i]]).sum::<f64>();
            let of = |rows: &Array2<f64>, err: &[f64]| {
                Form::enclosed(vec![7.0; rows.ncols()], err.to_vec()).with_group(group, rows.clone())
            };
            let products = of(&x, &err[..width]).deviation_products(&of(&y, &err[2..]));
            for i in 0..3 {
                let k = if scalar { 0 } else { i };
                let value = (at(&x, k) + err[k] * signs[6 + k]) * (at(&y, i) + err[2 + i] * signs[9 + i]);
                let slack = 1e-9 * (1.0 + value.abs());
                prop_assert!(products[i].lo() - slack <= value && value <= products[i].hi() + slack);
            }
        }
    }
}
