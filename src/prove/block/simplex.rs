//! The least of a convex quadratic over the simplex, `min ½ a'Ga + s'a`, by an active-set method.
//!
//! Between changes of the support the least over its affine hull is solved for (`G a + s = μ`, `Σ a = 1`); a step that leaves the
//! simplex stops at its border and drops what vanished there; at a least the coordinate of smallest slope joins (Wolfe 1976,
//! "Finding the nearest point in a polytope", with a linear term).

use super::dual::{add_scaled, dot};

/// Weights below this are none.
const GONE: f64 = 1e-13;
/// Part of the slopes by which the least may differ from the others.
const ENOUGH: f64 = 1e-5;

/// Minimises the quadratic with the matrix `g`, `[m, m]`, from the start `a`, a point of the simplex; returns the slopes at
/// the end.
pub(super) fn minimise(g: &[f64], s: &[f64], a: &mut [f64]) -> Vec<f64> {
    let m = s.len();
    let slopes = |a: &[f64]| -> Vec<f64> { (0..m).map(|i| dot(&g[i * m..(i + 1) * m], a) + s[i]).collect() };
    let largest = (0..m).map(|i| g[i * m + i]).fold(f64::MIN_POSITIVE, f64::max);
    // A hair on the diagonal: planes may be the same.
    let mut support = Support { g, s, ridge: 1e-11 * largest, ..Support::default() };
    for (i, a) in a.iter_mut().enumerate() {
        if *a > 0.0 && !support.push(i) {
            *a = 0.0;
        }
    }
    let mut slope = slopes(a);
    // Each round adds a coordinate; the bound only guards against cycles of rounding.
    for _ in 0..2 * m {
        while !support.members.is_empty() {
            let target = support.affine_least();
            // As far as the simplex allows.
            let stop = |(&i, &b): (&usize, &f64)| if b < 0.0 { a[i] / (a[i] - b) } else { 1.0 };
            let step = support.members.iter().zip(&target).map(stop).fold(1.0, f64::min);
            for (&i, &b) in support.members.iter().zip(&target) {
                a[i] += step * (b - a[i]);
                if !(a[i] >= GONE) {
                    a[i] = 0.0;
                }
            }
            support.retain(|i| a[i] > 0.0);
            if step >= 1.0 {
                break;
            }
        }
        let total: f64 = a.iter().sum();
        a.iter_mut().for_each(|a| *a /= total);
        slope = slopes(a);
        let level: f64 = support.members.iter().map(|&i| a[i] * slope[i]).sum();
        let least = (0..m).fold(0, |b, i| if slope[i] < slope[b] { i } else { b });
        let better = slope[least] < level - ENOUGH * level.abs();
        if !better || support.members.contains(&least) || !support.push(least) {
            break;
        }
    }
    slope
}

/// Coordinates that may differ from zero, and the Cholesky factor of their part of the matrix.
#[derive(Default)]
struct Support<'a> {
    g: &'a [f64],
    s: &'a [f64],
    ridge: f64,
    members: Vec<usize>,
    /// Rows of `L` up to the diagonal.
    rows: Vec<Vec<f64>>,
    /// `L⁻¹ 1`.
    ones: Vec<f64>,
    /// `L⁻¹ s`.
    linear: Vec<f64>,
}

impl Support<'_> {
    /// Adds a coordinate; `false` if numbers fail.
    fn push(&mut self, i: usize) -> bool {
        let m = self.s.len();
        let mut row = Vec::with_capacity(self.members.len() + 1);
        for (&j, factor) in self.members.iter().zip(&self.rows) {
            let k = row.len();
            row.push((self.g[i * m + j] - dot(&row, &factor[..k])) / factor[k]);
        }
        let rest = self.g[i * m + i] + self.ridge - dot(&row, &row);
        if !(rest > 0.0) {
            return false;
        }
        let root = rest.sqrt();
        self.ones.push((1.0 - dot(&row, &self.ones)) / root);
        self.linear.push((self.s[i] - dot(&row, &self.linear)) / root);
        row.push(root);
        self.rows.push(row);
        self.members.push(i);
        true
    }

    /// Keeps some coordinates.
    fn retain(&mut self, stays: impl Fn(usize) -> bool) {
        let Some(first) = self.members.iter().position(|&i| !stays(i)) else { return };
        let later = self.members.split_off(first);
        self.rows.truncate(first);
        self.ones.truncate(first);
        self.linear.truncate(first);
        for i in later.into_iter().filter(|&i| stays(i)) {
            self.push(i);
        }
    }

    /// The least of the quadratic over the affine hull of the members: `L L' b = μ 1 − s` with `Σ b = 1`.
    fn affine_least(&self) -> Vec<f64> {
        let level = (1.0 + dot(&self.ones, &self.linear)) / dot(&self.ones, &self.ones);
        let mut b: Vec<f64> = self.ones.iter().zip(&self.linear).map(|(u, v)| level * u - v).collect();
        for (i, row) in self.rows.iter().enumerate().rev() {
            b[i] /= row[i];
            let at = -b[i];
            add_scaled(&mut b[..i], at, &row[..i]);
        }
        b
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_coordinate_promises_more(
            columns in proptest::collection::vec(proptest::collection::vec(-1.0f64..1.0, 3), 1..12),
            s in proptest::collection::vec(-1.0f64..1.0, 12),
            scale in prop_oneof![Just(1e-6), Just(1.0), Just(1e6)],
        ) {
            let m = columns.len();
            let product = |i: usize, j: usize| scale * dot(&columns[i], &columns[j]);
            let g: Vec<f64> = (0..m * m).map(|i| product(i / m, i % m)).collect();
            let mut a = vec![0.0; m];
            a[m - 1] = 1.0;
            let slope = minimise(&g, &s[..m], &mut a);
            prop_assert!((a.iter().sum::<f64>() - 1.0).abs() <= 1e-9 && a.iter().all(|a| *a >= 0.0));
            // At a least, no slope lies below that of the support.
            let level: f64 = a.iter().zip(&slope).map(|(a, s)| a * s).sum();
            let size = slope.iter().fold(1e-3, |m, s| f64::max(m, s.abs()));
            // The hair on the diagonal moves slopes by as much, which counts where large entries cancel.
            let largest = (0..m).map(|i| g[i * m + i]).fold(0.0, f64::max);
            let off = 1e-4 * size + 2e-11 * largest;
            for (a, s) in a.iter().zip(&slope) {
                prop_assert!(*s >= level - off, "{slope:?}");
                prop_assert!(*a < 1e-6 || *s <= level + off, "{a} {slope:?}");
            }
        }
    }
}
