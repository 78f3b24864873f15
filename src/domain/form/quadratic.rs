//! Quadratic interpolation of smooth functions around zero, with a proved remainder.
//!
//! The polynomial `p` that agrees with `f` at `0` and `±v` satisfies `|f(t) − p(t)| <= M/6 · |t| |t² − v²|`, where `M` bounds
//! `|f⁽³⁾|`. With `v = u √3/2` that is at most `M u³/24` for `|t| <= u`, a fourth of Taylor's remainder (Chebyshev).

use crate::num::{Interval, nonnegative_sum};

/// `f(t) = constant + slope t + square t² ± rad`.
#[derive(Debug, Clone, Copy)]
pub struct Quadratic {
    pub constant: f64,
    pub slope: f64,
    pub square: f64,
    pub rad: f64,
}

/// Least distance of the nodes: differences of nearer values are all rounding.
const NEAREST: f64 = 1.0 / 8192.0;

/// How far the nodes are from zero for arguments within `u` of it.
fn node(u: f64) -> f64 {
    (u * 0.866).max(NEAREST)
}

/// The largest argument in size that counts in the bound on `f⁽³⁾` for arguments within `u`.
pub fn span(u: f64) -> f64 {
    u.max(node(u))
}

/// Interpolates `f`, whose third derivative is at most `third` in size within [`span`]`(u)`, for arguments within `u`.
pub fn interpolate(f: impl Fn(Interval) -> Interval, u: f64, third: f64) -> Quadratic {
    let v = Interval::point(node(u));
    let (centre, below, above) = (f(Interval::ZERO), f(-v), f(v));
    let (constant, off_constant) = centre.mid_rad();
    let (slope, off_slope) = ((above - below) / (v * 2.0)).mid_rad();
    let (square, off_square) = ((above + below - centre * 2.0) / (v.square() * 2.0)).mid_rad();
    let t = Interval::point(u);
    // |t| |v² − t²| within u: stationary at v/√3, where it is 2v³/(3√3), or at the end.
    let inner = (v * v.square() * 0.385).hi().min((t * v.square()).hi());
    let outer = (t * (t.square() - v.square())).hi();
    let remainder = Interval::point(third) * Interval::point(inner.max(outer)) / Interval::point(6.0);
    let rad = remainder.hi() + off_constant + u * (off_slope + u * off_square);
    Quadratic { constant, slope, square, rad: nonnegative_sum(rad) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::exp;
    use proptest::prelude::*;

    #[test]
    fn the_remainder_of_the_exponential_is_close_to_its_best() {
        let p = interpolate(exp, 0.5, 0.5f64.exp());
        assert!(p.rad < 0.5f64.powi(3) / 24.0 * 0.5f64.exp() * 1.001, "{p:?}");
    }

    proptest! {
        #[test]
        fn points_lie_within_the_remainder(size in -12.0f64..0.7, at in -1.0f64..1.0) {
            let u = size.exp();
            let p = interpolate(exp, u, (exp(Interval::point(span(u)))).hi());
            let t = at * u;
            let value = p.constant + t * (p.slope + t * p.square);
            prop_assert!((value - t.exp()).abs() <= p.rad + 4e-16, "{u} {t} {p:?}");
        }
    }
}
