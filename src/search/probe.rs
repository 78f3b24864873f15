//! A probe: many prefixes with a common beginning, evaluated together for all targets.

use ndarray::Array2;

use crate::model::eval::log_softmax;
use crate::model::{Evaluator, PrefixError, TokenId};

use super::pool::Pool;

/// A prefix with a hole: `left · ? · right`. Substituting a token and inserting one are both lines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// Before the hole.
    pub left: Vec<TokenId>,
    /// After the hole.
    pub right: Vec<TokenId>,
}

impl Line {
    /// All lines through `prefix` whose members have at most `longest` tokens, the cheapest first: what lies left of the
    /// hole is computed once, so the cost grows with the length of the right part.
    #[must_use]
    pub fn through(prefix: &[TokenId], longest: usize) -> Vec<Line> {
        let n = prefix.len();
        let line = |left: usize, right: usize| Line {
            left: prefix[..left].to_vec(),
            right: prefix[right..].to_vec(),
        };
        let mut lines = Vec::with_capacity(2 * n + 1);
        for i in (0..=n).rev() {
            if n < longest {
                lines.push(line(i, i));
            }
            if i > 0 {
                lines.push(line(i - 1, i));
            }
        }
        lines
    }

    /// The line with the hole filled by each candidate.
    #[must_use]
    pub fn filled(&self, candidates: &[TokenId]) -> Probe {
        let fill = |&token: &TokenId| [&[token], self.right.as_slice()].concat();
        Probe::new(self.left.clone(), candidates.iter().map(fill).collect())
    }
}

/// Prefixes `left · suffix`, all of the same length.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Common beginning, possibly empty.
    pub left: Vec<TokenId>,
    /// Equally long, not empty.
    pub suffixes: Vec<Vec<TokenId>>,
    /// Temperature of the scores that a climb goes by; 1 compares probabilities.
    pub heat: f32,
}

/// The best member of a probe for one target.
#[derive(Debug, Clone, Copy)]
pub struct Best {
    /// Log-probability at the probe's heat, in nats, by which this member is the best.
    pub score: f32,
    /// Log-probability, in nats.
    pub log_p: f32,
    /// Index of the suffix.
    pub suffix: usize,
}

/// Per target, the best members of a probe.
#[derive(Debug)]
pub struct Scores {
    /// By probability.
    likeliest: Vec<Best>,
    /// By score, where that is not the same.
    hottest: Option<Vec<Best>>,
}

impl Probe {
    /// A probe that compares probabilities.
    #[must_use]
    pub fn new(left: Vec<TokenId>, suffixes: Vec<Vec<TokenId>>) -> Probe {
        Probe { left, suffixes, heat: 1.0 }
    }

    /// Tokens of each member.
    #[must_use]
    pub fn len(&self) -> usize {
        self.left.len() + self.suffixes.first().map_or(0, Vec::len)
    }

    /// The member with the given suffix.
    #[must_use]
    pub fn prefix(&self, suffix: usize) -> Vec<TokenId> {
        [self.left.as_slice(), &self.suffixes[suffix]].concat()
    }

    /// Runs the network on every member; `targets` are the tokens that are looked at.
    ///
    /// # Errors
    /// A member that the model does not accept.
    pub fn run(&self, evaluator: Evaluator, targets: &[TokenId]) -> Result<Scores, PrefixError> {
        let cache = evaluator.cache(&self.left)?;
        let mut log_p = evaluator.continue_all(&cache, self.left.len(), &self.suffixes)?;
        log_softmax(&mut log_p);
        let likeliest = best_of(&log_p, None, targets);
        let hottest = (self.heat != 1.0).then(|| {
            let mut scores = log_p.mapv(|l| l / self.heat);
            log_softmax(&mut scores);
            best_of(&log_p, Some(&scores), targets)
        });
        Ok(Scores { likeliest, hottest })
    }
}

/// Per target the best row by `scores`, or by `log_p` itself; both `[suffixes, vocabulary]`.
fn best_of(log_p: &Array2<f32>, scores: Option<&Array2<f32>>, targets: &[TokenId]) -> Vec<Best> {
    let none = Best { score: f32::NEG_INFINITY, log_p: f32::NEG_INFINITY, suffix: 0 };
    let mut best = vec![none; targets.len()];
    for (suffix, row) in scores.unwrap_or(log_p).rows().into_iter().enumerate() {
        for (best, &target) in best.iter_mut().zip(targets) {
            let score = row[target as usize];
            if score > best.score {
                *best = Best { score, log_p: log_p[[suffix, target as usize]], suffix };
            }
        }
    }
    best
}

impl Scores {
    /// Scores of rows of log-probabilities `[suffixes, vocabulary]`, at heat 1.
    #[must_use]
    pub fn new(log_p: &Array2<f32>, targets: &[TokenId]) -> Scores {
        Scores { likeliest: best_of(log_p, None, targets), hottest: None }
    }

    /// The best member for the target with index `target`, by score.
    #[must_use]
    pub fn best(&self, target: usize) -> Best {
        self.hottest.as_ref().unwrap_or(&self.likeliest)[target]
    }

    /// Tells the pool.
    pub fn pour(&self, probe: &Probe, pool: &mut Pool) {
        for (target, best) in self.likeliest.iter().enumerate() {
            if best.log_p > f32::NEG_INFINITY {
                pool.offer(target, best.log_p, probe.len(), || probe.prefix(best.suffix));
            }
        }
    }
}
