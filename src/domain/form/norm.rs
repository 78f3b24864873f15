//! LayerNorm and RMSNorm without gain and bias: `ẑ = y / sqrt(‖y‖²/d + ε)`, `y` centred or not.
//!
//! With `y = c + δ` and `s = ‖y‖²/d + ε = ‖c‖²/d + ε + ℓ + q`, where `ℓ = 2c·δ/d` is affine and `0 <= q = ‖δ‖²/d <= R²/d`:
//! on a range of `s` the convex `s^{−1/2} + κ s` lies between `1.5 (2κ)^{1/3}` and its value at an end, so
//! `g = s^{−1/2} = g0 − κℓ ± e`, and
//!
//! ```text
//! ẑ = (c + δ) g = c g0 + g0 δ − κ c ℓ ± e c + δ γ,      γ = g − g0,   |γ| <= Γ = κ|ℓ| + e.
//! ```
//!
//! The last term is a vector of length at most `Γ R` in a direction of its own. Whatever `y` is, ẑ lies in the ball of
//! radius `√d` around zero; for `R < ‖c‖` also in a cap: its angle to `c` is at most `asin(R/‖c‖)`, so that it lies within
//! `√d sin` of `√d cos · c/‖c‖` (or somewhat more where ε shortens it). The smaller of these enclosures is taken.

use ndarray::{Array1, Array2};

use super::{Form, Map, Shape, Symbols, worse};
use crate::num::{Interval, dot_error, nonnegative_sum};

/// Remainders shorter than this go to the error radii: not worth symbols.
const NEGLIGIBLE: f64 = 1e-11;

/// A norm over vectors of one width.
#[derive(Debug, Clone, Copy)]
pub struct Sphere {
    /// Whether the mean is subtracted (LayerNorm) or not (RMSNorm).
    pub centred: bool,
    /// ε, positive.
    pub eps: f64,
}

/// A normalised vector, `linear + δγ` with `|γ| <= gamma`.
#[derive(Debug, Clone)]
pub struct Normalised {
    linear: Form,
    /// `δ`, an affine form around zero.
    delta: Form,
    gamma: f64,
    /// Bound on `‖δ‖₂`.
    reach: f64,
    sphere: Sphere,
}

impl Sphere {
    /// Encloses the norm of a form.
    #[must_use]
    pub fn apply(self, x: &Form, symbols: &mut Symbols) -> Normalised {
        let d = x.width();
        // The float 1/d is off by a roundoff, within the slack of the rounding bound of a mean of d entries.
        let y = if self.centred { x.clone().minus_mean(&vec![1.0 / d as f64; d]) } else { x.clone() };
        let reach = y.reach();
        let scale = Scale::new(self, &y, reach);
        let wide = !(reach <= 0.2 * scale.length.lo());
        match scale.g {
            Some(g) if !wide => g.normalised(self, y, &scale, symbols),
            Some(g) => {
                let cap = self.cap(&y, &scale, symbols);
                let linear = g.normalised(self, y, &scale, symbols);
                let size = linear.linear.reach() + linear.gamma * linear.reach;
                if size < cap.linear.reach() { linear } else { cap }
            }
            None => self.cap(&y, &scale, symbols),
        }
    }

    /// The cap around the centre, or the whole ball.
    fn cap(self, y: &Form, scale: &Scale, symbols: &mut Symbols) -> Normalised {
        let d = y.width();
        let root = Interval::point(d as f64).sqrt();
        let (c, reach) = (scale.length, scale.reach);
        let mut centre = vec![0.0; d];
        let mut radius = root.hi();
        if reach < c.lo() && c.is_finite() {
            let sine = Interval::point(reach) / Interval::point(c.lo());
            let cosine = (Interval::ONE - sine.square()).sqrt();
            let t = (root * cosine).mid_rad().0;
            let least = Interval::point((c - Interval::point(reach)).lo().max(0.0)).square();
            let eps = Interval::point(self.eps) * d as f64;
            let shortest = root * (least / (least + eps)).sqrt();
            // λ² − 2λ t cos + t² is convex in the length λ: greatest at an end.
            let at = |length: Interval| {
                length.square() - length * Interval::point(2.0 * t) * cosine + Interval::point(t).square()
            };
            let far = at(shortest.min(root)).max(at(root)).sqrt().hi();
            // The floats of the centre are this close to t·c/‖c‖.
            let off = c.width() / c.lo() + 4.0 * f64::EPSILON;
            let own = nonnegative_sum(far + off * root.hi());
            if own < radius {
                radius = own;
                centre = y.mid().iter().map(|x| x / c.hi() * t).collect();
            }
        }
        let linear = Form::point(centre).with_group(symbols.fresh(Shape::Ball, d), self.rows(d, radius));
        let delta = Form::point(vec![0.0; d]);
        // The rows are rounded: that much more in every direction.
        let linear = linear.widened(&vec![dot_error(4, radius); d]);
        Normalised { linear, delta, gamma: 0.0, reach: 0.0, sphere: self }
    }

    /// `radius` times the projection that the vectors of this norm lie in, up to `4 u radius` an entry.
    fn rows(self, d: usize, radius: f64) -> Array2<f64> {
        let mut rows = Array2::from_diag_elem(d, radius);
        if self.centred {
            rows -= radius / d as f64;
        }
        rows
    }
}

/// What is known of `s`.
struct Scale {
    /// `‖c‖`.
    length: Interval,
    /// Bound on `‖δ‖`.
    reach: f64,
    g: Option<Slope>,
}

/// `g = centre − kappa ℓ ± error` on all of the range of `s`.
#[derive(Clone, Copy)]
struct Slope {
    kappa: f64,
    centre: f64,
    error: f64,
    /// Bound on `|g − centre|`.
    gamma: f64,
}

impl Scale {
    fn new(sphere: Sphere, y: &Form, reach: f64) -> Scale {
        let d = Interval::point(y.width() as f64);
        let square: Interval = y.mid().iter().map(|&c| Interval::point(c).square()).sum();
        let length = square.sqrt();
        let none = Scale { length, reach, g: None };
        if !(reach.is_finite() && square.is_finite()) {
            return none;
        }
        let l = functional(y).ranges()[0];
        let eps = Interval::point(sphere.eps);
        let base = square / d + eps;
        let q = Interval::new(0.0, (Interval::point(reach).square() / d).hi());
        let shortest = Interval::point((length - Interval::point(reach)).lo().max(0.0)).square() / d + eps;
        let longest = (length + Interval::point(reach)).square() / d + eps;
        let s = base + l + q;
        let (a, b) = (s.lo().max(shortest.lo()), s.hi().min(longest.hi()));
        if !(a > 0.0 && a < b && b.is_finite()) {
            return none;
        }
        let (root_a, root_b) = (Interval::point(a).sqrt(), Interval::point(b).sqrt());
        // Slope of the chord; κ is at least w³/2, so that the least value of s^{−1/2} + κs is at least 1.5 w.
        let chord = (root_a * root_b * (root_a + root_b)).recip().mid_rad().0;
        let w = (2.0 * chord).cbrt();
        let kappa = w * w * w * 0.5 * (1.0 + 4.0 * f64::EPSILON);
        let ends = [(a, root_a), (b, root_b)].map(|(s, root)| root.recip() + Interval::point(kappa) * s);
        let h = Interval::new((Interval::point(w) * 1.5).lo(), ends[0].hi().max(ends[1].hi()));
        let (centre, error) = (h - Interval::point(kappa) * (base + q)).mid_rad();
        let spread = (Interval::point(kappa) * l + Interval::new(-error, error)).magnitude();
        let range = Interval::new(root_b.recip().lo(), root_a.recip().hi()) - Interval::point(centre);
        let gamma = spread.min(range.magnitude());
        let finite = [kappa, centre, error, gamma].iter().all(|x| x.is_finite());
        Scale { g: finite.then_some(Slope { kappa, centre, error, gamma }), ..none }
    }
}

/// `ℓ = 2c·δ/d`, of width one.
fn functional(y: &Form) -> Form {
    let d = y.width() as f64;
    let weights = Array1::from_iter(y.mid.iter().map(|c| 2.0 * c / d));
    let magnitude: f64 = y.magnitude().iter().zip(&weights).map(|(m, w)| m * w.abs()).sum();
    let error: f64 = y.err.iter().zip(&weights).map(|(e, w)| e * w.abs()).sum();
    let coef = y.coef.dot(&weights).insert_axis(ndarray::Axis(1));
    // Two more roundings for the weights themselves.
    let err = vec![nonnegative_sum(error + dot_error(y.width() + 2, nonnegative_sum(magnitude)))];
    Form { mid: vec![0.0], groups: y.groups.clone(), coef, err }
}

impl Slope {
    fn normalised(self, sphere: Sphere, mut y: Form, scale: &Scale, symbols: &mut Symbols) -> Normalised {
        let l = functional(&y);
        let l_size = l.magnitude()[0];
        let along: Vec<f64> = y.mid.iter().map(|c| -self.kappa * c).collect();
        let magnitude = y.magnitude();
        let mut coef = &y.coef * self.centre;
        let column = l.coef.column(0);
        for (mut row, &l) in coef.rows_mut().into_iter().zip(column) {
            row.iter_mut().zip(&along).for_each(|(x, a)| *x += a * l);
        }
        let mid: Vec<f64> = y.mid.iter().map(|c| c * self.centre).collect();
        let radial = Array2::from_shape_fn((1, mid.len()), |(_, i)| y.mid[i] * self.error);
        let err = (0..mid.len())
            .map(|i| {
                let rounding = self.centre.abs() * magnitude[i] + along[i].abs() * l_size;
                let passed = self.centre.abs() * y.err[i] + along[i].abs() * l.err[0];
                nonnegative_sum(passed + dot_error(4, rounding) + dot_error(1, radial[[0, i]].abs()))
            })
            .collect();
        let mut linear = Form { mid, groups: y.groups.clone(), coef, err };
        let radial_size = radial.iter().map(|x| x.abs()).fold(0.0, worse);
        if radial_size > NEGLIGIBLE {
            linear = linear.with_group(symbols.fresh(Shape::Box, 1), radial);
        } else {
            linear = linear.widened(&radial.row(0).iter().map(|x| x.abs()).collect::<Vec<_>>());
        }
        y.mid.fill(0.0);
        Normalised { linear, delta: y, gamma: self.gamma, reach: scale.reach, sphere }
    }
}

impl Normalised {
    /// As one form.
    #[must_use]
    pub fn into_form(self, symbols: &mut Symbols) -> Form {
        let d = self.linear.width();
        let length = nonnegative_sum(self.gamma * self.reach);
        if length == 0.0 {
            return self.linear;
        }
        let radius = self.delta.radius();
        let across: f64 = radius.iter().map(|r| r * r).sum::<f64>().sqrt();
        if length <= NEGLIGIBLE || across * 0.8 <= self.reach {
            let by: Vec<f64> = radius.iter().map(|r| r * self.gamma).collect();
            return self.linear.widened(&by);
        }
        let rows = self.sphere.rows(d, length);
        self.linear.with_group(symbols.fresh(Shape::Ball, d), rows).widened(&vec![dot_error(4, length); d])
    }

    /// `ẑ W + b` in two parts: an affine form, and an affine form around zero whose multiple by an unknown factor of size
    /// at most the number is to be added.
    #[must_use]
    pub fn map(&self, map: &Map) -> (Form, Form, f64) {
        // The centre of δW + b is b itself; without it, δW remains.
        let mut delta = self.delta.map(map);
        delta.mid.fill(0.0);
        (self.linear.map(map), delta, self.gamma)
    }
}
