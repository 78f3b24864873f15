//! Probabilities of all tokens at once, from logits that are known up to a common radius.

use super::interval::{Interval, up};

/// Largest radius of the logits.
const MOST: f64 = 0.01;

/// Softmax of middles, and how far off it may be.
#[derive(Debug, Clone)]
pub struct Softmax {
    /// Floats near the probabilities.
    near: Vec<f64>,
    /// Every probability lies within this part of its float, or of what is left by underflow.
    slack: f64,
}

impl Softmax {
    /// `e^l_j / Σ e^l_k` for all logits within `radius` of the middles; `None` where floats do not suffice.
    ///
    /// A common shift changes nothing; moving all logits by at most `r` changes a probability by a factor within `e^(±2r)`,
    /// and `e^(2r) − 1 <= 2.1 r` for `r <= 0.01`. With `D` the greatest distance of two logits, a power errs by
    /// `(D + 3) u`, the sum of `n` by as much and `n u`, and the quotient by `u` (Higham 2002, §3.1).
    #[must_use]
    pub fn new(middles: Vec<f64>, radius: f64) -> Option<Softmax> {
        let mut near = middles;
        let top = near.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let least = near.iter().copied().fold(f64::INFINITY, f64::min);
        near.iter_mut().for_each(|l| *l = core_math::exp(*l - top));
        let total: f64 = near.iter().sum();
        near.iter_mut().for_each(|p| *p /= total);
        let roundings = near.len() as f64 + 2.0 * (top - least).min(750.0) + 20.0;
        let slack = up(2.1 * radius + roundings * f64::EPSILON);
        // A NaN among the logits is in the total.
        (radius <= MOST && total.is_finite() && slack < 0.1).then_some(Softmax { near, slack })
    }

    /// Encloses the probability of a token.
    pub fn at(&self, token: usize) -> Interval {
        let p = self.near[token];
        let (off, lost) = (up(p * self.slack), 4.0 * f64::MIN_POSITIVE);
        Interval::new((p - off - lost).next_down().max(0.0), up(up(p + off) + lost).min(1.0))
    }

    /// A float at or above every upper end, to look at before [`Softmax::at`].
    #[must_use]
    pub fn above(&self, token: usize) -> f64 {
        self.near[token] * 1.2 + 1e-300
    }

    /// Number of tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.near.len()
    }

    /// Whether there are no tokens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.near.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_known_gives_nothing() {
        for bad in [f64::NAN, f64::INFINITY] {
            assert!(Softmax::new(vec![0.0, bad], 0.0).is_none());
            assert!(Softmax::new(vec![0.0, 1.0], bad).is_none());
        }
        assert!(Softmax::new(vec![0.0, 1.0], 0.5).is_none());
    }

    proptest! {
        #[test]
        fn shifted_logits_stay_inside(
            l in prop::collection::vec((-60.0f64..60.0, -1.0f64..1.0), 2..40),
            radius in 0.0f64..0.01,
        ) {
            let softmax = Softmax::new(l.iter().map(|l| l.0).collect(), radius).unwrap();
            // In intervals, around a point of the box.
            let moved: Vec<Interval> = l.iter().map(|l| Interval::point(l.0 + 0.999_999 * radius * l.1)).collect();
            let sum: Interval = moved.iter().map(|&x| num::exp(x)).sum();
            for (t, &x) in moved.iter().enumerate() {
                let (p, bounds) = (num::exp(x) / sum, softmax.at(t));
                prop_assert!(bounds.lo() <= p.hi() && p.lo() <= bounds.hi(), "{p} outside {bounds}");
                prop_assert!(softmax.above(t) >= bounds.hi() || bounds.hi() >= 1.0);
            }
        }
    }
}
