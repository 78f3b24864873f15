//! Certified bounds on the extreme of a predicate's quantity: the largest probability for a ceiling, the least one for a
//! floor, and so on.

use crate::limits::StopReason;
use crate::num::Interval;
use crate::spec::Predicate;
use crate::verdict::{Bounds, Prover, Witness};

/// What is known about the prefix, among those spoken of, that comes closest to breaking a statement or breaks it most.
#[derive(Debug, Clone, PartialEq)]
pub struct Extreme {
    /// Holds the extreme value of the predicate's quantity, see [`Predicate::quantity`].
    pub range: Interval,
    /// The prefix that the end of the range on the wrong side comes from, with an enclosure of the quantity after it.
    pub witness: Option<Witness>,
    /// Whose proof the other end is.
    pub prover: Prover,
    /// Why the run ended before it was finished, if it did.
    pub stopped: Option<StopReason>,
}

impl Extreme {
    /// From bounds on the excess: a proved one, and that of a witness.
    pub fn of_excess(
        predicate: &Predicate,
        (upper, prover): (f64, Prover),
        witness: Option<Witness>,
        stopped: Option<StopReason>,
    ) -> Extreme {
        let lower = witness.as_ref().map_or(f64::NEG_INFINITY, |witness| witness.lower);
        let of_quantity = |witness: Witness| {
            let quantity = predicate.quantity(Interval::new(witness.lower, witness.upper));
            Witness { lower: quantity.lo(), upper: quantity.hi(), ..witness }
        };
        Extreme {
            range: predicate.quantity(Interval::new(lower, upper)),
            witness: witness.map(of_quantity),
            prover,
            stopped,
        }
    }

    /// The same as bounds on the largest probability, for predicates that are about one.
    #[must_use]
    pub fn into_bounds(self) -> Bounds {
        Bounds {
            witness: self.witness,
            upper: self.range.hi(),
            checkable: self.range.hi(),
            prover: self.prover,
            stopped: self.stopped,
        }
    }
}

impl From<Bounds> for Extreme {
    fn from(bounds: Bounds) -> Extreme {
        let range = Interval::new(bounds.lower(), bounds.upper);
        Extreme { range, witness: bounds.witness, prover: bounds.prover, stopped: bounds.stopped }
    }
}
