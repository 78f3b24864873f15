//! The data of the head theorem: `l_j = a_j·ẑ + c_j` over the ball `‖ẑ‖ <= √d`, divided by the temperature.
//!
//! A final norm gives `z = γ ⊙ ẑ + β` with `‖ẑ‖ <= √d`, because `ε >= 0` in its denominator only shrinks `ẑ`, and `Σẑ
//! = 0` if it is a LayerNorm. So with the unembedding `U` and the head bias `b`: `a_j = γ ⊙ U_j` and `c_j = U_j·β +
//! b_j`. A LayerNorm sees only `Π a_j`, `Π` the projection on `{Σ = 0}`. The rows `a_j` are never stored: `γ` moves
//! over to the vector they meet.

use ndarray::{Array1, ArrayView1, ArrayView2};
use rayon::prelude::*;

use super::HeadError;
use crate::model::{Head, Norm, TokenId};
use crate::num::Interval;
use crate::num::gamma::{norm_upper, signed};

/// A head as a family of affine functions on a ball.
#[derive(Debug)]
pub struct Problem<'a> {
    /// `U`, `[vocabulary, d]`.
    pub unembed: ArrayView2<'a, f32>,
    /// `γ`, `[d]`, exact.
    pub gain: Array1<f64>,
    /// Upper bound on `‖γ‖`.
    pub gain_norm: f64,
    /// Whether `Σẑ = 0` (LayerNorm).
    pub centred: bool,
    /// Upper bound on `√d`.
    pub radius: f64,
    /// `c_j`; `None` where all are zero.
    pub constants: Option<Constants>,
    /// Upper bounds on `‖a_j‖`.
    pub norms: Vec<f64>,
    /// Encloses the temperature `T > 0` that divides the logits.
    pub temperature: Interval,
    /// Tokens that get no weight, whatever the target; none as a rule.
    pub excluded: Vec<usize>,
}

/// Enclosures of the constants: `lower[j] <= c_j <= lower[j] + width`.
#[derive(Debug)]
pub struct Constants {
    /// One per token.
    pub lower: Vec<f64>,
    /// Common width of the enclosures.
    pub width: f64,
}

impl<'a> Problem<'a> {
    /// Reads a head.
    ///
    /// # Errors
    /// [`HeadError`] for a head without final norm, with contradicting shapes, with numbers that are not finite, or
    /// for a temperature that is not a positive finite number.
    pub fn new(head: &'a Head, temperature: Interval) -> Result<Problem<'a>, HeadError> {
        if !(0.0 < temperature.lo() && temperature.is_finite()) {
            return Err(HeadError::Temperature { temperature });
        }
        let (gain, beta, eps, centred) = match &head.norm {
            None => return Err(HeadError::NoFinalNorm),
            Some(Norm::Layer { gain, bias, eps }) => (gain, bias.as_ref(), *eps, true),
            Some(Norm::Rms { gain, eps }) => (gain, None, *eps, false),
        };
        if !(0.0..f64::INFINITY).contains(&eps) {
            return Err(HeadError::Epsilon { eps });
        }
        let (vocab_size, width) = head.unembed.dim();
        let shape = |what, len: Option<usize>, expected| match len {
            Some(found) if found != expected => Err(HeadError::Shape { what, found, expected }),
            _ => Ok(()),
        };
        shape("gain of the final norm", Some(gain.len()), width)?;
        shape("bias of the final norm", beta.map(Array1::len), width)?;
        shape("bias of the head", head.bias.as_ref().map(Array1::len), vocab_size)?;
        if vocab_size < 2 || width == 0 || TokenId::try_from(vocab_size).is_err() {
            return Err(HeadError::Size { vocab_size, width });
        }

        let gain = gain.mapv(f64::from);
        let beta = beta.map(|beta| beta.mapv(f64::from));
        let rows = (0..vocab_size).into_par_iter().with_min_len(256);
        let constants = (beta.is_some() || head.bias.is_some()).then(|| {
            let bias = |j: usize| head.bias.as_ref().map_or(0.0, |b| f64::from(b[j]));
            let enclosures: Vec<Interval> =
                rows.clone().map(|j| constant(head.unembed.row(j), beta.as_ref(), bias(j))).collect();
            let width = enclosures.iter().map(|c| c.width()).fold(0.0, f64::max);
            Constants { lower: enclosures.iter().map(|c| c.lo()).collect(), width }
        });
        let norms: Vec<f64> = rows
            .map(|j| norm_upper(head.unembed.row(j).iter().zip(&gain).map(|(&u, &g)| f64::from(u) * g)))
            .collect();
        let constant_ok = |j: usize| constants.as_ref().is_none_or(|c| (c.lower[j] + c.width).is_finite());
        if let Some(token) = (0..vocab_size).find(|&j| !norms[j].is_finite() || !constant_ok(j)) {
            return Err(HeadError::NotFinite { token: token as TokenId });
        }
        Ok(Problem {
            unembed: head.unembed.view(),
            gain_norm: norm_upper(gain.iter().copied()),
            gain,
            centred,
            radius: Interval::point(width as f64).sqrt().hi(),
            constants,
            norms,
            temperature,
            excluded: Vec::new(),
        })
    }

    /// Number of tokens, at least 2.
    pub fn vocab_size(&self) -> usize {
        self.unembed.nrows()
    }

    /// Width `d`.
    pub fn width(&self) -> usize {
        self.unembed.ncols()
    }

    /// Encloses `c_j`.
    pub fn constant(&self, token: usize) -> Interval {
        self.constants
            .as_ref()
            .map_or(Interval::ZERO, |c| Interval::point(c.lower[token]) + Interval::new(0.0, c.width))
    }

    /// The temperature, to the nearest.
    pub fn near_temperature(&self) -> f64 {
        self.temperature.mid_rad().0
    }

    /// `Π x`, to the nearest: the identity for RMSNorm.
    pub fn project(&self, mut x: Array1<f64>) -> Array1<f64> {
        if self.centred {
            x -= x.sum() / x.len() as f64;
        }
        x
    }
}

/// Encloses `u·β + b`. Products of two `f32` are exact in `f64`.
fn constant(u: ArrayView1<f32>, beta: Option<&Array1<f64>>, bias: f64) -> Interval {
    let Some(beta) = beta else { return Interval::point(bias) };
    let (mut sum, mut magnitude) = (bias, bias.abs());
    for (&u, &beta) in u.iter().zip(beta) {
        sum += f64::from(u) * beta;
        magnitude += (f64::from(u) * beta).abs();
    }
    signed(sum, magnitude, beta.len() + 1)
}
