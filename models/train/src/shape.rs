//! Sizes and kinds of the network: what the flags of the trainer vary.

use anyhow::{Result, ensure};

/// Which parts the network has, and so which file layout it is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// LayerNorms, learned positions, attention and MLP with biases (Radford et al. 2019).
    Gpt2,
    /// The same without MLPs.
    AttentionOnly,
    /// RMSNorms, rotary positions, attention and SwiGLU MLP without biases (Touvron et al. 2023).
    Llama,
    /// Embedding, positions, attention and head alone: no norms, no MLPs, no biases (Elhage et al. 2021).
    BareAttention,
}

/// Where the head's matrix comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// It is the embedding.
    Tied,
    /// It is trained on its own.
    Untied,
}

/// What trains the residual stream that keys and values read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gradient {
    /// Everything, as usual.
    Full,
    /// Only losses of its own position: keys and values see the stream through a stop-gradient, as in the myopic
    /// descent of Wu, Morris, Levine 2024.
    ValueMyopic,
}

/// Sizes and kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Parts.
    pub family: Family,
    /// Head matrix.
    pub head: Head,
    /// Gradient through keys and values.
    pub gradient: Gradient,
    /// Longest prefix.
    pub context: usize,
    /// Blocks.
    pub layers: usize,
    /// Residual width.
    pub width: usize,
    /// Heads per block, a divisor of the width.
    pub heads: usize,
    /// Neurons per MLP; not read where the family has no MLP.
    pub neurons: usize,
}

impl Shape {
    /// Refuses sizes that make no network.
    pub fn check(&self) -> Result<()> {
        let Self { family, heads, width, layers, context, neurons, .. } = *self;
        ensure!(
            heads > 0 && width > 0 && width % heads == 0,
            "{heads} heads do not divide the width {width}: choose --heads among its divisors"
        );
        ensure!(
            family != Family::Llama || width / heads % 2 == 0,
            "heads of odd width cannot turn in pairs: choose fewer --heads or a larger --width"
        );
        ensure!(layers > 0 && context > 0, "a model needs at least one layer and a context of one token");
        ensure!(
            !family.has_mlp() || neurons > 0,
            "an MLP needs neurons; to leave it out, use --attention-only"
        );
        Ok(())
    }
}

impl Family {
    /// Whether linear maps add a bias.
    pub fn has_biases(self) -> bool {
        match self {
            Self::Gpt2 | Self::AttentionOnly => true,
            Self::Llama | Self::BareAttention => false,
        }
    }

    /// Whether blocks have an MLP.
    pub fn has_mlp(self) -> bool {
        match self {
            Self::Gpt2 | Self::Llama => true,
            Self::AttentionOnly | Self::BareAttention => false,
        }
    }
}
