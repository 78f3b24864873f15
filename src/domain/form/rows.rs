//! Sums over the rows of coefficients, compiled for the widest vectors of the machine: most of a form's work.
//!
//! Rows are added four at a time; what sums round to is bounded for any order ([`crate::num`]).

use multiversion::multiversion;
use ndarray::{Array2, ArrayView2, ArrayViewMut2};

/// Floats that are worked on at once.
const LANES: usize = 8;

/// `to_i += Σ_k |x_ki|`.
pub(super) fn add_sizes(to: &mut [f64], rows: ArrayView2<f64>) {
    match rows.as_slice() {
        Some(all) => sizes(to, all),
        None => rows.rows().into_iter().for_each(|row| sizes(to, &row.to_vec())),
    }
}

/// `to_i += Σ_k x_ki²`.
pub(super) fn add_squares(to: &mut [f64], rows: ArrayView2<f64>) {
    match rows.as_slice() {
        Some(all) => squares(to, all),
        None => rows.rows().into_iter().for_each(|row| squares(to, &row.to_vec())),
    }
}

/// `to_ki += factor_i x_ki`.
pub(super) fn add_rows(mut to: ArrayViewMut2<f64>, rows: ArrayView2<f64>, factors: &[f64]) {
    if let (Some(to), Some(rows)) = (to.as_slice_mut(), rows.as_slice()) {
        scaled(to, rows, factors);
    } else {
        for (to, row) in to.rows_mut().into_iter().zip(rows.rows()) {
            to.into_iter().zip(row).zip(factors).for_each(|((to, x), f)| *to += f * x);
        }
    }
}

/// `x_ki *= factor_i`.
pub(super) fn scale_rows(mut rows: ArrayViewMut2<f64>, factors: &[f64]) {
    match rows.as_slice_mut() {
        Some(all) => times(all, factors),
        None => rows
            .rows_mut()
            .into_iter()
            .for_each(|row| row.into_iter().zip(factors).for_each(|(x, f)| *x *= f)),
    }
}

#[multiversion(targets("x86_64+avx512f", "x86_64+avx2", "aarch64+neon"))]
fn times(all: &mut [f64], factors: &[f64]) {
    for row in all.chunks_exact_mut(factors.len().max(1)) {
        row.iter_mut().zip(factors).for_each(|(x, f)| *x *= f);
    }
}

#[multiversion(targets("x86_64+avx512f", "x86_64+avx2", "aarch64+neon"))]
fn sizes(to: &mut [f64], all: &[f64]) {
    add(to, all, f64::abs);
}

#[multiversion(targets("x86_64+avx512f", "x86_64+avx2", "aarch64+neon"))]
fn squares(to: &mut [f64], all: &[f64]) {
    add(to, all, |x| x * x);
}

/// `to_i += Σ_k f(x_ki)`, inlined so that it is compiled for the instructions of the kernel around it.
#[inline(always)]
fn add(to: &mut [f64], all: &[f64], f: impl Fn(f64) -> f64) {
    let width = to.len().max(1);
    if LANES.is_multiple_of(width) {
        // Several narrow rows fill a vector.
        let mut lanes = [0.0; LANES];
        let vectors = all.chunks_exact(LANES);
        for (k, x) in vectors.remainder().iter().enumerate() {
            lanes[k] += f(*x);
        }
        for vector in vectors {
            for k in 0..LANES {
                lanes[k] += f(vector[k]);
            }
        }
        if !to.is_empty() {
            lanes.iter().enumerate().for_each(|(k, x)| to[k % width] += x);
        }
        return;
    }
    let mut groups = all.chunks_exact(4 * width);
    for rows in &mut groups {
        let (a, b) = rows.split_at(2 * width);
        let ((a, b), (c, d)) = (a.split_at(width), b.split_at(width));
        for ((((to, a), b), c), d) in to.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            *to += (f(*a) + f(*b)) + (f(*c) + f(*d));
        }
    }
    for row in groups.remainder().chunks_exact(width) {
        to.iter_mut().zip(row).for_each(|(to, x)| *to += f(*x));
    }
}

#[multiversion(targets("x86_64+avx512f", "x86_64+avx2", "aarch64+neon"))]
fn scaled(to: &mut [f64], rows: &[f64], factors: &[f64]) {
    let width = factors.len().max(1);
    for (to, row) in to.chunks_exact_mut(width).zip(rows.chunks_exact(width)) {
        to.iter_mut().zip(row).zip(factors).for_each(|((to, x), f)| *to += f * x);
    }
}

/// `x_ki − x_kt`.
pub(super) fn less_column(rows: ArrayView2<f64>, t: usize) -> Array2<f64> {
    let rows = rows.as_standard_layout();
    let mut less = Vec::with_capacity(rows.len());
    append_less(&mut less, rows.as_slice().unwrap_or_default(), rows.ncols().max(1), t);
    Array2::from_shape_vec(rows.dim(), less).expect("as many as there were")
}

#[multiversion(targets("x86_64+avx512f", "x86_64+avx2", "aarch64+neon"))]
fn append_less(to: &mut Vec<f64>, all: &[f64], width: usize, t: usize) {
    all.chunks_exact(width).for_each(|row| to.extend(row.iter().map(|x| x - row[t])));
}

/// Subtracts from every row its mean with these weights; the sum of the means in size.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2", "aarch64+neon"))]
pub(super) fn subtract_means(all: &mut [f64], weights: &[f64]) -> f64 {
    let width = weights.len().max(1);
    let whole = weights.len() / LANES * LANES;
    let mut sizes = 0.0;
    for row in all.chunks_exact_mut(width) {
        let mut lanes = [0.0; LANES];
        for (x, w) in row.chunks_exact(LANES).zip(weights.chunks_exact(LANES)) {
            for k in 0..LANES {
                lanes[k] += x[k] * w[k];
            }
        }
        let rest: f64 = row[whole..].iter().zip(&weights[whole..]).map(|(x, w)| x * w).sum();
        let mean = lanes.iter().sum::<f64>() + rest;
        sizes += mean.abs();
        row.iter_mut().for_each(|x| *x -= mean);
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::s;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn kernels_agree_with_their_formulas(
            width in 1usize..20,
            n in 0usize..20,
            numbers in prop::collection::vec(-1e3f64..1e3, 800),
        ) {
            // As whole tables, and as columns of a wider one.
            let wide = Array2::from_shape_fn((n, width + 1), |(k, i)| numbers[k * 20 + i]);
            let part = wide.slice(s![.., 1..]);
            let whole = part.as_standard_layout();
            let start = &numbers[400..400 + width];
            let factors = &numbers[500..500 + width];
            let near = |x: f64, expected: f64, size: f64| (x - expected).abs() <= 1e-13 * size;
            for rows in [part, whole.view()] {
                let (mut sizes, mut squares) = (start.to_vec(), start.to_vec());
                add_sizes(&mut sizes, rows);
                add_squares(&mut squares, rows);
                let mut scaled = whole.to_owned();
                add_rows(scaled.view_mut(), rows, factors);
                for i in 0..width {
                    let column = || rows.column(i).into_iter();
                    let (size, square) =
                        (column().map(|x| x.abs()).sum::<f64>(), column().map(|x| x * x).sum::<f64>());
                    prop_assert!(near(sizes[i], start[i] + size, size + start[i].abs()));
                    prop_assert!(near(squares[i], start[i] + square, square + start[i].abs()));
                    for k in 0..n {
                        let x = rows[[k, i]];
                        prop_assert_eq!(scaled[[k, i]], x + factors[i] * x);
                    }
                }
            }
            let of_first = less_column(part, 0);
            prop_assert!(of_first.indexed_iter().all(|((k, i), x)| *x == whole[[k, i]] - whole[[k, 0]]));
            let mut times = whole.to_owned();
            scale_rows(times.view_mut(), factors);
            prop_assert!(times.indexed_iter().all(|((k, i), x)| *x == whole[[k, i]] * factors[i]));
            let mut less = whole.to_owned();
            let means = subtract_means(less.as_slice_mut().unwrap_or_default(), factors);
            let mean = |k: usize| whole.row(k).iter().zip(factors).map(|(x, w)| x * w).sum::<f64>();
            let size = |k: usize| whole.row(k).iter().zip(factors).map(|(x, w)| (x * w).abs()).sum::<f64>();
            let (expected, most) = ((0..n).map(|k| mean(k).abs()).sum(), (0..n).map(size).sum::<f64>());
            prop_assert!(near(means, expected, most + 1.0));
            for k in 0..n {
                for i in 0..width {
                    prop_assert!(near(less[[k, i]], whole[[k, i]] - mean(k), size(k) + 1e3));
                }
            }
        }
    }
}
