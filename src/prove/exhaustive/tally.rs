//! What has been seen so far: for each question the largest upper end, and the prefix with the largest lower end.

use serde::{Deserialize, Serialize};

use crate::model::TokenId;
use crate::num::{Interval, Softmax};
use crate::spec::Predicate;

/// What is asked of every prefix.
#[derive(Debug, Clone, Copy)]
pub enum Question<'q> {
    /// The probability of each of these tokens.
    Probabilities(&'q [TokenId]),
    /// The excess of a predicate.
    Excess(&'q Predicate),
}

/// Enclosed logits after a prefix.
#[derive(Debug)]
pub enum Logits {
    /// Floats, all with the same radius.
    Near(Vec<f64>, f64),
    /// Intervals.
    Enclosed(Vec<Interval>),
}

/// The extremes of one quantity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Extremes {
    /// No prefix seen has more.
    #[serde(with = "bits")]
    pub upper: f64,
    /// The prefix with the greatest lower end, and its enclosure.
    pub best: Option<Best>,
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

/// Floats as their bits: JSON has no infinity.
mod bits {
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub fn serialize<S: Serializer>(x: &f64, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(x.to_bits())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
        u64::deserialize(d).map(f64::from_bits)
    }
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
            Question::Probabilities(tokens) => tokens.len(),
            Question::Excess(_) => 1,
        };
        Tally { all: vec![Extremes { upper: f64::NEG_INFINITY, best: None }; n] }
    }
}

impl Extremes {
    /// Takes an enclosure after `prefix` into account. Of two equal ones the shorter, then the smaller prefix stays.
    fn see(&mut self, value: Interval, prefix: &[TokenId]) {
        self.upper = self.upper.max(value.hi());
        let better = self.best.as_ref().is_none_or(|old| {
            let earlier = (prefix.len(), prefix) < (old.prefix.len(), old.prefix.as_slice());
            value.lo() > old.lower || value.lo() == old.lower && earlier
        });
        if better {
            self.best = Some(Best { prefix: prefix.to_vec(), lower: value.lo(), upper: value.hi() });
        }
    }
}

impl Tally {
    /// Takes the logits after `prefix` into account. `false` if they are not known well enough; then nothing changes.
    #[must_use]
    pub fn see(&mut self, question: Question<'_>, logits: Logits, prefix: &[TokenId]) -> bool {
        match (question, logits) {
            (Question::Probabilities(tokens), Logits::Near(middles, radius)) => {
                let Some(softmax) = Softmax::new(middles, radius) else { return false };
                for (extremes, &token) in self.all.iter_mut().zip(tokens) {
                    let lower = extremes.best.as_ref().map_or(f64::NEG_INFINITY, |best| best.lower);
                    // Most prefixes are far from the best one.
                    if softmax.above(token as usize) >= lower {
                        extremes.see(softmax.at(token as usize), prefix);
                    }
                }
            }
            (Question::Probabilities(tokens), Logits::Enclosed(logits)) => {
                for (extremes, &token) in self.all.iter_mut().zip(tokens) {
                    let p = crate::model::rigorous::softmax_at(&logits, token, Interval::ONE);
                    extremes.see(p, prefix);
                }
            }
            (Question::Excess(predicate), logits) => {
                let logits = match logits {
                    Logits::Enclosed(logits) => logits,
                    Logits::Near(middles, radius) => {
                        if !(radius.is_finite() && middles.iter().all(|l| l.is_finite())) {
                            return false;
                        }
                        let around = Interval::new(-radius, radius);
                        middles.into_iter().map(|l| Interval::point(l) + around).collect()
                    }
                };
                self.all[0].see(predicate.excess(&[logits]), prefix);
            }
        }
        true
    }

    /// The extremes of one quantity, together with others of it.
    pub fn merge_at(&mut self, which: usize, other: Extremes) {
        let own = &mut self.all[which];
        own.upper = own.upper.max(other.upper);
        if let Some(Best { prefix, lower, upper }) = other.best {
            own.see(Interval::new(lower, upper), &prefix);
        }
    }

    /// The extremes of both.
    pub fn merge(&mut self, other: Tally) {
        other.all.into_iter().enumerate().for_each(|(which, other)| self.merge_at(which, other));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_prefixes_does_not_matter() {
        let question = Question::Probabilities(&[0, 1]);
        let seen: [(&[TokenId], [f64; 2]); 4] =
            [(&[1, 2], [0.0, 1.0]), (&[0], [0.0, 1.0]), (&[3], [2.0, 0.0]), (&[9], [0.0, 0.5])];
        let tally = |order: [usize; 4]| {
            let mut halves = [question.start(), question.start()];
            for (i, k) in order.into_iter().enumerate() {
                let (prefix, logits) = seen[k];
                assert!(halves[i % 2].see(question, Logits::Near(logits.to_vec(), 1e-12), prefix));
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
        let question = Question::Probabilities(&[0]);
        let mut tally = question.start();
        assert!(!tally.see(question, Logits::Near(vec![0.0, f64::NAN], 0.0), &[1]));
        assert!(!tally.see(question, Logits::Near(vec![0.0, 1.0], f64::INFINITY), &[1]));
        assert_eq!(tally, question.start());
    }
}
