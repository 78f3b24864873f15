//! What has been seen so far: for each question the largest upper end, and the prefix with the largest lower end.
//!
//! Enclosures from floats are wide. A prefix whose wide enclosure reaches the largest lower end stays open until it is enclosed again
//! or left behind.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::checkpoint::bits;
use crate::model::TokenId;
use crate::num::wide::{LANES, Lanes};
use crate::num::{Interval, Softmax};
use crate::search::Aim;
use crate::spec::{Limit, Predicate};

/// What is asked of every prefix.
#[derive(Debug, Clone, Copy)]
pub enum Question<'q> {
    /// The probability of each of these tokens, and what for.
    Probabilities(&'q [TokenId], Aim<'q>),
    /// The excess of a predicate.
    Excess(&'q Predicate),
}

/// Width of an enclosure that is narrow enough if it leaves nothing undecided: about what a report shows.
const SHOWN: f64 = 1e-4;

/// Prefixes that are open for one quantity before they have to be enclosed again: most of them will be left behind by what other
/// units find.
pub const CROWD: usize = 1024;
/// Prefixes that are enclosed again at a time: what they reach may leave some of the others behind.
const SLICE: usize = 1024;

/// The extremes of one quantity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Extremes {
    /// No prefix seen has more, but for the open ones.
    #[serde(with = "bits")]
    pub upper: f64,
    /// The prefix with the greatest lower end, and its enclosure.
    pub best: Option<Best>,
    /// Prefixes with wide enclosures that reach the greatest lower end.
    pub open: Vec<Best>,
}

/// A prefix and the enclosure of the quantity after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Token ids.
    pub prefix: Vec<TokenId>,
    /// Lower end.
    #[serde(with = "bits")]
    pub lower: f64,
    /// Upper end.
    #[serde(with = "bits")]
    pub upper: f64,
}

/// Extremes of every quantity that is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// One per token, or one.
    pub all: Vec<Extremes>,
}

impl Question<'_> {
    /// Nothing seen yet.
    #[must_use]
    pub fn start(&self) -> Tally {
        let n = match self {
            Question::Probabilities(tokens, _) => tokens.len(),
            Question::Excess(_) => 1,
        };
        Tally { all: vec![Extremes { upper: f64::NEG_INFINITY, best: None, open: Vec::new() }; n] }
    }

    /// Whether a value is known well enough. With every value on one side of a threshold, so is the maximum.
    fn is_answered_by(&self, value: Interval) -> bool {
        let (lo, hi) = (value.lo(), value.hi());
        let decides = |limit: Limit| limit.admits(hi) || limit.exceeded_by(lo);
        let (width, decided) = match self {
            Question::Probabilities(_, Aim::Exceed(thresholds)) => {
                (SHOWN, thresholds.iter().all(|t| t.admits(hi) || t.exceeded_by(lo)))
            }
            Question::Probabilities(_, Aim::Narrow { gap }) => (gap.min(SHOWN), true),
            Question::Probabilities(_, Aim::Violate(limit)) => (SHOWN, decides(*limit)),
            Question::Excess(predicate) => (SHOWN, decides(predicate.limit())),
        };
        decided && hi - lo <= width
    }
}

impl Extremes {
    /// Greatest lower end.
    pub fn floor(&self) -> f64 {
        self.best.as_ref().map_or(f64::NEG_INFINITY, |best| best.lower)
    }

    /// Takes an enclosure after `prefix` into account. One that is not final stays open.
    fn see(&mut self, value: Interval, prefix: &[TokenId], is_final: bool) {
        if value.hi() < self.floor() {
            return;
        }
        let seen = Best { prefix: prefix.to_vec(), lower: value.lo(), upper: value.hi() };
        let mut higher = false;
        if !is_final {
            if !(value.hi() <= self.upper) {
                self.open.push(seen.clone());
            }
        } else if value.hi() > self.upper {
            (self.upper, higher) = (value.hi(), true);
        }
        if self.offer(seen) || higher {
            self.leave_behind();
        }
    }

    /// Takes the better one of two. Of two equal ones the shorter, then the smaller prefix stays.
    fn offer(&mut self, other: Best) -> bool {
        let better = self.best.as_ref().is_none_or(|old| {
            let earlier = (other.prefix.len(), &other.prefix) < (old.prefix.len(), &old.prefix);
            other.lower > old.lower || other.lower == old.lower && earlier
        });
        if better {
            self.best = Some(other);
        }
        better
    }

    /// Drops open prefixes that cannot matter: those below the greatest lower end, and those that reach no higher than what is
    /// known well enough, and so leave both the upper bound and what it decides as they are.
    fn leave_behind(&mut self) {
        let (floor, upper) = (self.floor(), self.upper);
        self.open.retain(|open| !(open.upper <= upper || open.upper < floor));
    }
}

impl Tally {
    /// Takes the enclosed logits after `prefix` into account.
    pub fn see(&mut self, question: Question<'_>, logits: &[Interval], prefix: &[TokenId]) {
        match question {
            Question::Probabilities(tokens, _) => {
                for (extremes, &token) in self.all.iter_mut().zip(tokens) {
                    let p = crate::model::rigorous::softmax_at(logits, token, Interval::ONE);
                    extremes.see(p, prefix, true);
                }
            }
            Question::Excess(predicate) => {
                self.all[0].see(predicate.excess(&[logits.to_vec()]), prefix, true);
            }
        }
    }

    /// Takes into account what is known after sixteen prefixes, one a lane (`None` for a lane that does not count): middles
    /// `[vocabulary]` and their radius. Returns the lanes in which too little is known; they change nothing.
    ///
    /// Values below `floors`, one per quantity, are not taken note of. Those that do not answer the question and come from lanes
    /// with a radius of more than `enough` stay open.
    #[must_use]
    pub fn see_lanes(
        &mut self,
        question: Question<'_>,
        (middles, radius): (Vec<Lanes>, &Lanes),
        prefixes: [Option<&[TokenId]>; LANES],
        (enough, floors): (f64, &[f64]),
    ) -> Vec<usize> {
        let mut lost = Vec::new();
        let is_final =
            |value: Interval, lane: usize| radius[lane] <= enough || question.is_answered_by(value);
        match question {
            Question::Probabilities(tokens, _) => {
                let softmax = Softmax::new(middles, radius);
                lost.extend((0..LANES).filter(|&l| prefixes[l].is_some() && !softmax.knows(l)));
                let asked: Vec<(usize, f64)> = (self.all.iter().zip(tokens).zip(floors))
                    .map(|((extremes, &token), floor)| (token as usize, floor.max(extremes.floor())))
                    .collect();
                for ((extremes, (token, floor)), bits) in
                    self.all.iter_mut().zip(&asked).zip(softmax.reaching(&asked))
                {
                    // Most prefixes are far from the best one.
                    for l in (0..LANES).filter(|l| bits >> l & 1 == 1 && softmax.knows(*l)) {
                        let value = softmax.at(*token, l);
                        if let Some(prefix) = prefixes[l]
                            && !(value.hi() < *floor)
                        {
                            extremes.see(value, prefix, is_final(value, l));
                        }
                    }
                }
            }
            Question::Excess(predicate) => {
                for (l, prefix) in prefixes.iter().enumerate() {
                    let Some(prefix) = prefix else { continue };
                    let around = Interval::new(-radius[l], radius[l]);
                    if !(around.is_finite() && middles.iter().all(|x| x[l].is_finite())) {
                        lost.push(l);
                        continue;
                    }
                    let logits = middles.iter().map(|x| Interval::point(x[l]) + around).collect();
                    let value = predicate.excess(&[logits]);
                    self.all[0].see(value, prefix, is_final(value, l));
                }
            }
        }
        lost
    }

    /// The extremes of one quantity, together with others of it.
    pub fn merge_at(&mut self, which: usize, other: Extremes) {
        let own = &mut self.all[which];
        own.upper = own.upper.max(other.upper);
        if let Some(best) = other.best {
            own.offer(best);
        }
        own.open.extend(other.open);
        own.leave_behind();
    }

    /// The extremes of both.
    pub fn merge(&mut self, other: Tally) {
        other.all.into_iter().enumerate().for_each(|(which, other)| self.merge_at(which, other));
    }

    /// The greatest lower ends.
    #[must_use]
    pub fn floors(&self) -> Vec<f64> {
        self.all.iter().map(Extremes::floor).collect()
    }

    /// Whether more than `crowd` prefixes are open for one quantity.
    #[must_use]
    pub fn is_crowded(&self, crowd: usize) -> bool {
        self.all.iter().any(|extremes| extremes.open.len() > crowd)
    }

    /// Takes prefixes out, at most `SLICE`, that are open for a quantity with more than `crowd` of them, each once and in order. They
    /// must be seen again with all digits.
    #[must_use]
    pub fn take_open(&mut self, crowd: usize) -> Vec<Vec<TokenId>> {
        self.take(crowd, |_, _| true)
    }

    /// The same for the best one of each such quantity only.
    #[must_use]
    pub fn take_best(&mut self, crowd: usize) -> Vec<Vec<TokenId>> {
        self.take(crowd, |best, open| best.is_some_and(|best| best.prefix == open.prefix))
    }

    fn take(&mut self, crowd: usize, wanted: fn(Option<&Best>, &Best) -> bool) -> Vec<Vec<TokenId>> {
        let mut taken: BTreeSet<(usize, Vec<TokenId>)> = BTreeSet::new();
        for extremes in &mut self.all {
            if extremes.open.len() > crowd {
                let chosen = extremes.open.iter().filter(|open| wanted(extremes.best.as_ref(), open));
                taken.extend(chosen.map(|open| (open.prefix.len(), open.prefix.clone())));
            }
        }
        if let Some(end) = taken.iter().nth(SLICE).cloned() {
            taken.split_off(&end);
        }
        if !taken.is_empty() {
            for extremes in &mut self.all {
                extremes.open.retain(|open| !taken.contains(&(open.prefix.len(), open.prefix.clone())));
            }
        }
        taken.into_iter().map(|(_, prefix)| prefix).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::wide::each;
    use crate::spec::Threshold;

    /// Two tokens after each prefix, one prefix a lane.
    fn see(
        tally: &mut Tally,
        question: Question<'_>,
        seen: &[(&[TokenId], [f64; 2])],
        radius: f64,
        enough: f64,
    ) -> Vec<usize> {
        let lane = |l: usize| seen.get(l).map_or([0.0; 2], |seen| seen.1);
        let middles = [0, 1].map(|k| each(|l| lane(l)[k])).to_vec();
        let prefixes = std::array::from_fn(|l| seen.get(l).map(|seen| seen.0));
        tally.see_lanes(
            question,
            (middles, &Lanes::splat(radius)),
            prefixes,
            (enough, &[f64::NEG_INFINITY; 2]),
        )
    }

    #[test]
    fn the_order_of_prefixes_does_not_matter() {
        let question = Question::Probabilities(&[0, 1], Aim::Narrow { gap: 0.0 });
        let seen: [(&[TokenId], [f64; 2]); 4] =
            [(&[1, 2], [0.0, 1.0]), (&[0], [0.0, 1.0]), (&[3], [2.0, 0.0]), (&[9], [0.0, 0.5])];
        let tally = |order: [usize; 4]| {
            let mut halves = [question.start(), question.start()];
            for (i, k) in order.into_iter().enumerate() {
                assert!(see(&mut halves[i % 2], question, &[seen[k]], 1e-12, f64::INFINITY).is_empty());
            }
            let [mut a, b] = halves;
            a.merge(b);
            a
        };
        let first = tally([0, 1, 2, 3]);
        assert_eq!(first.all[1].best.as_ref().unwrap().prefix, [0]);
        assert!(first.all[0].upper - 2f64.exp() / (1.0 + 2f64.exp()) < 1e-10);
        for order in [[3, 2, 1, 0], [1, 0, 3, 2], [2, 3, 0, 1]] {
            assert_eq!(tally(order), first);
        }
    }

    #[test]
    fn what_is_not_known_is_not_seen() {
        let question = Question::Probabilities(&[0, 1], Aim::Narrow { gap: 0.0 });
        let mut tally = question.start();
        assert_eq!(see(&mut tally, question, &[(&[1], [0.0, f64::NAN])], 0.0, f64::INFINITY), [0]);
        assert_eq!(
            see(&mut tally, question, &[(&[1], [0.0; 2]), (&[2], [1.0; 2])], f64::INFINITY, 0.0),
            [0, 1]
        );
        assert_eq!(tally, question.start());
    }

    #[test]
    fn what_is_near_the_best_stays_open() {
        let question = Question::Probabilities(&[0, 1], Aim::Narrow { gap: 0.0 });
        let mut tally = question.start();
        let seen: [(&[TokenId], [f64; 2]); 3] =
            [(&[4], [0.0, 0.0]), (&[2], [0.01, 0.0]), (&[3], [-1.0, 0.0])];
        assert!(see(&mut tally, question, &seen, 0.05, 0.0).is_empty());
        assert_eq!(tally.all[0].upper, f64::NEG_INFINITY);
        assert!(tally.take_open(2).is_empty());
        assert_eq!(tally.clone().take_best(0), [[2], [3]], "the best for each token");
        assert_eq!(tally.take_open(0), [[2], [3], [4]], "the third is best for the second token");
        assert!(see(&mut tally, question, &seen, 0.0, f64::INFINITY).is_empty());
        let best = tally.all[0].best.as_ref().unwrap();
        assert_eq!((best.prefix.as_slice(), tally.all[0].upper), (&[2][..], best.upper));
        // Now the float's enclosure of the first one is left behind, and one above is not.
        assert!(see(&mut tally, question, &seen[..1], 1e-4, 0.0).is_empty());
        assert!(tally.take_open(0).is_empty());
        assert!(see(&mut tally, question, &[(&[7], [0.02, 0.0])], 1e-4, 0.0).is_empty());
        let mut merged = question.start();
        merged.merge(tally);
        assert_eq!(merged.take_open(0), [[7]]);
    }

    #[test]
    fn what_answers_the_question_is_final_and_what_straddles_a_threshold_is_not() {
        let thresholds = [Threshold::parse("0.5").unwrap()];
        let question = Question::Probabilities(&[0, 1], Aim::Exceed(&thresholds));
        let seen = |logit: f64| {
            let mut tally = question.start();
            assert!(see(&mut tally, question, &[(&[1], [logit, 0.0])], 1e-5, 0.0).is_empty());
            tally.all[0].clone()
        };
        for logit in [-0.1, 0.1] {
            let extremes = seen(logit);
            assert!(extremes.open.is_empty() && extremes.upper == extremes.best.unwrap().upper);
        }
        let straddling = seen(0.0);
        assert_eq!((straddling.open.len(), straddling.upper), (1, f64::NEG_INFINITY));
    }

    #[test]
    fn an_upper_end_that_is_not_final_leaves_nothing_behind() {
        let question = Question::Probabilities(&[0, 1], Aim::Narrow { gap: 0.0 });
        let mut halves = [question.start(), question.start()];
        // The second is the better one and reaches as high, but both have to be enclosed again.
        for (half, logit) in halves.iter_mut().zip([0.0, 0.001]) {
            assert!(see(half, question, &[(&[1], [logit, 0.0])], 0.1, 0.0).is_empty());
        }
        let [mut a, b] = halves;
        a.merge(b);
        assert_eq!(a.all[0].open.len(), 2);
        assert_eq!(a.all[0].upper, f64::NEG_INFINITY);
        // One that is known and higher leaves both behind.
        assert!(see(&mut a, question, &[(&[2], [0.5, 0.0])], 0.0, 0.0).is_empty());
        assert!(a.all[0].open.is_empty() && a.all[0].upper > 0.62);
    }
}
