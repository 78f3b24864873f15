//! Activations: `φ(x_i) = slope_i x_i + mid_i ± rad_i` on the range of each entry.
//!
//! Narrow ranges, of radius `r` around `m`: `φ(x) = φ(m) + φ'(m)(x − m) ± M r²/2` with the curvature bound `M` of
//! [`crate::relax::curvature`]; a difference quotient of step `h` is within `M h / 2` of `φ'(m)`. Wide ranges: the slope of
//! the chord, and the exact extremes of `φ(x) − slope · x` over the tabulated graph of φ ([`Graph::lower_bound`]).

use super::Form;
use crate::model::Activation;
use crate::num::{Interval, nonnegative_sum};
use crate::relax::{Graph, STEPS_PER_UNIT, curvature, value};

/// Ranges up to this radius are narrow: the expansion is then as good as the table.
const NARROW: f64 = 1.0 / 512.0;
/// Step of difference quotients.
const STEP: f64 = 1.0 / 65536.0;

/// An activation with its table.
#[derive(Debug, Clone)]
pub struct Curve {
    activation: Activation,
    graph: Graph,
    /// Largest argument in size that the table covers.
    reach: f64,
}

/// `slope x + mid ± rad`.
struct Line {
    slope: f64,
    mid: f64,
    rad: f64,
}

impl Curve {
    /// Tabulates an activation for arguments of size up to `reach`.
    #[must_use]
    pub fn new(activation: Activation, reach: u16) -> Curve {
        let last = (i32::from(reach) + 1) * STEPS_PER_UNIT;
        Curve { activation, graph: Graph::new(activation, -last, last), reach: f64::from(reach) }
    }

    fn line(&self, x: Interval) -> Line {
        let lost = Line { slope: 0.0, mid: 0.0, rad: f64::INFINITY };
        let (m, r) = x.mid_rad();
        if !(m.abs() + r <= self.reach) {
            return lost;
        }
        if self.activation == Activation::Relu && !(x.lo() < 0.0 && x.hi() > 0.0) {
            return Line { slope: if x.lo() >= 0.0 { 1.0 } else { 0.0 }, mid: 0.0, rad: 0.0 };
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
        Line { slope, mid, rad: nonnegative_sum(rad + off * r + bend * r * r / 2.0) }
    }

    fn wide(&self, x: Interval) -> Line {
        let steps = f64::from(STEPS_PER_UNIT);
        // |x| <= reach, a 16-bit number: the casts are lossless.
        let (l, u) = ((x.lo() * steps).floor() as i32, (x.hi() * steps).ceil() as i32);
        let (from, to) = (f64::from(l) / steps, f64::from(u) / steps);
        let slope = (self.graph.sample(to) - self.graph.sample(from)) / (to - from);
        let least = self.graph.lower_bound(1.0, 0.0, slope, l, u);
        let greatest = -self.graph.lower_bound(-1.0, 0.0, -slope, l, u);
        let (mid, rad) = Interval::new(least, greatest).mid_rad();
        Line { slope, mid, rad }
    }
}

impl Form {
    /// `φ(x_i)`, where `x_i` is also known to lie in `within_i`.
    #[must_use]
    pub fn activated(self, curve: &Curve, within: &[Interval]) -> Form {
        let ranges = self.ranges();
        let lines: Vec<Line> = ranges
            .iter()
            .zip(within)
            .map(|(x, w)| {
                let met = Interval::new(x.lo().max(w.lo()), x.hi().min(w.hi()));
                curve.line(met)
            })
            .collect();
        let of = |part: fn(&Line) -> f64| lines.iter().map(part).collect::<Vec<f64>>();
        self.times(&of(|l| l.slope)).shifted(&of(|l| l.mid)).widened(&of(|l| l.rad))
    }
}
