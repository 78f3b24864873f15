//! Rigorous evaluation: enclosures of the exact real logits and probabilities after one prefix.
//!
//! The network's formulas are evaluated layer by layer in balls of high precision, then rounded outward to intervals. Law:
//! the exact real value of the stored weights lies in the interval that is returned. Rotary angles are enclosed as real
//! numbers, `position · theta^(−2i/dim)`, not as any library rounds them.

pub mod batch;
mod forward;
mod recurrent;

use super::prefix::PrefixError;
use super::{Model, TokenId};
use crate::num::precise::Precise;
use crate::num::{self, Interval};

/// Radius of a logit above which more digits are tried.
const WIDE: f64 = 1e-9;
/// Bits that a residual layer loses, as a first guess; trained models were seen to lose 13 to 17.
const BITS_PER_LAYER: usize = 16;

/// Encloses `P(token | prefix)` at a temperature, 1 as a rule: `1 / Σ_j exp((l_j − l_token) / temperature)`.
///
/// # Errors
/// A prefix that the model does not accept, or a token that does not exist.
pub fn token_probability(
    model: &Model,
    prefix: &[TokenId],
    token: TokenId,
    temperature: Interval,
) -> Result<Interval, PrefixError> {
    model.check_tokens(&[token])?;
    Ok(softmax_at(&logits(model, prefix)?, token, temperature))
}

/// Encloses one entry of the softmax of enclosed logits. `token` must be one of them.
pub fn softmax_at(logits: &[Interval], token: TokenId, temperature: Interval) -> Interval {
    let at = logits[token as usize];
    let others = logits.iter().enumerate().filter(|(j, _)| *j != token as usize);
    // The token's own term is exactly one, whatever its logit.
    let odds: Interval = others.map(|(_, &l)| num::exp((l - at) / temperature)).sum();
    let p = (Interval::ONE + odds.max(Interval::ZERO)).recip();
    Interval::new(p.lo().max(0.0), p.hi().min(1.0))
}

/// Encloses the logits after a prefix, `[vocabulary]`.
///
/// Each layer loses digits, so deep networks start with more of them, and as long as an enclosure is wide the next step of
/// 128, 192, 320, 576 and 896 bits after the point is tried.
///
/// # Errors
/// A prefix that the model does not accept.
pub fn logits(model: &Model, prefix: &[TokenId]) -> Result<Vec<Interval>, PrefixError> {
    model.check_prefix(prefix)?;
    let needed = 32 + BITS_PER_LAYER * model.body.layers.len();
    let steps = [at_limbs::<3>, at_limbs::<4>, at_limbs::<6>, at_limbs::<10>, at_limbs::<15>];
    let bits = [128, 192, 320, 576, 896];
    let first = bits.iter().position(|&bits| bits >= needed).unwrap_or(bits.len() - 1);
    let mut logits = steps[first](model, prefix);
    for step in &steps[first + 1..] {
        if logits.iter().all(|l| l.width() <= 2.0 * WIDE) {
            break;
        }
        logits = step(model, prefix);
    }
    Ok(logits)
}

fn at_limbs<const L: usize>(model: &Model, prefix: &[TokenId]) -> Vec<Interval> {
    forward::logits::<L>(model, prefix).iter().map(Precise::enclose).collect()
}
