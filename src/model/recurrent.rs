//! Layers of recurrent models (RWKV) as data: what they carry from position to position has a fixed size.
//!
//! `z_t` is the normalised residual at position `t`, with `z_0 = 0` before the first token. Vectors are `[d]`, maps are
//! written for row vectors, as everywhere in this room.

use ndarray::Array1;

use super::layer::{Linear, Norm};

/// A blend of `z_t` and `z_{t−1}`, feature by feature ("token shift").
#[derive(Debug, Clone, PartialEq)]
pub enum Shift {
    /// `m ⊙ z_t + (1 − m) ⊙ z_{t−1}` (RWKV-4).
    OfCurrent(Array1<f32>),
    /// `z_t + m ⊙ (z_{t−1} − z_t)` (RWKV-7).
    OfPrevious(Array1<f32>),
}

/// A linear map of a blend.
#[derive(Debug, Clone, PartialEq)]
pub struct Shifted {
    /// What the map reads.
    pub shift: Shift,
    /// The map.
    pub map: Linear,
}

/// `up(act(down(blend)))` through a narrow middle; `up` has a bias where the formula has an offset.
#[derive(Debug, Clone, PartialEq)]
pub struct LowRank {
    /// What `down` reads.
    pub shift: Shift,
    /// `[d, rank]`.
    pub down: Linear,
    /// `[rank, d]`.
    pub up: Linear,
}

/// RWKV-4's time mixing (Peng et al. 2023): a weighted average of all values so far whose weights decay with distance,
///
/// `y_t = σ(r_t) ⊙ (Σ_{i<t} e^{k_i − (t−1−i) w} v_i + e^{k_t + u} v_t) / (the same without v)`, `w = e^decay`.
#[derive(Debug, Clone, PartialEq)]
pub struct Wkv4 {
    /// Norm read by the layer.
    pub norm: Norm,
    /// `k`, `[d, a]`.
    pub key: Shifted,
    /// `v`, `[d, a]`.
    pub value: Shifted,
    /// `r`, `[d, a]`.
    pub receptance: Shifted,
    /// Logarithm of the rate `w` of decay, `[a]`.
    pub decay: Array1<f32>,
    /// `u`, what the current token's key gains, `[a]`.
    pub first: Array1<f32>,
    /// `[a, d]`.
    pub output: Linear,
}

/// RWKV-7's time mixing (Peng et al. 2025): per head a matrix `S`, updated by a delta rule with decay,
///
/// `S_t = S_{t−1} (diag(w_t) − κ_t (a_t ⊙ κ_t)ᵀ) + v_t k'_tᵀ`, `y_t = S_t r_t`, with
/// `w = exp(−e^{−1/2} σ(decay))`, `a = σ(rate)`, `κ = k ⊙ key_scale` divided by `max(its length, 10^−12)`,
/// `k' = k ⊙ (1 + (a − 1) ⊙ key_rate)`. The output is `((GroupNorm(y) + (Σ r ⊙ k' ⊙ bonus) v) ⊙ gate) · output`.
#[derive(Debug, Clone, PartialEq)]
pub struct Wkv7 {
    /// Norm read by the layer.
    pub norm: Norm,
    /// `r`, `[d, d]`.
    pub receptance: Shifted,
    /// `k`, `[d, d]`.
    pub key: Shifted,
    /// `v` before it is blended with the first layer's, `[d, d]`.
    pub value: Shifted,
    /// Argument of the decay `w`; tanh in the middle.
    pub decay: LowRank,
    /// Argument of the learning rate `a`; nothing in the middle.
    pub rate: LowRank,
    /// The gate; a sigmoid in the middle and no offset.
    pub gate: LowRank,
    /// `v += (v of the first layer − v) ⊙ σ(this)`; nothing in the middle. `None` in the first layer.
    pub first_value: Option<LowRank>,
    /// What turns keys into directions of removal, `[d]`.
    pub key_scale: Array1<f32>,
    /// How much of the rate scales the keys, `[d]`.
    pub key_rate: Array1<f32>,
    /// Weights of the current token's own contribution, `[d]`.
    pub bonus: Array1<f32>,
    /// Heads, each of width `d / n_heads`.
    pub n_heads: usize,
    /// Gain of the norm over each head, `[d]`.
    pub group_gain: Array1<f32>,
    /// Bias of the norm over each head, `[d]`.
    pub group_bias: Array1<f32>,
    /// ε of the norm over each head.
    pub group_eps: f64,
    /// `[d, d]`.
    pub output: Linear,
}

/// The feed-forward layer of RWKV, `relu(key)² · value`, times `σ(receptance)` where there is one (RWKV-4).
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelMix {
    /// Norm read by the layer.
    pub norm: Norm,
    /// `[d, neurons]`.
    pub key: Shifted,
    /// `[neurons, d]`.
    pub value: Linear,
    /// `[d, d]`.
    pub receptance: Option<Shifted>,
}
