//! A probe: many prefixes with a common beginning, evaluated together for all targets.

use ndarray::Array2;

use crate::model::eval::log_softmax;
use crate::model::{Evaluator, PrefixError, TokenId};

use super::gauge::{Gauges, Readings};
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
    /// Log-probability at the probe's heat, in nats, by which this member is the best; or the excess of a predicate.
    pub score: f32,
    /// Log-probability or excess, in nats.
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

    /// Runs the network on every member, and on its continuations where the gauges need them.
    ///
    /// # Errors
    /// A member that the model does not accept.
    pub fn run(&self, evaluator: Evaluator, gauges: &Gauges) -> Result<Scores, PrefixError> {
        let cache = evaluator.cache(&self.left)?;
        let continuation = gauges.continuation();
        let mut suffixes = self.suffixes.clone();
        let mut log_p = Vec::with_capacity(continuation.len() + 1);
        for step in 0..=continuation.len() {
            let mut rows = evaluator.continue_all(&cache, self.left.len(), &suffixes)?;
            log_softmax(&mut rows);
            log_p.push(rows);
            if let Some(&token) = continuation.get(step) {
                suffixes.iter_mut().for_each(|suffix| suffix.push(token));
            }
        }
        let likeliest = gauges.read(&log_p);
        let hottest = (self.heat != 1.0).then(|| {
            let hot = |rows: &Array2<f32>| {
                let mut rows = rows.mapv(|l| l / self.heat);
                log_softmax(&mut rows);
                rows
            };
            let hot: Vec<Array2<f32>> = log_p.iter().map(hot).collect();
            best_of(&likeliest, &gauges.read(&hot))
        });
        Ok(Scores { likeliest: best_of(&likeliest, &likeliest), hottest })
    }
}

/// Per target the best prefix by `scores`, with its own value.
fn best_of(values: &Readings, scores: &Readings) -> Vec<Best> {
    let none = Best { score: f32::NEG_INFINITY, log_p: f32::NEG_INFINITY, suffix: 0 };
    let mut best = vec![none; values.n_targets()];
    for suffix in 0..values.n_prefixes() {
        for (target, best) in best.iter_mut().enumerate() {
            let score = scores.value(suffix, target);
            if score > best.score {
                *best = Best { score, log_p: values.value(suffix, target), suffix };
            }
        }
    }
    best
}

impl Scores {
    /// Scores of rows of log-probabilities `[suffixes, vocabulary]`, at heat 1; `None` where the gauges need more than these.
    #[must_use]
    pub fn new(log_p: &Array2<f32>, gauges: &Gauges) -> Option<Scores> {
        if !gauges.continuation().is_empty() {
            return None;
        }
        let readings = gauges.read(std::slice::from_ref(log_p));
        Some(Scores { likeliest: best_of(&readings, &readings), hottest: None })
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
