//! RWKV-7 (Peng et al. 2025) with the tensor names of its authors' checkpoints; the settings, which these leave to the
//! program, are `hidden_size`, `num_hidden_layers`, `num_attention_heads`, `use_ln0` and the like. Square maps are stored
//! as `[out, in]`, the narrow ones as `[in, out]`.

use ndarray::Array1;

use super::{Bias, Tied, Weights};
use crate::model::config::Config;
use crate::model::error::LoadError;
use crate::model::layer::{Layer, Linear, Norm, Positions};
use crate::model::recurrent::{ChannelMix, LowRank, Shift, Shifted, Wkv7};
use crate::model::{Body, Head};

/// Value of `model_type`.
pub const NAME: &str = "rwkv7";
/// The first layer has no earlier values to blend in, but checkpoints keep the tensors for it.
pub const BUFFERS: &[&str] = &["blocks.0.att.v0", "blocks.0.att.v1", "blocks.0.att.v2"];

/// Settings of an RWKV-7 model.
#[derive(Debug)]
pub struct Rwkv7 {
    /// Longest prefix in tokens, `context_length`; the recurrence itself has no end.
    pub context: usize,
    /// Number of tokens.
    pub vocab_size: usize,
    width: usize,
    neurons: usize,
    n_layers: usize,
    n_heads: usize,
    eps: f64,
    group_eps: f64,
    embed_norm: bool,
    output_bias: Bias,
    head_bias: bool,
    tied: Tied,
}

impl Rwkv7 {
    /// Reads the settings.
    ///
    /// # Errors
    /// Missing or senseless settings.
    pub fn read(config: &Config) -> Result<Rwkv7, LoadError> {
        let (width, n_heads) = (config.count("hidden_size")?, config.count("num_attention_heads")?);
        if width % n_heads != 0 {
            return Err(config.problem("num_attention_heads", format!("must divide hidden_size = {width}")));
        }
        if config.count_or_none("head_size")?.is_some_and(|size| size != width / n_heads) {
            return Err(config.problem("head_size", "must be hidden_size / num_attention_heads"));
        }
        Ok(Rwkv7 {
            context: config.count("context_length")?,
            vocab_size: config.count("vocab_size")?,
            width,
            neurons: config.count_or_none("intermediate_size")?.unwrap_or(4 * width),
            n_layers: config.count("num_hidden_layers")?,
            n_heads,
            eps: config.positive_or("layer_norm_epsilon", 1e-5)?,
            group_eps: config.positive_or("group_norm_epsilon", 64e-5)?,
            embed_norm: config.flag_or("use_ln0", true)?,
            output_bias: Bias::required_if(config.flag_or("attention_output_bias", false)?),
            head_bias: config.flag_or("head_bias", false)?,
            tied: Tied::read(config, false)?,
        })
    }

    /// Final norm, unembedding and its bias.
    ///
    /// # Errors
    /// Missing or damaged tensors.
    pub fn head(&self, weights: &Weights) -> Result<Head, LoadError> {
        let bias = if self.head_bias { Some(weights.vector("head.bias", self.vocab_size)?) } else { None };
        Ok(Head {
            norm: Some(self.norm(weights, "ln_out")?),
            unembed: weights.unembed("head.weight", "emb.weight", self.tied, self.vocab_size, self.width)?,
            bias,
        })
    }

    /// Embeddings and layers.
    ///
    /// # Errors
    /// Missing or damaged tensors.
    pub fn body(&self, weights: &Weights) -> Result<Body, LoadError> {
        let mut layers = Vec::new();
        if self.embed_norm {
            layers.push(Layer::Norm(self.norm(weights, "blocks.0.ln0")?));
        }
        for i in 0..self.n_layers {
            layers.push(Layer::Wkv7(Box::new(self.time_mix(weights, i)?)));
            layers.push(Layer::ChannelMix(Box::new(self.channel_mix(weights, i)?)));
        }
        Ok(Body {
            embed: weights.matrix("emb.weight", self.vocab_size, self.width)?,
            positions: Positions::None,
            layers,
        })
    }

    fn time_mix(&self, weights: &Weights, i: usize) -> Result<Wkv7, LoadError> {
        let (d, name) = (self.width, format!("blocks.{i}.att"));
        let wide = |part: &str| weights.wide_vector(&format!("{name}.{part}"), d);
        let shifted = |mix: &str, part: &str| -> Result<Shifted, LoadError> {
            let map = weights.linear(&format!("{name}.{part}"), d, d, Bias::Absent)?;
            Ok(Shifted { shift: Shift::OfPrevious(wide(mix)?), map })
        };
        let low_rank = |mix: &str, part: &str, offset: Option<&str>| -> Result<LowRank, LoadError> {
            let down = format!("{name}.{part}1");
            let rank = weights.columns(&down);
            Ok(LowRank {
                shift: Shift::OfPrevious(wide(mix)?),
                down: Linear { weight: weights.matrix(&down, d, rank)?, bias: None },
                up: Linear {
                    weight: weights.matrix(&format!("{name}.{part}2"), rank, d)?,
                    bias: offset.map(wide).transpose()?,
                },
            })
        };
        let bonus = weights.matrix(&format!("{name}.r_k"), self.n_heads, d / self.n_heads)?;
        Ok(Wkv7 {
            norm: self.norm(weights, &format!("blocks.{i}.ln1"))?,
            receptance: shifted("x_r", "receptance")?,
            key: shifted("x_k", "key")?,
            value: shifted("x_v", "value")?,
            decay: low_rank("x_w", "w", Some("w0"))?,
            rate: low_rank("x_a", "a", Some("a0"))?,
            gate: low_rank("x_g", "g", None)?,
            first_value: if i == 0 { None } else { Some(low_rank("x_v", "v", Some("v0"))?) },
            key_scale: wide("k_k")?,
            key_rate: wide("k_a")?,
            bonus: Array1::from_iter(bonus),
            n_heads: self.n_heads,
            group_gain: weights.vector(&format!("{name}.ln_x.weight"), d)?,
            group_bias: weights.vector(&format!("{name}.ln_x.bias"), d)?,
            group_eps: self.group_eps,
            output: weights.linear(&format!("{name}.output"), d, d, self.output_bias)?,
        })
    }

    fn channel_mix(&self, weights: &Weights, i: usize) -> Result<ChannelMix, LoadError> {
        let (d, name) = (self.width, format!("blocks.{i}.ffn"));
        Ok(ChannelMix {
            norm: self.norm(weights, &format!("blocks.{i}.ln2"))?,
            key: Shifted {
                shift: Shift::OfPrevious(weights.wide_vector(&format!("{name}.x_k"), d)?),
                map: weights.linear(&format!("{name}.key"), d, self.neurons, Bias::Absent)?,
            },
            value: weights.linear(&format!("{name}.value"), self.neurons, d, Bias::Absent)?,
            receptance: None,
        })
    }

    fn norm(&self, weights: &Weights, name: &str) -> Result<Norm, LoadError> {
        Ok(Norm::Layer {
            gain: weights.vector(&format!("{name}.weight"), self.width)?,
            bias: Some(weights.vector(&format!("{name}.bias"), self.width)?),
            eps: self.eps,
        })
    }
}
