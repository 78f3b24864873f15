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
//!
//! A group whose squares are kept track of makes forms polynomials of second degree in its symbols (Taylor models: Makino,
//! Berz 2003), since its products are symbols like all others: for a box `ε_k ε_l` and `2ε_k² − 1`, each within ±1; for a
//! ball `ε_k ε_l` with `k <= l`, together of length at most `‖ε‖² <= 1`. With `x = L + R`, `y = M + S`, where `L` and `M` are
//! the parts linear in that group, `x y = L M + L S + R y`, and only the last two are bounded by their sizes.

use ndarray::{Array2, ArrayView2, s};

use super::{Form, Group, Shape, fold_rows, n_symbols, union_of, worse};
use crate::num::{Interval, dot_error, nonnegative_sum};

impl Form {
    /// Encloses `(x_i − mid x_i)(y_i − mid y_i)` for every entry of `other`; a form of width one is a factor of all.
    #[must_use]
    pub fn deviation_product(&self, other: &Form) -> Form {
        let tracked = self.groups.iter().find(|group| group.squares);
        match tracked.filter(|group| other.groups.contains(group)) {
            Some(&group) => self.polynomial_product(other, group),
            None => Form::of_intervals(&self.deviation_products(other)),
        }
    }

    /// The same where both have a group whose squares are kept track of.
    fn polynomial_product(&self, other: &Form, group: Group) -> Form {
        let width = other.width();
        let column = |i: usize| if self.width() == 1 { 0 } else { i };
        let (x, y) = (self.parts(group), other.parts(group));
        let m = group.size;
        let mut rows = Array2::zeros((m * (m + 1) / 2, width));
        let mut mid = vec![0.0; width];
        let mut from = 0;
        // The squares of a box lie in [0, 1]: half of them goes to the centre.
        let half = if group.shape == Shape::Box { 0.5 } else { 1.0 };
        let mut factor = vec![0.0; width];
        for k in 0..m {
            let (xk, yk) = (x.rows.row(k), y.rows.row(k));
            factor.iter_mut().enumerate().for_each(|(i, to)| *to = xk[column(i)]);
            let mut row = rows.row_mut(from);
            for (i, to) in row.iter_mut().enumerate() {
                *to = factor[i] * yk[i] * half;
                mid[i] += if half == 0.5 { *to } else { 0.0 };
            }
            for l in k + 1..m {
                let (xl, yl) = (x.rows.row(l), y.rows.row(l));
                let mut row = rows.row_mut(from + l - k);
                if self.width() == 1 {
                    let (a, b) = (xk[0], xl[0]);
                    row.iter_mut().zip(yl).zip(yk).for_each(|((to, yl), yk)| *to = a * yl + b * yk);
                } else {
                    let terms = factor.iter().zip(yl).zip(xl.iter().zip(yk));
                    row.iter_mut().zip(terms).for_each(|(to, ((a, yl), (b, yk)))| *to = a * yl + b * yk);
                }
            }
            from += m - k;
        }
        let err = (0..width)
            .map(|i| {
                let k = column(i);
                let rest = x.linear[k] * y.rest[i] + x.rest[k] * (y.linear[i] + y.rest[i]);
                let size = (x.size[k] + x.rest[k]) * (y.size[i] + y.rest[i]);
                // Each coefficient is rounded thrice, the centre once for each symbol; products may underflow.
                nonnegative_sum(rest + dot_error(m + 4, size) + (m * m) as f64 * f64::MIN_POSITIVE)
            })
            .collect();
        let squares = Group { id: group.id + 1, shape: group.shape, size: rows.nrows(), squares: false };
        Form { mid, groups: vec![squares], coef: rows, err }
    }

    /// Whether less is known of the dependence on a group whose squares are kept track of than remains unknown.
    #[must_use]
    pub fn is_loose(&self) -> bool {
        let Some(&group) = self.groups.iter().find(|group| group.squares) else { return false };
        let parts = self.parts(group);
        !(parts.rest.iter().sum::<f64>() <= parts.linear.iter().sum::<f64>())
    }

    /// The form seen from one of its groups.
    pub(super) fn parts(&self, group: Group) -> Parts<'_> {
        let first = self.groups.iter().take_while(|g| g.id != group.id).map(|g| g.size).sum::<usize>();
        let rows = self.coef.slice(s![first..first + group.size, ..]);
        let zero = vec![0.0; self.width()];
        let of = |rows: ArrayView2<'_, f64>, shape: Shape| {
            let mut size = zero.clone();
            fold_rows(&mut size, rows, |sum, x| sum + x.abs());
            if shape == Shape::Box {
                return (size.clone(), size);
            }
            let mut square = zero.clone();
            fold_rows(&mut square, rows, |sum, x| sum + x * x);
            let lost = rows.nrows() as f64 * f64::MIN_POSITIVE;
            (square.into_iter().map(|x| nonnegative_sum(x + lost).sqrt()).collect(), size)
        };
        let (linear, size) = of(rows, group.shape);
        let mut rest = self.err.clone();
        self.each_group(|other, rows| {
            if other.id != group.id {
                // Alternatives are at most as large as all of them together.
                let shape = if other.shape == Shape::Ball { Shape::Ball } else { Shape::Box };
                rest.iter_mut().zip(of(rows, shape).0).for_each(|(to, x)| *to += x);
            }
        });
        let up = |x: Vec<f64>| x.into_iter().map(nonnegative_sum).collect::<Vec<f64>>();
        Parts { rows, linear: up(linear), size: up(size), rest: up(rest) }
    }

    /// Encloses `(x_i − mid x_i)(y_i − mid y_i)` for every entry of `other`, which is a factor of all where it has width one.
    fn deviation_products(&self, other: &Form) -> Vec<Interval> {
        let width = other.width();
        let column = |i: usize| if self.width() == 1 { 0 } else { i };
        let (rad_x, rad_y) = (self.radius(), other.radius());
        let ratio: Vec<f64> = (0..width).map(|i| rad_y[i] / rad_x[column(i)]).collect();
        let usable = |i: usize| ratio[i].is_normal();
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

/// A form seen from one group.
pub(super) struct Parts<'f> {
    /// The group's coefficients.
    rows: ArrayView2<'f, f64>,
    /// Bounds on the part that is linear in the group, entry by entry.
    pub linear: Vec<f64>,
    /// Sums of the group's coefficients in size.
    size: Vec<f64>,
    /// Bounds on everything else but the centre.
    pub rest: Vec<f64>,
}

/// `[−x, x]`, a little wider.
fn symmetric(x: f64) -> Interval {
    let x = nonnegative_sum(x);
    Interval::new(-x, x)
}

/// Range of `x + sign y` in size, entry by entry, up to rounding.
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

    /// The symbols of products that go with those of a group.
    fn squares_of(shape: Shape, e: &[f64]) -> Vec<f64> {
        let of = |k: usize, l: usize| match (shape, k == l) {
            (Shape::Box, true) => 2.0 * e[k] * e[k] - 1.0,
            _ => e[k] * e[l],
        };
        (0..e.len()).flat_map(|k| (k..e.len()).map(move |l| (k, l))).map(|(k, l)| of(k, l)).collect()
    }

    proptest! {
        #[test]
        fn products_of_polynomials_hold_point_by_point(
            coef in prop::collection::vec(-1e2f64..1e2, 66),
            err in prop::collection::vec(0.0f64..1.0, 5),
            signs in prop::collection::vec(-1.0f64..1.0, 8),
            shape in 0usize..2,
            scalar in any::<bool>(),
        ) {
            let shape = [Shape::Box, Shape::Ball][shape];
            let mut symbols = Symbols::default();
            let group = symbols.fresh_with_squares(shape, 3);
            let squares = Group { id: group.id + 1, shape, size: 6, squares: false };
            let other = symbols.fresh(Shape::Box, 2);
            let width = if scalar { 1 } else { 3 };
            let rows = |n: usize, width: usize, from: usize| {
                Array2::from_shape_fn((n, width), |(k, i)| coef[(from + 3 * k + i) % coef.len()])
            };
            let form = |width: usize, from: usize, err: &[f64]| {
                Form::enclosed(vec![0.5; width], err.to_vec())
                    .with_group(group, rows(3, width, from))
                    .with_group(squares, rows(6, width, from + 9))
                    .with_group(other, rows(2, width, from + 27))
            };
            let (x, y) = (form(width, 0, &err[..width]), form(3, 33, &err[2..]));
            let e = super::super::tests::member_of(shape, &signs[..3]);
            let known = [e.clone(), squares_of(shape, &e), signs[3..5].to_vec()].concat();
            let at = |form: &Form, i: usize| -> f64 {
                form.mid[i] + form.coef.column(i).iter().zip(&known).map(|(c, e)| c * e).sum::<f64>()
            };
            let product = x.product(&y);
            prop_assert!(product.groups == [group, squares, other]);
            for i in 0..3 {
                let k = if scalar { 0 } else { i };
                let value = (at(&x, k) + err[k] * signs[5]) * (at(&y, i) + err[2 + i] * signs[6]);
                let off = (value - at(&product, i)).abs();
                prop_assert!(off <= product.err[i] * (1.0 + 1e-9), "{off} {}", product.err[i]);
            }
            let sizes = |form: &Form, i: usize| form.parts(group).linear[i];
            let linear = Form::point(vec![2.0; 3]).with_group(group, rows(3, 3, 33));
            let exact = linear.product(&linear);
            for i in 0..3 {
                // Nothing but roundings is lost where both are linear.
                prop_assert!(exact.err[i] <= 1e-12 * (2.0 + sizes(&linear, i)).powi(2));
            }
        }

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
