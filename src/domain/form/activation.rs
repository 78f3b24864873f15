//! Activations: `φ(x_i) = slope_i x_i + mid_i ± rad_i` on the range of each entry.
//!
//! Narrow ranges, of radius `r` around `m`: `φ(x) = φ(m) + φ'(m)(x − m) ± M r²/2` with the curvature bound `M` of
//! [`crate::relax::curvature`]; a difference quotient of step `h` is within `M h / 2` of `φ'(m)`. Wide ranges: the slope of
//! the chord, and the exact extremes of `φ(x) − slope · x` over the tabulated graph of φ ([`Graph::lower_bound`]). Where
//! products are kept track of, also a polynomial of second or third degree: interpolated with the bounds of
//! [`crate::relax::third_derivative`] and [`crate::relax::fourth_derivative`], or, a parabola on wide ranges, with the exact extremes of
//! its difference to the table ([`Graph::lower_bound_curved`]).

use super::Form;
use super::interpolate::{Bends, interpolate};
use crate::model::Activation;
use crate::num::{Interval, dot_error, nonnegative_sum};
use crate::relax::{Graph, STEPS_PER_UNIT, curvature, fourth_derivative, third_derivative, value};

/// Ranges up to this radius are narrow: the expansion is then as good as the table.
const NARROW: f64 = 1.0 / 512.0;
/// Step of difference quotients.
const STEP: f64 = 1.0 / 65536.0;

/// Radius from which on parabolas are compared with the table.
const TABULATED: f64 = 1.0 / 32.0;

/// An activation with its table.
#[derive(Debug, Clone)]
pub struct Curve {
    activation: Activation,
    graph: Graph,
    /// Largest argument in size that the table covers.
    reach: f64,
}

/// `slope x + square (x − m)² + cube (x − m)³ + mid ± rad`, where `m` is the centre of the range.
struct Line {
    slope: f64,
    square: f64,
    cube: f64,
    mid: f64,
    rad: f64,
}

/// How far the rests of powers of a deviation are from what is known of them.
struct Powers {
    square: f64,
    cube: f64,
}

impl Curve {
    /// Tabulates an activation for arguments of size up to `reach`.
    #[must_use]
    pub fn new(activation: Activation, reach: u16) -> Curve {
        let last = (i32::from(reach) + 1) * STEPS_PER_UNIT;
        Curve { activation, graph: Graph::new(activation, -last, last), reach: f64::from(reach) }
    }

    fn line(&self, x: Interval) -> Line {
        let lost = Line { slope: 0.0, square: 0.0, cube: 0.0, mid: 0.0, rad: f64::INFINITY };
        let (m, r) = x.mid_rad();
        if !(m.abs() + r <= self.reach) {
            return lost;
        }
        if self.activation == Activation::Relu && !(x.lo() < 0.0 && x.hi() > 0.0) {
            let slope = if x.lo() >= 0.0 { 1.0 } else { 0.0 };
            return Line { slope, square: 0.0, cube: 0.0, mid: 0.0, rad: 0.0 };
        }
        if self.activation != Activation::Relu && r <= NARROW { self.narrow(m, r) } else { self.wide(x) }
    }

    fn narrow(&self, m: f64, r: f64) -> Line {
        let bend = curvature(self.activation);
        let at = |x: Interval| value(self.activation, x);
        let h = Interval::point(STEP);
        let m = Interval::point(m);
        let quotient = (at(m + h) - at(m - h)) / (h * 2.0);
        let (slope, off) = quotient.mid_rad();
        // φ(x) − slope x = φ(m) − slope m + (φ'(m) − slope)(x − m) ± M r²/2; m ± h is rounded, by much less than h.
        let off = off + bend * STEP;
        let (mid, rad) = (at(m) - m * slope).mid_rad();
        Line { slope, square: 0.0, cube: 0.0, mid, rad: nonnegative_sum(rad + off * r + bend * r * r / 2.0) }
    }

    /// The parabola around `m`, for arguments within `r` of it.
    fn parabola(&self, m: f64, r: f64, off: &Powers) -> Option<Line> {
        let third = third_derivative(self.activation)?;
        if !(m.abs() + r <= self.reach) {
            return None;
        }
        if r < TABULATED {
            return Some(self.polynomial(2, m, r, Bends { third, fourth: f64::INFINITY }, off));
        }
        let centre = Interval::point(m);
        let fit =
            interpolate(2, |t| value(self.activation, centre + t), r, Bends { third, fourth: f64::INFINITY });
        let (slope, square) = (fit.slope, fit.square);
        // slope x + square (x − m)² is a x + square x² + square m²; the rounding of a counts for arguments of this size.
        let a = slope - 2.0 * square * m;
        let rounding = dot_error(3, (slope.abs() + 2.0 * (square * m).abs()) * (m.abs() + r));
        let (l, u) =
            grid(Interval::new((centre - Interval::point(r)).lo(), (centre + Interval::point(r)).hi()));
        let least = self.graph.lower_bound_curved(1.0, 0.0, a, square, l, u);
        let greatest = -self.graph.lower_bound_curved(-1.0, 0.0, -a, -square, l, u);
        let shift = centre.square() * square;
        let (mid, rad) = (Interval::new(least, greatest) - shift).mid_rad();
        let rad = nonnegative_sum(rad + rounding + square.abs() * off.square);
        Some(Line { slope, square, cube: 0.0, mid, rad })
    }

    /// The cubic polynomial around `m`, for arguments within `r` of it.
    fn cubic(&self, m: f64, r: f64, off: &Powers) -> Option<Line> {
        let fourth = fourth_derivative(self.activation)?;
        let is_covered = m.abs() + r <= self.reach;
        is_covered.then(|| self.polynomial(3, m, r, Bends { third: f64::INFINITY, fourth }, off))
    }

    fn polynomial(&self, degree: u8, m: f64, r: f64, bends: Bends, off: &Powers) -> Line {
        let centre = Interval::point(m);
        let fit = interpolate(degree, |t| value(self.activation, centre + t), r, bends);
        let (mid, rad) = (Interval::point(fit.constant) - centre * fit.slope).mid_rad();
        let lost = fit.square.abs() * off.square + fit.cube.abs() * off.cube;
        let rad = nonnegative_sum(rad + fit.rad + lost);
        Line { slope: fit.slope, square: fit.square, cube: fit.cube, mid, rad }
    }

    fn wide(&self, x: Interval) -> Line {
        let steps = f64::from(STEPS_PER_UNIT);
        let (l, u) = grid(x);
        let (from, to) = (f64::from(l) / steps, f64::from(u) / steps);
        let slope = (self.graph.sample(to) - self.graph.sample(from)) / (to - from);
        let least = self.graph.lower_bound(1.0, 0.0, slope, l, u);
        let greatest = -self.graph.lower_bound(-1.0, 0.0, -slope, l, u);
        let (mid, rad) = Interval::new(least, greatest).mid_rad();
        Line { slope, square: 0.0, cube: 0.0, mid, rad }
    }
}

/// The grid points around a range within the reach of a table.
fn grid(x: Interval) -> (i32, i32) {
    let steps = f64::from(STEPS_PER_UNIT);
    // The reach is a 16-bit number: the casts are lossless.
    ((x.lo() * steps).floor() as i32, (x.hi() * steps).ceil() as i32)
}

impl Form {
    /// `φ(x_i)`, where `x_i` is also known to lie in `within_i`.
    #[must_use]
    pub fn activated(self, curve: &Curve, within: &[Interval]) -> Form {
        let powers = self.tracked().map(|group| {
            let deviation = Form { mid: vec![0.0; self.width()], ..self.clone() };
            let square = self.deviation_product(&self);
            let cube = (group.degree == 3).then(|| deviation.product(&square));
            (square, cube)
        });
        let (radius, ranges) = self.radius_and_ranges();
        let line = |(i, (x, w)): (usize, (&Interval, &Interval))| {
            let line = curve.line(Interval::new(x.lo().max(w.lo()), x.hi().min(w.hi())));
            let Some((square, cube)) = &powers else { return line };
            let off = Powers { square: square.err[i], cube: cube.as_ref().map_or(0.0, |x| x.err[i]) };
            let parabola = curve.parabola(self.mid[i], radius[i], &off);
            let cubic = cube.as_ref().and_then(|_| curve.cubic(self.mid[i], radius[i], &off));
            // Whatever leaves least unknown; a rest that is no number leaves more than any.
            let all = [parabola, cubic].into_iter().flatten();
            all.fold(line, |best, other| if other.rad < best.rad { other } else { best })
        };
        let lines: Vec<Line> = ranges.iter().zip(within).enumerate().map(line).collect();
        let of = |part: fn(&Line) -> f64| lines.iter().map(part).collect::<Vec<f64>>();
        let slopes = of(|l| l.slope);
        // The errors of the powers are in the radii already.
        let known = |form: Form| Form { err: vec![0.0; form.width()], ..form };
        let form = match powers {
            None => self.times(&slopes),
            Some((square, cube)) => {
                let (square, cube) = (known(square), cube.map(known));
                let (squares, cubes) = (of(|l| l.square), of(|l| l.cube));
                let cube = cube.as_ref().map(|cube| (cubes.as_slice(), cube));
                let terms: Vec<_> = [(squares.as_slice(), &square)].into_iter().chain(cube).collect();
                self.scaled_sum(&slopes, &terms)
            }
        };
        form.shifted(&of(|l| l.mid)).widened(&of(|l| l.rad))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Shape, Symbols};
    use super::*;
    use crate::model::Activation;
    use ndarray::Array2;

    #[test]
    fn higher_degrees_leave_less_unknown() {
        let curve = Curve::new(Activation::GeluTanh, 8);
        for reach in [1e-3, 0.02, 0.2, 0.8] {
            let err = [1u8, 2, 3].map(|degree| {
                let mut symbols = Symbols::default();
                let group = match degree {
                    1 => symbols.fresh(Shape::Box, 2),
                    _ => symbols.fresh_with_products(Shape::Box, 2, degree),
                };
                let rows = Array2::from_shape_fn((2, 1), |_| reach / 2.0);
                let x = Form::point(vec![0.7]).with_group(group, rows);
                x.activated(&curve, &[Interval::new(-8.0, 8.0)]).err[0]
            });
            assert!(
                err[0] > 2.0 * err[1] && err[1] > 2.0 * err[2] && err[2] < 0.1 * reach.powi(4),
                "{err:?}"
            );
        }
    }
}
