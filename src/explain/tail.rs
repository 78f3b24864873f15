//! The layers after the last attention, the final norm and the head, as a function of one residual and its gradient; in floats.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::limits::Limits;
use crate::model::{Activation, Head, Layer, Linear, Mlp, MlpKind, Model, Norm, TokenId};
use crate::num::{self, Interval};

/// Random starts of an ascent.
const STARTS: usize = 12;
/// Steps from each.
const STEPS: usize = 150;

/// From the residual to the log-odds of a token.
pub struct Tail<'a> {
    layers: Vec<&'a Mlp>,
    head: &'a Head,
    norm: &'a Norm,
    token: usize,
}

impl<'a> Tail<'a> {
    /// `None` without a final norm, where residuals have no bound, or if layers of other kinds come last.
    pub fn new(model: &'a Model, token: TokenId) -> Option<Tail<'a>> {
        let last = model.body.layers.iter().rposition(Layer::looks_back)?;
        let mlp = |layer: &'a Layer| match layer {
            Layer::Mlp(mlp) => Some(mlp),
            Layer::Attention(_)
            | Layer::Parallel(_)
            | Layer::Norm(_)
            | Layer::Wkv4(_)
            | Layer::Wkv7(_)
            | Layer::ChannelMix(_) => None,
        };
        let layers = model.body.layers[last + 1..].iter().map(mlp).collect::<Option<Vec<_>>>()?;
        let norm = model.head.norm.as_ref()?;
        Some(Tail { layers, head: &model.head, norm, token: token as usize })
    }

    /// Log-odds, and their gradient in the residual.
    pub fn value(&self, residual: &[f64]) -> (f64, Vec<f64>) {
        let mut inputs = Vec::new();
        let mut x = residual.to_vec();
        for mlp in &self.layers {
            inputs.push(x.clone());
            let read = mlp.norm.as_ref().map_or_else(|| x.clone(), |norm| normalise(norm, &x).0);
            add(&mut x, &forward(mlp, &read).0);
        }
        let (z, _) = normalise(self.norm, &x);
        let mut logits: Vec<f64> =
            self.head.unembed.rows().into_iter().map(|row| dot(row.iter(), &z)).collect();
        if let Some(bias) = &self.head.bias {
            logits.iter_mut().zip(bias).for_each(|(l, &b)| *l += f64::from(b));
        }
        let others = || logits.iter().enumerate().filter(|(j, _)| *j != self.token).map(|(_, l)| *l);
        let top = others().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = others().map(|l| (l - top).exp()).sum();
        let value = logits[self.token] - top - sum.ln();
        let mut gradient = vec![0.0; z.len()];
        for (j, row) in self.head.unembed.rows().into_iter().enumerate() {
            let weight = if j == self.token { 1.0 } else { -(logits[j] - top).exp() / sum };
            gradient.iter_mut().zip(row).for_each(|(g, &w)| *g += weight * f64::from(w));
        }
        let mut gradient = normalise_back(self.norm, &x, &gradient);
        for (mlp, input) in self.layers.iter().zip(&inputs).rev() {
            let read = mlp.norm.as_ref().map_or_else(|| input.clone(), |norm| normalise(norm, input).0);
            let back = backward(mlp, &read, &gradient);
            let back = mlp.norm.as_ref().map_or(back.clone(), |norm| normalise_back(norm, input, &back));
            add(&mut gradient, &back);
        }
        (value, gradient)
    }

    /// The largest log-odds found by ascents from seeds and from random residuals (Adam; Kingma, Ba 2015).
    pub fn ascend(&self, seeds: &[Vec<f64>], limits: &Limits) -> f64 {
        let width = self.head.width();
        let mut rng = ChaCha8Rng::seed_from_u64(limits.seed);
        let mut random = |k: usize| -> Vec<f64> {
            let scale = [0.3, 1.0, 3.0, 10.0][k % 4];
            (0..width).map(|_| scale * rng.random_range(-1.0..1.0)).collect()
        };
        let starts: Vec<Vec<f64>> = seeds.iter().cloned().chain((0..STARTS).map(&mut random)).collect();
        let mut best = f64::NEG_INFINITY;
        for start in starts {
            let (mut x, mut mean, mut square) = (start, vec![0.0; width], vec![0.0; width]);
            let size = (x.iter().map(|x| x * x).sum::<f64>() / width as f64).sqrt();
            for step in 1..=STEPS as i32 {
                let (value, gradient) = self.value(&x);
                best = best.max(value);
                let rate = 0.1 * size * (1.0 - f64::from(step) / (STEPS + 1) as f64);
                for i in 0..width {
                    mean[i] = 0.9 * mean[i] + 0.1 * gradient[i];
                    square[i] = 0.99 * square[i] + 0.01 * gradient[i] * gradient[i];
                    let (m, s) =
                        (mean[i] / (1.0 - 0.9_f64.powi(step)), square[i] / (1.0 - 0.99_f64.powi(step)));
                    x[i] += rate * m / (s.sqrt() + 1e-12);
                }
            }
            if limits.expired() {
                break;
            }
        }
        best
    }
}

fn add(x: &mut [f64], y: &[f64]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

fn dot<'a>(row: impl Iterator<Item = &'a f32>, x: &[f64]) -> f64 {
    row.zip(x).map(|(&w, x)| f64::from(w) * x).sum()
}

/// `x W + b`.
pub fn affine(map: &Linear, x: &[f64]) -> Vec<f64> {
    let mut y = map
        .bias
        .as_ref()
        .map_or(vec![0.0; map.weight.ncols()], |b| b.iter().map(|&b| f64::from(b)).collect());
    for (x, row) in x.iter().zip(map.weight.rows()) {
        y.iter_mut().zip(row).for_each(|(y, &w)| *y += x * f64::from(w));
    }
    y
}

/// `g Wᵀ`.
fn affine_back(map: &Linear, gradient: &[f64]) -> Vec<f64> {
    map.weight.rows().into_iter().map(|row| dot(row.iter(), gradient)).collect()
}

/// The norm's output, and its input centred (where it centres) and divided by its size.
pub fn normalise(norm: &Norm, x: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (unit, _) = unit(norm, x);
    let out = match norm {
        Norm::Layer { gain, bias, .. } => {
            let shift = |i: usize| bias.as_ref().map_or(0.0, |b| f64::from(b[i]));
            unit.iter().enumerate().map(|(i, u)| f64::from(gain[i]) * u + shift(i)).collect()
        }
        Norm::Rms { gain, .. } => unit.iter().zip(gain).map(|(u, &g)| f64::from(g) * u).collect(),
    };
    (out, unit)
}

fn unit(norm: &Norm, x: &[f64]) -> (Vec<f64>, f64) {
    let n = x.len() as f64;
    let (mean, eps) = match norm {
        Norm::Layer { eps, .. } => (x.iter().sum::<f64>() / n, *eps),
        Norm::Rms { eps, .. } => (0.0, *eps),
    };
    let size = (x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n + eps).sqrt();
    (x.iter().map(|x| (x - mean) / size).collect(), size)
}

fn normalise_back(norm: &Norm, x: &[f64], gradient: &[f64]) -> Vec<f64> {
    let (unit, size) = unit(norm, x);
    let n = x.len() as f64;
    let (gain, centres) = match norm {
        Norm::Layer { gain, .. } => (gain, true),
        Norm::Rms { gain, .. } => (gain, false),
    };
    let scaled: Vec<f64> = gradient.iter().zip(gain).map(|(g, &w)| g * f64::from(w)).collect();
    let along = scaled.iter().zip(&unit).map(|(g, u)| g * u).sum::<f64>() / n;
    let mean = if centres { scaled.iter().sum::<f64>() / n } else { 0.0 };
    scaled.iter().zip(&unit).map(|(g, u)| (g - mean - u * along) / size).collect()
}

/// Output and the arguments of the activation.
fn forward(mlp: &Mlp, x: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let act = |h: &[f64]| -> Vec<f64> { h.iter().map(|&h| activate(mlp.activation, h)).collect() };
    match &mlp.kind {
        MlpKind::Plain { up, down } => {
            let h = affine(up, x);
            (affine(down, &act(&h)), h)
        }
        MlpKind::Gated { gate, up, down } => {
            let h = affine(gate, x);
            let product: Vec<f64> = act(&h).iter().zip(affine(up, x)).map(|(a, u)| a * u).collect();
            (affine(down, &product), h)
        }
    }
}

fn backward(mlp: &Mlp, x: &[f64], gradient: &[f64]) -> Vec<f64> {
    let (_, h) = forward(mlp, x);
    let slope = |&h: &f64| {
        const STEP: f64 = 1e-5;
        (activate(mlp.activation, h + STEP) - activate(mlp.activation, h - STEP)) / (2.0 * STEP)
    };
    match &mlp.kind {
        MlpKind::Plain { up, down } => {
            let back: Vec<f64> =
                affine_back(down, gradient).iter().zip(&h).map(|(g, h)| g * slope(h)).collect();
            affine_back(up, &back)
        }
        MlpKind::Gated { gate, up, down } => {
            let (back, ups) = (affine_back(down, gradient), affine(up, x));
            let to_gate: Vec<f64> = (0..h.len()).map(|k| back[k] * ups[k] * slope(&h[k])).collect();
            let to_up: Vec<f64> = (0..h.len()).map(|k| back[k] * activate(mlp.activation, h[k])).collect();
            let mut out = affine_back(gate, &to_gate);
            add(&mut out, &affine_back(up, &to_up));
            out
        }
    }
}

fn activate(activation: Activation, x: f64) -> f64 {
    let middle = |f: fn(Interval) -> Interval| f(Interval::point(x)).mid_rad().0;
    match activation {
        Activation::Relu => x.max(0.0),
        Activation::SquaredRelu => x.max(0.0) * x.max(0.0),
        Activation::GeluTanh => middle(num::gelu_tanh),
        Activation::GeluErf => middle(num::gelu_erf),
        Activation::Silu => x / (1.0 + (-x).exp()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelFolder;

    #[test]
    fn the_gradient_is_the_slope_of_the_value() {
        for name in ["moby-l1", "moby-llama"] {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name);
            let model = ModelFolder::open(folder).unwrap().load().unwrap();
            let tail = Tail::new(&model, 30).unwrap();
            let x: Vec<f64> = (0..model.head.width()).map(|i| (1.7 * i as f64).sin()).collect();
            let (_, gradient) = tail.value(&x);
            for i in 0..x.len() {
                let at = |d: f64| {
                    let mut x = x.clone();
                    x[i] += d;
                    tail.value(&x).0
                };
                let slope = (at(1e-4) - at(-1e-4)) / 2e-4;
                assert!((slope - gradient[i]).abs() < 1e-3, "{name} {i}: {slope} and {}", gradient[i]);
            }
        }
    }
}
