//! Lower bounds on a margin over a product of token sets.
//!
//! With `r_h(j,v)` the margin's share of `read` and `g(u)` that of `base`, a prefix has the margin
//! `g(u) + Σ_h Σ_j e_h r_h / Σ_j e_h`. For a head, `φ(μ) = Σ_j min_{v ∈ S_j} e(v) (r(v) − μ) >= 0` proves that its share is at
//! least μ for every prefix (Dinkelbach 1967): the sum separates by position. So each head but the last gets the largest μ
//! that φ admits, and the last one is asked for what is left, `μ = floor − g(u) − Σ μ_h`. With one head and one last token all
//! of this is exact. A set of last tokens makes e an interval; a common factor of all e of one last token cancels, so its
//! scores are shifted so that the greatest is zero first.

use crate::model::TokenId;
use crate::num::{Interval, dot_error, exp, nonnegative_sum};

use super::claim::Margin;
use super::tables::Tables;

/// A product of token sets, one per position, and the attention weights of its prefixes.
#[derive(Debug)]
pub struct Product<'a> {
    tables: &'a Tables,
    /// Tokens of the free positions, one after the other, as pairs.
    pairs: Vec<usize>,
    /// Where each free position begins within `pairs`, and the end.
    starts: Vec<usize>,
    /// Last tokens.
    last: Vec<TokenId>,
    heads: Vec<Weights>,
}

/// Enclosures of e of one head, the largest at most one.
#[derive(Debug)]
struct Weights {
    free: Vec<(f64, f64)>,
    own: Vec<(f64, f64)>,
    /// Upper bound on `Σ_j max e`.
    total: f64,
}

/// What was found about a margin.
#[derive(Debug)]
pub struct Evaluation {
    /// It exceeds its floor after every prefix of the product.
    pub proved: bool,
    /// Estimate of the least margin, less the floor.
    pub estimate: f64,
    /// The prefix that each head would choose against the margin.
    pub choices: Vec<Vec<TokenId>>,
    /// Their attention weights.
    pub weights: Vec<Vec<f64>>,
}

/// A head's φ at one point.
struct Phi {
    value: f64,
    /// Sum of the weights taken: minus the slope.
    weight: f64,
    /// Index into `pairs` of each free position's choice, and into `last`.
    choice: Vec<usize>,
    weights: Vec<f64>,
}

/// A margin's values at one head.
struct Values {
    free: Vec<f64>,
    own: Vec<f64>,
}

impl<'a> Product<'a> {
    /// Weights for all prefixes with `sets[i]` at position i; no set is empty.
    #[must_use]
    pub fn new(tables: &'a Tables, sets: &[Vec<TokenId>]) -> Product<'a> {
        let (last, free) = sets.split_last().expect("a prefix has a last token");
        let mut starts = vec![0];
        let mut pairs = Vec::new();
        for (position, set) in free.iter().enumerate() {
            pairs.extend(set.iter().map(|v| position * tables.vocab + *v as usize));
            starts.push(pairs.len());
        }
        let mut product = Product { tables, pairs, starts, last: last.clone(), heads: Vec::new() };
        product.heads = (0..tables.heads).map(|head| product.weigh(head)).collect();
        product
    }

    fn weigh(&self, head: usize) -> Weights {
        let mut span = vec![(f64::INFINITY, f64::NEG_INFINITY); self.pairs.len()];
        let mut own = Vec::with_capacity(self.last.len());
        for u in &self.last {
            let s = &self.tables.scores(self.starts.len(), *u)[head];
            let pairs = self.pairs.iter().copied().chain([self.own_pair(*u)]);
            let shift =
                Interval::point(pairs.map(|pair| s[pair].mid_rad().0).fold(f64::NEG_INFINITY, f64::max));
            for ((low, high), &pair) in span.iter_mut().zip(&self.pairs) {
                let shifted = s[pair] - shift;
                (*low, *high) = (low.min(shifted.lo()), high.max(shifted.hi()));
            }
            let shifted = s[self.own_pair(*u)] - shift;
            own.push((shifted.lo(), shifted.hi()));
        }
        let top = Interval::point(span.iter().chain(&own).map(|s| s.1).fold(f64::NEG_INFINITY, f64::max));
        let weight = |&(low, high): &(f64, f64)| {
            let e = exp(Interval::new(low, high) - top);
            (e.lo().max(0.0), e.hi())
        };
        let free: Vec<(f64, f64)> = span.iter().map(weight).collect();
        let own: Vec<(f64, f64)> = own.iter().map(weight).collect();
        let greatest = |e: &[(f64, f64)]| e.iter().map(|e| e.1).fold(0.0, f64::max);
        let sum: f64 = self.starts.windows(2).map(|w| greatest(&free[w[0]..w[1]])).sum();
        Weights { total: nonnegative_sum(sum + greatest(&own)), free, own }
    }

    /// The pair of a last token.
    fn own_pair(&self, u: TokenId) -> usize {
        (self.starts.len() - 1) * self.tables.vocab + u as usize
    }

    /// Multiplications of one evaluation.
    #[must_use]
    pub fn cost(&self, margin: &Margin) -> usize {
        // Weights of ±1 cost nothing.
        let mixture = if margin.weights.len() > 2 { margin.weights.len() } else { 0 };
        self.heads.len() * (self.pairs.len() + self.last.len()) * (1 + mixture)
    }

    /// Bounds a margin from below.
    #[must_use]
    pub fn evaluate(&self, margin: &Margin) -> Evaluation {
        let tables = self.tables;
        let pick = |table: &[f64], pair: usize| -> f64 {
            let row = &table[pair * tables.vocab..(pair + 1) * tables.vocab];
            margin.weights.iter().map(|&(t, w)| w * row[t as usize]).sum()
        };
        let size: f64 = nonnegative_sum(margin.weights.iter().map(|(_, w)| w.abs()).sum());
        let reach = nonnegative_sum(size * tables.largest);
        // Of every value and of every g.
        let error = nonnegative_sum(size * tables.error + dot_error(margin.weights.len() + 1, reach));
        let g: Vec<f64> = self.last.iter().map(|u| pick(&tables.base, self.own_pair(*u))).collect();
        let least_g = g.iter().copied().fold(f64::INFINITY, f64::min);
        let (mut shares, mut size_of_shares) = (0.0, 0.0);
        let (mut choices, mut weights) = (Vec::new(), Vec::new());
        for (h, head) in self.heads.iter().enumerate() {
            let values = Values {
                free: self.pairs.iter().map(|&pair| pick(&tables.read[h], pair)).collect(),
                own: self.last.iter().map(|u| pick(&tables.read[h], self.own_pair(*u))).collect(),
            };
            let last = h + 1 == self.heads.len();
            let (phi, proved) = if last {
                let rest = margin.floor - shares;
                let scale = nonnegative_sum(reach + margin.floor.abs() + size_of_shares);
                // The sum of shares and the differences below are rounded.
                let error = nonnegative_sum(2.0 * error + dot_error(h + 4, 4.0 * scale));
                let floors: Vec<f64> = g.iter().map(|g| rest - g + error).collect();
                let phi = self.phi(head, &values, rest - least_g + error, |i| floors[i]);
                let proved = self.is_positive(head, &phi, 2.0 * (scale + error));
                (phi, proved)
            } else {
                let (mu, phi) = self.least(head, &values, reach, error);
                shares += mu;
                size_of_shares += mu.abs();
                (phi, true)
            };
            let pairs = &phi.choice[..phi.choice.len() - 1];
            let mut prefix: Vec<TokenId> =
                pairs.iter().map(|&i| (self.pairs[i] % tables.vocab) as TokenId).collect();
            prefix.push(self.last[phi.choice[pairs.len()]]);
            choices.push(prefix);
            weights.push(phi.weights);
            if last {
                return Evaluation { proved, estimate: phi.value / phi.weight, choices, weights };
            }
        }
        Evaluation { proved: false, estimate: f64::NEG_INFINITY, choices, weights }
    }

    /// φ in floats. The floors are subtracted from free positions and from each last token.
    fn phi(&self, head: &Weights, values: &Values, floor: f64, own_floor: impl Fn(usize) -> f64) -> Phi {
        let mut phi = Phi { value: 0.0, weight: 0.0, choice: Vec::new(), weights: Vec::new() };
        let mut take = |terms: &mut dyn Iterator<Item = (usize, f64, (f64, f64))>| {
            let (mut least, mut choice, mut weight) = (f64::INFINITY, 0, 0.0);
            for (i, x, e) in terms {
                let e = if x < 0.0 { e.1 } else { e.0 };
                // A NaN is never less, and leaves an infinite sum that proves nothing.
                if e * x < least {
                    (least, choice, weight) = (e * x, i, e);
                }
            }
            phi.value += if least.is_finite() { least } else { f64::NEG_INFINITY };
            phi.weight += weight;
            phi.choice.push(choice);
            phi.weights.push(weight);
        };
        for w in self.starts.windows(2) {
            take(&mut (w[0]..w[1]).map(|i| (i, values.free[i] - floor, head.free[i])));
        }
        take(&mut (0..self.last.len()).map(|i| (i, values.own[i] - own_floor(i), head.own[i])));
        phi
    }

    /// Whether the real φ is above zero, with some room for other ways of rounding; `scale` bounds the differences in it.
    fn is_positive(&self, head: &Weights, phi: &Phi, scale: f64) -> bool {
        const ROOM: f64 = 1.0 / (1u64 << 34) as f64;
        let magnitude = nonnegative_sum(head.total * scale);
        let rounding = dot_error(self.starts.len() + 6, magnitude) + ROOM * magnitude;
        rounding.is_finite() && phi.value > rounding
    }

    /// A proved lower bound on a head's share, close to the least one, and φ there.
    fn least(&self, head: &Weights, values: &Values, reach: f64, error: f64) -> (f64, Phi) {
        let at = |mu: f64| self.phi(head, values, mu + error, |_| mu + error);
        let mut mu = reach;
        // Newton's steps fall onto the root from the right; the last one may stop short of it by rounding.
        for _ in 0..60 {
            let phi = at(mu);
            let next = mu + phi.value / phi.weight;
            if !(next < mu) {
                break;
            }
            mu = next;
        }
        let scale = 2.0 * (reach + error + mu.abs());
        let mut step = 1e-11 * scale;
        for _ in 0..20 {
            let phi = at(mu);
            if self.is_positive(head, &phi, scale) {
                return (mu, phi);
            }
            (mu, step) = (mu - step, 4.0 * step);
        }
        (f64::NEG_INFINITY, at(mu))
    }

    /// Logits after the first prefix of the product with uniform attention, in floats: somewhere to begin.
    #[must_use]
    pub fn middle(&self) -> Vec<f64> {
        let free = self.starts.windows(2).map(|w| (self.pairs[w[0]] % self.tables.vocab) as TokenId);
        let prefix: Vec<TokenId> = free.chain(self.last.first().copied()).collect();
        let heads = self.heads.len();
        self.logits(&Evaluation {
            proved: false,
            estimate: 0.0,
            weights: vec![vec![1.0; prefix.len()]; heads],
            choices: vec![prefix; heads],
        })
    }

    /// Logits of the mixture that the choices of an evaluation describe, in floats.
    #[must_use]
    pub fn logits(&self, evaluation: &Evaluation) -> Vec<f64> {
        let vocab = self.tables.vocab;
        let row = |table: &'a [f64], pair: usize| &table[pair * vocab..(pair + 1) * vocab];
        let Some(last) = evaluation.choices.last().and_then(|prefix| prefix.last()) else {
            return Vec::new();
        };
        let mut logits = row(&self.tables.base, self.own_pair(*last)).to_vec();
        for ((prefix, weights), read) in
            evaluation.choices.iter().zip(&evaluation.weights).zip(&self.tables.read)
        {
            let total: f64 = weights.iter().sum();
            for (position, (&token, weight)) in prefix.iter().zip(weights).enumerate() {
                let row = row(read, position * vocab + token as usize);
                logits.iter_mut().zip(row).for_each(|(l, r)| *l += weight / total * r);
            }
        }
        logits
    }
}
