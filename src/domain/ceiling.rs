//! Ceilings on the probabilities of many tokens over one region, with one affine functional each.
//!
//! Let `λ_j > 0` be weights of all tokens, `Λ = Σ_{j≠t} λ_j` and `g = Σ_{j≠t} λ_j (w_j − w_t) / Λ`. By Gibbs,
//!
//! ```text
//! ln Σ_{j≠t} e^{l_j − l_t} >= g·ẑ + Σ_{j≠t} λ_j (c_j − c_t) / Λ − Σ_{j≠t} λ_j ln λ_j / Λ + ln Λ,
//! ```
//!
//! and `g·ẑ` is bounded below three times: over the ball of the last norm, by its affine enclosure, and as `g·y` times the
//! scale of the norm. The sums over all tokens are shared: a token's own term is taken out of them.

use super::form::{Form, Map, Mapped, Normalised, Symbols};
use super::network::Network;
use crate::model::TokenId;
use crate::num::{Interval, exp, ln, nonnegative_sum};

/// Own share of all weights above which a token's sums are formed without it, lest the difference cancel.
const HEAVY: f64 = 0.5;

/// One region, ready to be asked about tokens.
pub(super) struct Ceilings<'n> {
    network: &'n Network<'n>,
    /// What the head reads.
    read: Read,
    /// λ, `[vocabulary]`.
    lambda: Vec<f64>,
    all: Sums,
}

/// The last residual, normalised or not.
enum Read {
    Normalised { z: Box<Normalised>, y: Form, scale: Interval },
    Plain(Form),
}

/// Sums over some tokens.
#[derive(Clone)]
struct Sums {
    /// `Σ λ_j`.
    total: Interval,
    /// `Σ λ_j w_j`, `[d]`.
    rows: Vec<Interval>,
    /// `Σ λ_j c_j`.
    bias: Interval,
    /// `Σ λ_j ln λ_j`.
    entropy: Interval,
}

impl<'n> Ceilings<'n> {
    /// A region, given by what the last layer leaves.
    pub fn new(network: &'n Network<'n>, residual: &Form) -> Ceilings<'n> {
        let read = match network.last {
            Some(norm) => {
                let y = norm.centre(residual);
                let z = norm.of_centred(y.clone(), &mut Symbols::supply(1 << 38));
                Read::Normalised { z: Box::new(z), scale: norm.factor(&y), y }
            }
            None => Read::Plain(residual.clone()),
        };
        let centre = match &read {
            Read::Normalised { z, .. } => z.centre(),
            Read::Plain(x) => x.mid(),
        };
        let logits = Form::point(centre.to_vec()).map(&network.head);
        let top = logits.mid().iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let lambda: Vec<f64> =
            logits.mid().iter().map(|l| exp(Interval::point(l - top)).mid_rad().0).collect();
        let all = Sums::of(network, &lambda, None);
        Ceilings { network, read, lambda, all }
    }

    /// Upper bound on the probability of a token, which has to exist; 1 where nothing is known.
    pub fn of(&self, token: TokenId) -> f64 {
        let t = token as usize;
        let own = self.lambda[t];
        let sums = if own > HEAVY * self.all.total.lo() {
            Sums::of(self.network, &self.lambda, Some(t))
        } else {
            self.all.without(self.network, own, t)
        };
        let head = &self.network.head;
        let g: Vec<Interval> = sums
            .rows
            .iter()
            .zip(head.weight().column(t))
            .map(|(sum, &w)| *sum / sums.total - Interval::point(w))
            .collect();
        let constant = sums.bias / sums.total - head.bias(t) - sums.entropy / sums.total + ln(sums.total);
        let least = Interval::point(self.least(&g)) + constant;
        let p = (Interval::ONE + exp(least).max(Interval::ZERO)).recip().hi();
        if p <= 1.0 { p } else { 1.0 }
    }

    /// Lower bound on `g·ẑ`.
    fn least(&self, g: &[Interval]) -> f64 {
        let (row, rad): (Vec<f64>, Vec<f64>) = g.iter().map(|g| g.mid_rad()).unzip();
        let column = ndarray::Array2::from_shape_fn((row.len(), 1), |(i, _)| row[i]);
        let map = Map::new(column, &[Interval::ZERO]);
        let spread = |size: &[f64]| nonnegative_sum(rad.iter().zip(size).map(|(r, s)| r * s).sum());
        match &self.read {
            Read::Plain(x) => below(x.map(&map).ranges()[0], spread(&x.magnitude())).lo(),
            Read::Normalised { z, y, scale } => {
                let size: f64 = nonnegative_sum(g.iter().map(|g| g.magnitude()).sum());
                let length = self.network.length(&row, size);
                let root = Interval::point(row.len() as f64).sqrt();
                // No entry of a vector in the ball is beyond its radius.
                let outside = spread(&vec![root.hi(); row.len()]);
                let ball = below(-(root * Interval::point(length)), outside).lo();
                let Mapped { linear, delta, gamma, length: rest } = z.map(&map);
                let second = nonnegative_sum((delta.radius()[0] * gamma).min(rest * length));
                let affine = below(below(linear.ranges()[0], second), outside).lo();
                let product = (below(y.map(&map).ranges()[0], spread(&y.magnitude())) * *scale).lo();
                // A bound that is lost is none.
                [affine, product].into_iter().filter(|x| x.is_finite()).fold(ball, f64::max)
            }
        }
    }
}

/// `x` and whatever is at most `by` below it.
fn below(x: Interval, by: f64) -> Interval {
    x + Interval::new(-by, 0.0)
}

impl Sums {
    fn of(network: &Network<'_>, lambda: &[f64], but: Option<usize>) -> Sums {
        let weight = network.head.weight();
        let kept: Vec<usize> = (0..lambda.len()).filter(|&j| Some(j) != but && lambda[j] > 0.0).collect();
        let sum = |f: &dyn Fn(usize) -> Interval| kept.iter().map(|&j| f(j)).sum::<Interval>();
        let l = |j: usize| Interval::point(lambda[j]);
        Sums {
            total: sum(&l),
            rows: (0..weight.nrows()).map(|i| sum(&|j| l(j) * weight[[i, j]])).collect(),
            bias: sum(&|j| l(j) * network.head.bias(j)),
            entropy: sum(&|j| l(j) * ln(l(j))),
        }
    }

    fn without(&self, network: &Network<'_>, own: f64, t: usize) -> Sums {
        let own = Interval::point(own);
        let column = network.head.weight().column(t);
        let entropy = if own.lo() > 0.0 { own * ln(own) } else { Interval::ZERO };
        Sums {
            total: self.total - own,
            rows: self.rows.iter().zip(column).map(|(sum, &w)| *sum - own * w).collect(),
            bias: self.bias - own * network.head.bias(t),
            entropy: self.entropy - entropy,
        }
    }
}
