//! Quadratic forms `xᵀ M x` of symmetric matrices, by half: `Σ_i x_i (m_ii x_i + Σ_{j>i} 2 m_ij x_j)`.
//!
//! A form is kept as the entries `m_ij` with `i <= j`, row by row, those off the diagonal twice ([`pairs`]).

use multiversion::multiversion;

use crate::num::wide::{Lanes, each};

/// `xᵀ M x` in each lane, for the [pairs] of a symmetric matrix.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub fn quadratic(matrix: &[f64], x: &[Lanes]) -> Lanes {
    quadratic_of(matrix, x)
}

/// The same within a kernel.
#[inline(always)]
pub fn quadratic_of(matrix: &[f64], x: &[Lanes]) -> Lanes {
    let (mut sum, mut rest) = (Lanes::ZERO, matrix);
    for i in 0..x.len() {
        let (row, below) = rest.split_at(x.len() - i);
        let mut inner = Lanes::ZERO;
        for (&m, x) in row.iter().zip(&x[i..]) {
            inner = each(|l| x[l].mul_add(m, inner[l]));
        }
        sum = each(|l| inner[l].mul_add(x[i][l], sum[l]));
        rest = below;
    }
    sum
}

/// The entries of a symmetric matrix that are needed, in the order of [`quadratic_of`], and how often each of them counts.
pub fn pairs(n: usize) -> impl Iterator<Item = (usize, usize, f64)> {
    (0..n).flat_map(move |i| (i..n).map(move |j| (i, j, if i == j { 1.0 } else { 2.0 })))
}
