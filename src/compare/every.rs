//! How far apart two models are after every prefix of every length, from their final norms and heads.
//!
//! Let everything below the final norm be the same, so that both heads read the same `ẑ` with `‖ẑ‖ <= √d`. With `l_j =
//! a_j·ẑ + c_j` and `l'_j = a'_j·ẑ + c'_j` a logit changes by at most `N_j = √d ‖a'_j − a_j‖ + |c'_j − c_j|`. The log-odds of
//! token t, `l_t − LSE_{j≠t} l_j`, then change by at most `ε = N_t + max_{j≠t} N_j`, because a log-sum-exp changes by at
//! most the largest change of its terms. A probability p whose log-odds move by ε moves by at most `tanh(ε/4)`, and if `p <= U
//! <= σ(−ε/2)` by at most `σ(logit U + ε) − U`, which grows with U there; `U` comes from the head theorem.
//!
//! If the bodies differ, nothing is known of what the heads read but the ball, so that `p, q <= max(U, U')` is all there is.

use ndarray::Array1;
use rayon::prelude::*;

use super::{CompareError, check};
use crate::limits::Limits;
use crate::model::{Head, Model, Norm, TokenId};
use crate::num::gamma::norm_upper;
use crate::num::{self, Interval};
use crate::prove::head::{Goal, HeadError, HeadProver};

/// What a bound rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// All weights are the same.
    Equal,
    /// The same body: both heads read the same vector.
    SameBody,
    /// Different bodies: nothing but the largest probabilities that the heads allow.
    Heads,
}

/// A token's probabilities under two models: `|p − q| <= bound` after every prefix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// The token.
    pub token: TokenId,
    /// Proved for every prefix of every length.
    pub bound: f64,
}

/// Bounds on `|p_t − q_t|` for every token.
///
/// # Errors
/// [`CompareError`] for different vocabularies or damaged heads.
pub fn every_prefix(a: &Model, b: &Model, limits: &Limits) -> Result<(Ground, Vec<Change>), CompareError> {
    check(a, b)?;
    let tokens: Vec<TokenId> = (0..a.head.vocab_size() as TokenId).collect();
    let upper = largest(&a.head, &tokens, limits)?;
    let all = |bounds: Vec<f64>| {
        std::iter::zip(&tokens, bounds).map(|(&token, bound)| Change { token, bound }).collect()
    };
    let same_body = a.body == b.body && same_ball(&a.head, &b.head);
    if same_body && a.head == b.head {
        return Ok((Ground::Equal, all(vec![0.0; tokens.len()])));
    }
    if !same_body {
        let other = largest(&b.head, &tokens, limits)?;
        return Ok((Ground::Heads, all(std::iter::zip(upper, other).map(|(p, q)| p.max(q)).collect())));
    }
    let changes = logit_changes(&a.head, &b.head);
    let bound = |t: usize| moved(upper[t], log_odds_change(&changes, t));
    Ok((Ground::SameBody, all((0..tokens.len()).map(bound).collect())))
}

/// The head theorem's upper bounds; 1 where there is no final norm.
fn largest(head: &Head, tokens: &[TokenId], limits: &Limits) -> Result<Vec<f64>, HeadError> {
    let prover = match HeadProver::new(head, Interval::ONE) {
        Err(HeadError::NoFinalNorm) => return Ok(vec![1.0; tokens.len()]),
        other => other?,
    };
    let proofs = prover.bound_all(tokens, &Goal::tight(), limits, &|_| {})?;
    Ok(proofs.iter().map(|proof| proof.upper).collect())
}

/// Whether equal inputs of the final norms give equal points `ẑ` of one ball: gains and biases may differ, ε may not.
fn same_ball(a: &Head, b: &Head) -> bool {
    match (&a.norm, &b.norm) {
        (Some(Norm::Layer { eps: a, .. }), Some(Norm::Layer { eps: b, .. }))
        | (Some(Norm::Rms { eps: a, .. }), Some(Norm::Rms { eps: b, .. })) => a == b,
        // Without a final norm there is no ball, and a change of the head has no bound.
        _ => false,
    }
}

/// `N_j` for every token: how much a logit can change.
fn logit_changes(a: &Head, b: &Head) -> Vec<f64> {
    let radius = Interval::point(a.width() as f64).sqrt();
    let ([gain_a, beta_a], [gain_b, beta_b]) = (affine(a), affine(b));
    let change = |j: usize| {
        let rows = || std::iter::zip(a.unembed.row(j), b.unembed.row(j)).map(|(&u, &v)| (wide(u), wide(v)));
        let scaled = |k: usize, (u, v): (Interval, Interval)| v * gain_b[k] - u * gain_a[k];
        let norm: Vec<f64> = rows().enumerate().map(|(k, uv)| magnitude(scaled(k, uv))).collect();
        let shift = |k: usize, (u, v): (Interval, Interval)| v * beta_b[k] - u * beta_a[k];
        let bias = |head: &Head| head.bias.as_ref().map_or(Interval::ZERO, |bias| wide(bias[j]));
        let shifts: Interval = rows().enumerate().map(|(k, uv)| shift(k, uv)).sum();
        let constant = magnitude(shifts + (bias(b) - bias(a)));
        (radius * Interval::point(norm_upper(norm.into_iter())) + Interval::point(constant)).hi()
    };
    (0..a.vocab_size()).into_par_iter().map(change).collect()
}

/// Gain and bias of the final norm; zero where it has no bias.
fn affine(head: &Head) -> [Vec<Interval>; 2] {
    let exact = |x: &Array1<f32>| x.iter().map(|&x| wide(x)).collect();
    let zero = || vec![Interval::ZERO; head.width()];
    match &head.norm {
        Some(Norm::Layer { gain, bias, .. }) => [exact(gain), bias.as_ref().map_or_else(zero, exact)],
        Some(Norm::Rms { gain, .. }) => [exact(gain), zero()],
        None => [vec![Interval::ONE; head.width()], zero()],
    }
}

fn wide(x: f32) -> Interval {
    Interval::point(f64::from(x))
}

fn magnitude(x: Interval) -> f64 {
    x.lo().abs().max(x.hi().abs())
}

/// `ε`: how much the log-odds of token `t` can change.
fn log_odds_change(changes: &[f64], t: usize) -> f64 {
    let others = changes.iter().enumerate().filter(|(j, _)| *j != t);
    let most = others.map(|(_, &change)| change).fold(0.0, f64::max);
    (Interval::point(changes[t]) + Interval::point(most)).hi()
}

/// How much a probability of at most `upper` moves when its log-odds move by at most `epsilon`. NaN moves anywhere.
fn moved(upper: f64, epsilon: f64) -> f64 {
    if !(epsilon.is_finite() && upper <= 1.0) {
        return 1.0;
    }
    let half = Interval::point(epsilon / 2.0);
    let anywhere = num::tanh(half / Interval::point(2.0)).hi().min(1.0);
    if upper > num::sigmoid(-half).lo() {
        return anywhere;
    }
    let (p, factor) = (Interval::point(upper), num::exp(Interval::point(epsilon)));
    let after = p * factor / (Interval::ONE - p + p * factor);
    let bound = (after - p).hi();
    // Beyond the range of exponentials the ratio is no number.
    if bound < anywhere { bound.max(0.0) } else { anywhere }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logistic(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    #[test]
    fn no_move_of_the_log_odds_beats_the_bound() {
        for epsilon in [0.0, 1e-9, 0.01, 0.5, 3.0, 40.0, 1e4] {
            for upper in [1e-12, 0.001, 0.1, 0.5, 0.9, 1.0] {
                let bound = moved(upper, epsilon);
                for k in 0..=400 {
                    let p = upper * f64::from(k) / 400.0;
                    let odds = (p / (1.0 - p)).ln();
                    for shift in [-epsilon, epsilon, epsilon / 3.0] {
                        let change = (logistic(odds + shift) - p).abs();
                        assert!(change <= bound + 1e-15, "{epsilon} {upper} {p}: {change} > {bound}");
                    }
                }
            }
        }
        assert!(moved(0.3, f64::NAN) == 1.0 && moved(f64::NAN, 0.1) == 1.0);
        assert!(moved(0.001, 0.01) < 2e-5 && moved(1.0, 0.01) < 0.0026);
    }
}
