//! Pointwise nonlinearities as enclosed real functions, with a proved bound on their curvature.

use crate::model::Activation;
use crate::num::{Interval, gelu_erf, gelu_tanh, relu, silu};

/// Encloses `{φ(s) : s ∈ x}`; tight at points, loose on wide intervals (every operation is taken on its own).
pub fn value(activation: Activation, x: Interval) -> Interval {
    match activation {
        Activation::Relu => relu(x),
        Activation::SquaredRelu => relu(x).square(),
        Activation::GeluTanh => gelu_tanh(x),
        Activation::GeluErf => gelu_erf(x),
        Activation::Silu => silu(x),
    }
}

/// A bound `M` with `|φ''| <= M` wherever φ is twice differentiable; kinks (ReLU) sit at zero.
///
/// * erf GELU: `φ'' = pdf(x)(2 − x²)`, largest in size at 0, where it is `2/√(2π) < 0.798`.
/// * SiLU: `φ'' = σ'(2 − x tanh(x/2))` is a difference of non-negative terms; `2σ' <= 1/2`, and with `y = x/2`
///   `x σ' tanh y = y sech²y tanh y / 2 <= tanh²y / 2 <= 1/2` because `y <= sinh y cosh y`.
/// * tanh GELU: with `k = c(x + βx³)`, `c = √(2/π)`, `φ'' = sech²k (k' + xk''/2 − x k'² tanh k)`, again a difference of
///   non-negative terms. First: `c(1 + 6βx²) sech²k <= c`, as `cosh²k >= 1 + c²x²` and `c² > 6β`. Second, for `|x| <= 2`:
///   `x k'² <= 3.01` and `tanh k sech²k <= 2/(3√3)`, product `< 1.2`; for `|x| > 2` (so `k > 1.88`): with `xk' <= 3k`,
///   `k' <= c + 3βk²/c` and `sech²k <= 4e^{−2k}` it is at most `12k(0.798 + 0.169k²)e^{−2k}`, which falls from 0.74.
#[must_use]
pub fn curvature(activation: Activation) -> f64 {
    match activation {
        Activation::Relu => 0.0,
        Activation::SquaredRelu => 2.0,
        Activation::GeluTanh => 1.2,
        Activation::GeluErf => 0.798,
        Activation::Silu => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Activation; 5] = [
        Activation::Relu,
        Activation::SquaredRelu,
        Activation::GeluTanh,
        Activation::GeluErf,
        Activation::Silu,
    ];

    proptest! {
        #[test]
        fn second_differences_respect_the_curvature_bound(x in -12.0f64..12.0, h in 0.01f64..0.5) {
            for activation in ALL {
                if activation == Activation::Relu { continue; }
                let f = |s: f64| value(activation, Interval::point(s));
                let second = f(x + h) + f(x - h) - f(x) * 2.0;
                let bound = curvature(activation) * h * h * (1.0 + 1e-9) + 1e-12;
                prop_assert!(second.hi() <= bound && second.lo() >= -bound, "{activation:?} {second} {bound}");
            }
        }
    }

    #[test]
    fn known_values_and_extremes() {
        let at = |a, x| value(a, Interval::point(x));
        assert!(at(Activation::GeluErf, 1.0).contains(0.841_344_746_068_542_9));
        assert!(at(Activation::GeluTanh, 1.0).contains(0.841_191_990_608_276_8));
        assert!(at(Activation::Silu, 1.0).contains(0.731_058_578_630_004_9));
        for a in ALL {
            assert!(at(a, 1e300).hi() >= 1e300);
            let low = at(a, -1e300);
            assert!(low.lo() <= 0.0 && low.hi() >= 0.0, "{a:?} {low}");
        }
    }
}
