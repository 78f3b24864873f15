//! How far errors of mixtures and of values move what the heads of a layer add.
//!
//! A head adds `W_h m` for its mixture `m = Σ w_j v_j`, with values `v_j = V x_j + b`. Errors `|δ_h|` of mixtures, whatever their
//! directions, add up to at most
//!
//! ```text
//! |Σ W_h δ_h| <= min(‖W‖ |δ|, (Σ |δ_h| |δ_g| ‖W_hᵀ W_g‖)^(1/2)).
//! ```
//!
//! An error `e` of one input `x_j` reaches all heads at once. It moves the sum by `Σ w_h W_h V_h e`, with `w_h` the weight of the position:
//!
//! ```text
//! ‖Σ w_h W_h V_h‖ <= min(‖Σ w_h W_h V_h‖_F, |a| ‖Σ W_h V_h‖ + ‖Σ (w_h − a) W_h V_h‖_F)
//! ```
//!
//! for any `a`. The squared Frobenius norms are [quadratic forms](super::quadratic) with the matrix of the inner products of the
//! `W_h V_h`.

use ndarray::{ArrayView2, Axis, concatenate, s};

use super::COVER;
use super::maps::Map;
use super::quadratic::{pairs, quadratic};
use crate::num::gamma::{ROUNDOFF_F64, gamma};
use crate::num::wide::{self, Lanes, TINY, each};
use crate::num::{nonnegative_sum, spectral_norm};

/// Relative errors of weights and of their means.
const LOSSY: f64 = 1e-13;

/// What a layer's output map does to errors of its heads.
#[derive(Debug)]
pub struct Outlet {
    /// `‖W‖`, at most.
    spectral: f64,
    /// `‖W_hᵀ W_g‖`, at most, for the [pairs] of heads.
    products: Vec<f64>,
    /// Inner products of the `W_h V_h`, for the same.
    inner: Vec<f64>,
    /// `‖W_h‖_F ‖V_h‖_F`, at most.
    sizes: Vec<f64>,
    /// Covers the rounding of forms, as a part of `(Σ w_h sizes_h)²`.
    slack: f64,
    /// `‖Σ W_h V_h‖`, at most.
    together: f64,
}

impl Outlet {
    /// For the maps to values, with a block per key head, and from mixtures.
    pub fn new(value: &Map, output: &Map, n_heads: usize) -> Outlet {
        let dim = output.weights().ncols() / n_heads;
        let shared = n_heads / value.blocks.len();
        let out = |h: usize| output.weights().slice_move(s![.., h * dim..(h + 1) * dim]);
        let of_value =
            |h: usize| value.weights().slice_move(s![h / shared * dim..(h / shared + 1) * dim, ..]);
        let size = |x: ArrayView2<f64>| COVER * nonnegative_sum(x.iter().map(|x| x * x).sum()).sqrt();
        // Products err by γ of the sizes of their factors, in the Frobenius norm.
        let (width, inputs) = output.weights().dim();
        let g = gamma(width.max(inputs) + value.weights().ncols() + 4, ROUNDOFF_F64);
        let sizes: Vec<f64> = (0..n_heads).map(|h| COVER * size(out(h)) * size(of_value(h))).collect();
        let (mut products, mut inner) = (Vec::new(), Vec::new());
        for (h, k, counts) in pairs(n_heads) {
            let product = out(h).t().dot(&out(k));
            let off = g * size(out(h)) * size(out(k));
            products.push(counts * COVER * (spectral_norm(product.view()) + off));
            // ⟨W_h V_h, W_k V_k⟩ is the sum of the entries of W_hᵀ W_k ⊙ V_h V_kᵀ.
            inner.push(counts * (&product * &of_value(h).dot(&of_value(k).t())).sum());
        }
        let values: Vec<ArrayView2<f64>> = (0..n_heads).map(of_value).collect();
        let values = concatenate(Axis(0), &values).expect("maps from the same inputs");
        let off = g * sizes.iter().sum::<f64>();
        Outlet {
            spectral: output.blocks[0].spectral,
            products,
            inner,
            slack: 8.0 * gamma(2 * (width + inputs + n_heads) * (width + inputs), ROUNDOFF_F64),
            together: COVER * (spectral_norm(output.weights().dot(&values).view()) + off),
            sizes,
        }
    }

    /// How far errors of the mixtures, one a head, move the output.
    pub fn mixtures(&self, errors: &[Lanes]) -> Lanes {
        let (form, length) = (quadratic(&self.products, errors), wide::length(errors));
        // A minimum drops a NaN.
        each(|l| {
            let known = 0.0 * length[l];
            COVER * ((self.spectral * length[l]).min(form[l].sqrt()) + known) + TINY
        })
    }

    /// How far an error of one input moves the output, as a part of its length, with the weight that each head gives it.
    pub fn input(&self, weights: &[Lanes]) -> Lanes {
        let mut mean = Lanes::ZERO;
        let mut size = Lanes::ZERO;
        for (w, s) in weights.iter().zip(&self.sizes) {
            mean = each(|l| mean[l] + w[l] / weights.len() as f64);
            size = each(|l| size[l] + s * w[l].abs());
        }
        let apart: Vec<Lanes> = weights.iter().map(|w| each(|l| w[l] - mean[l])).collect();
        let (all, apart) = (quadratic(&self.inner, weights), quadratic(&self.inner, &apart));
        let reach: f64 = self.sizes.iter().sum();
        each(|l| {
            let slack = |size: f64| self.slack * size * size;
            let mean_size = size[l] + mean[l].abs() * reach;
            let direct = (all[l].abs() + slack(size[l])).sqrt();
            let split = self.together * mean[l].abs() + (apart[l].abs() + slack(mean_size)).sqrt();
            let known = 0.0 * (direct + split);
            COVER * (direct.min(split) + LOSSY * mean_size + known) + TINY
        })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2};
    use proptest::prelude::*;

    use super::*;
    use crate::model::Linear;

    /// Four heads of three dimensions, two for each head of values, between five inputs and seven outputs.
    fn maps(entries: &[f32]) -> [Map; 2] {
        let map = |shape: (usize, usize), entries: &[f32], n| {
            let weight = Array2::from_shape_vec(shape, entries[..shape.0 * shape.1].to_vec()).unwrap();
            Map::folded(&Linear { weight, bias: None }, None, n)
        };
        [map((5, 6), entries, 2), map((12, 7), &entries[30..], 1)]
    }

    fn norm(x: &Array1<f64>) -> f64 {
        x.dot(x).sqrt()
    }

    proptest! {
        #[test]
        fn no_error_moves_further(
            entries in prop::collection::vec(-1.0f32..1.0, 30 + 84),
            weights in prop::collection::vec(0.0f64..1.0, 4),
            alike in any::<bool>(),
            errors in prop::collection::vec(prop_oneof![Just(0.0), 0.0f64..1.0, 1e-12f64..1e-9], 4),
        ) {
            let [value, output] = maps(&entries);
            let outlet = Outlet::new(&value, &output, 4);
            let of_head = |h: usize| output.weights().slice_move(s![.., 3 * h..3 * h + 3]);
            let of_value = |h: usize| value.weights().slice_move(s![h / 2 * 3..h / 2 * 3 + 3, ..]);
            let weight = |h: usize| if alike { weights[0] } else { weights[h] };
            let together = (0..4).fold(Array2::zeros((7, 5)), |sum, h| sum + of_head(h).dot(&of_value(h)) * weight(h));
            let bound = outlet.input(&(0..4).map(|h| Lanes::splat(weight(h))).collect::<Vec<_>>())[3];
            // The direction that is stretched most.
            let mut e = Array1::ones(5);
            for _ in 0..50 {
                let next = together.t().dot(&together.dot(&e));
                let length = norm(&next);
                e = if length > 0.0 { next / length } else { e };
            }
            let stretched = norm(&together.dot(&e)) / norm(&e);
            prop_assert!(stretched <= bound, "{stretched} {bound}");
            let frobenius = together.iter().map(|x| x * x).sum::<f64>().sqrt();
            prop_assert!(bound <= 1.001 * frobenius + 1e-9, "{bound} {frobenius}");
            if alike {
                prop_assert!(bound <= 1.2 * stretched + 1e-9, "{bound} {stretched}");
            }

            let bound = outlet.mixtures(&errors.iter().map(|&e| Lanes::splat(e)).collect::<Vec<_>>())[5];
            // Errors in the directions that reach furthest along a sum, again and again.
            let mut sum = Array1::ones(7);
            for _ in 0..50 {
                sum = (0..4).fold(Array1::zeros(7), |all, h| {
                    let along = of_head(h).t().dot(&sum);
                    let length = norm(&along);
                    let error = if length > 0.0 { along * (errors[h] / length) } else { along };
                    all + of_head(h).dot(&error)
                });
            }
            prop_assert!(norm(&sum) <= bound, "{} {bound}", norm(&sum));
        }
    }

    #[test]
    fn what_is_not_known_stays_unknown() {
        let entries: Vec<f32> = (0..114).map(|i| (i as f32).sin()).collect();
        let [value, output] = maps(&entries);
        let outlet = Outlet::new(&value, &output, 4);
        for lost in [f64::NAN, f64::INFINITY] {
            let mut errors = [Lanes::splat(0.1); 4];
            errors[2][1] = lost;
            let moved = outlet.mixtures(&errors);
            assert!(!moved[1].is_finite() && moved[0].is_finite());
            let passed = outlet.input(&errors);
            assert!(!passed[1].is_finite() && passed[0].is_finite());
        }
    }
}
