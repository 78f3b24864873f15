//! Coordinate ascent for one target: all tokens in one place at a time, substituted or inserted.
//!
//! A climb stands on a prefix and runs the lines through it, the cheapest first; it moves to the best member of a line
//! that improves on where it stands, and ends on a prefix that no line improves. The length varies on the way: inserting
//! lengthens, and where nothing else helps all ways of leaving one token out are tried.

use crate::model::TokenId;

use super::pool::Candidate;
use super::probe::{Best, Line, Probe};

/// Improvements below this, in nats, are rounding of the fast evaluation and would let a climb wander about.
const LEAST_STEP: f32 = 1e-5;

/// What a climb may run next.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// All tokens in one place.
    Line(Line),
    /// One token less, in all ways.
    Shorten(Vec<TokenId>),
}

impl Step {
    /// The prefixes to evaluate.
    #[must_use]
    pub fn probe(&self, candidates: &[TokenId]) -> Probe {
        match self {
            Step::Line(line) => line.filled(candidates),
            Step::Shorten(prefix) => {
                let without = |i: usize| [&prefix[..i], &prefix[i + 1..]].concat();
                Probe::new(Vec::new(), (0..prefix.len()).map(without).collect())
            }
        }
    }
}

/// One ascent.
///
/// A hot climb first goes by log-probabilities at a higher temperature, where it is not only the strongest rival that
/// counts; from the optimum it finds there it climbs on by probability.
#[derive(Debug)]
pub struct Climb {
    /// Index of the target.
    pub target: usize,
    at: Candidate,
    /// Value of `at` at `heat`; minus infinity where unknown.
    score: f32,
    heat: f32,
    /// Steps from `at` not run yet, the cheapest last.
    pending: Vec<Step>,
    longest: usize,
}

impl Climb {
    /// An ascent from `start` over prefixes of at most `longest` tokens.
    #[must_use]
    pub fn new(target: usize, start: Candidate, heat: f32, longest: usize) -> Climb {
        let score = if heat == 1.0 { start.log_p } else { f32::NEG_INFINITY };
        let mut climb = Climb { target, at: start, score, heat, pending: Vec::new(), longest };
        climb.look_around();
        climb
    }

    /// Where it stands.
    #[must_use]
    pub fn at(&self) -> &Candidate {
        &self.at
    }

    /// The temperature it goes by.
    #[must_use]
    pub fn heat(&self) -> f32 {
        self.heat
    }

    /// The next step to run; `None` on a local optimum.
    pub fn next_step(&mut self) -> Option<Step> {
        if self.pending.is_empty() && self.heat != 1.0 {
            (self.heat, self.score) = (1.0, self.at.log_p);
            self.look_around();
        }
        self.pending.pop()
    }

    /// Whether there are steps to run.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.pending.is_empty() || self.heat != 1.0
    }

    /// Moves to the best member of a probe at this climb's heat, if that is an improvement.
    pub fn consider(&mut self, best: Best, prefix: impl FnOnce() -> Vec<TokenId>) {
        if best.score > self.score + LEAST_STEP {
            self.score = best.score;
            self.at = Candidate { log_p: best.log_p, prefix: prefix() };
            self.look_around();
        }
    }

    /// Moves to a better prefix that somebody else found.
    pub fn jump(&mut self, to: Candidate) {
        (self.heat, self.score, self.at) = (1.0, to.log_p, to);
        self.look_around();
    }

    fn look_around(&mut self) {
        self.pending.clear();
        if self.at.prefix.len() > 1 {
            self.pending.push(Step::Shorten(self.at.prefix.clone()));
        }
        self.pending.extend(Line::through(&self.at.prefix, self.longest).into_iter().rev().map(Step::Line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A landscape known in closed form: the number of positions that agree with a hidden word, less what is too long.
    fn height(prefix: &[TokenId]) -> f32 {
        let hidden = [3, 1, 4, 1, 5];
        let agree = prefix.iter().rev().zip(hidden.iter().rev()).filter(|(a, b)| a == b).count() as f32;
        agree - 0.5 * prefix.len().saturating_sub(hidden.len()) as f32
    }

    #[test]
    fn a_climb_ends_on_the_hidden_word() {
        for (start, heat) in [(vec![9], 1.0), (vec![3, 1, 4, 1, 5, 3, 1], 1.0), (vec![7; 8], 3.0)] {
            let mut climb = Climb::new(0, Candidate { log_p: height(&start), prefix: start }, heat, 8);
            while let Some(step) = climb.next_step() {
                let probe = step.probe(&(0..10).collect::<Vec<_>>());
                for suffix in 0..probe.suffixes.len() {
                    let log_p = height(&probe.prefix(suffix));
                    climb.consider(Best { score: log_p / climb.heat(), log_p, suffix }, || {
                        probe.prefix(suffix)
                    });
                }
            }
            assert_eq!((climb.heat(), climb.at().prefix.as_slice()), (1.0, [3, 1, 4, 1, 5].as_slice()));
        }
    }

    #[test]
    fn lines_respect_the_longest_length() {
        for line in Line::through(&[1, 2, 3], 3) {
            assert_eq!(line.left.len() + line.right.len(), 2, "{line:?}");
        }
        assert_eq!(Line::through(&[1, 2, 3], 4).len(), 7);
        assert_eq!(Line::through(&[], 4), [Line { left: vec![], right: vec![] }]);
    }
}
