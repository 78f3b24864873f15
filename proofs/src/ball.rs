//! The ball of the final norm, and the least value of a weighted sum of logits on it.
//!
//! A final norm puts out `z = γ ⊙ ẑ + β` with `‖ẑ‖ <= √d` (ε >= 0 only shrinks it), and `Σ ẑ = 0` for LayerNorm. So the
//! logits are `l_j = U_j·(γ ⊙ ẑ) + c_j` with `c_j = U_j·β + b_j`, and by Cauchy-Schwarz
//!
//! ```text
//! Σ_j w_j l_j  >=  Σ_j w_j c_j − √d ‖Π (γ ⊙ Σ_j w_j U_j)‖
//! ```
//!
//! where Π projects onto Σ = 0 for LayerNorm and is the identity for RMSNorm. For integer weights everything but the root is
//! computed exactly, and `√d ‖Π v‖` is `√(d Σv² − (Σv)²)` for LayerNorm, `√(d Σv²)` for RMSNorm.

use dashu_int::IBig;

use crate::family::{Centring, Head, Norm};
use crate::head::index;
use crate::interval::Interval;
use crate::reject::Reject;
use crate::tensor::{DIGIT_BITS, Tensor};

/// The logits as functions on the ball.
pub(crate) struct Ball<'a> {
    head: &'a Head<'a>,
    centring: Centring,
    /// The unembedding is in units of `2^unit`, and so many digits.
    unit: i16,
    n_digits: usize,
    gain: Exact,
    shift: Option<Exact>,
    bias: Option<Exact>,
}

/// A vector of multiples of `2^unit`.
struct Exact {
    unit: i16,
    values: Vec<IBig>,
}

impl Exact {
    fn new(tensor: &Tensor) -> Exact {
        let unit = tensor.unit();
        Exact { unit, values: tensor.values.iter().map(|x| x.in_units(unit)).collect() }
    }
}

impl<'a> Ball<'a> {
    /// The ball of a head with a final norm.
    pub fn new(head: &'a Head<'a>) -> Result<Ball<'a>, Reject> {
        let Norm { centring, gain, shift, .. } = head.norm.as_ref().ok_or(Reject::NoFinalNorm)?;
        Ok(Ball {
            head,
            centring: *centring,
            unit: head.unembed.unit(),
            n_digits: head.unembed.n_digits(),
            gain: Exact::new(gain),
            shift: shift.map(Exact::new),
            bias: head.bias.map(Exact::new),
        })
    }

    /// Encloses the bound above for tokens with integer weights whose magnitudes sum to at most 2^54.
    pub fn least(&self, weights: &[(u32, i64)]) -> Interval {
        let vector = self.weighted_sum(weights);
        let mut constant = Interval::from_int(0);
        if let Some(shift) = &self.shift {
            let sum: IBig = shift.values.iter().zip(&vector).map(|(b, u)| b * u).sum();
            constant = Interval::scaled(&sum, i32::from(self.unit) + i32::from(shift.unit));
        }
        if let Some(bias) = &self.bias {
            let sum: IBig = weights.iter().map(|(token, w)| &bias.values[index(*token)] * *w).sum();
            constant = constant + Interval::scaled(&sum, i32::from(bias.unit));
        }
        let v: Vec<IBig> = self.gain.values.iter().zip(&vector).map(|(g, u)| g * u).collect();
        let squares: IBig = v.iter().map(|x| x * x).sum::<IBig>() * v.len();
        let radicand = match self.centring {
            Centring::Mean => {
                let sum: IBig = v.iter().sum();
                squares - &sum * &sum
            }
            Centring::None => squares,
        };
        let exponent = 2 * (i32::from(self.unit) + i32::from(self.gain.unit));
        constant - Interval::scaled(&radicand, exponent).sqrt()
    }

    /// `Σ_j w_j U_j` in units of the matrix `[vocabulary, d]`, exactly.
    fn weighted_sum(&self, weights: &[(u32, i64)]) -> Vec<IBig> {
        let width = self.head.unembed.shape[1];
        let mut sums = vec![0_i128; self.n_digits * width];
        for (token, weight) in weights {
            let row = &self.head.unembed.values[index(*token) * width..][..width];
            for (i, value) in row.iter().enumerate() {
                // Magnitudes of weights sum to at most 2^54 and a digit is below 2^56, so a sum stays below 2^110.
                let (digit, low, high) = value.digits(self.unit);
                sums[digit * width + i] += i128::from(*weight) * i128::from(low);
                sums[(digit + 1) * width + i] += i128::from(*weight) * i128::from(high);
            }
        }
        let element =
            |i: usize| (0..self.n_digits).map(|k| IBig::from(sums[k * width + i]) << (DIGIT_BITS * k)).sum();
        (0..width).map(element).collect()
    }
}
