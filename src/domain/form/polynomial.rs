//! Polynomials in the symbols of one group.
//!
//! A group whose products are kept track of makes forms polynomials of degree two or three in its symbols (Taylor models: Makino,
//! Berz 2003), since products are symbols like all others, in groups of their own that follow: for a box `ε_k ε_l` with `k < l`,
//! `2ε_k² − 1` and `ε_k ε_l ε_m` with `k <= l <= m`, each within ±1; for a ball `ε_k ε_l` with `k <= l`, together of length at most
//! `‖ε‖² <= 1`, and `ε_k ε_l ε_m`, likewise. With `x = L + Q + R` and `y = M + P + S`, where `L`, `M` are linear in the group, `Q`, `P`
//! in its products of two (zero where only two are kept track of: then they belong to the rest),
//!
//! ```text
//! x y = L M + (L P + Q M) + L S + Q (P + S) + R (M + P + S),
//! ```
//!
//! and only the terms after the brackets are bounded by their sizes. In a box `L (2ε_k² − 1) = 2 L ε_k² − L`.

use multiversion::multiversion;
use ndarray::{Array2, ArrayView2, s};

use super::rows::{add_sizes, add_squares};
use super::{Form, Group, Shape};
use crate::num::{dot_error, nonnegative_sum};

/// A form seen from one group.
pub(super) struct Parts<'f> {
    /// The group's coefficients.
    rows: ArrayView2<'f, f64>,
    /// Those of its products of two, if they are to be multiplied further.
    squares: Option<ArrayView2<'f, f64>>,
    /// Bounds on the part that is linear in the group, entry by entry.
    pub linear: Vec<f64>,
    /// The same of the part in its products of two, as far as it is to be multiplied further.
    quadratic: Vec<f64>,
    /// Sums of the coefficients of both in size, those of products threefold.
    size: Vec<f64>,
    /// Bounds on everything else but the centre.
    pub rest: Vec<f64>,
}

impl Form {
    /// The group whose products are kept track of, if there is one.
    pub(super) fn tracked(&self) -> Option<Group> {
        self.groups.iter().copied().find(|group| group.degree > 1)
    }

    /// What remains unknown as a part of what is known of the dependence on a group whose products are kept track of; `None`
    /// without such a group.
    #[must_use]
    pub fn looseness(&self) -> Option<f64> {
        let parts = self.parts(self.tracked()?);
        Some(parts.rest.iter().sum::<f64>() / parts.linear.iter().sum::<f64>())
    }

    /// The form seen from one of its groups.
    pub(super) fn parts(&self, group: Group) -> Parts<'_> {
        let width = self.width();
        let mut parts = Parts {
            rows: ArrayView2::from_shape((0, width), &[]).expect("no rows need no numbers"),
            squares: None,
            linear: vec![0.0; width],
            quadratic: vec![0.0; width],
            size: vec![0.0; width],
            rest: self.err.clone(),
        };
        let mut first = 0;
        for other in &self.groups {
            let rows = self.coef.slice(s![first..first + other.size, ..]);
            first += other.size;
            let (bound, size) = sizes(rows, other.shape);
            let add = |to: &mut [f64], x: &[f64], by: f64| {
                to.iter_mut().zip(x).for_each(|(to, x)| *to += by * x);
            };
            if other.id == group.id {
                (parts.rows, parts.linear) = (rows, bound);
                add(&mut parts.size, &size, 1.0);
            } else if other.id == group.id + 1 && group.degree == 3 {
                (parts.squares, parts.quadratic) = (Some(rows), bound);
                add(&mut parts.size, &size, 3.0);
            } else {
                add(&mut parts.rest, &bound, 1.0);
            }
        }
        for of in [&mut parts.linear, &mut parts.quadratic, &mut parts.size, &mut parts.rest] {
            of.iter_mut().for_each(|x| *x = nonnegative_sum(*x));
        }
        parts
    }

    /// Encloses `(x_i − mid x_i)(y_i − mid y_i)` for every entry of `other`, where both have a group whose products are kept
    /// track of; a form of width one is a factor of all.
    pub(super) fn polynomial_product(&self, other: &Form, group: Group) -> Form {
        let width = other.width();
        let column = |i: usize| if self.width() == 1 { 0 } else { i };
        let x = self.parts(group);
        let of_other = (!std::ptr::eq(self, other)).then(|| other.parts(group));
        let y = of_other.as_ref().unwrap_or(&x);
        let m = group.size;
        let err = (0..width)
            .map(|i| {
                let k = column(i);
                let rest = x.linear[k] * y.rest[i]
                    + x.quadratic[k] * (y.quadratic[i] + y.rest[i])
                    + x.rest[k] * (y.linear[i] + y.quadratic[i] + y.rest[i]);
                let size = (x.size[k] + x.rest[k]) * (y.size[i] + y.rest[i]);
                // No coefficient, nor the centre, is a sum of more than m + 1 products of a few roundings, and together
                // these are at most as large as the product of the sizes; products may underflow.
                let underflow = (m * m * m + 1) as f64 * 8.0 * f64::MIN_POSITIVE;
                nonnegative_sum(rest + dot_error(m + 8, size) + underflow)
            })
            .collect();
        let wide = |rows: &ArrayView2<'_, f64>| {
            let rows =
                rows.broadcast((rows.nrows(), width)).expect("one column, or as many as there are entries");
            rows.as_standard_layout().into_owned()
        };
        let (l, p) = (wide(&x.rows), y.rows.as_standard_layout());
        let (mid, squares) = second_degree(&l.view(), &p.view(), group.shape);
        let of_degree = |n: u64, size: usize| Group { id: group.id + n, size, degree: 1, ..group };
        let mut product = Form { mid, groups: Vec::new(), coef: Array2::zeros((0, width)), err };
        if group.degree == 3 {
            let none = Array2::zeros((squares.nrows(), width));
            let of = |parts: &Parts<'_>| parts.squares.as_ref().map_or_else(|| none.clone(), wide);
            let (q, r) = (of(&x), of(y));
            let terms = [(l.view(), r.view()), (p.view(), q.view())];
            if group.shape == Shape::Box {
                product = product.with_group(group, less(&terms));
            }
            let cubes = third_degree(&terms, group.shape);
            let symbols = cubes.nrows();
            return product
                .with_group(of_degree(1, squares.nrows()), squares)
                .with_group(of_degree(2, symbols), cubes);
        }
        product.with_group(of_degree(1, squares.nrows()), squares)
    }
}

/// Bounds on what a group of symbols adds to each entry, and the sums of its coefficients in size, both up to rounding.
fn sizes(rows: ArrayView2<'_, f64>, shape: Shape) -> (Vec<f64>, Vec<f64>) {
    let mut size = vec![0.0; rows.ncols()];
    add_sizes(&mut size, rows);
    // Alternatives are at most as large as all of them together.
    if shape != Shape::Ball {
        return (size.clone(), size);
    }
    let mut square = vec![0.0; rows.ncols()];
    add_squares(&mut square, rows);
    let lost = rows.nrows() as f64 * f64::MIN_POSITIVE;
    (square.into_iter().map(|x| nonnegative_sum(x + lost).sqrt()).collect(), size)
}

/// Where the product of symbols `k <= l` of `m` stands among those of two.
fn place(m: usize, k: usize, l: usize) -> usize {
    k * (2 * m - k + 1) / 2 + l - k
}

/// `L M`: its centre, and the coefficients of products of two symbols.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2", "aarch64+neon"))]
fn second_degree(l: &ArrayView2<'_, f64>, m: &ArrayView2<'_, f64>, shape: Shape) -> (Vec<f64>, Array2<f64>) {
    let (n, width) = l.dim();
    let mut rows = Array2::zeros((n * (n + 1) / 2, width));
    let mut mid = vec![0.0; width];
    // The squares of a box lie in [0, 1]: half of them goes to the centre.
    let half = if shape == Shape::Box { 0.5 } else { 1.0 };
    let (of_l, of_m) = (slices(l), slices(m));
    let all = rows.as_slice_mut().unwrap_or_default();
    let mut row = all.chunks_exact_mut(width.max(1));
    let mut next = || row.next().unwrap_or_default();
    for (i, (a, b)) in of_l.iter().zip(&of_m).enumerate() {
        let square = next();
        square.iter_mut().zip(a.iter().zip(*b)).for_each(|(to, (a, b))| *to = a * b * half);
        if shape == Shape::Box {
            mid.iter_mut().zip(&*square).for_each(|(mid, x)| *mid += x);
        }
        for (c, d) in of_l.iter().zip(&of_m).skip(i + 1) {
            let (one, two) = (a.iter().zip(*d), c.iter().zip(*b));
            let terms = one.zip(two);
            next().iter_mut().zip(terms).for_each(|(to, ((a, d), (c, b)))| *to = a * d + c * b);
        }
    }
    (mid, rows)
}

/// Pairs of a linear part `[n, width]` and a quadratic one `[n (n + 1) / 2, width]`.
type Pairs<'a> = [(ArrayView2<'a, f64>, ArrayView2<'a, f64>)];

/// `Σ L Q` over some pairs: the coefficients of products of three symbols.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2", "aarch64+neon"))]
fn third_degree(terms: &Pairs<'_>, shape: Shape) -> Array2<f64> {
    let (n, width) = terms[0].0.dim();
    let mut rows = Array2::zeros((n * (n + 1) * (n + 2) / 6, width));
    let twice = if shape == Shape::Box { 2.0 } else { 1.0 };
    let terms: Vec<_> = terms.iter().map(|(l, q)| (slices(l), slices(q))).collect();
    let all = rows.as_slice_mut().unwrap_or_default();
    let mut row = all.chunks_exact_mut(width.max(1));
    for i in 0..n {
        for j in i..n {
            for k in j..n {
                let row = row.next().unwrap_or_default();
                // One symbol from the linear part, the others from the quadratic one; each way once.
                let mut add = |one: usize, a: usize, b: usize| {
                    let factor = if a == b { twice } else { 1.0 };
                    for (l, q) in &terms {
                        let products = l[one].iter().zip(q[place(n, a, b)]);
                        row.iter_mut().zip(products).for_each(|(to, (l, q))| *to += factor * (l * q));
                    }
                };
                add(i, j, k);
                if j != i {
                    add(j, i, k);
                }
                if k != j {
                    add(k, i, j);
                }
            }
        }
    }
    rows
}

/// The rows of a matrix in standard layout.
fn slices<'a>(rows: &'a ArrayView2<'_, f64>) -> Vec<&'a [f64]> {
    rows.as_slice().expect("standard layout").chunks_exact(rows.ncols().max(1)).collect()
}

/// What the centred squares of a box subtract from `Σ L Q`: `L` times the sum of their coefficients.
fn less(terms: &Pairs<'_>) -> Array2<f64> {
    let (n, width) = terms[0].0.dim();
    let mut rows = Array2::zeros((n, width));
    for (l, q) in terms {
        let mut sum = vec![0.0; width];
        (0..n).for_each(|i| sum.iter_mut().zip(q.row(place(n, i, i))).for_each(|(sum, x)| *sum += x));
        for (mut row, l) in rows.rows_mut().into_iter().zip(l.rows()) {
            row.iter_mut().zip(l).zip(&sum).for_each(|((to, l), sum)| *to -= l * sum);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::super::Symbols;
    use super::super::tests::{member_of, value_at};
    use super::*;
    use proptest::prelude::*;

    /// Values of the symbols of products of `degree` symbols.
    fn products_of(shape: Shape, e: &[f64], degree: u8) -> Vec<f64> {
        let n = e.len();
        let mut values = Vec::new();
        for (k, l) in (0..n).flat_map(|k| (k..n).map(move |l| (k, l))) {
            match degree {
                2 if shape == Shape::Box && k == l => values.push(2.0 * e[k] * e[k] - 1.0),
                2 => values.push(e[k] * e[l]),
                _ => values.extend((l..n).map(|m| e[k] * e[l] * e[m])),
            }
        }
        values
    }

    #[test]
    fn places_of_products_are_their_order() {
        let pairs = (0..5).flat_map(|k| (k..5).map(move |l| place(5, k, l)));
        assert!(pairs.eq(0..15));
    }

    proptest! {
        #[test]
        fn products_of_polynomials_hold_point_by_point(
            coef in prop::collection::vec(-1e2f64..1e2, 96),
            err in prop::collection::vec(0.0f64..1.0, 5),
            signs in prop::collection::vec(-1.0f64..1.0, 8),
            shape in 0usize..2,
            degree in 2u8..4,
            scalar in any::<bool>(),
        ) {
            let shape = [Shape::Box, Shape::Ball][shape];
            let mut symbols = Symbols::default();
            let group = symbols.fresh_with_products(shape, 3, degree);
            let of_degree = |n: u64, size: usize| Group { id: group.id + n, shape, size, degree: 1 };
            let (squares, cubes) = (of_degree(1, 6), of_degree(2, 10));
            let other = symbols.fresh(Shape::Box, 2);
            let width = if scalar { 1 } else { 3 };
            let rows = |n: usize, width: usize, from: usize| {
                Array2::from_shape_fn((n, width), |(k, i)| coef[(from + 3 * k + i) % coef.len()])
            };
            let form = |width: usize, from: usize, err: &[f64]| {
                let form = Form::enclosed(vec![0.5; width], err.to_vec())
                    .with_group(group, rows(3, width, from))
                    .with_group(squares, rows(6, width, from + 9));
                let form = if degree == 3 { form.with_group(cubes, rows(10, width, from + 27)) } else { form };
                form.with_group(other, rows(2, width, from + 57))
            };
            let (x, y) = (form(width, 0, &err[..width]), form(3, 33, &err[2..]));
            let e = member_of(shape, &signs[..3]);
            let mut known = [e.clone(), products_of(shape, &e, 2)].concat();
            if degree == 3 {
                known.extend(products_of(shape, &e, 3));
            }
            known.extend_from_slice(&signs[3..5]);
            let product = x.product(&y);
            prop_assert!(product.n_symbols() == known.len());
            for i in 0..3 {
                let k = if scalar { 0 } else { i };
                let value = (value_at(&x, &known, k) + err[k] * signs[5]) * (value_at(&y, &known, i) + err[2 + i] * signs[6]);
                let off = (value - value_at(&product, &known, i)).abs();
                prop_assert!(off <= product.err[i] * (1.0 + 1e-9), "{off} {}", product.err[i]);
            }
            // Nothing but roundings is lost up to the degree that is kept track of.
            let sizes = |form: &Form, i: usize| form.parts(group).linear[i];
            let linear = Form::point(vec![2.0; 3]).with_group(group, rows(3, 3, 33));
            let (square, power) = (linear.product(&linear), linear.product(&linear.product(&linear)));
            for i in 0..3 {
                let size = 2.0 + sizes(&linear, i);
                prop_assert!(square.err[i] <= 1e-12 * size.powi(2));
                let value = value_at(&linear, &e, i).powi(3);
                let off = (value - value_at(&power, &known, i)).abs();
                prop_assert!(off <= power.err[i] * (1.0 + 1e-9), "{off} {}", power.err[i]);
                prop_assert!(degree == 2 || power.err[i] <= 1e-11 * size.powi(3));
            }
        }
    }
}
