//! GPT-2 (Radford et al. 2019): learned positions, LayerNorm before each layer, attention with one key/value head per
//! query head, plain MLP. Linear weights are stored as `[in, out]` ("Conv1D"), queries, keys and values side by side.

use ndarray::{Array1, Axis, s};

use super::{Tied, Weights};
use crate::model::config::Config;
use crate::model::error::LoadError;
use crate::model::layer::{Activation, Attention, Layer, Linear, Mlp, MlpKind, Norm, Positions, Scale};
use crate::model::{Body, Head};

/// Value of `model_type`.
pub const NAME: &str = "gpt2";
/// Causal masks that old checkpoints store.
pub const BUFFERS: &[&str] = &[".attn.bias", ".attn.masked_bias"];

/// Settings of a GPT-2 model.
#[derive(Debug)]
pub struct Gpt2 {
    /// Longest prefix in tokens, `n_positions`.
    pub context: usize,
    /// Number of tokens.
    pub vocab_size: usize,
    width: usize,
    n_layers: usize,
    n_heads: usize,
    neurons: usize,
    activation: Activation,
    eps: f64,
    tied: Tied,
    scaling: Scaling,
}

/// How scores are scaled: `scale_attn_weights` and `scale_attn_by_inverse_layer_idx`.
#[derive(Debug, Clone, Copy)]
struct Scaling {
    by_head_dim: bool,
    by_layer: bool,
}

impl Gpt2 {
    /// Reads the settings.
    ///
    /// # Errors
    /// Missing or senseless settings.
    pub fn read(config: &Config) -> Result<Gpt2, LoadError> {
        config.only("add_cross_attention", &false.into())?;
        config.only("is_decoder", &true.into()).or_else(|_| config.only("is_decoder", &false.into()))?;
        config.only("is_encoder_decoder", &false.into())?;
        config.absent("quantization_config")?;
        config.absent("pruned_heads").or_else(|_| config.only("pruned_heads", &serde_json::json!({})))?;
        // `n_ctx` is a former name of `n_positions`; `reorder_and_upcast_attn` changes rounding only.
        config.harmless(&["n_ctx", "reorder_and_upcast_attn", "cross_attention_hidden_size"]);
        let width = config.count("n_embd")?;
        let n_heads = config.count("n_head")?;
        if width % n_heads != 0 {
            return Err(config.problem("n_head", format!("must divide n_embd = {width}")));
        }
        Ok(Gpt2 {
            context: config.count("n_positions")?,
            vocab_size: config.count("vocab_size")?,
            width,
            n_layers: config.count("n_layer")?,
            n_heads,
            neurons: config.count_or_none("n_inner")?.unwrap_or(4 * width),
            activation: config.activation("activation_function", "gelu_new")?,
            eps: config.positive_or("layer_norm_epsilon", 1e-5)?,
            tied: Tied::read(config, true)?,
            scaling: Scaling {
                by_head_dim: config.flag_or("scale_attn_weights", true)?,
                by_layer: config.flag_or("scale_attn_by_inverse_layer_idx", false)?,
            },
        })
    }

    /// Final norm, unembedding and its bias, which some checkpoints have.
    ///
    /// # Errors
    /// Missing or damaged tensors.
    pub fn head(&self, weights: &Weights) -> Result<Head, LoadError> {
        let prefix = weights.prefix_of("transformer.", "ln_f.weight");
        let norm = self.norm(weights, &format!("{prefix}ln_f"))?;
        let embed = format!("{prefix}wte.weight");
        Ok(Head {
            norm: Some(norm),
            unembed: weights.unembed("lm_head.weight", &embed, self.tied, self.vocab_size, self.width)?,
            bias: weights.vector_if_any("lm_head.bias", self.vocab_size)?,
        })
    }

    /// Embeddings and layers.
    ///
    /// # Errors
    /// Missing or damaged tensors.
    pub fn body(&self, weights: &Weights) -> Result<Body, LoadError> {
        let prefix = weights.prefix_of("transformer.", "wte.weight");
        let positions = weights.matrix(&format!("{prefix}wpe.weight"), self.context, self.width)?;
        let mut layers = Vec::new();
        for i in 0..self.n_layers {
            let block = format!("{prefix}h.{i}");
            layers.push(Layer::Attention(self.attention(weights, &block, i)?));
            layers.push(Layer::Mlp(self.mlp(weights, &block)?));
        }
        Ok(Body {
            embed: weights.matrix(&format!("{prefix}wte.weight"), self.vocab_size, self.width)?,
            positions: Positions::Learned(positions),
            layers,
        })
    }

    fn attention(&self, weights: &Weights, block: &str, layer_idx: usize) -> Result<Attention, LoadError> {
        let d = self.width;
        let head_dim = d / self.n_heads;
        let joint = conv1d(weights, &format!("{block}.attn.c_attn"), d, 3 * d)?;
        let part = |i: usize| Linear {
            weight: joint.weight.slice(s![.., i * d..(i + 1) * d]).as_standard_layout().into_owned(),
            bias: joint
                .bias
                .as_ref()
                .map(|b: &Array1<f32>| b.slice_axis(Axis(0), (i * d..(i + 1) * d).into()).to_owned()),
        };
        Ok(Attention {
            norm: Some(self.norm(weights, &format!("{block}.ln_1"))?),
            query: part(0),
            key: part(1),
            value: part(2),
            output: conv1d(weights, &format!("{block}.attn.c_proj"), d, d)?,
            head_norms: None,
            n_heads: self.n_heads,
            n_kv_heads: self.n_heads,
            head_dim,
            scale: self.scaling.of_layer(head_dim, layer_idx),
        })
    }

    fn mlp(&self, weights: &Weights, block: &str) -> Result<Mlp, LoadError> {
        Ok(Mlp {
            norm: Some(self.norm(weights, &format!("{block}.ln_2"))?),
            kind: MlpKind::Plain {
                up: conv1d(weights, &format!("{block}.mlp.c_fc"), self.width, self.neurons)?,
                down: conv1d(weights, &format!("{block}.mlp.c_proj"), self.neurons, self.width)?,
            },
            activation: self.activation,
        })
    }

    fn norm(&self, weights: &Weights, name: &str) -> Result<Norm, LoadError> {
        Ok(Norm::Layer {
            gain: weights.vector(&format!("{name}.weight"), self.width)?,
            bias: weights.vector_if_any(&format!("{name}.bias"), self.width)?,
            eps: self.eps,
        })
    }
}

impl Scaling {
    /// `1/√head_dim`, `1/(i + 1)`, both or neither; both are `1/√(head_dim·(i + 1)²)`.
    fn of_layer(self, head_dim: usize, layer_idx: usize) -> Scale {
        match (self.by_head_dim, self.by_layer) {
            (true, by_layer) => {
                let layer = if by_layer { layer_idx as u64 + 1 } else { 1 };
                Scale::InvSqrt(head_dim as u64 * layer * layer)
            }
            (false, true) => Scale::Inverse(layer_idx as f64 + 1.0),
            (false, false) => Scale::One,
        }
    }
}

/// A linear map stored as `[in, out]`; checkpoints of models trained without biases leave them out.
fn conv1d(weights: &Weights, name: &str, n_in: usize, n_out: usize) -> Result<Linear, LoadError> {
    Ok(Linear {
        weight: weights.matrix(&format!("{name}.weight"), n_in, n_out)?,
        bias: weights.vector_if_any(&format!("{name}.bias"), n_out)?,
    })
}
