//! When a run has to stop, and the seed it starts from.
//!
//! Provers and searchers are anytime: they ask [`Limits::expired`] between units of work of at most some milliseconds and
//! then return the best bounds so far. Running out of time never changes what is sound, only how tight it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::checkpoint::Checkpoint;

/// Why a prover or a searcher returned before it was finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The deadline passed.
    Time,
    /// The stop flag was raised: the user pressed Ctrl-C, or a sibling has decided the question.
    Stopped,
}

/// Limits of one run, cheap to clone; clones share the stop flag.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// Moment after which no new unit of work starts; `None` runs until finished.
    pub deadline: Option<Instant>,
    /// Raised by whoever wants the run to end early.
    pub stop: Arc<AtomicBool>,
    /// Stop flags of the runs that this one is a part of.
    pub outer: Vec<Arc<AtomicBool>>,
    /// Seed of every random choice: same seed and input, same result at any thread count, unless time ran out.
    pub seed: u64,
    /// Longest prefix to speak of, in tokens; `None` means whatever the model accepts.
    pub max_len: Option<usize>,
    /// Where a run that takes long keeps its state.
    pub checkpoint: Option<Checkpoint>,
}

impl Limits {
    /// The same limits, ending `budget` from now or at the present deadline, whichever comes first.
    #[must_use]
    pub fn within(&self, budget: Duration) -> Limits {
        // A budget beyond what the clock can express is no limit at all.
        let end = Instant::now().checked_add(budget);
        let deadline = match (self.deadline, end) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Limits { deadline, ..self.clone() }
    }

    /// The same limits with a stop flag of their own below the present ones: raising the new flag ends only the part
    /// that got this copy, raising an older one ends it as well.
    #[must_use]
    pub fn part(&self) -> Limits {
        let outer = self.outer.iter().chain([&self.stop]).cloned().collect();
        Limits { stop: Arc::default(), outer, ..self.clone() }
    }

    /// Whether work has to end now, and why. A raised flag counts before a passed deadline.
    #[must_use]
    pub fn reason(&self) -> Option<StopReason> {
        if self.outer.iter().chain([&self.stop]).any(|flag| flag.load(Ordering::Relaxed)) {
            Some(StopReason::Stopped)
        } else if self.deadline.is_some_and(|end| Instant::now() >= end) {
            Some(StopReason::Time)
        } else {
            None
        }
    }

    /// Whether work has to end now.
    #[must_use]
    pub fn expired(&self) -> bool {
        self.reason().is_some()
    }

    /// Time left before the deadline, zero once it passed; `None` without a deadline.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|end| end.saturating_duration_since(Instant::now()))
    }

    /// Asks everyone who shares the flag to end.
    pub fn request_stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Longest prefix to consider for a model that accepts up to `context` tokens.
    #[must_use]
    pub fn longest_prefix(&self, context: usize) -> usize {
        self.max_len.map_or(context, |len| len.min(context))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_limits_nothing_expires() {
        let limits = Limits::default();
        assert_eq!((limits.reason(), limits.remaining()), (None, None));
        assert_eq!(limits.longest_prefix(16), 16);
    }

    #[test]
    fn a_nested_budget_never_outlives_the_outer_one() {
        let outer = Limits::default().within(Duration::ZERO);
        let inner = outer.within(Duration::from_secs(3600));
        assert_eq!(inner.deadline, outer.deadline);
        assert_eq!(inner.reason(), Some(StopReason::Time));
        assert_eq!(inner.remaining(), Some(Duration::ZERO));
    }

    #[test]
    fn a_budget_beyond_the_clock_is_no_deadline() {
        assert_eq!(Limits::default().within(Duration::MAX).deadline, None);
    }

    #[test]
    fn a_stop_reaches_clones_and_parts_but_not_the_whole() {
        let whole = Limits::default();
        let (clone, part) = (whole.clone(), whole.part());
        part.request_stop();
        assert!(part.expired() && !whole.expired() && !clone.expired());
        let other = whole.part().part();
        clone.request_stop();
        assert_eq!((whole.reason(), other.reason()), (Some(StopReason::Stopped), Some(StopReason::Stopped)));
    }

    #[test]
    fn max_len_is_cut_at_the_context() {
        let limits = |max_len| Limits { max_len, ..Limits::default() };
        assert_eq!(limits(Some(4)).longest_prefix(16), 4);
        assert_eq!(limits(Some(40)).longest_prefix(16), 16);
    }
}
