//! Directions in which attention hardly moves the residual.
//!
//! In any direction e the normalised residual `ŷ = ρ r` has a range `l <= e·ŷ <= u` at a node, so that for every `q >= 0`
//!
//! ```text
//! q (e·ŷ − l)(u − e·ŷ) >= 0.
//! ```
//!
//! That is what a neuron with the argument `e·ŷ` and without output gives the dual bound: a parabola below zero. Otherwise quadratic
//! forms only know that ŷ lies on the sphere. Where the values of the heads span few directions, the others are nearly known
//! once a last token is, and trees get several times smaller. (Products of bounds are the constraints of Sherali, Adams
//! 1990; they hold for any e, so that floats may choose.)

use crate::num::BallVec;

use super::UNITS;

/// Mean squares below this part of the greatest are little.
const LITTLE: f64 = 0.05;
/// Most values of a head that are looked at.
const SAMPLE: usize = 4096;
/// Sweeps of rotations; each squares what is off the diagonal, about.
const SWEEPS: usize = 12;

/// The directions, in the unit of certificates, `[few, width]`; `values` per head, `[pairs, width]`. Where norms centre, none has
/// a mean.
pub(super) fn quiet(values: &[Vec<BallVec>], width: usize, centred: bool) -> Vec<Vec<i64>> {
    let mut covariance = covariance(values, width);
    if centred {
        // The mean, which no centred value has, becomes a direction of its own, as loud as all others together.
        let loud = (0..width).map(|i| covariance[i][i]).sum::<f64>() / width as f64;
        covariance.iter_mut().flatten().for_each(|x| *x += loud);
    }
    let all = principal(covariance, width);
    let is_mean = |e: &[f64]| centred && e.iter().sum::<f64>().powi(2) > 0.5 * width as f64;
    let apart: Vec<_> = all.iter().filter(|(_, e)| !is_mean(e)).collect();
    let greatest = apart.iter().map(|(spread, _)| *spread).fold(0.0, f64::max);
    let quiet = apart.iter().filter(|(spread, _)| *spread <= LITTLE * greatest);
    // Entries of unit vectors: the casts are exact.
    quiet.map(|(_, e)| e.iter().map(|x| (x * UNITS).round() as i64).collect()).collect()
}

/// Sums of products of what the heads read less its mean, `[width, width]`.
fn covariance(values: &[Vec<BallVec>], width: usize) -> Vec<Vec<f64>> {
    let mut sums = vec![vec![0.0; width]; width];
    for rows in values {
        let rows: Vec<&[f64]> =
            rows.iter().step_by(rows.len().div_ceil(SAMPLE).max(1)).map(|row| row.mid.as_slice()).collect();
        let mean = |i: usize| rows.iter().map(|row| row[i]).sum::<f64>() / rows.len() as f64;
        let mean: Vec<f64> = (0..width).map(mean).collect();
        for row in &rows {
            let off: Vec<f64> = row.iter().zip(&mean).map(|(x, m)| x - m).collect();
            for (to, x) in sums.iter_mut().zip(&off) {
                super::dual::add_scaled(to, *x, &off);
            }
        }
    }
    sums
}

/// Eigenvalues of a symmetric matrix with their eigenvectors, by Jacobi's rotations (1846).
fn principal(mut a: Vec<Vec<f64>>, n: usize) -> Vec<(f64, Vec<f64>)> {
    let mut basis: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    for _ in 0..SWEEPS {
        for p in 0..n {
            for q in p + 1..n {
                if a[p][q] == 0.0 {
                    continue;
                }
                let tau = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let t = tau.signum() / (tau.abs() + tau.hypot(1.0));
                let c = 1.0 / t.hypot(1.0);
                let turn = |x: f64, y: f64| (c * (x - t * y), c * (y + t * x));
                for row in &mut a {
                    (row[p], row[q]) = turn(row[p], row[q]);
                }
                for rows in [&mut a, &mut basis] {
                    let (above, below) = rows.split_at_mut(q);
                    for (x, y) in above[p].iter_mut().zip(&mut below[0]) {
                        (*x, *y) = turn(*x, *y);
                    }
                }
            }
        }
    }
    basis.into_iter().enumerate().map(|(k, e)| (a[k][k], e)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_are_those_that_values_do_not_span() {
        // Multiples of one vector, and a little of another one.
        let rows = |scale: f64| -> Vec<BallVec> {
            let row = |k: i32| {
                let (x, y) = (f64::from(k), scale * f64::from(k.rem_euclid(3)));
                BallVec::exact(vec![x + y, -x + y, 2.0 * x, -2.0 * x - 2.0 * y])
            };
            (-20..20).map(row).collect()
        };
        let found = quiet(&[rows(0.1)], 4, true);
        assert_eq!(found.len(), 2, "four less the mean and the loud one");
        for e in &found {
            let dot = |x: [f64; 4]| e.iter().zip(x).map(|(e, x)| *e as f64 * x).sum::<f64>() / UNITS;
            assert!(dot([1.0, -1.0, 2.0, -2.0]).abs() < 0.1, "{e:?}");
            assert!(dot([1.0; 4]).abs() < 1e-5, "{e:?}");
            assert!((e.iter().map(|x| (*x as f64 / UNITS).powi(2)).sum::<f64>() - 1.0).abs() < 1e-5);
        }
        assert_eq!(quiet(&[rows(20.0)], 4, true).len(), 1);
    }
}
