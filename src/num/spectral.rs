//! Upper bound on the largest singular value of a matrix.
//!
//! `σ²` is the largest eigenvalue of the Gram matrix `G`, positive semidefinite, and `λ(B)² = λ(B²) <= ‖B²‖_F`: squaring `k`
//! times leaves a factor of at most `n^(1/2^(k+1))`. Each square is divided by its Frobenius norm `c`. If the float matrix
//! lies within `η` of the exact one in that norm and has the norm `f`, its float square lies within `η (2f + η) + γ f²` of the exact
//! square (Higham 2002, §3.5), whatever the order of summation.

use ndarray::{Array2, ArrayView2};

use super::ball::nonnegative_sum;
use super::gamma::{ROUNDOFF_F64, gamma};
use super::interval::up;

/// Squarings.
const STEPS: u32 = 5;

/// Upper bound on `‖W‖₂`; ∞ where floats do not suffice.
#[must_use]
pub fn spectral_norm(w: ArrayView2<f64>) -> f64 {
    let frobenius = |x: &Array2<f64>| nonnegative_sum(x.iter().map(|x| x * x).sum::<f64>()).sqrt();
    let gram = if w.nrows() < w.ncols() { w.dot(&w.t()) } else { w.t().dot(&w) };
    let trace = nonnegative_sum(w.iter().map(|x| x * x).sum());
    let g = up(2.0 * gamma(w.nrows().max(w.ncols()) + 2, ROUNDOFF_F64));
    // λ(G) = factor · λ(B)^power, and B lies within `error` of the exact matrix.
    let (mut factor, mut power, mut b, mut error) = (trace, 1.0, gram / trace, g);
    for _ in 0..STEPS {
        let f = frobenius(&b);
        let square = b.dot(&b);
        error = nonnegative_sum(error * (2.0 * f + error) + g * f * f);
        power /= 2.0;
        let c = frobenius(&square);
        factor = nonnegative_sum(factor * c.powf(power));
        b = square / c;
        error = nonnegative_sum(error / c + g);
    }
    let sigma = (factor * nonnegative_sum(frobenius(&b) + error).powf(power)).sqrt();
    // Powers are computed to a few ulps. The Frobenius norm is never below.
    let sigma = nonnegative_sum(sigma).min(up(trace.sqrt()));
    if sigma.is_nan() { f64::INFINITY } else { sigma }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_norms() {
        let diagonal = Array2::from_diag(&ndarray::arr1(&[3.0, -7.0, 0.5]));
        let sigma = spectral_norm(diagonal.view());
        assert!((7.0..7.2).contains(&sigma), "{sigma}");
        assert!(spectral_norm(Array2::zeros((4, 2)).view()) < 1e-100);
        assert!(!spectral_norm(Array2::from_elem((2, 2), f64::NAN).view()).is_finite());
        assert!(!(spectral_norm(Array2::from_elem((2, 2), 1e200).view()) < 2e200));
    }

    proptest! {
        #[test]
        fn no_vector_is_stretched_further(
            w in prop::collection::vec(-1.0f64..1.0, 6 * 9),
            x in prop::collection::vec(-1.0f64..1.0, 9),
        ) {
            let w = Array2::from_shape_vec((6, 9), w).unwrap();
            let sigma = spectral_norm(w.view());
            prop_assert!(sigma <= w.iter().map(|x| x * x).sum::<f64>().sqrt() * (1.0 + 1e-8));
            // Power iteration from any vector comes close from below.
            let mut x = ndarray::Array1::from(x);
            let mut stretch = 0.0;
            for _ in 0..200 {
                let y = w.t().dot(&w.dot(&x));
                let norm = y.dot(&y).sqrt();
                prop_assume!(norm > 1e-9);
                stretch = (norm / x.dot(&x).sqrt()).sqrt();
                x = y / norm;
            }
            prop_assert!(stretch <= sigma && sigma <= 1.1 * stretch.max(1e-9) , "{stretch} {sigma}");
        }
    }
}
