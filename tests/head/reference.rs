//! The head theorem in the most obvious way: thousands of gradient steps, then every operation in intervals.

use llmprove::model::{Head, Norm, TokenId};
use llmprove::num::{Interval, ln, sigmoid};
use ndarray::Array1;

use super::heads::probabilities;

/// The bound after projected gradient ascent of `ln p_t`, with `λ` the other tokens' softmax at the end.
pub fn upper_bound(head: &Head, target: usize) -> f64 {
    let (Some(Norm::Layer { gain, .. }) | Some(Norm::Rms { gain, .. })) = &head.norm else { unreachable!() };
    let centred = matches!(head.norm, Some(Norm::Layer { .. }));
    let rows = head.unembed.mapv(f64::from) * &gain.mapv(f64::from);
    let radius = (head.width() as f64).sqrt();
    let mut z = Array1::<f64>::zeros(head.width());
    for _ in 0..4000 {
        let p = Array1::from(probabilities(head, &z, 1.0));
        z = z + (&rows.row(target) - &p.dot(&rows)) * 0.1;
        if centred {
            z -= z.sum() / z.len() as f64;
        }
        z *= (radius / z.dot(&z).sqrt()).min(1.0);
    }
    let p = probabilities(head, &z, 1.0);
    let others = (0..p.len()).filter(|&j| j != target);
    let lambda: Vec<_> = others.map(|j| (j as TokenId, (p[j] * (1u64 << 50) as f64) as u64)).collect();
    let lambda: Vec<_> = lambda.into_iter().filter(|&(_, n)| n > 0).collect();
    bound_of(head, target, &lambda).hi()
}

/// Encloses `1 / (1 + exp(H(λ) + Σλ_j(c_j − c_t) − √d ‖Π Σλ_j(a_j − a_t)‖))`, operation by operation.
pub fn bound_of(head: &Head, target: usize, lambda: &[(TokenId, u64)]) -> Interval {
    let x = |x: f32| Interval::point(f64::from(x));
    let (gain, shift, centred) = match head.norm.as_ref().expect("the head has a norm") {
        Norm::Layer { gain, bias, .. } => (gain, bias.as_ref(), true),
        Norm::Rms { gain, .. } => (gain, None, false),
    };
    let d = head.width();
    let constant = |j: usize| -> Interval {
        let product = |k: usize| shift.map_or(Interval::ZERO, |b| x(head.unembed[[j, k]]) * x(b[k]));
        (0..d).map(product).sum::<Interval>() + head.bias.as_ref().map_or(Interval::ZERO, |b| x(b[j]))
    };
    let denominator = Interval::point(lambda.iter().map(|&(_, n)| n).sum::<u64>() as f64);
    let weight = |n: u64| Interval::point(n as f64) / denominator;
    let entropy: Interval = lambda.iter().map(|&(_, n)| -(weight(n) * ln(weight(n)))).sum();
    let constants: Interval =
        lambda.iter().map(|&(j, n)| weight(n) * (constant(j as usize) - constant(target))).sum();
    let mut vector: Vec<Interval> = (0..d)
        .map(|k| {
            let difference = |j: TokenId| x(head.unembed[[j as usize, k]]) - x(head.unembed[[target, k]]);
            lambda.iter().map(|&(j, n)| weight(n) * difference(j) * x(gain[k])).sum()
        })
        .collect();
    if centred {
        let mean = vector.iter().copied().sum::<Interval>() / Interval::point(d as f64);
        vector.iter_mut().for_each(|v| *v = *v - mean);
    }
    let norm = vector.into_iter().map(Interval::square).sum::<Interval>().sqrt();
    sigmoid(-(entropy + constants - Interval::point(d as f64).sqrt() * norm))
}
