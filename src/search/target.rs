//! What a search is after: tokens or a predicate, and when enough is known about one of them.

use crate::model::TokenId;
use crate::spec::{Limit, Threshold};

use super::Incumbent;

/// A token whose probability is to be driven up, or in its place a predicate whose excess is
/// (see [`Hunt::of_predicate`](super::Hunt::of_predicate)).
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The token.
    pub token: TokenId,
    /// Proved for every prefix: `P(token | prefix) <= upper`; 1 where nothing is proved. For a predicate a bound on its
    /// excess, in nats.
    pub upper: f64,
    /// Its best witness; the search only ever improves it.
    pub incumbent: &'a Incumbent,
}

/// What a search is for.
#[derive(Debug, Clone, Copy)]
pub enum Aim<'a> {
    /// Prefixes after which the probability exceeds these thresholds.
    Exceed(&'a [Threshold]),
    /// Certified bounds at most this far apart.
    Narrow {
        /// Largest acceptable `upper − lower`; negative never accepts.
        gap: f64,
    },
    /// A prefix after which the excess of a predicate is beyond its limit.
    Violate(Limit),
}

impl Target<'_> {
    /// The least certified lower bound that would bring the aim closer: `None` once nothing is left to find.
    #[must_use]
    pub fn wanted(&self, aim: Aim) -> Option<f64> {
        let lower = self.incumbent.lower();
        match aim {
            // Nothing above the upper bound exists, nothing below the lower one is of interest.
            Aim::Exceed(thresholds) => thresholds
                .iter()
                .filter(|p| !p.exceeded_by(lower) && !p.admits(self.upper))
                .map(Threshold::floor)
                .reduce(f64::min),
            Aim::Narrow { gap } => (self.upper - lower > gap).then_some(lower),
            Aim::Violate(limit) => {
                let open = !limit.exceeded_by(lower) && !limit.admits(self.upper);
                open.then_some(limit.value.hi())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Witness;

    #[test]
    fn only_thresholds_between_the_bounds_are_wanted() {
        let thresholds = ["0.1", "0.5", "0.3", "0.9"].map(|p| Threshold::parse(p).unwrap());
        let incumbent = Incumbent::new();
        let target = Target { token: 0, upper: 0.6, incumbent: &incumbent };
        for (lower, wanted) in [(0.05, Some(0.1)), (0.2, Some(0.3)), (0.4, Some(0.5)), (0.55, None)] {
            incumbent.offer(Witness { prefix: vec![0], lower, upper: 1.0 });
            let found = target.wanted(Aim::Exceed(&thresholds));
            let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
            assert!(found.zip(wanted).map_or(found == wanted, |(a, b)| near(a, b)), "{lower}: {found:?}");
        }
        assert_eq!(target.wanted(Aim::Narrow { gap: 0.04 }), Some(0.55));
        assert_eq!(target.wanted(Aim::Narrow { gap: 0.06 }), None);
    }
}
