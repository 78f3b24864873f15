//! From the last residual to margins and probabilities.
//!
//! Margins `l_j − l_t` are affine like the logits, and lie within `c_j − c_t ± √d ‖Π(w_j − w_t)‖` whatever the residual is. They
//! are also `c_j − c_t + g (w_j − w_t)·y` with `y` before the last norm and its scale `g > 0`: where that norm has much room,
//! the sign of the product is known best from its affine factor.
//! With them `p_t = 1 / (1 + Σ_{j≠t} e^{l_j − l_t})`; since for every λ in the simplex `ln Σ e^{u_j} >= Σ λ_j u_j + H(λ)` (Gibbs),
//! one more affine functional bounds `p_t` from above without giving every margin its own worst case.

use ndarray::Array2;

use super::form::{Form, Map, Mapped, Symbols};
use super::network::Network;
use crate::model::TokenId;
use crate::num::{Interval, exp, ln, nonnegative_sum};

/// Looseness of a residual whose norm is known well enough.
const LITTLE: f64 = 0.1;

/// All logits after the prefixes of a region.
#[derive(Debug, Clone)]
pub struct Logits<'n> {
    network: &'n Network<'n>,
    /// `[vocabulary]`.
    linear: Form,
    /// `[vocabulary]`, around zero, to be multiplied by an unknown factor.
    delta: Form,
    /// Bound on the size of the factor.
    gamma: f64,
    /// Bound on the vector behind `delta`, before the head and with the factor.
    length: f64,
    /// Logits without biases as a product: a form `[vocabulary]`, and a positive factor that all of it is multiplied by.
    product: Option<(Form, Interval)>,
    /// The same logits, enclosed in another way.
    other: Option<Box<Logits<'n>>>,
}

/// What is known about one token after the prefixes of a region.
#[derive(Debug, Clone)]
pub struct Outlook {
    /// Encloses `l_j − l_t` for every token `j`, nats; zero for `t` itself.
    pub margins: Vec<Interval>,
    /// Encloses `p_t`.
    pub probability: Interval,
}

impl<'n> Logits<'n> {
    pub(super) fn new(network: &'n Network<'n>, residual: &Form) -> Logits<'n> {
        let Some(norm) = network.last else {
            let delta = Form::point(vec![0.0; network.vocab]);
            let linear = residual.map(&network.head);
            return Logits { network, linear, delta, gamma: 0.0, length: 0.0, product: None, other: None };
        };
        let y = norm.centre(residual);
        // A polynomial that leaves little open knows the norm too.
        let is_known = residual.looseness().is_some_and(|rest| rest <= LITTLE);
        let product = (!is_known).then(|| {
            let bias: Vec<f64> = (0..network.vocab).map(|j| -network.head.bias(j).mid_rad().0).collect();
            (y.map(&network.head).shifted(&bias), norm.factor(&y))
        });
        let mut symbols = Symbols::supply(1 << 38);
        // Logits share what is unknown: their differences know more than each of them.
        let Mapped { linear, delta, gamma, length } =
            norm.of_centred(y, &mut symbols).absorb(&mut symbols).map(&network.head);
        Logits { network, linear, delta, gamma, length, product, other: None }
    }

    /// What both say about the same region.
    #[must_use]
    pub(super) fn and(self, other: Logits<'n>) -> Logits<'n> {
        Logits { other: Some(Box::new(other)), ..self }
    }

    /// Margins and probability of one token, which has to exist.
    #[must_use]
    pub fn outlook(&self, token: TokenId) -> Outlook {
        let t = token as usize;
        let (linear, delta) = (self.linear.less_entry(t), self.delta.less_entry(t));
        let widest: Vec<_> = (0..self.network.vocab).map(|j| self.network.widest_margin(j, t)).collect();
        let spread: Vec<f64> = delta
            .radius()
            .iter()
            .zip(&widest)
            .map(|(r, widest)| {
                let by_length = widest.map_or(f64::INFINITY, |(_, length)| self.length * length);
                nonnegative_sum((r * self.gamma).min(by_length))
            })
            .collect();
        let widened = |(range, by): (Interval, &f64)| range + Interval::new(-by, *by);
        let mut margins: Vec<Interval> = linear.ranges().into_iter().zip(&spread).map(widened).collect();
        for (margin, widest) in margins.iter_mut().zip(widest) {
            *margin = widest.map_or(*margin, |(widest, _)| meet(*margin, widest));
        }
        if let Some((y, scale)) = &self.product {
            let ranges = y.less_entry(t).ranges();
            for ((j, margin), range) in margins.iter_mut().enumerate().zip(ranges) {
                let bias = self.network.head.bias(j) - self.network.head.bias(t);
                *margin = meet(*margin, range * *scale + bias);
            }
        }
        margins[t] = Interval::ZERO;
        let probability = self.probability(t, &margins, &linear, &delta);
        match self.other.as_ref().map(|other| other.outlook(token)) {
            Some(other) => Outlook {
                margins: margins.into_iter().zip(other.margins).map(|(a, b)| meet(a, b)).collect(),
                probability: meet(probability, other.probability),
            },
            None => Outlook { margins, probability },
        }
    }

    fn probability(&self, t: usize, margins: &[Interval], linear: &Form, delta: &Form) -> Interval {
        let others = || margins.iter().enumerate().filter(|(j, _)| *j != t);
        let odds: Interval = others().map(|(_, &m)| exp(m)).sum();
        // λ: the softmax without t at the centre.
        let centre = linear.mid();
        let top = others().map(|(j, _)| centre[j]).fold(f64::NEG_INFINITY, f64::max);
        let mut lambda: Vec<f64> = centre.iter().map(|m| exp(Interval::point(m - top)).mid_rad().0).collect();
        lambda[t] = 0.0;
        let column = Array2::from_shape_fn((lambda.len(), 1), |(j, _)| lambda[j]);
        let functional = Map::new(column, &[Interval::ZERO]);
        // Σ λ_j (w_j − w_t), the vector that the functional stands for.
        let total: f64 = lambda.iter().sum();
        let head = self.network.head.weight();
        let row: Vec<f64> = (0..head.nrows())
            .map(|i| head.row(i).iter().zip(&lambda).map(|(w, l)| w * l).sum::<f64>() - total * head[[i, t]])
            .collect();
        let sizes = (0..head.nrows()).map(|i| {
            head.row(i).iter().zip(&lambda).map(|(w, l)| w.abs() * l).sum::<f64>()
                + total * head[[i, t]].abs()
        });
        // Sums of as many terms as there are tokens, not a few.
        let size = sizes.sum::<f64>() * lambda.len() as f64;
        let by_length = match self.network.last {
            Some(_) => self.length * self.network.length(&row, size),
            None => f64::INFINITY,
        };
        let spread = nonnegative_sum((delta.map(&functional).radius()[0] * self.gamma).min(by_length));
        let mean = linear.map(&functional).widened(&[spread]).ranges()[0];
        let sum: Interval = lambda.iter().map(|&l| Interval::point(l)).sum();
        let plogp: Interval =
            lambda.iter().filter(|l| **l > 0.0).map(|&l| Interval::point(l) * ln(Interval::point(l))).sum();
        // With λ/Σλ in the simplex: Σ λ u / Σλ − Σ λ ln λ / Σλ + ln Σλ.
        let gibbs = (mean - plogp) / sum + ln(sum);
        let least = odds.lo().max(exp(gibbs).lo());
        let p = Interval::new(
            (Interval::ONE + Interval::point(odds.hi().max(0.0))).recip().lo(),
            (Interval::ONE + Interval::point(least.max(0.0))).recip().hi(),
        );
        Interval::new(p.lo().max(0.0), p.hi().min(1.0))
    }
}

/// What both say; one of them where rounding makes them disjoint.
fn meet(x: Interval, y: Interval) -> Interval {
    let (lo, hi) = (x.lo().max(y.lo()), x.hi().min(y.hi()));
    if lo <= hi { Interval::new(lo, hi) } else { x }
}
