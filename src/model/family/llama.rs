//! LLaMA (Touvron et al. 2023), Qwen2 and Qwen3: RMSNorm before each layer, rotary positions, grouped keys and values, SwiGLU.
//! Qwen3 also norms each query and key head. Linear weights are stored as `[out, in]`, rotary halves as `rotate_half` expects them.

use serde_json::Value;

use super::{Bias, Tied, Weights};
use crate::model::config::Config;
use crate::model::error::LoadError;
use crate::model::layer::{Activation, Attention, HeadNorms, Layer, Mlp, MlpKind, Norm, Positions, Scale};
use crate::model::{Body, Head};

/// Value of `model_type`.
pub const NAME: &str = "llama";
/// Value of `model_type` of the variant with biases on queries, keys and values.
pub const QWEN2: &str = "qwen2";
/// Value of `model_type` of the variant with a norm on each query and key head.
pub const QWEN3: &str = "qwen3";
/// Rotary frequencies that old checkpoints store.
pub const BUFFERS: &[&str] = &[".rotary_emb.inv_freq"];

/// Settings of a LLaMA-like model.
#[derive(Debug)]
pub struct Llama {
    /// Longest prefix in tokens, `max_position_embeddings`.
    pub context: usize,
    /// Number of tokens.
    pub vocab_size: usize,
    width: usize,
    n_layers: usize,
    n_heads: usize,
    n_kv_heads: usize,
    head_dim: usize,
    neurons: usize,
    activation: Activation,
    eps: f64,
    theta: f64,
    tied: Tied,
    qkv_bias: Bias,
    output_bias: Bias,
    mlp_bias: Bias,
    head_norms: Stored,
}

/// Whether each query and key head has a norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    Present,
    Absent,
}

impl Llama {
    /// Reads the settings of `model_type` llama.
    ///
    /// # Errors
    /// Missing, senseless or unsupported settings.
    pub fn read(config: &Config) -> Result<Llama, LoadError> {
        let attention_bias = Bias::required_if(config.flag_or("attention_bias", false)?);
        let mlp_bias = Bias::required_if(config.flag_or("mlp_bias", false)?);
        Llama::common(config, attention_bias, attention_bias, mlp_bias)
    }

    /// Reads the settings of `model_type` qwen2.
    ///
    /// # Errors
    /// Missing, senseless or unsupported settings; sliding windows are not supported.
    pub fn read_qwen2(config: &Config) -> Result<Llama, LoadError> {
        config.only("use_mrope", &false.into())?;
        full_attention_only(config)?;
        Llama::common(config, Bias::Required, Bias::Absent, Bias::Absent)
    }

    /// Reads the settings of `model_type` qwen3.
    ///
    /// # Errors
    /// Missing, senseless or unsupported settings; sliding windows are not supported.
    pub fn read_qwen3(config: &Config) -> Result<Llama, LoadError> {
        full_attention_only(config)?;
        // Its default has nothing to do with the width.
        config.count("head_dim")?;
        let bias = Bias::required_if(config.flag_or("attention_bias", false)?);
        let common = Llama::common(config, bias, bias, Bias::Absent)?;
        Ok(Llama { head_norms: Stored::Present, ..common })
    }

    fn common(
        config: &Config,
        qkv_bias: Bias,
        output_bias: Bias,
        mlp_bias: Bias,
    ) -> Result<Llama, LoadError> {
        config.absent("quantization_config")?;
        config.only("is_encoder_decoder", &false.into())?;
        config.only("partial_rotary_factor", &1.0.into())?;
        // Slices of the same matrix products; exact arithmetic does not see them.
        config.harmless(&["pretraining_tp"]);
        let width = config.count("hidden_size")?;
        let n_heads = config.count("num_attention_heads")?;
        let n_kv_heads = config.count_or_none("num_key_value_heads")?.unwrap_or(n_heads);
        if n_heads % n_kv_heads != 0 {
            return Err(
                config.problem("num_key_value_heads", format!("must divide num_attention_heads = {n_heads}"))
            );
        }
        let head_dim = match config.count_or_none("head_dim")? {
            Some(dim) => dim,
            None if width % n_heads == 0 => width / n_heads,
            None => {
                return Err(
                    config.problem("num_attention_heads", format!("must divide hidden_size = {width}"))
                );
            }
        };
        if head_dim % 2 != 0 {
            return Err(config.problem("head_dim", "rotary positions need an even head width"));
        }
        Ok(Llama {
            context: config.count("max_position_embeddings")?,
            vocab_size: config.count("vocab_size")?,
            width,
            n_layers: config.count("num_hidden_layers")?,
            n_heads,
            n_kv_heads,
            head_dim,
            neurons: config.count("intermediate_size")?,
            activation: config.activation("hidden_act", "silu")?,
            eps: config.positive_or("rms_norm_eps", 1e-6)?,
            theta: rope_theta(config)?,
            tied: Tied::read(config, false)?,
            qkv_bias,
            output_bias,
            mlp_bias,
            head_norms: Stored::Absent,
        })
    }

    /// Final norm and unembedding.
    ///
    /// # Errors
    /// Missing or damaged tensors.
    pub fn head(&self, weights: &Weights) -> Result<Head, LoadError> {
        let prefix = weights.prefix_of("model.", "norm.weight");
        let norm = self.norm(weights, &format!("{prefix}norm"))?;
        let embed = format!("{prefix}embed_tokens.weight");
        Ok(Head {
            norm: Some(norm),
            unembed: weights.unembed("lm_head.weight", &embed, self.tied, self.vocab_size, self.width)?,
            bias: None,
        })
    }

    /// Embeddings and layers.
    ///
    /// # Errors
    /// Missing or damaged tensors.
    pub fn body(&self, weights: &Weights) -> Result<Body, LoadError> {
        let prefix = weights.prefix_of("model.", "embed_tokens.weight");
        let mut layers = Vec::new();
        for i in 0..self.n_layers {
            let block = format!("{prefix}layers.{i}");
            layers.push(Layer::Attention(self.attention(weights, &block)?));
            layers.push(Layer::Mlp(self.mlp(weights, &block)?));
        }
        Ok(Body {
            embed: weights.matrix(&format!("{prefix}embed_tokens.weight"), self.vocab_size, self.width)?,
            positions: Positions::Rotary { theta: self.theta, dim: self.head_dim },
            layers,
        })
    }

    fn attention(&self, weights: &Weights, block: &str) -> Result<Attention, LoadError> {
        let (d, h) = (self.width, self.head_dim);
        let linear = |name: &str, n_in, n_out, bias| {
            weights.linear(&format!("{block}.self_attn.{name}"), n_in, n_out, bias)
        };
        let head_norm = |name: &str| {
            let gain = weights.vector(&format!("{block}.self_attn.{name}.weight"), h)?;
            Ok::<Norm, LoadError>(Norm::Rms { gain, eps: self.eps })
        };
        Ok(Attention {
            norm: Some(self.norm(weights, &format!("{block}.input_layernorm"))?),
            query: linear("q_proj", d, self.n_heads * h, self.qkv_bias)?,
            key: linear("k_proj", d, self.n_kv_heads * h, self.qkv_bias)?,
            value: linear("v_proj", d, self.n_kv_heads * h, self.qkv_bias)?,
            output: linear("o_proj", self.n_heads * h, d, self.output_bias)?,
            head_norms: match self.head_norms {
                Stored::Present => {
                    Some(Box::new(HeadNorms { query: head_norm("q_norm")?, key: head_norm("k_norm")? }))
                }
                Stored::Absent => None,
            },
            n_heads: self.n_heads,
            n_kv_heads: self.n_kv_heads,
            head_dim: h,
            scale: Scale::InvSqrt(h as u64),
        })
    }

    fn mlp(&self, weights: &Weights, block: &str) -> Result<Mlp, LoadError> {
        let (d, n) = (self.width, self.neurons);
        let linear = |name: &str, n_in, n_out| {
            weights.linear(&format!("{block}.mlp.{name}"), n_in, n_out, self.mlp_bias)
        };
        Ok(Mlp {
            norm: Some(self.norm(weights, &format!("{block}.post_attention_layernorm"))?),
            kind: MlpKind::Gated {
                gate: linear("gate_proj", d, n)?,
                up: linear("up_proj", d, n)?,
                down: linear("down_proj", n, d)?,
            },
            activation: self.activation,
        })
    }

    fn norm(&self, weights: &Weights, name: &str) -> Result<Norm, LoadError> {
        Ok(Norm::Rms { gain: weights.vector(&format!("{name}.weight"), self.width)?, eps: self.eps })
    }
}

/// Refuses sliding windows.
fn full_attention_only(config: &Config) -> Result<(), LoadError> {
    config.only("use_sliding_window", &false.into())?;
    // Without sliding windows their sizes say nothing.
    config.harmless(&["sliding_window", "max_window_layers"]);
    match config.get("layer_types") {
        Some(Value::Array(types)) if types.iter().any(|t| t != "full_attention") => {
            Err(config.problem("layer_types", "only full_attention is supported"))
        }
        _ => Ok(()),
    }
}

/// Base of the rotary frequencies, from `rope_theta` or from the newer `rope_parameters`; scaled frequencies are refused.
fn rope_theta(config: &Config) -> Result<f64, LoadError> {
    let mut theta = config.positive_or("rope_theta", 10_000.0)?;
    for key in ["rope_scaling", "rope_parameters"] {
        let Some(value) = config.get(key) else { continue };
        let unsupported = || {
            config
                .problem(key, "unsupported, only plain rotary positions (null, or rope_type \"default\") are")
        };
        let fields = value.as_object().ok_or_else(unsupported)?;
        for (name, field) in fields {
            match name.as_str() {
                "rope_type" | "type" if field == "default" => {}
                "rope_theta" => {
                    theta = field.as_f64().filter(|x| x.is_finite() && *x > 0.0).ok_or_else(unsupported)?;
                }
                _ => return Err(unsupported()),
            }
        }
    }
    Ok(theta)
}
