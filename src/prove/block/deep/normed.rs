//! Ranges of functionals of a normalised residual, given ranges of functionals of the residual.
//!
//! Let `ê` be about the direction of the middle of all residuals `r`, `t = ê·r`, `r⊥ = r − t ê`. With `n = ‖ê‖²`
//!
//! ```text
//! ‖r‖² = ‖r⊥‖² + (2 − n) t²,     σ² = ‖r‖²/d + ε,     z = r/σ,
//! ê·z = 1/√((‖r⊥‖²/t² + 2 − n)/d + ε/t²)  where t > 0,
//! F·z = f ê·z + (F − f ê)·r/σ,     f = F·ê/n.
//! ```
//!
//! The first part is nearly constant, as it changes with the square of `r⊥`, and the second is small, so little is lost
//! though t and σ are bounded apart. Always `|F·z| <= √d ‖F‖`.

use super::super::dual::{dot, norm};
use crate::num::{BallVec, Interval};

/// What is known of all normalised residuals of a set.
#[derive(Debug)]
pub(super) struct Normed {
    /// `ê`, `[d]`.
    axis: BallVec,
    /// `ê·z`.
    pub along: Interval,
    /// `ρ = 1/σ`.
    pub rho: Interval,
    /// `√d`.
    root: Interval,
}

impl Normed {
    /// Of residuals of width `d` with these ranges of `D·r`, after a norm with this ε.
    pub fn new(d: usize, eps: f64, range: impl Fn(&BallVec) -> Interval) -> Normed {
        let unit = |i: usize| {
            let mut unit = vec![0.0; d];
            unit[i] = 1.0;
            BallVec::exact(unit)
        };
        let middle: Vec<f64> = (0..d).map(|i| range(&unit(i)).mid_rad().0).collect();
        let length = norm(&middle).max(f64::MIN_POSITIVE);
        // Rounded, so that a checker finds the same direction.
        let unit_of_axis = (1u64 << 40) as f64;
        let rounded = |x: &f64| (x / length * unit_of_axis).round() / unit_of_axis;
        let axis = BallVec::exact(middle.iter().map(rounded).collect());
        let t = range(&axis);
        let across = |i: usize| range(&unit(i).plus_scaled(-axis.mid[i], &axis)).square();
        let across: Interval = (0..d).map(across).sum();
        let size: Interval = axis.mid.iter().map(|&x| Interval::point(x).square()).sum();
        let (width, eps) = (Interval::point(d as f64), Interval::point(eps));
        let lean = Interval::point(2.0) - size;
        let rho = ((across + lean * t.square()) / width + eps).sqrt().recip();
        let along = if t.lo() > 0.0 {
            let square = t.square();
            ((across / square + lean) / width + eps / square).sqrt().recip()
        } else {
            t * rho
        };
        Normed { axis, along, rho, root: width.sqrt() }
    }

    /// `f` and `F − f ê`.
    pub fn parts(&self, functional: &BallVec) -> (f64, BallVec) {
        let part = self.part(&functional.mid);
        (part, functional.plus_scaled(-part, &self.axis))
    }

    /// `f` in floats: any number will do.
    pub fn part(&self, functional: &[f64]) -> f64 {
        let part = dot(functional, &self.axis.mid) / dot(&self.axis.mid, &self.axis.mid);
        if part.is_finite() { part } else { 0.0 }
    }

    /// `ê`.
    pub fn axis(&self) -> &[f64] {
        &self.axis.mid
    }

    /// Encloses `F·z`, given ranges of `D·r`.
    pub fn range(&self, functional: &BallVec, range: impl Fn(&BallVec) -> Interval) -> Interval {
        let (part, rest) = self.parts(functional);
        let most = Interval::point((self.root * functional.norm2()).hi());
        (self.along * part + range(&rest) * self.rho).max(-most).min(most)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn functionals_of_normalised_members_lie_in_their_range(
            middle in prop::collection::vec(-2.0f64..2.0, 6),
            size in prop_oneof![Just(0.0), 1e-9f64..0.3, 0.3f64..5.0],
            scale in prop::sample::select(vec![1e-6, 1.0, 1e6]),
            eps in prop::sample::select(vec![1e-12, 1e-5, 1.0]),
            members in prop::collection::vec(prop::collection::vec(-1.0f64..=1.0, 6), 12),
            functional in prop::collection::vec(-3.0f64..3.0, 6),
        ) {
            let (middle, size): (Vec<f64>, f64) = (middle.iter().map(|x| x * scale).collect(), size * scale);
            // A box, whose ranges are exact up to rounding.
            let range = |direction: &BallVec| {
                let mid = direction.dot(&BallVec::exact(middle.clone())).interval();
                let reach = Interval::point(direction.norm1()) * size;
                mid + Interval::new(-reach.hi(), reach.hi())
            };
            let normed = Normed::new(6, eps, range);
            let functional = BallVec::exact(functional);
            let bounds = normed.range(&functional, range);
            for member in members {
                let r: Vec<Interval> =
                    middle.iter().zip(&member).map(|(m, x)| Interval::point(m + 0.999_999 * size * x)).collect();
                let square = r.iter().map(|x| x.square()).sum::<Interval>() / Interval::point(6.0);
                let rho = (square + Interval::point(eps)).sqrt().recip();
                let value = r.iter().zip(&functional.mid).map(|(x, f)| *x * *f).sum::<Interval>() * rho;
                prop_assert!(bounds.lo() <= value.hi() && value.lo() <= bounds.hi(), "{value} outside {bounds}");
            }
        }

        #[test]
        fn what_is_lost_is_bounded_by_the_ball(functional in prop::collection::vec(-3.0f64..3.0, 6)) {
            let range = |_: &BallVec| Interval::ENTIRE;
            let normed = Normed::new(6, 1e-5, range);
            let functional = BallVec::exact(functional);
            let bounds = normed.range(&functional, range);
            let most = functional.norm2() * 6f64.sqrt();
            let lost = bounds.lo().is_nan() || bounds.hi().is_nan();
            prop_assert!(lost || (bounds.lo() <= -most * 0.999_999 && bounds.hi() >= most * 0.999_999), "{bounds}");
        }
    }
}
