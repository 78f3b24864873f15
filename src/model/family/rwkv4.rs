//! RWKV-4 (Peng et al. 2023) with the names of Hugging Face's `RwkvForCausalLM`: a LayerNorm over the embeddings, then
//! per block time mixing and channel mixing. Linear weights are stored as `[out, in]` without biases.

use super::{Bias, Tied, Weights};
use crate::model::config::Config;
use crate::model::error::LoadError;
use crate::model::layer::{Layer, Norm, Positions};
use crate::model::recurrent::{ChannelMix, Shift, Shifted, Wkv4};
use crate::model::{Body, Head};

/// Value of `model_type`.
pub const NAME: &str = "rwkv";

/// Settings of an RWKV-4 model.
#[derive(Debug)]
pub struct Rwkv4 {
    /// Longest prefix in tokens, `context_length`; the recurrence itself has no end.
    pub context: usize,
    /// Number of tokens.
    pub vocab_size: usize,
    width: usize,
    attention: usize,
    neurons: usize,
    n_layers: usize,
    eps: f64,
    tied: Tied,
}

impl Rwkv4 {
    /// Reads the settings.
    ///
    /// # Errors
    /// Missing or senseless settings.
    pub fn read(config: &Config) -> Result<Rwkv4, LoadError> {
        let (width, n_layers) = (config.count("hidden_size")?, config.count("num_hidden_layers")?);
        // Halving the residual every so many layers is another function, as ε does not shrink with it.
        if config.get("rescale_every") != Some(&0.into()) {
            return Err(config.problem("rescale_every", "must be 0"));
        }
        Ok(Rwkv4 {
            context: config.count("context_length")?,
            vocab_size: config.count("vocab_size")?,
            width,
            attention: config.count_or_none("attention_hidden_size")?.unwrap_or(width),
            neurons: config.count_or_none("intermediate_size")?.unwrap_or(4 * width),
            n_layers,
            eps: config.positive_or("layer_norm_epsilon", 1e-5)?,
            tied: Tied::read(config, false)?,
        })
    }

    /// Final norm and unembedding.
    ///
    /// # Errors
    /// Missing or damaged tensors.
    pub fn head(&self, weights: &Weights) -> Result<Head, LoadError> {
        let prefix = weights.prefix_of("rwkv.", "ln_out.weight");
        let embed = format!("{prefix}embeddings.weight");
        Ok(Head {
            norm: Some(self.norm(weights, &format!("{prefix}ln_out"))?),
            unembed: weights.unembed("head.weight", &embed, self.tied, self.vocab_size, self.width)?,
            bias: None,
        })
    }

    /// Embeddings and layers.
    ///
    /// # Errors
    /// Missing or damaged tensors.
    pub fn body(&self, weights: &Weights) -> Result<Body, LoadError> {
        let prefix = weights.prefix_of("rwkv.", "embeddings.weight");
        let mut layers = vec![Layer::Norm(self.norm(weights, &format!("{prefix}blocks.0.pre_ln"))?)];
        for i in 0..self.n_layers {
            let block = format!("{prefix}blocks.{i}");
            layers.push(Layer::Wkv4(Box::new(self.time_mix(weights, &block)?)));
            layers.push(Layer::ChannelMix(Box::new(self.channel_mix(weights, &block)?)));
        }
        Ok(Body {
            embed: weights.matrix(&format!("{prefix}embeddings.weight"), self.vocab_size, self.width)?,
            positions: Positions::None,
            layers,
        })
    }

    fn time_mix(&self, weights: &Weights, block: &str) -> Result<Wkv4, LoadError> {
        let name = format!("{block}.attention");
        Ok(Wkv4 {
            norm: self.norm(weights, &format!("{block}.ln1"))?,
            key: self.shifted(weights, &name, "key", self.attention)?,
            value: self.shifted(weights, &name, "value", self.attention)?,
            receptance: self.shifted(weights, &name, "receptance", self.attention)?,
            decay: weights.vector(&format!("{name}.time_decay"), self.attention)?,
            first: weights.vector(&format!("{name}.time_first"), self.attention)?,
            output: weights.linear(&format!("{name}.output"), self.attention, self.width, Bias::Absent)?,
        })
    }

    fn channel_mix(&self, weights: &Weights, block: &str) -> Result<ChannelMix, LoadError> {
        let name = format!("{block}.feed_forward");
        Ok(ChannelMix {
            norm: self.norm(weights, &format!("{block}.ln2"))?,
            key: self.shifted(weights, &name, "key", self.neurons)?,
            value: weights.linear(&format!("{name}.value"), self.neurons, self.width, Bias::Absent)?,
            receptance: Some(self.shifted(weights, &name, "receptance", self.width)?),
        })
    }

    fn shifted(&self, weights: &Weights, name: &str, part: &str, n_out: usize) -> Result<Shifted, LoadError> {
        let mix = weights.wide_vector(&format!("{name}.time_mix_{part}"), self.width)?;
        let map = weights.linear(&format!("{name}.{part}"), self.width, n_out, Bias::Absent)?;
        Ok(Shifted { shift: Shift::OfCurrent(mix), map })
    }

    fn norm(&self, weights: &Weights, name: &str) -> Result<Norm, LoadError> {
        Ok(Norm::Layer {
            gain: weights.vector(&format!("{name}.weight"), self.width)?,
            bias: Some(weights.vector(&format!("{name}.bias"), self.width)?),
            eps: self.eps,
        })
    }
}
