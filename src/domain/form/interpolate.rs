//! Interpolation of smooth functions around zero by polynomials, with proved remainders.
//!
//! The polynomial `p` that agrees with `f` at `0` and `±v` satisfies `|f(t) − p(t)| <= M/6 · |t| |t² − v²|`, where `M` bounds
//! `|f⁽³⁾|`. With `v = u √3/2` that is at most `M u³/24` for `|t| <= u`, a fourth of Taylor's remainder (Chebyshev). The one that
//! agrees at `±v` and `±w` satisfies `|f(t) − p(t)| <= M/24 · |t² − v²| |t² − w²|`, where `M` bounds `|f⁽⁴⁾|`: at most `M u⁴/192` with
//! Chebyshev's nodes `u cos π/8` and `u cos 3π/8`.

use super::Form;
use crate::num::{Interval, nonnegative_sum};

/// `f(t) = constant + slope t + square t² + cube t³ ± rad`.
#[derive(Debug, Clone, Copy)]
pub struct Fit {
    pub constant: f64,
    pub slope: f64,
    pub square: f64,
    pub cube: f64,
    pub rad: f64,
}

/// Bounds on derivatives of a function, in size.
#[derive(Debug, Clone, Copy)]
pub struct Bends {
    pub third: f64,
    pub fourth: f64,
}

/// Least distance of the nodes: differences of nearer values are all rounding.
const NEAREST: f64 = 1.0 / 8192.0;

/// The outer nodes of both polynomials, for arguments within `u` of zero.
fn nodes(u: f64) -> (f64, f64) {
    ((u * 0.866).max(NEAREST), (u * 0.92388).max(NEAREST))
}

/// The largest argument in size that counts in the bounds on derivatives for arguments within `u`.
pub fn span(u: f64) -> f64 {
    u.max(nodes(u).1)
}

/// Interpolates `f` by a polynomial of a degree, two or three, for arguments within `u`; derivatives are bounded within [`span`]`(u)`.
pub fn interpolate(degree: u8, f: impl Fn(Interval) -> Interval, u: f64, bends: Bends) -> Fit {
    if degree < 3 { quadratic(f, u, bends.third) } else { cubic(f, u, bends.fourth) }
}

fn quadratic(f: impl Fn(Interval) -> Interval, u: f64, third: f64) -> Fit {
    let v = Interval::point(nodes(u).0);
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
    Fit { constant, slope, square, cube: 0.0, rad: nonnegative_sum(rad) }
}

fn cubic(f: impl Fn(Interval) -> Interval, u: f64, fourth: f64) -> Fit {
    let v = Interval::point(nodes(u).1);
    let w = v * 0.414_213_56;
    // The even and the odd part, each linear in t².
    let parts = |v: Interval| ((f(v) + f(-v)) * 0.5, (f(v) - f(-v)) * 0.5 / v);
    let ((even_v, odd_v), (even_w, odd_w)) = (parts(v), parts(w));
    let (v2, w2) = (v.square(), w.square());
    let span = v2 - w2;
    let (square, cube) = ((even_v - even_w) / span, (odd_v - odd_w) / span);
    let (constant, off_constant) = (even_v - square * v2).mid_rad();
    let (slope, off_slope) = (odd_v - cube * v2).mid_rad();
    let ((square, off_square), (cube, off_cube)) = (square.mid_rad(), cube.mid_rad());
    // |t² − v²| |t² − w²| is a parabola in t²: extreme at zero, in the middle of the roots, and at the end.
    let end = Interval::point(u).square();
    let at = |t2: Interval| ((t2 - v2) * (t2 - w2)).magnitude();
    let most = at(Interval::ZERO).max(at((v2 + w2) * 0.5)).max(at(end));
    let remainder = Interval::point(fourth) * Interval::point(most) / Interval::point(24.0);
    let rad = remainder.hi() + off_constant + u * (off_slope + u * (off_square + u * off_cube));
    Fit { constant, slope, square, cube, rad: nonnegative_sum(rad) }
}

impl Form {
    /// `constant_i + slope_i x_i + square_i x_i² + cube_i x_i³ ± rad_i`.
    #[must_use]
    pub fn fitted(&self, fits: &[Fit]) -> Form {
        let of = |part: fn(&Fit) -> f64| fits.iter().map(part).collect::<Vec<f64>>();
        let square = self.product(self);
        let cube = fits.iter().any(|fit| fit.cube != 0.0).then(|| self.product(&square));
        let (squares, cubes) = (of(|fit| fit.square), of(|fit| fit.cube));
        let cube = cube.as_ref().map(|cube| (cubes.as_slice(), cube));
        let terms: Vec<_> = [(squares.as_slice(), &square)].into_iter().chain(cube).collect();
        self.clone()
            .scaled_sum(&of(|fit| fit.slope), &terms)
            .shifted(&of(|fit| fit.constant))
            .widened(&of(|fit| fit.rad))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::exp;
    use proptest::prelude::*;

    #[test]
    fn the_remainders_of_the_exponential_are_close_to_their_best() {
        let bends = Bends { third: 0.5f64.exp(), fourth: 0.5f64.exp() };
        let p = interpolate(2, exp, 0.5, bends);
        assert!(p.rad < 0.5f64.powi(3) / 24.0 * 0.5f64.exp() * 1.001, "{p:?}");
        let p = interpolate(3, exp, 0.5, bends);
        assert!(p.rad < 0.5f64.powi(4) / 192.0 * 0.5f64.exp() * 1.001, "{p:?}");
    }

    proptest! {
        #[test]
        fn points_lie_within_the_remainder(size in -12.0f64..0.7, at in -1.0f64..1.0, degree in 2u8..4) {
            let u = size.exp();
            let bend = exp(Interval::point(span(u))).hi();
            let p = interpolate(degree, exp, u, Bends { third: bend, fourth: bend });
            let t = at * u;
            let value = p.constant + t * (p.slope + t * (p.square + t * p.cube));
            prop_assert!((value - t.exp()).abs() <= p.rad + 1e-15, "{u} {t} {p:?}");
        }
    }
}
