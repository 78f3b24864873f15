//! The least of a convex quadratic over the simplex, `min ½ a'Ga + s'a`, by an active-set method.
//!
//! Between changes of the support the least over its affine hull is solved for (`G a + s = μ`, `Σ a = 1`); a step that leaves the
//! simplex stops at its border and drops what vanished there; at a least the coordinate of smallest slope joins (Wolfe 1976,
//! "Finding the nearest point in a polytope", with a linear term).

use super::dual::dot;
use super::sphere::{cholesky, solve};

/// Weights below this are none.
const GONE: f64 = 1e-13;
/// Part of the slopes by which the least may differ from the others.
const ENOUGH: f64 = 1e-5;

/// Minimises the quadratic with the matrix `g`, `[m, m]`, from the start `a`, a point of the simplex; returns the slopes at
/// the end.
pub(super) fn minimise(g: &[f64], s: &[f64], a: &mut [f64]) -> Vec<f64> {
    let m = s.len();
    let slopes = |a: &[f64]| -> Vec<f64> { (0..m).map(|i| dot(&g[i * m..(i + 1) * m], a) + s[i]).collect() };
    let mut support: Vec<usize> = (0..m).filter(|&i| a[i] > 0.0).collect();
    let mut slope = slopes(a);
    // Each round adds a coordinate; the bound only guards against cycles of rounding.
    for _ in 0..2 * m {
        while let Some(target) = affine_least(g, s, &support) {
            // As far as the simplex allows.
            let stop = |(&i, &b): (&usize, &f64)| if b < 0.0 { a[i] / (a[i] - b) } else { 1.0 };
            let step = support.iter().zip(&target).map(stop).fold(1.0, f64::min);
            for (&i, &b) in support.iter().zip(&target) {
                a[i] += step * (b - a[i]);
                if a[i] < GONE {
                    a[i] = 0.0;
                }
            }
            if step >= 1.0 {
                break;
            }
            support.retain(|&i| a[i] > 0.0);
        }
        let total: f64 = a.iter().sum();
        a.iter_mut().for_each(|a| *a /= total);
        support.retain(|&i| a[i] > 0.0);
        slope = slopes(a);
        let level: f64 = support.iter().map(|&i| a[i] * slope[i]).sum();
        let least = (0..m).fold(0, |b, i| if slope[i] < slope[b] { i } else { b });
        if !(slope[least] < level - ENOUGH * level.abs()) || support.contains(&least) {
            break;
        }
        support.insert(support.partition_point(|&i| i < least), least);
    }
    slope
}

/// The least of the quadratic over the affine hull of some coordinates; `None` where numbers fail.
fn affine_least(g: &[f64], s: &[f64], support: &[usize]) -> Option<Vec<f64>> {
    let (n, m) = (support.len(), s.len());
    let mut matrix = Vec::with_capacity(n * n);
    for &p in support {
        matrix.extend(support.iter().map(|&q| g[p * m + q]));
    }
    let largest = (0..n).map(|i| matrix[i * n + i]).fold(f64::MIN_POSITIVE, f64::max);
    // A hair on the diagonal: planes may be the same.
    let factor = cholesky(&matrix, n, 1e-11 * largest)?;
    let (mut ones, mut linear) = (vec![1.0; n], support.iter().map(|&i| s[i]).collect::<Vec<f64>>());
    solve(&factor, n, &mut ones);
    solve(&factor, n, &mut linear);
    let level = (1.0 + linear.iter().sum::<f64>()) / ones.iter().sum::<f64>();
    let least: Vec<f64> = ones.iter().zip(&linear).map(|(u, v)| level * u - v).collect();
    least.iter().all(|x| x.is_finite()).then_some(least)
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
            for (a, s) in a.iter().zip(&slope) {
                prop_assert!(*s >= level - 1e-4 * size, "{slope:?}");
                prop_assert!(*a < 1e-6 || *s <= level + 1e-4 * size, "{a} {slope:?}");
            }
        }
    }
}
