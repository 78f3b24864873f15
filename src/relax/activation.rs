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

/// A bound `M` with `|φ'''| <= M`; `None` for activations with kinks in φ or φ'.
///
/// * erf GELU: `φ''' = pdf(x)(x³ − 4x)`; stationary where `x⁴ − 7x² + 4 = 0`, with values of at most 0.7792 (`x² ≈ 0.628`) and
///   0.099 (`x² ≈ 6.372`) in size.
/// * SiLU: `φ''' = 3σ'' + xσ'''` with `|σ''| <= 1/(6√3)`, `σ''' = σ'(1 − 6σ')`, `|1 − 6σ'| <= 1`, and `|x| σ' = y sech²y / 2`
///   with `y = |x|/2`, which is at most `tanh y / 2 <= 1/2` because `y <= sinh y cosh y`.
/// * tanh GELU: with `k` as above, `S = sech²k` and `T = tanh k`,
///   `φ''' = 3Sk''/2 − 3STk'² + xSk'''/2 − 3xSTk'k'' − xS(S − 2T²)k'³`. For `|x| <= 6` a test evaluates this in intervals, cell by
///   cell. Beyond, `k >= 12`, `S <= 4e^{−2k}`, `k' <= 0.14x²`, `|k''| <= 0.04x²` and `k''' <= 0.22` leave less than `x⁷ e^{−2k}`,
///   which falls from `6⁷ e^{−24} < 1e-4`.
#[must_use]
pub fn third_derivative(activation: Activation) -> Option<f64> {
    match activation {
        Activation::Relu | Activation::SquaredRelu => None,
        Activation::GeluTanh => Some(0.85),
        Activation::GeluErf => Some(0.78),
        Activation::Silu => Some(0.79),
    }
}

/// A bound `M` with `|φ⁽⁴⁾| <= M`; `None` as above.
///
/// * erf GELU: `φ⁽⁴⁾ = pdf(x)(−x⁴ + 7x² − 4)`; stationary where `x² ∈ {0, 2, 9}`, with values of at most 1.5958, 0.881 and 0.098
///   in size.
/// * SiLU: `φ⁽⁴⁾ = 4σ''' + xσ⁽⁴⁾` with `|σ'''| = σ'|1 − 6σ'| <= 1/8`, `σ⁽⁴⁾ = σ'(1 − 2σ)(1 − 12σ')`, `|1 − 12σ'| <= 2` and
///   `|x| σ' <= 1/2` as above.
/// * tanh GELU: `φ⁽⁴⁾ = xT⁽⁴⁾/2 + 2T'''` with `T''' = Sk''' − 6STk'k'' − 2S(S − 2T²)k'³` and
///   `T⁽⁴⁾ = −8STk'k''' − 6STk''² − 12S(S − 2T²)k'²k'' + 4ST(6S − 2)k'⁴`, in intervals for `|x| <= 6`. Beyond, the bounds above
///   leave less than `x⁹ e^{−2k}`, which falls from `6⁹ e^{−24} < 4e-4`.
#[must_use]
pub fn fourth_derivative(activation: Activation) -> Option<f64> {
    match activation {
        Activation::Relu | Activation::SquaredRelu => None,
        Activation::GeluTanh => Some(1.75),
        Activation::GeluErf => Some(1.596),
        Activation::Silu => Some(1.5),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::{exp, tanh};

    /// Largest third and fourth derivative of the tanh GELU in size, over cells of a step's width.
    fn bends_of_the_tanh_gelu(step: f64) -> [f64; 2] {
        let pi = Interval::new(std::f64::consts::PI, std::f64::consts::PI.next_up());
        let c = (Interval::point(2.0) / pi).sqrt();
        let beta = Interval::new(0.044_715_f64.next_down(), 0.044_715_f64.next_up());
        let mut largest = [0.0f64; 2];
        // φ''' is odd and φ⁽⁴⁾ even, as φ − x/2 is even.
        for i in 0..(6.0 / step) as i32 {
            let x = Interval::new(f64::from(i) * step, f64::from(i + 1) * step);
            let k = c * (x + beta * x * x.square());
            let (first, second) = (c * (Interval::ONE + beta * x.square() * 3.0), c * beta * x * 6.0);
            let third = c * beta * 6.0;
            let t = tanh(k);
            let s = exp(-k) / (Interval::ONE + exp(k * -2.0)) * 2.0;
            let s = s.square();
            let cube = first * first.square();
            let bend = s * (s - t.square() * 2.0);
            let value = s * second * 1.5 - s * t * first.square() * 3.0 + x * s * third * 0.5
                - x * s * t * first * second * 3.0
                - x * bend * cube;
            largest[0] = largest[0].max(value.magnitude());
            let t3 = s * third - s * t * first * second * 6.0 - bend * cube * 2.0;
            let t4 = s * t * (first * third * -8.0 - second.square() * 6.0)
                - bend * first.square() * second * 12.0
                + s * t * (s * 6.0 - Interval::point(2.0)) * first.square().square() * 4.0;
            largest[1] = largest[1].max((x * t4 * 0.5 + t3 * 2.0).magnitude());
        }
        largest
    }

    #[test]
    fn derivatives_of_the_tanh_gelu_stay_within_their_bounds() {
        let [third, fourth] = bends_of_the_tanh_gelu(1.0 / 4096.0);
        assert!(third <= third_derivative(Activation::GeluTanh).unwrap() && third > 0.7, "{third}");
        assert!(fourth <= fourth_derivative(Activation::GeluTanh).unwrap() && fourth > 1.5, "{fourth}");
    }

    proptest! {
        #[test]
        fn third_and_fourth_differences_respect_their_bounds(x in -12.0f64..12.0, h in 0.02f64..0.5) {
            for activation in ALL {
                let Some(bound) = third_derivative(activation) else { continue };
                let f = |s: f64| value(activation, Interval::point(s));
                let third = f(x + 1.5 * h) - f(x + 0.5 * h) * 3.0 + f(x - 0.5 * h) * 3.0 - f(x - 1.5 * h);
                let bound = bound * h * h * h * (1.0 + 1e-9) + 1e-12;
                prop_assert!(third.lo() <= bound && -bound <= third.hi(), "{activation:?} {x} {h} {third}");
                let Some(bound) = fourth_derivative(activation) else { continue };
                let fourth = f(x + 2.0 * h) - f(x + h) * 4.0 + f(x) * 6.0 - f(x - h) * 4.0 + f(x - 2.0 * h);
                let bound = bound * h.powi(4) * (1.0 + 1e-9) + 1e-12;
                prop_assert!(fourth.lo() <= bound && -bound <= fourth.hi(), "{activation:?} {x} {h} {fourth}");
            }
        }
    }
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
