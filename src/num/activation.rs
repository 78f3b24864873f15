//! Enclosures of the pointwise nonlinearities of MLPs.
//!
//! Each formula is evaluated once per occurrence of `x`, so the result is tight for narrow `x` and sound for any.

use super::elementary::{erf, sigmoid};
use super::interval::{Interval, up};

/// `max(x, 0)`.
pub fn relu(x: Interval) -> Interval {
    x.max(Interval::ZERO)
}

/// `x · σ(x)`, never below −0.2785 (its minimum is −0.27846…).
pub fn silu(x: Interval) -> Interval {
    above(-0.2785, x * sigmoid(x))
}

/// `x/2 · (1 + tanh u)`, `u = √(2/π)(x + 0.044715 x³)`; computed as the equal `x · σ(2u)`, which loses nothing to
/// cancellation where `u` is very negative. Never below −0.1701 (its minimum is −0.17004…).
pub fn gelu_tanh(x: Interval) -> Interval {
    // The nearest f64 to π lies below it; the decimal 0.044715 lies beside its nearest f64.
    let pi = Interval::new(std::f64::consts::PI, up(std::f64::consts::PI));
    let cubic = Interval::new(0.044_715_f64.next_down(), 0.044_715_f64.next_up());
    // 2·√(2/π) = √(8/π)
    let slope = (Interval::point(8.0) / pi).sqrt();
    let u = slope * (x * (Interval::ONE + cubic * x.square()));
    above(-0.1701, x * sigmoid(u))
}

/// `x/2 · (1 + erf(x/√2))`, never below −0.17 (its minimum is −0.16997…).
pub fn gelu_erf(x: Interval) -> Interval {
    let y = x / Interval::point(2.0).sqrt();
    above(-0.17, x * Interval::point(0.5) * (Interval::ONE + erf(y)))
}

/// Cuts off what a function never reaches.
fn above(least: f64, y: Interval) -> Interval {
    Interval::new(y.lo().max(least), y.hi().max(least))
}
