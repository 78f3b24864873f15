//! Enclosures for rotary positions: `sin`, `cos`, and powers with an uncertain exponent.
//!
//! As in `elementary`, `core-math` gives the correctly rounded value at one point and two ulps are added for safety.

use super::interval::{Interval, down, up};

/// A value that `core-math` rounded, two ulps wide on each side.
fn widened(value: f64) -> Interval {
    Interval::new(down(down(value)), up(up(value)))
}

/// `sin x`. `|sin x − sin m| <= |x − m|`, so the value at a middle point and the radius suffice, and no period, hence no
/// digit of π, enters. Tight for narrow `x`, which is what angles are; never outside `[−1, 1]`.
pub fn sin(x: Interval) -> Interval {
    lipschitz(x, core_math::sin)
}

/// `cos x`, as [`sin`].
pub fn cos(x: Interval) -> Interval {
    lipschitz(x, core_math::cos)
}

fn lipschitz(x: Interval, f: impl Fn(f64) -> f64) -> Interval {
    let (mid, rad) = x.mid_rad();
    if !mid.is_finite() {
        return Interval::new(-1.0, 1.0);
    }
    let y = widened(f(mid)) + Interval::new(-rad, rad);
    Interval::new(y.lo().max(-1.0), y.hi().min(1.0))
}

/// `base^exponent` for a positive finite `base`: monotone in the exponent, so the ends map to the ends.
pub fn pow(base: f64, exponent: Interval) -> Interval {
    let y = widened(core_math::pow(base, exponent.lo())).hull(widened(core_math::pow(base, exponent.hi())));
    Interval::new(y.lo().max(0.0), y.hi())
}

/// `(cos, sin)` of `position · theta^(−2i/dim)` for each pair `i` of the `dim` elements that rotary positions turn.
#[must_use]
pub fn turns(theta: f64, dim: usize, position: usize) -> Vec<(Interval, Interval)> {
    let exponent = |i: usize| Interval::point(-2.0 * i as f64) / Interval::point(dim as f64);
    let angle = |i: usize| pow(theta, exponent(i)) * position as f64;
    (0..dim / 2).map(|i| (cos(angle(i)), sin(angle(i)))).collect()
}
