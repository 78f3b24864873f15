//! LayerNorm and RMSNorm without gain and bias: `ẑ = y / sqrt(‖y‖²/d + ε)`, `y` centred or not.
//!
//! With `y = c + δ`, `û = c/‖c‖`, `t = û·δ`, `δ⊥ = δ − t û`, `b = ‖δ⊥‖` and `g = ((‖c‖ + t)² + b²)/d + ε)^{−1/2}`:
//!
//! ```text
//! ẑ = û A + δ⊥ g0 + δ⊥ (g − g0),      A = û·ẑ = (‖c‖ + t) g.
//! ```
//!
//! The second term is affine. `A` differs from `√d` in second order only (and by ε), and so does the last term from zero:
//! its length is at most `max b |g − g0|`, where `t² + b² <= R²` if `‖δ‖ <= R`. Both are bounded cell by cell of the range of
//! `t`, as `g` falls with `t` and `b`, while `A` grows with `t` and falls with `b`. Whatever `y` is, ẑ lies in the ball of
//! radius `√d` around zero; for `R < ‖c‖` also in a cap: its angle to `c` is at most `asin(R/‖c‖)`, so that it lies within
//! `√d sin` of `√d cos · c/‖c‖` (or somewhat more where ε shortens it). The smaller of these enclosures is taken.

use ndarray::{Array1, Array2};

use super::interpolate::{Bends, interpolate, span};
use super::{Form, Map, NEGLIGIBLE, Shape, Symbols, worse};
use crate::num::{Interval, dot_error, nonnegative_sum};

/// A norm over vectors of one width.
#[derive(Debug, Clone, Copy)]
pub struct Sphere {
    /// Whether the mean is subtracted (LayerNorm) or not (RMSNorm).
    pub centred: bool,
    /// ε, positive.
    pub eps: f64,
}

/// Largest `u` for the expansion of second order.
const MODERATE: f64 = 0.5;

/// Cells of the range of `t`.
const CELLS: usize = 16;

/// A normalised vector, `linear + δγ` with `|γ| <= gamma`.
#[derive(Debug, Clone)]
pub struct Normalised {
    linear: Form,
    /// `δ`, an affine form around zero.
    delta: Form,
    gamma: f64,
    /// Bound on `‖δγ‖₂`.
    length: f64,
    sphere: Sphere,
}

/// A normalised vector mapped by a matrix: `linear + δγ` with `|γ| <= gamma`, where the vector behind the last term is no
/// longer than `length`.
#[derive(Debug, Clone)]
pub struct Mapped {
    /// Affine part.
    pub linear: Form,
    /// `δ W`, around zero.
    pub delta: Form,
    /// Bound on the factor.
    pub gamma: f64,
    /// Bound on the length of `δγ` before the map.
    pub length: f64,
}

impl Sphere {
    /// Encloses the norm of a form.
    #[must_use]
    pub fn apply(self, x: &Form, symbols: &mut Symbols) -> Normalised {
        self.of_centred(self.centre(x), symbols)
    }

    /// The norm of [`Sphere::centre`].
    pub fn of_centred(self, y: Form, symbols: &mut Symbols) -> Normalised {
        if let Some(linear) = self.polynomial(&y) {
            let delta = Form::point(vec![0.0; y.width()]);
            return Normalised { linear, delta, gamma: 0.0, length: 0.0, sphere: self };
        }
        let reach = y.reach();
        let square: Interval = y.mid().iter().map(|&c| Interval::point(c).square()).sum();
        let length = square.sqrt();
        let wide = !(reach <= 0.2 * length.lo());
        match Tangent::new(self, &y, length, reach) {
            Some(tangent) if !wide => tangent.normalised(self, y, symbols),
            Some(tangent) => {
                let cap = self.cap(&y, length, reach, symbols);
                let linear = tangent.normalised(self, y, symbols);
                let size = linear.linear.reach() + linear.length;
                if size < cap.linear.reach() { linear } else { cap }
            }
            None => self.cap(&y, length, reach, symbols),
        }
    }

    /// With `S = ‖c‖²/d + ε` and `u = (2 c·δ + ‖δ‖²)/(d S)`,
    ///
    /// ```text
    /// ẑ = y S^{−1/2} (1 + u)^{−1/2}.
    /// ```
    ///
    /// The last factor is interpolated; its third derivative is at most `(15/8)(1 − |u|)^{−7/2}` in size, its fourth
    /// `(105/16)(1 − |u|)^{−9/2}`. `None` where products are not kept track of, or `u` may be large.
    fn polynomial(self, y: &Form) -> Option<Form> {
        let degree = y.tracked()?.degree;
        let d = Interval::point(y.width() as f64);
        let square: Interval = y.mid().iter().map(|&c| Interval::point(c).square()).sum();
        let s = square / d + Interval::point(self.eps);
        let squares = y.deviation_product(y).total();
        let u = Form::combination(&[(2.0, &functional(y)), (1.0, &squares)]).times_enclosed((d * s).recip());
        let size = u.ranges()[0].magnitude();
        if !(size <= MODERATE) {
            return None;
        }
        let rest = Interval::ONE - Interval::point(span(size));
        let third = Interval::point(15.0 / 8.0) / (rest * rest.square() * rest.sqrt());
        let fourth = third * Interval::point(7.0 / 2.0) / rest;
        let bends = Bends { third: third.hi(), fourth: fourth.hi() };
        let root = interpolate(degree, |u| (Interval::ONE + u).sqrt().recip(), size, bends);
        let g = u.fitted(&[root]).times_enclosed(s.sqrt().recip());
        Some(g.product(y))
    }

    /// `1/sqrt(‖y‖²/d + ε)`: the norm of a form is `y` times that, and has its signs.
    pub fn factor(self, y: &Form) -> Interval {
        let square: Interval = y.mid().iter().map(|&c| Interval::point(c).square()).sum();
        let (length, reach) = (square.sqrt(), y.reach());
        match Tangent::new(self, y, length, reach) {
            Some(tangent) => tangent.range,
            None => {
                let shortest = Interval::point((length - Interval::point(reach)).lo().max(0.0));
                let longest = length + Interval::point(reach);
                let at = |length: Interval| {
                    let mean = length.square() / Interval::point(y.width() as f64);
                    (mean + Interval::point(self.eps)).sqrt().recip()
                };
                Interval::new(at(longest).lo().max(0.0), at(shortest).hi())
            }
        }
    }

    /// `y`: centred or not.
    pub fn centre(self, x: &Form) -> Form {
        let d = x.width();
        // The float 1/d is off by a roundoff, within the slack of the rounding bound of a mean of d entries.
        if self.centred { x.clone().minus_mean(&vec![1.0 / d as f64; d]) } else { x.clone() }
    }

    /// The cap around the centre, or the whole ball.
    fn cap(self, y: &Form, c: Interval, reach: f64, symbols: &mut Symbols) -> Normalised {
        let d = y.width();
        let root = Interval::point(d as f64).sqrt();
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
        Normalised { linear, delta, gamma: 0.0, length: 0.0, sphere: self }
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

/// The expansion around the centre.
struct Tangent {
    /// `g0`.
    g: f64,
    /// Encloses `g`.
    range: Interval,
    /// `1/‖c‖²`, rounded.
    tau: f64,
    /// `A/‖c‖`, with what the rounding of `tau` adds.
    along: Interval,
    /// Bound on `|g − g0|`.
    gamma: f64,
    /// Bound on `‖δ⊥ (g − g0)‖`, likewise.
    length: f64,
}

impl Tangent {
    fn new(sphere: Sphere, y: &Form, length: Interval, reach: f64) -> Option<Tangent> {
        let d = y.width() as f64;
        let product = functional(y);
        // |c·δ|, and the range of t.
        let most = product.radius()[0];
        let span = (Interval::point(most) / length).hi().min(reach);
        if !(reach.is_finite() && length.is_finite() && span < length.lo()) {
            return None;
        }
        let eps = Interval::point(sphere.eps);
        let square = |x: f64| Interval::point(x).square();
        let g = |t: f64, b2: Interval| {
            (((length + Interval::point(t)).square() + b2) / Interval::point(d) + eps).sqrt().recip()
        };
        let centre = (g(0.0, Interval::ZERO) + g(0.0, square(reach))).mid_rad().0 / 2.0;
        let (mut a, mut range) = (None::<Interval>, None::<Interval>);
        let (mut gamma, mut longest) = (0.0, 0.0);
        let edge = |k: usize| span * (2.0 * k as f64 / CELLS as f64 - 1.0);
        for (from, to) in (0..CELLS).map(|k| (edge(k), edge(k + 1))) {
            let nearest = if from > 0.0 { from } else { (-to).max(0.0) };
            let across = Interval::point((square(reach) - square(nearest)).hi().max(0.0));
            let (high, low) = (g(from, Interval::ZERO), g(to, across));
            let here = Interval::new(low.lo(), high.hi());
            range = Some(range.map_or(here, |range| range.hull(here)));
            let off = (here - Interval::point(centre)).magnitude();
            gamma = worse(gamma, off);
            longest = worse(longest, (across.sqrt() * Interval::point(off)).hi());
            let least = (length + Interval::point(from)) * g(from, across);
            let most = (length + Interval::point(to)) * g(to, Interval::ZERO);
            let own = Interval::new(least.lo(), most.hi());
            a = Some(a.map_or(own, |a| a.hull(own)));
        }
        let inverse = length.square().recip();
        let tau = inverse.mid_rad().0;
        // The rounding of τ moves this much of c from one part to the other.
        let off = (inverse - Interval::point(tau)).magnitude() * most;
        let greatest = g(-span, Interval::ZERO).hi();
        let along = a? / length + Interval::new(-1.0, 1.0) * Interval::point(off * greatest);
        let length = (Interval::point(longest) + length * Interval::point(off * gamma)).hi();
        let finite = [tau, centre, gamma, length].iter().all(|x| x.is_finite()) && along.is_finite();
        finite.then_some(Tangent { g: centre, range: range?, tau, along, gamma, length })
    }

    fn normalised(self, sphere: Sphere, mut y: Form, symbols: &mut Symbols) -> Normalised {
        let zero = vec![0.0; y.width()];
        let centre = std::mem::replace(&mut y.mid, zero);
        let delta = self.across(&centre, y);
        let (a, rad) = self.along.mid_rad();
        let along: Vec<f64> = centre.iter().map(|c| c * a).collect();
        let radial = Array2::from_shape_fn((1, centre.len()), |(_, i)| centre[i] * rad);
        let by = |i: usize| dot_error(1, along[i].abs() + radial[[0, i]].abs());
        let by: Vec<f64> = (0..centre.len()).map(by).collect();
        let linear = delta.clone().times(&vec![self.g; centre.len()]).shifted(&along).widened(&by);
        let largest = radial.iter().map(|x| x.abs()).fold(0.0, worse);
        let linear = match largest > NEGLIGIBLE {
            true => linear.with_group(symbols.fresh(Shape::Box, 1), radial),
            false => linear.widened(&radial.row(0).iter().map(|x| x.abs()).collect::<Vec<_>>()),
        };
        Normalised { linear, delta, gamma: self.gamma, length: self.length, sphere }
    }

    /// `δ − τ c (c·δ)`.
    fn across(&self, c: &[f64], mut delta: Form) -> Form {
        let along = Array1::from_iter(c.iter().map(|c| c * self.tau));
        let product = delta.coef.dot(&ndarray::aview1(c));
        let size = delta.magnitude();
        let sum = |x: &[f64]| x.iter().zip(c).map(|(x, c)| x * c.abs()).sum::<f64>();
        let (all, passed) = (sum(&size), sum(&delta.err));
        for (mut row, p) in delta.coef.rows_mut().into_iter().zip(&product) {
            row.scaled_add(-p, &along);
        }
        let n = c.len() + 4;
        for (i, a) in along.iter().enumerate() {
            let rounding = dot_error(n, nonnegative_sum(size[i] + a.abs() * all));
            delta.err[i] = nonnegative_sum(delta.err[i] + a.abs() * passed + rounding);
        }
        delta
    }
}

/// `c·δ`, of width one.
fn functional(y: &Form) -> Form {
    let size = y.magnitude();
    let sum = |x: &[f64]| x.iter().zip(&y.mid).map(|(x, c)| x * c.abs()).sum::<f64>();
    let coef = y.coef.dot(&ndarray::aview1(&y.mid)).insert_axis(ndarray::Axis(1));
    let err = vec![nonnegative_sum(sum(&y.err) + dot_error(y.width(), nonnegative_sum(sum(&size))))];
    Form { mid: vec![0.0], groups: y.groups.clone(), coef, err }
}

impl Normalised {
    /// The centre of its affine part.
    #[must_use]
    pub fn centre(&self) -> &[f64] {
        self.linear.mid()
    }

    /// The same, with the errors of the affine part as symbols.
    #[must_use]
    pub fn absorb(self, symbols: &mut Symbols) -> Normalised {
        Normalised { linear: self.linear.absorb(symbols), ..self }
    }

    /// As one form.
    #[must_use]
    pub fn into_form(self, symbols: &mut Symbols) -> Form {
        let d = self.linear.width();
        if self.length == 0.0 {
            return self.linear;
        }
        let radius: Vec<f64> = self.delta.radius().iter().map(|r| r * self.gamma).collect();
        let across: f64 = radius.iter().map(|r| r * r).sum::<f64>().sqrt();
        if self.length <= NEGLIGIBLE || across * 0.8 <= self.length {
            return self.linear.widened(&radius);
        }
        let rows = self.sphere.rows(d, self.length);
        let by = vec![dot_error(4, self.length); d];
        self.linear.with_group(symbols.fresh(Shape::Ball, d), rows).widened(&by)
    }

    /// `ẑ W + b`.
    #[must_use]
    pub fn map(&self, map: &Map) -> Mapped {
        // The centre of δW + b is b itself; without it, δW remains.
        let mut delta = self.delta.map(map);
        delta.mid.fill(0.0);
        Mapped { linear: self.linear.map(map), delta, gamma: self.gamma, length: self.length }
    }
}
