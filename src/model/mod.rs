//! A language model as data: a closed set of layers that every prover matches without a `_` arm.
//!
//! Architecture of every family: token embedding (+ learned positions), layers, nearly all `x += f(norm(x))`, a final
//! norm, and the head `l = U z + c`. Weights are `f32` exactly as stored (F16 and BF16 widen without rounding), and all
//! theorems are about the exact real function of these numbers.

mod config;
mod error;
pub mod eval;
mod family;
mod folder;
mod header;
mod layer;
mod prefix;
mod recurrent;
pub mod rigorous;
mod tensors;
mod vocab;

use ndarray::{Array1, Array2};

pub use error::LoadError;
pub use eval::{Cache, Evaluator};
pub use folder::ModelFolder;
pub use layer::{
    Activation, Attention, HeadNorms, Layer, Linear, Mlp, MlpKind, Norm, Parallel, Positions, Scale,
};
pub use prefix::PrefixError;
pub use recurrent::{ChannelMix, LowRank, Shift, Shifted, Wkv4, Wkv7};
pub use vocab::{EncodeError, Lookup, Vocab};

/// Index of a token in the vocabulary.
pub type TokenId = u32;

/// The final norm and the unembedding: all that the head theorem reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Final norm; `None` for models without one (then the head theorem does not apply).
    pub norm: Option<Norm>,
    /// `[vocabulary, d]`: one row per token.
    pub unembed: Array2<f32>,
    /// `[vocabulary]`.
    pub bias: Option<Array1<f32>>,
}

/// Everything between token ids and the final norm.
#[derive(Debug, Clone, PartialEq)]
pub struct Body {
    /// `[vocabulary, d]`.
    pub embed: Array2<f32>,
    /// How positions enter.
    pub positions: Positions,
    /// Layers in order.
    pub layers: Vec<Layer>,
}

/// A whole model in memory.
#[derive(Debug, Clone)]
pub struct Model {
    /// The network below the final norm.
    pub body: Body,
    /// Final norm and unembedding.
    pub head: Head,
    /// Longest prefix the model accepts, in tokens.
    pub context: usize,
}

impl Head {
    /// Number of tokens.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.unembed.nrows()
    }

    /// Residual width `d`.
    #[must_use]
    pub fn width(&self) -> usize {
        self.unembed.ncols()
    }
}
