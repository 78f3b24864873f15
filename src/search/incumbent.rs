//! The best witness so far, shared between searchers and provers.
//!
//! The order is total, so that the winner does not depend on who came first: greater certified lower end, then the
//! shorter prefix, then the lexicographically smaller one.

use std::cmp::Ordering;
use std::sync::{Mutex, PoisonError};

use crate::verdict::Witness;

/// The best witness for one target.
#[derive(Debug)]
pub struct Incumbent {
    best: Mutex<Option<Witness>>,
    /// Least and greatest value that there is.
    range: [f64; 2],
}

impl Default for Incumbent {
    fn default() -> Incumbent {
        Incumbent::new()
    }
}

/// `Less` when `a` is the better witness.
fn rank(a: &Witness, b: &Witness) -> Ordering {
    b.lower
        .total_cmp(&a.lower)
        .then_with(|| a.prefix.len().cmp(&b.prefix.len()))
        .then_with(|| a.prefix.cmp(&b.prefix))
}

impl Incumbent {
    /// No witness yet; witnesses come with probabilities.
    #[must_use]
    pub fn new() -> Incumbent {
        Incumbent { best: Mutex::new(None), range: [0.0, 1.0] }
    }

    /// No witness yet; witnesses come with the excess of a predicate, in nats.
    #[must_use]
    pub fn of_excess() -> Incumbent {
        Incumbent { best: Mutex::new(None), range: [f64::MIN, f64::MAX] }
    }

    /// Keeps `witness` when it is better than the present one, and says whether it was. The ends must come from a
    /// rigorous evaluation; a lower end that is no probability (or no finite excess), NaN included, is refused.
    pub fn offer(&self, witness: Witness) -> bool {
        if !(self.range[0]..=self.range[1]).contains(&witness.lower) {
            return false;
        }
        let mut best = self.best.lock().unwrap_or_else(PoisonError::into_inner);
        let better = best.as_ref().is_none_or(|old| rank(&witness, old) == Ordering::Less);
        if better {
            *best = Some(witness);
        }
        better
    }

    /// The best witness so far.
    #[must_use]
    pub fn best(&self) -> Option<Witness> {
        self.best.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Certified lower bound on the maximum over all prefixes: `max P(target | prefix) >= lower`, or that of the excess.
    /// Without a witness the least value there is: 0 for probabilities.
    #[must_use]
    pub fn lower(&self) -> f64 {
        let best = self.best.lock().unwrap_or_else(PoisonError::into_inner);
        best.as_ref().map_or(self.range[0], |w| w.lower)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witness(prefix: &[u32], lower: f64) -> Witness {
        Witness { prefix: prefix.to_vec(), lower, upper: lower.max(0.5) }
    }

    #[test]
    fn the_winner_does_not_depend_on_the_order_of_offers() {
        let offers =
            [witness(&[1, 2], 0.3), witness(&[2], 0.3), witness(&[9, 9, 9], 0.2), witness(&[3], 0.3)];
        for first in 0..offers.len() {
            let incumbent = Incumbent::new();
            for k in 0..offers.len() {
                incumbent.offer(offers[(first + k) % offers.len()].clone());
            }
            assert_eq!(incumbent.best(), Some(witness(&[2], 0.3)), "starting from offer {first}");
        }
    }

    #[test]
    fn an_equal_witness_is_not_better() {
        let incumbent = Incumbent::new();
        assert!(incumbent.offer(witness(&[1], 0.25)));
        assert!(!incumbent.offer(witness(&[1], 0.25)));
        assert_eq!(incumbent.lower(), 0.25);
    }

    #[test]
    fn what_is_no_probability_is_refused() {
        let incumbent = Incumbent::new();
        for lower in [f64::NAN, f64::INFINITY, -0.1, 1.1] {
            assert!(!incumbent.offer(witness(&[1], lower)), "{lower}");
        }
        let excess = Incumbent::of_excess();
        assert!(!excess.offer(witness(&[1], f64::INFINITY)) && excess.offer(witness(&[1], -0.1)));
        assert_eq!((incumbent.lower(), incumbent.best()), (0.0, None));
    }
}
