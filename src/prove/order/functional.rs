//! Least value of a linear functional of the logits over the ball of the final norm.
//!
//! With `l_j = a_j·ẑ + c_j`, `a_j = γ ⊙ U_j`, `‖ẑ‖ <= √d` and, for LayerNorm, `Σẑ = 0` (see `head::problem`),
//! Cauchy-Schwarz gives, with equality somewhere on the ball,
//!
//! `min Σ_j w_j l_j = Σ_j w_j c_j − √d ‖Π (γ ⊙ Σ_j w_j U_j)‖`.

use crate::model::TokenId;
use crate::num::Interval;

use super::Problem;

/// Largest magnitude of the weights' sum: integers up to it are exact floats, and certificates allow no more.
pub const MAX_WEIGHT: i64 = 1 << 52;

/// Lower bound on `Σ w_j l_j` over the ball; `−∞` where nothing is known. Every operation rounds outward.
#[must_use]
pub fn least(problem: &Problem<'_>, weights: &[(TokenId, i64)]) -> f64 {
    let total: i64 = weights.iter().fold(0i64, |sum, (_, w)| sum.saturating_add(w.saturating_abs()));
    if total > 2 * MAX_WEIGHT {
        return f64::NEG_INFINITY;
    }
    let weight = |w: i64| Interval::point(w as f64);
    let constant: Interval = weights.iter().map(|&(j, w)| weight(w) * problem.constant(j as usize)).sum();
    let entry = |k: usize| {
        let column = weights
            .iter()
            .map(|&(j, w)| weight(w) * Interval::point(f64::from(problem.unembed[[j as usize, k]])));
        column.sum::<Interval>() * Interval::point(problem.gain[k])
    };
    let vector: Vec<Interval> = (0..problem.width()).map(entry).collect();
    // ‖Πv‖ <= ‖v − m‖ for every multiple m of the ones, so the mean need not be known exactly.
    let mean = vector.iter().map(|v| v.mid_rad().0).sum::<f64>() / vector.len() as f64;
    let shift = if problem.centred { Interval::point(mean) } else { Interval::ZERO };
    let norm = vector.iter().map(|&v| (v - shift).square()).sum::<Interval>().sqrt();
    let least = constant - norm * problem.radius;
    if least.is_finite() { least.lo() } else { f64::NEG_INFINITY }
}
