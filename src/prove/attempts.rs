//! Which upper bounds a prover that needs a threshold attempts, token by token, and how they share the time.

use std::time::{Duration, Instant};

use crate::limits::Limits;
use crate::search::Aim;
use crate::verdict::{Answer, Bounds, Prover};

/// Upper bounds to try for, the more modest the more time is spent.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// No bound below it can be proved.
    floor: f64,
    /// The greatest bound to try for.
    last: f64,
    /// Whether the last one itself is worth anything.
    inclusive: bool,
    /// How far up from the floor to the last one the first bound lies.
    first: f64,
    /// Bounds worth more than others, increasing.
    marks: Vec<f64>,
}

/// How far up the first bound of all lies, and that of a token where attempts gain little.
const FIRST: [f64; 2] = [0.2, 0.6];

/// No attempt starts beyond it.
const LAST: f64 = 0.95;

/// A bound is lowered to a mark if that takes no more than this part of its distance from the floor.
const HOLD: f64 = 0.15;

/// Part of the time after which the last bound is tried.
const LATEST: f64 = 0.9;
/// Part of a token's share of the time that the first attempt may take.
const FIRST_SHARE: f64 = 0.25;
/// Part of the time for a threshold in which it is attempted itself, and not what lies below it.
const STRAIGHT: f64 = 0.4;
/// Least time for a second attempt.
const SHORTEST: Duration = Duration::from_millis(100);
/// Time for gaps if there is no limit.
const WITHOUT_DEADLINE: Duration = Duration::from_secs(600);
/// Gap that is worth time where none is named.
const WORTH: f64 = 1e-3;
/// Beyond it log-odds lose their meaning.
const MOST: f64 = 1.0 - 1e-9;

impl Attempt {
    /// At one probability, strictly between 0 and 1.
    #[must_use]
    pub fn at(probability: f64) -> Attempt {
        Attempt { floor: probability, last: probability, inclusive: true, first: 1.0, marks: Vec::new() }
    }

    /// At one probability again, from halfway between a lower bound and it upwards: close to what the head alone proves, where
    /// vectors that nearly prove everything say little about where to branch, the harder question may be the shorter search.
    fn up_to(probability: f64, lower: f64) -> Attempt {
        Attempt { floor: lower.min(probability), first: 0.5, ..Attempt::at(probability) }
    }

    /// The probability to prove as an upper bound once this part of the time is spent: rising from near the floor to the last
    /// one, slowly at first, since proofs get long where nearly all is wanted.
    #[must_use]
    pub fn probability(&self, spent: f64) -> f64 {
        let wanted = self.floor + (self.last - self.floor) * self.first.powf(1.0 - (spent / LATEST).min(1.0));
        let is_near = |mark: &&f64| (0.0..=HOLD * (wanted - self.floor)).contains(&(wanted - **mark));
        self.marks.iter().rev().find(is_near).copied().unwrap_or(wanted).min(MOST)
    }

    /// Whether a bound is what is wanted, or at least a better one than before.
    #[must_use]
    pub fn is_met_by(&self, upper: f64) -> bool {
        upper < self.last || self.inclusive
    }
}

/// What is open for a prover, and how it may go about it.
pub(super) struct Attempts<'a> {
    /// Whose attempts they are.
    pub prover: Prover,
    /// What is asked.
    pub aim: Aim<'a>,
    /// Gap worth the time that thresholds leave.
    pub refine: Option<f64>,
    /// When to end.
    pub limits: &'a Limits,
}

impl Attempts<'_> {
    /// Tokens, by their place in `all`, with something to attempt; narrow gaps first: they take the least and leave more time to
    /// the others.
    pub fn open(&self, all: &[Bounds]) -> Vec<usize> {
        let wanted = |&i: &usize| match self.gap() {
            Some(worth) => gap(&all[i]) > worth,
            None => !self.undecided(&all[i]).is_empty(),
        };
        let mut open: Vec<usize> = (0..all.len()).filter(wanted).collect();
        open.sort_by(|&a, &b| gap(&all[a]).total_cmp(&gap(&all[b])));
        open
    }

    /// Lets `prove` loose on the open tokens, which may prove what an attempt comes to within some limits.
    pub fn run(
        &self,
        open: &[usize],
        all: &mut [Bounds],
        prove: impl FnMut(usize, &Attempt, &Limits) -> Option<f64>,
    ) {
        match self.gap() {
            Some(gap) => self.narrow(open, all, gap, prove),
            None => self.decide(open, all, prove),
        }
        for &i in open {
            all[i].stopped = self.limits.reason().or(all[i].stopped);
        }
    }

    /// Thresholds, token by token, the largest one first. Time is shared in proportion to the gaps that may close.
    fn decide(
        &self,
        open: &[usize],
        all: &mut [Bounds],
        mut prove: impl FnMut(usize, &Attempt, &Limits) -> Option<f64>,
    ) {
        let gaps: Vec<f64> = open.iter().map(|&i| gap(&all[i])).collect();
        for (done, &i) in open.iter().enumerate() {
            let part = gaps[done] / gaps[done..].iter().sum::<f64>().max(f64::MIN_POSITIVE);
            let share = self.limits.remaining().map(|left| left.mul_f64(part.clamp(0.0, 1.0)));
            let own = share.map_or_else(|| self.limits.clone(), |share| self.limits.within(share));
            while let Some(threshold) = self.undecided(&all[i]).pop().filter(|_| !own.expired()) {
                // A prover that knows no rising thresholds gets all the time at once.
                let rises = self.prover == Prover::Block;
                let straight =
                    own.remaining().filter(|_| rises).map(|left| own.within(left.mul_f64(STRAIGHT)));
                let mut upper = prove(i, &Attempt::at(threshold), straight.as_ref().unwrap_or(&own));
                if rises && upper.is_none() {
                    upper = prove(i, &Attempt::up_to(threshold, all[i].lower()), &own);
                }
                let Some(upper) = upper else { break };
                all[i].tighten(upper, self.prover);
            }
        }
    }

    /// Gaps, always where an attempt promises most for its time: it is expected to gain what the one before did at the same token,
    /// in three times the time.
    fn narrow(
        &self,
        open: &[usize],
        all: &mut [Bounds],
        worth: f64,
        mut prove: impl FnMut(usize, &Attempt, &Limits) -> Option<f64>,
    ) {
        let limits = self.limits.within(self.limits.remaining().unwrap_or(WITHOUT_DEADLINE));
        let total = limits.remaining().unwrap_or_default();
        let sum: f64 = open.iter().map(|&i| gap(&all[i])).sum();
        let first = |&i: &usize| total.mul_f64(FIRST_SHARE * (gap(&all[i]) / sum).clamp(0.0, 1.0));
        let mut next: Vec<Duration> = open.iter().map(first).collect();
        let [least, most] = FIRST;
        let mut plans: Vec<(f64, f64)> = open.iter().map(|&i| (gap(&all[i]), least)).collect();
        while !limits.expired() {
            let promise = |k: &usize| plans[*k].0 / next[*k].as_secs_f64().max(1e-9);
            let wide = (0..open.len()).filter(|&k| gap(&all[open[k]]) > worth && plans[k].1 < LAST);
            let Some(k) = wide.max_by(|a, b| promise(a).total_cmp(&promise(b))) else { break };
            let i = open[k];
            let (floor, last) = (all[i].lower(), all[i].upper);
            let marks = self.undecided(&all[i]);
            let attempt = Attempt { floor, last, inclusive: false, first: plans[k].1, marks };
            let begin = Instant::now();
            let own = limits.within(next[k]);
            match prove(i, &attempt, &own) {
                Some(upper) => {
                    plans[k] = (last - upper, (0.5 * (upper - floor) / (last - floor)).clamp(least, most));
                    all[i].tighten(upper, self.prover);
                }
                None if own.expired() => plans[k] = (plans[k].0 / 2.0, most),
                // What failed before its time was out of reach.
                None => plans[k].1 = f64::midpoint(plans[k].1, 1.0),
            }
            next[k] = (3 * begin.elapsed()).max(SHORTEST);
        }
    }

    /// A gap that is worth some time.
    fn gap(&self) -> Option<f64> {
        match self.aim {
            Aim::Narrow { gap } => Some(if gap > 0.0 { gap } else { WORTH }),
            Aim::Exceed(_) => self.refine,
            // Bounds on the excess of a predicate are no probabilities.
            Aim::Violate(_) => None,
        }
    }

    /// Undecided thresholds, increasing.
    fn undecided(&self, bounds: &Bounds) -> Vec<f64> {
        let Aim::Exceed(thresholds) = self.aim else { return Vec::new() };
        let unknown = thresholds.iter().filter(|p| bounds.answer(p) == Answer::Unknown);
        let mut marks: Vec<f64> = unknown.map(|p| p.floor()).collect();
        marks.sort_by(f64::total_cmp);
        marks
    }
}

fn gap(bounds: &Bounds) -> f64 {
    bounds.upper - bounds.lower()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Threshold;

    fn bounds(upper: f64) -> Bounds {
        let mut bounds = Bounds::trivial();
        bounds.tighten(upper, Prover::Head);
        bounds
    }

    #[test]
    fn what_is_asked_for_only_rises_and_stays_at_a_mark_for_a_while() {
        let attempt = Attempt { floor: 0.1, last: 0.9, inclusive: false, first: 0.2, marks: vec![0.3, 0.5] };
        let asked: Vec<f64> = (0..=1000).map(|k| attempt.probability(f64::from(k) / 1000.0)).collect();
        assert!(asked.is_sorted() && asked[0] > 0.1 && asked[1000] == 0.9);
        assert!(attempt.marks.iter().all(|mark| asked.iter().filter(|p| *p == mark).count() > 20));
        let fixed = Attempt::at(0.3);
        assert!([0.0, 0.5, 1.0].map(|spent| fixed.probability(spent)) == [0.3; 3]);
        assert!(fixed.is_met_by(0.3) && !attempt.is_met_by(0.9));
        let rising = Attempt::up_to(0.3, 0.1);
        assert!((rising.probability(0.0) - 0.2).abs() < 1e-12 && rising.is_met_by(0.3));
        assert!(rising.probability(0.5) < 0.3 && rising.probability(1.0) == 0.3);
    }

    #[test]
    fn thresholds_are_tried_from_the_top_until_one_fails() {
        let thresholds = ["0.2", "0.6", "0.4", "0.9"].map(|text| Threshold::parse(text).unwrap());
        let limits = Limits::default();
        let aim = Aim::Exceed(&thresholds);
        let attempts = Attempts { prover: Prover::Block, aim, refine: None, limits: &limits };
        let (mut all, mut asked) = (vec![bounds(0.8), bounds(0.1)], Vec::new());
        let open = attempts.open(&all);
        attempts.run(&open, &mut all, |i, attempt, _| {
            asked.push((i, attempt.probability(0.0)));
            (attempt.probability(0.0) > 0.5).then(|| attempt.probability(0.0))
        });
        // The one that failed once more, from halfway between what is known and it.
        assert_eq!(
            asked,
            [thresholds[1].floor(), thresholds[2].floor(), thresholds[2].floor() / 2.0].map(|p| (0, p))
        );
        assert_eq!([all[0].upper, all[1].upper], [0.6, 0.1]);
    }

    #[test]
    fn gaps_are_narrowed_until_they_are_worth_nothing() {
        let limits = Limits::default();
        let aim = Aim::Narrow { gap: 0.05 };
        let attempts = Attempts { prover: Prover::Block, aim, refine: None, limits: &limits };
        let mut all = vec![bounds(0.8), bounds(0.04), bounds(0.3)];
        let open = attempts.open(&all);
        assert_eq!(open, [2, 0], "narrow ones first");
        attempts.run(&open, &mut all, |_, attempt, _| Some(attempt.probability(0.5)));
        assert!(all.iter().all(|bounds| gap(bounds) <= 0.05));
        // A gap that is named counts, however small; where none is, a thousandth.
        for (gap, wanted) in [(1e-6, true), (0.0, false)] {
            let attempts = Attempts { aim: Aim::Narrow { gap }, ..attempts };
            assert_eq!(!attempts.open(&[bounds(5e-4)]).is_empty(), wanted);
        }
        // Where nothing is to be had, nobody tries for ever.
        let mut all = vec![bounds(0.8)];
        attempts.run(&[0], &mut all, |_, attempt, _| {
            (attempt.probability(0.0) > 0.5).then(|| attempt.probability(0.0))
        });
        assert!((0.5..0.6).contains(&all[0].upper), "{}", all[0].upper);
    }
}
