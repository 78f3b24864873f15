//! TransformerLens models (`HookedTransformer`), attention only and without norms: logits are linear in the residual.
//! Per head `W_Q`, `W_K`, `W_V` are stored as `[head, d, head_dim]`, `W_O` as `[head, head_dim, d]`, the unembedding as
//! `[d, vocabulary]`.

use ndarray::{Array1, Array2, Array3};
use serde_json::Value;

use super::{Weights, shaped, transposed};
use crate::model::config::Config;
use crate::model::error::LoadError;
use crate::model::layer::{Attention, Layer, Linear, Positions, Scale};
use crate::model::{Body, Head};

/// Value of `model_type`.
pub const NAME: &str = "hooked_transformer";
/// Causal masks that TransformerLens stores.
pub const BUFFERS: &[&str] = &[".attn.mask", ".attn.IGNORE"];

/// Settings of a TransformerLens model.
#[derive(Debug)]
pub struct Hooked {
    /// Longest prefix in tokens, `n_ctx`.
    pub context: usize,
    /// Number of tokens, `d_vocab`.
    pub vocab_size: usize,
    width: usize,
    n_layers: usize,
    n_heads: usize,
    head_dim: usize,
    scale: Scale,
}

impl Hooked {
    /// Reads the settings.
    ///
    /// # Errors
    /// Missing or senseless settings; everything but attention-only models without norms is refused.
    pub fn read(config: &Config) -> Result<Hooked, LoadError> {
        if config.get("attn_only") != Some(&Value::Bool(true)) {
            return Err(config.problem("attn_only", "only attention-only models are supported"));
        }
        config.absent("normalization_type")?;
        config.absent("d_mlp")?;
        config.absent("attn_types")?;
        config.only("positional_embedding_type", &"standard".into())?;
        config.only("attention_dir", &"causal".into())?;
        config.only("tie_word_embeddings", &false.into())?;
        for flag in ["use_local_attn", "parallel_attn_mlp", "scale_attn_by_inverse_layer_idx", "final_rms"] {
            config.only(flag, &false.into())?;
        }
        // Training, hooks and names; an activation function without neurons has nothing to act on.
        config.harmless(&[
            "act_fn",
            "checkpoint_index",
            "checkpoint_label_type",
            "checkpoint_value",
            "device",
            "eps",
            "from_checkpoint",
            "gated_mlp",
            "init_mode",
            "init_weights",
            "model_name",
            "n_devices",
            "n_params",
            "original_architecture",
            "seed",
            "tokenizer_name",
            "use_attn_in",
            "use_attn_result",
            "use_hook_mlp_in",
            "use_hook_tokens",
            "use_split_qkv_input",
            "window_size",
            "default_prepend_bos",
            "tokenizer_prepends_bos",
        ]);
        let vocab_size = config.count("d_vocab")?;
        if config.count_or_none("d_vocab_out")?.is_some_and(|n| n != vocab_size) {
            return Err(config.problem("d_vocab_out", "must equal d_vocab"));
        }
        let head_dim = config.count("d_head")?;
        let scale = if !config.flag_or("use_attn_scale", true)? {
            Scale::One
        } else if config.get("attn_scale").is_some_and(|v| v.as_f64() != Some(-1.0)) {
            Scale::Inverse(config.positive_or("attn_scale", 1.0)?)
        } else {
            Scale::InvSqrt(head_dim as u64)
        };
        Ok(Hooked {
            context: config.count("n_ctx")?,
            vocab_size,
            width: config.count("d_model")?,
            n_layers: config.count("n_layers")?,
            n_heads: config.count("n_heads")?,
            head_dim,
            scale,
        })
    }

    /// Unembedding and its bias; there is no final norm.
    ///
    /// # Errors
    /// Missing or damaged tensors.
    pub fn head(&self, weights: &Weights) -> Result<Head, LoadError> {
        let stored = weights.matrix("unembed.W_U", self.width, self.vocab_size)?;
        Ok(Head {
            norm: None,
            unembed: transposed(&stored),
            bias: weights.vector_if_any("unembed.b_U", self.vocab_size)?,
        })
    }

    /// Embeddings and layers.
    ///
    /// # Errors
    /// Missing or damaged tensors.
    pub fn body(&self, weights: &Weights) -> Result<Body, LoadError> {
        let layers = (0..self.n_layers).map(|i| Ok(Layer::Attention(self.attention(weights, i)?)));
        Ok(Body {
            embed: weights.matrix("embed.W_E", self.vocab_size, self.width)?,
            positions: Positions::Learned(weights.matrix("pos_embed.W_pos", self.context, self.width)?),
            layers: layers.collect::<Result<_, LoadError>>()?,
        })
    }

    fn attention(&self, weights: &Weights, i: usize) -> Result<Attention, LoadError> {
        let (d, n_heads, head_dim) = (self.width, self.n_heads, self.head_dim);
        let all = n_heads * head_dim;
        let inward = |which: &str| -> Result<Linear, LoadError> {
            let stored = weights.flat(&format!("blocks.{i}.attn.W_{which}"), &[n_heads, d, head_dim], "")?;
            let stored =
                Array3::from_shape_vec((n_heads, d, head_dim), stored).expect("length tested against shape");
            let weight = Array2::from_shape_fn((d, all), |(r, c)| stored[[c / head_dim, r, c % head_dim]]);
            let bias = weights.flat(&format!("blocks.{i}.attn.b_{which}"), &[n_heads, head_dim], "")?;
            Ok(Linear { weight, bias: Some(Array1::from_vec(bias)) })
        };
        let output = weights.flat(&format!("blocks.{i}.attn.W_O"), &[n_heads, head_dim, d], "")?;
        Ok(Attention {
            norm: None,
            query: inward("Q")?,
            key: inward("K")?,
            value: inward("V")?,
            output: Linear {
                weight: shaped(all, d, output),
                bias: Some(weights.vector(&format!("blocks.{i}.attn.b_O"), d)?),
            },
            head_norms: None,
            n_heads,
            n_kv_heads: n_heads,
            head_dim,
            scale: self.scale,
        })
    }
}
