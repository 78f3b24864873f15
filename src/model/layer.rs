//! Layers as data, nearly all of them residual: `x += layer(norm(x))`.
//!
//! The set is closed: a new kind makes the compiler point to every place to extend. Weights are `f32` exactly as stored;
//! shapes stand on each field, rows first.

use ndarray::{Array1, Array2};

use super::recurrent::{ChannelMix, Wkv4, Wkv7};

/// `y = x W + b` with rows of `x` as inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// `[in, out]`, whatever layout the file has.
    pub weight: Array2<f32>,
    /// `[out]`; `None` where the family has no bias.
    pub bias: Option<Array1<f32>>,
}

/// A normalisation over the residual width `d`.
#[derive(Debug, Clone, PartialEq)]
pub enum Norm {
    /// `γ ⊙ (x − mean x) / sqrt(var x + ε) + β` (Ba, Kiros, Hinton 2016).
    Layer {
        /// γ `[d]`.
        gain: Array1<f32>,
        /// β `[d]`; `None` reads as zeros.
        bias: Option<Array1<f32>>,
        /// ε, the exact value of the decimal in the config rounded to f64.
        eps: f64,
    },
    /// `γ ⊙ x / sqrt(mean x² + ε)` (Zhang, Sennrich 2019).
    Rms {
        /// γ `[d]`.
        gain: Array1<f32>,
        /// ε, the exact value of the decimal in the config rounded to f64.
        eps: f64,
    },
}

/// Pointwise nonlinearity of an MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `max(x, 0)²`.
    SquaredRelu,
    /// `x/2 · (1 + tanh(√(2/π)(x + 0.044715 x³)))` (`gelu_new`, `gelu_pytorch_tanh`).
    GeluTanh,
    /// `x/2 · (1 + erf(x/√2))` (`gelu`).
    GeluErf,
    /// `x / (1 + e^{−x})` (`silu`, `swish`).
    Silu,
}

impl Activation {
    /// Whether the rigorous evaluation in batches covers it.
    #[must_use]
    pub fn has_kernel(self) -> bool {
        match self {
            Activation::Relu | Activation::GeluTanh | Activation::GeluErf | Activation::Silu => true,
            Activation::SquaredRelu => false,
        }
    }
}

/// How positions enter the network.
#[derive(Debug, Clone, PartialEq)]
pub enum Positions {
    /// A learned (or stored) table added to the embedding, `[context, d]`.
    Learned(Array2<f32>),
    /// Rotary embedding of queries and keys inside attention, halves rotated (`rotate_half`), angle
    /// `position · theta^(−2i/rotary_dim)` (Su et al. 2021).
    Rotary {
        /// Base of the geometric progression of frequencies.
        theta: f64,
        /// Rotated width, at most the head width; the rest passes through.
        dim: usize,
    },
    /// No positions at all.
    None,
}

/// Causal self-attention with grouped keys and values.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// Norm read by the layer; `None` for models without norms.
    pub norm: Option<Norm>,
    /// `[d, n_heads · head_dim]`.
    pub query: Linear,
    /// `[d, n_kv_heads · head_dim]`.
    pub key: Linear,
    /// `[d, n_kv_heads · head_dim]`.
    pub value: Linear,
    /// `[n_heads · head_dim, d]`.
    pub output: Linear,
    /// Norms over the width of each query and key head, before the rotation.
    pub head_norms: Option<Box<HeadNorms>>,
    /// Query heads.
    pub n_heads: usize,
    /// Key/value heads; query head `h` reads key/value head `h / (n_heads / n_kv_heads)`.
    pub n_kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Scores are `(q·k) · scale`.
    pub scale: Scale,
}

/// Norms of single heads.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadNorms {
    /// Of each query head.
    pub query: Norm,
    /// Of each key head.
    pub key: Norm,
}

/// The factor on attention scores, kept symbolic so that a checker can enclose it exactly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// `1 / sqrt(n)` for an integer `n`, usually the head width.
    InvSqrt(u64),
    /// `1 / c` for an exact constant `c`.
    Inverse(f64),
    /// No scaling.
    One,
}

impl Attention {
    /// The norm of each query head.
    #[must_use]
    pub fn query_norm(&self) -> Option<&Norm> {
        self.head_norms.as_ref().map(|norms| &norms.query)
    }

    /// The norm of each key head.
    #[must_use]
    pub fn key_norm(&self) -> Option<&Norm> {
        self.head_norms.as_ref().map(|norms| &norms.key)
    }
}

impl Scale {
    /// The factor, rounded, for searches.
    #[must_use]
    pub fn rounded(self) -> f32 {
        match self {
            Scale::InvSqrt(n) => (1.0 / (n as f64).sqrt()) as f32,
            Scale::Inverse(c) => (1.0 / c) as f32,
            Scale::One => 1.0,
        }
    }
}

/// The feed-forward layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Mlp {
    /// Norm read by the layer; `None` for models without norms.
    pub norm: Option<Norm>,
    /// What lies between norm and residual.
    pub kind: MlpKind,
    /// Pointwise nonlinearity.
    pub activation: Activation,
}

/// Feed-forward variants.
#[derive(Debug, Clone, PartialEq)]
pub enum MlpKind {
    /// `down(act(up(x)))`.
    Plain {
        /// `[d, neurons]`.
        up: Linear,
        /// `[neurons, d]`.
        down: Linear,
    },
    /// `down(act(gate(x)) ⊙ up(x))` (SwiGLU, Shazeer 2020).
    Gated {
        /// `[d, neurons]`.
        gate: Linear,
        /// `[d, neurons]`.
        up: Linear,
        /// `[neurons, d]`.
        down: Linear,
    },
}

/// Attention and feed-forward side by side: `x += attention(norm(x)) + mlp(norm'(x))`.
#[derive(Debug, Clone, PartialEq)]
pub struct Parallel {
    /// Self-attention.
    pub attention: Attention,
    /// Feed-forward, which reads the same residual.
    pub mlp: Mlp,
}

/// One layer, residual (`x += layer(norm(x))`) unless said otherwise. Closed: a new kind makes the compiler point to
/// every place to extend.
#[derive(Debug, Clone, PartialEq)]
pub enum Layer {
    /// Self-attention.
    Attention(Attention),
    /// Feed-forward.
    Mlp(Mlp),
    /// Both at once, as in GPT-NeoX.
    Parallel(Box<Parallel>),
    /// `x = norm(x)`, not residual: what RWKV does to embeddings.
    Norm(Norm),
    /// Time mixing of RWKV-4.
    Wkv4(Box<Wkv4>),
    /// Time mixing of RWKV-7.
    Wkv7(Box<Wkv7>),
    /// Feed-forward of RWKV, which also reads the position before.
    ChannelMix(Box<ChannelMix>),
}

impl Layer {
    /// Whether the output at a position depends on earlier positions.
    #[must_use]
    pub fn looks_back(&self) -> bool {
        match self {
            Layer::Attention(_)
            | Layer::Parallel(_)
            | Layer::Wkv4(_)
            | Layer::Wkv7(_)
            | Layer::ChannelMix(_) => true,
            Layer::Mlp(_) | Layer::Norm(_) => false,
        }
    }
}
