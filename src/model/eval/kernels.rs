//! Pointwise `f32` kernels, compiled for several instruction sets and chosen at run time.
//!
//! Activations are *feature-major*: a matrix `[features, columns]` with one column per (position, prefix), so that every
//! loop below runs along columns, has no horizontal sums, and vectorises. Results are for search only; whatever counts is
//! evaluated again by the rigorous evaluation.

use multiversion::multiversion;

use crate::model::Activation;

/// `e^x` with a relative error below 1.5e-7: `2^n · e^r`, `|r| <= ln 2 / 2`, polynomial of degree 6 in `r` (coefficients of
/// Cephes `expf`, Moshier 1989). Arguments are cut to `[−87, 88]`, where the result neither overflows nor is subnormal.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Adding and subtracting 1.5·2²³ rounds to a whole number, which then sits in the low bits of `shifted`.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    (p * r * r + r + 1.0) * power
}

/// `erf x` with an absolute error below 2e-7 (Abramowitz, Stegun 1964, 7.1.26).
#[inline(always)]
fn erf(x: f32) -> f32 {
    let a = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * a);
    let p = ((((1.061_405_4 * t - 1.453_152) * t + 1.421_413_8) * t - 0.284_496_74) * t + 0.254_829_6) * t;
    (1.0 - p * exp(-a * a)).copysign(x)
}

/// `(1 + erf(x/√2)) / 2`, the factor of GELU.
#[inline(always)]
pub fn normal_distribution(x: f32) -> f32 {
    0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    // (1 + tanh u)/2 = 1/(1 + e^{−2u}), and 2·√(2/π) = 1.5957691.
    x / (1.0 + exp(-1.595_769 * (x + 0.044_715 * x * x * x)))
}

#[inline(always)]
fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// Applies the activation to every element.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub fn activate(activation: Activation, x: &mut [f32]) {
    match activation {
        Activation::Relu => x.iter_mut().for_each(|x| *x = x.max(0.0)),
        Activation::SquaredRelu => x.iter_mut().for_each(|x| *x = x.max(0.0) * x.max(0.0)),
        Activation::GeluTanh => x.iter_mut().for_each(|x| *x = gelu_tanh(*x)),
        Activation::GeluErf => {
            x.iter_mut().for_each(|x| *x *= normal_distribution(*x));
        }
        Activation::Silu => x.iter_mut().for_each(|x| *x = silu(*x)),
    }
}

/// `1 / (1 + e^{−x})` of every element.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub fn sigmoid(x: &mut [f32]) {
    x.iter_mut().for_each(|x| *x = 1.0 / (1.0 + exp(-*x)));
}

/// One position of a decaying weighted average, for one feature of many prefixes. `sums` are the sum of weighted values,
/// the sum of weights, and the logarithm of a factor of both, which keeps all exponentials at most one.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub fn average_step(
    key: &[f32],
    value: &[f32],
    (decay, first): (f32, f32),
    [sum, weight, top]: [&mut [f32]; 3],
    out: &mut [f32],
) {
    let inputs = key.iter().zip(value);
    let state = sum.iter_mut().zip(weight).zip(top);
    for (((k, v), ((sum, weight), top)), out) in inputs.zip(state).zip(out) {
        let most = top.max(k + first);
        let (old, new) = (exp(*top - most), exp(k + first - most));
        *out = (old * *sum + new * v) / (old * *weight + new);
        let most = (*top - decay).max(*k);
        let (old, new) = (exp(*top - decay - most), exp(k - most));
        (*sum, *weight, *top) = (old * *sum + new * v, old * *weight + new, most);
    }
}

/// `x ⊙= y`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub fn multiply(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x *= y);
}

/// Norm of every column of `x` `[d, columns]` into `out`, `γ ⊙ (x − mean) / sqrt(mean square + ε) + β`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub fn normalise(centre: Centre, x: &[f32], gain: &[f32], bias: Option<&[f32]>, eps: f32, out: &mut [f32]) {
    let d = gain.len();
    let columns = x.len() / d;
    let inv_d = 1.0 / d as f32;
    let mut mean = vec![0.0f32; columns];
    if centre == Centre::Mean {
        for row in x.chunks_exact(columns) {
            mean.iter_mut().zip(row).for_each(|(m, x)| *m += x);
        }
        mean.iter_mut().for_each(|m| *m *= inv_d);
    }
    let mut scale = vec![0.0f32; columns];
    for (row, out) in x.chunks_exact(columns).zip(out.chunks_exact_mut(columns)) {
        for (((out, x), m), s) in out.iter_mut().zip(row).zip(&mean).zip(&mut scale) {
            *out = x - m;
            *s += *out * *out;
        }
    }
    scale.iter_mut().for_each(|s| *s = 1.0 / (*s * inv_d + eps).sqrt());
    for (i, (out, gain)) in out.chunks_exact_mut(columns).zip(gain).enumerate() {
        let bias = bias.map_or(0.0, |bias| bias[i]);
        out.iter_mut().zip(&scale).for_each(|(out, s)| *out = *out * s * gain + bias);
    }
}

/// What a norm subtracts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Centre {
    /// The mean (LayerNorm).
    Mean,
    /// Nothing (RMSNorm).
    Zero,
}

/// Rotates the pairs `(a, b)` by one angle: `(a·cos − b·sin, b·cos + a·sin)`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub fn rotate(a: &mut [f32], b: &mut [f32], cos: f32, sin: f32) {
    for (a, b) in a.iter_mut().zip(b) {
        (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
    }
}

/// `out += scale · a ⊙ b`: one feature's share of the scores of one (query, key) pair of positions.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub fn add_product(out: &mut [f32], a: &[f32], b: &[f32], scale: f32) {
    out.iter_mut().zip(a).zip(b).for_each(|((out, a), b)| *out += scale * a * b);
}

/// Exponentials of the scores of one query position, shifted by their maximum, and their sums per column.
/// `scores` holds rows of `stride`, of which `n` rows and the columns `first..first + sums.len()` are meant.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub fn softmax_weights(scores: &mut [f32], stride: usize, n: usize, first: usize, sums: &mut [f32]) {
    let mut top = vec![f32::NEG_INFINITY; sums.len()];
    let range = |j: usize| j * stride + first..j * stride + first + top.len();
    let ranges: Vec<_> = (0..n).map(range).collect();
    for range in &ranges {
        top.iter_mut().zip(&scores[range.clone()]).for_each(|(t, s)| *t = t.max(*s));
    }
    sums.fill(0.0);
    for range in ranges {
        for ((s, t), sum) in scores[range].iter_mut().zip(&top).zip(sums.iter_mut()) {
            *s = exp(*s - t);
            *sum += *s;
        }
    }
}

/// `x ⊙= 1 / y`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub fn divide(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x /= y);
}

/// Turns logits into logarithms of probabilities, in place.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub fn log_softmax(logits: &mut [f32]) {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    // Sixteen partial sums, so that the loop vectorises.
    let mut sums = [0.0f32; 16];
    for chunk in logits.chunks(16) {
        sums.iter_mut().zip(chunk).for_each(|(sum, l)| *sum += exp(l - top));
    }
    let log_sum = top + sums.iter().sum::<f32>().ln();
    logits.iter_mut().for_each(|l| *l -= log_sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_accurate_and_saturates() {
        for i in -8700..=8800 {
            let x = i as f32 / 100.0;
            let reference = f64::from(x).exp();
            assert!((f64::from(exp(x)) - reference).abs() <= 1.5e-7 * reference, "exp({x})");
        }
        assert!(exp(-1e30) < 1.7e-38 && exp(f32::NEG_INFINITY) < 1.7e-38 && exp(1e30) > 1.6e38);
    }

    #[test]
    fn activations_follow_their_formulas() {
        let points: Vec<f32> = (-400..=400).map(|i| i as f32 / 20.0).collect();
        type Formula = fn(f64) -> f64;
        let table: [(Activation, Formula); 5] = [
            (Activation::Relu, |x| x.max(0.0)),
            (Activation::SquaredRelu, |x| x.max(0.0).powi(2)),
            (Activation::GeluTanh, |x| {
                x / 2.0 * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
            }),
            (Activation::GeluErf, |x| x / 2.0 * (1.0 + core_math::erf(x / 2f64.sqrt()))),
            (Activation::Silu, |x| x / (1.0 + (-x).exp())),
        ];
        for (activation, formula) in table {
            let mut y = points.clone();
            activate(activation, &mut y);
            for (&x, &y) in points.iter().zip(&y) {
                let reference = formula(f64::from(x));
                let error = (f64::from(y) - reference).abs();
                assert!(
                    error <= 5e-7 * (1.0 + reference.abs()),
                    "{activation:?}({x}) = {y}, not {reference}"
                );
            }
        }
    }
}
