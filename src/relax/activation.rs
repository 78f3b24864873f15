//! Pointwise nonlinearities as enclosed real functions, with a proved bound on their curvature.

use crate::model::Activation;
use crate::num::{Interval, erf, sigmoid, tanh};

/// `√(2/π)` of the tanh form of GELU, as a real number.
fn sqrt_2_over_pi() -> Interval {
    // 2/π enclosed by neighbouring floats: π lies strictly between f64 π and its successor.
    let pi = Interval::new(std::f64::consts::PI, std::f64::consts::PI.next_up());
    (Interval::point(2.0) / pi).sqrt()
}

/// The decimal 0.044715 of the tanh form of GELU as a real number.
fn cubic_coefficient() -> Interval {
    Interval::point(44715.0) / Interval::point(1e6)
}

/// Encloses `{φ(s) : s ∈ x}`; tight at points, loose on wide intervals (every operation is taken on its own).
pub fn value(activation: Activation, x: Interval) -> Interval {
    let half = Interval::point(0.5);
    match activation {
        Activation::Relu => x.max(Interval::ZERO),
        Activation::SquaredRelu => x.max(Interval::ZERO).square(),
        Activation::GeluTanh => {
            let inner = sqrt_2_over_pi() * (x + cubic_coefficient() * x * x.square());
            half * x * (Interval::ONE + tanh(inner))
        }
        Activation::GeluErf => half * x * (Interval::ONE + erf(x / Interval::point(2.0).sqrt())),
        Activation::Silu => x * sigmoid(x),
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
