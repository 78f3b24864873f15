//! Random heads, points of the ball, and probabilities there, in plain floats.

use llmprove::model::{Head, Norm};
use ndarray::{Array1, Array2};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What is special about a random head.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Plain,
    DuplicatedRows,
    ZeroGains,
    /// Half of the rows are near the mean of the others, so that their maxima lie inside the ball.
    Interior,
}

pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// A head of 2 to 24 tokens and width 2 to 12 whose rows are of the size `scale`.
pub fn random_head(rng: &mut ChaCha8Rng, kind: Kind, scale: f32) -> Head {
    let (n, d) = (rng.random_range(2..25), rng.random_range(2..13));
    let mut unembed = Array2::from_shape_fn((n, d), |_| scale * rng.random_range(-1.0f32..1.0));
    let mut gain = Array1::from_shape_fn(d, |_| rng.random_range(-0.5f32..2.0));
    match kind {
        Kind::Plain => {}
        Kind::DuplicatedRows => {
            let row = unembed.row(0).to_owned();
            (0..n).step_by(3).for_each(|j| unembed.row_mut(j).assign(&row));
        }
        Kind::ZeroGains => gain.iter_mut().step_by(2).for_each(|g| *g = 0.0),
        Kind::Interior => unembed.slice_mut(ndarray::s![..n / 2, ..]).mapv_inplace(|u| u * 0.02),
    }
    let norm = if rng.random() {
        let bias = rng.random::<bool>().then(|| Array1::from_shape_fn(d, |_| rng.random_range(-1.0f32..1.0)));
        Norm::Layer { gain, bias, eps: 1e-5 }
    } else {
        Norm::Rms { gain, eps: 0.0 }
    };
    let bias = rng
        .random::<bool>()
        .then(|| Array1::from_shape_fn(n, |_| scale.min(2.0) * rng.random_range(-1.0f32..1.0)));
    Head { norm: Some(norm), unembed, bias }
}

/// A random point of the ball, mostly on its sphere, near a given one or anywhere.
pub fn point_of_the_ball(rng: &mut ChaCha8Rng, head: &Head, near: Option<&Array1<f64>>) -> Array1<f64> {
    let d = head.width();
    let spread = 10f64.powf(rng.random_range(-6.0..0.5));
    let mut z = Array1::from_shape_fn(d, |_| rng.random_range(-1.0..1.0));
    if let Some(near) = near {
        z = near + &(z * spread);
    }
    if matches!(head.norm, Some(Norm::Layer { .. })) {
        z -= z.sum() / d as f64;
    }
    let norm = z.dot(&z).sqrt();
    let radius =
        (d as f64).sqrt() * if rng.random_range(0..4) > 0 { 1.0 } else { rng.random_range(0.0..1.0) };
    if norm > 0.0 && (near.is_none() || norm > radius) { z * (radius / norm) } else { z }
}

/// Probabilities of all tokens at a point.
pub fn probabilities(head: &Head, point: &Array1<f64>, temperature: f64) -> Vec<f64> {
    let (gain, shift) = match head.norm.as_ref().expect("the head has a norm") {
        Norm::Layer { gain, bias, .. } => (gain, bias.as_ref()),
        Norm::Rms { gain, .. } => (gain, None),
    };
    let mut z = point * &gain.mapv(f64::from);
    if let Some(shift) = shift {
        z += &shift.mapv(f64::from);
    }
    let mut logits = head.unembed.mapv(f64::from).dot(&z);
    if let Some(bias) = &head.bias {
        logits += &bias.mapv(f64::from);
    }
    logits /= temperature;
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights = logits.mapv(|l| (l - largest).exp());
    (&weights / weights.sum()).to_vec()
}
