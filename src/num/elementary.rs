//! Enclosures of monotone elementary functions.
//!
//! `core-math` computes the correctly rounded value; its proofs are its authors' (Sibidanov, Zimmermann, Glondu 2022,
//! *The CORE-MATH Project*), and each end is moved out by two ulps here, so that a last-bit mistake there would still be
//! harmless. All functions are increasing, so the ends map to the ends; known ranges are intersected afterwards.

use super::interval::{Interval, down, up};

/// Two ulps outward at each end of an increasing function.
fn monotone(x: Interval, f: impl Fn(f64) -> f64) -> Interval {
    Interval::new(down(down(f(x.lo()))), up(up(f(x.hi()))))
}

/// Intersects with a range that the function never leaves.
fn within(x: Interval, lo: f64, hi: f64) -> Interval {
    Interval::new(x.lo().max(lo), x.hi().min(hi))
}

/// `e^x`; never negative. Underflow gives a lower end of zero and a positive upper end.
pub fn exp(x: Interval) -> Interval {
    within(monotone(x, core_math::exp), 0.0, f64::INFINITY)
}

/// Natural logarithm of the non-negative part of `x`; `−∞` where zero is reached.
pub fn ln(x: Interval) -> Interval {
    monotone(within(x, 0.0, f64::INFINITY), core_math::log)
}

/// `ln(1 + x)` for `x > −1`; the lower end is `−∞` where `−1` is reached.
pub fn ln_1p(x: Interval) -> Interval {
    monotone(within(x, -1.0, f64::INFINITY), core_math::log1p)
}

/// Hyperbolic tangent.
pub fn tanh(x: Interval) -> Interval {
    within(monotone(x, core_math::tanh), -1.0, 1.0)
}

/// Error function.
pub fn erf(x: Interval) -> Interval {
    within(monotone(x, core_math::erf), -1.0, 1.0)
}

/// `1 / (1 + e^{−x})`.
pub fn sigmoid(x: Interval) -> Interval {
    let one_end = |x: f64| (Interval::ONE + exp(Interval::point(-x))).recip();
    within(Interval::new(one_end(x.lo()).lo(), one_end(x.hi()).hi()), 0.0, 1.0)
}
