//! GPT-NeoX (Black et al. 2022; Pythia, Biderman et al. 2023): LayerNorm, rotary positions on a part of each head, attention
//! and plain MLP side by side. Linear weights are stored as `[out, in]`; query, key and value of a head lie together.

use ndarray::{Array1, Array2};

use super::{Bias, Tied, Weights};
use crate::model::config::Config;
use crate::model::error::LoadError;
use crate::model::layer::{
    Activation, Attention, Layer, Linear, Mlp, MlpKind, Norm, Parallel, Positions, Scale,
};
use crate::model::{Body, Head};

/// Value of `model_type`.
pub const NAME: &str = "gpt_neox";
/// Causal masks and rotary frequencies that checkpoints store.
pub const BUFFERS: &[&str] = &[".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq"];

/// Settings of a GPT-NeoX model.
#[derive(Debug)]
pub struct Neox {
    /// Longest prefix in tokens, `max_position_embeddings`.
    pub context: usize,
    /// Number of tokens.
    pub vocab_size: usize,
    width: usize,
    n_layers: usize,
    n_heads: usize,
    neurons: usize,
    rotary_dim: usize,
    theta: f64,
    activation: Activation,
    eps: f64,
    tied: Tied,
    attention_bias: Bias,
    residual: Residual,
}

/// What the MLP reads.
#[derive(Debug, Clone, Copy)]
enum Residual {
    /// What attention reads.
    Parallel,
    /// What attention has added to.
    Sequential,
}

impl Neox {
    /// Reads the settings.
    ///
    /// # Errors
    /// Missing, senseless or unsupported settings; scaled rotary frequencies are not supported.
    pub fn read(config: &Config) -> Result<Neox, LoadError> {
        for key in ["rope_scaling", "rope_parameters", "partial_rotary_factor", "quantization_config"] {
            config.absent(key)?;
        }
        config.only("is_encoder_decoder", &false.into())?;
        config.harmless(&["is_decoder"]);
        let width = config.count("hidden_size")?;
        let n_heads = config.count("num_attention_heads")?;
        if width % n_heads != 0 {
            return Err(config.problem("num_attention_heads", format!("must divide hidden_size = {width}")));
        }
        let rotated = config.positive_or("rotary_pct", 0.25)?;
        let head_dim = width / n_heads;
        let chosen = head_dim as f64 * rotated;
        let rotary_dim = (2..=head_dim).step_by(2).find(|&n| n as f64 == chosen).ok_or_else(|| {
            config.problem(
                "rotary_pct",
                format!("must choose an even number of the {head_dim} features of a head"),
            )
        })?;
        Ok(Neox {
            context: config.count("max_position_embeddings")?,
            vocab_size: config.count("vocab_size")?,
            width,
            n_layers: config.count("num_hidden_layers")?,
            n_heads,
            neurons: config.count("intermediate_size")?,
            rotary_dim,
            theta: config.positive_or("rotary_emb_base", 10_000.0)?,
            activation: config.activation("hidden_act", "gelu")?,
            eps: config.positive_or("layer_norm_eps", 1e-5)?,
            tied: Tied::read(config, false)?,
            attention_bias: Bias::required_if(config.flag_or("attention_bias", true)?),
            residual: match config.flag_or("use_parallel_residual", true)? {
                true => Residual::Parallel,
                false => Residual::Sequential,
            },
        })
    }

    /// Final norm and unembedding.
    ///
    /// # Errors
    /// Missing or damaged tensors.
    pub fn head(&self, weights: &Weights) -> Result<Head, LoadError> {
        let prefix = weights.prefix_of("gpt_neox.", "final_layer_norm.weight");
        let norm = self.norm(weights, &format!("{prefix}final_layer_norm"))?;
        let embed = format!("{prefix}embed_in.weight");
        Ok(Head {
            norm: Some(norm),
            unembed: weights.unembed("embed_out.weight", &embed, self.tied, self.vocab_size, self.width)?,
            bias: None,
        })
    }

    /// Embeddings and layers.
    ///
    /// # Errors
    /// Missing or damaged tensors.
    pub fn body(&self, weights: &Weights) -> Result<Body, LoadError> {
        let prefix = weights.prefix_of("gpt_neox.", "embed_in.weight");
        let mut layers = Vec::new();
        for i in 0..self.n_layers {
            let block = format!("{prefix}layers.{i}");
            let (attention, mlp) = (self.attention(weights, &block)?, self.mlp(weights, &block)?);
            match self.residual {
                Residual::Parallel => layers.push(Layer::Parallel(Box::new(Parallel { attention, mlp }))),
                Residual::Sequential => layers.extend([Layer::Attention(attention), Layer::Mlp(mlp)]),
            }
        }
        Ok(Body {
            embed: weights.matrix(&format!("{prefix}embed_in.weight"), self.vocab_size, self.width)?,
            positions: Positions::Rotary { theta: self.theta, dim: self.rotary_dim },
            layers,
        })
    }

    fn attention(&self, weights: &Weights, block: &str) -> Result<Attention, LoadError> {
        let (d, head_dim) = (self.width, self.width / self.n_heads);
        let joint = format!("{block}.attention.query_key_value");
        let joint = weights.linear(&joint, d, 3 * d, self.attention_bias)?;
        // Output `feature` of part 0 (queries), 1 (keys) or 2 (values).
        let at =
            |part: usize, feature: usize| (feature / head_dim * 3 + part) * head_dim + feature % head_dim;
        let part = |part: usize| Linear {
            weight: Array2::from_shape_fn((d, d), |(row, column)| joint.weight[[row, at(part, column)]]),
            bias: joint.bias.as_ref().map(|bias| Array1::from_shape_fn(d, |i| bias[at(part, i)])),
        };
        Ok(Attention {
            norm: Some(self.norm(weights, &format!("{block}.input_layernorm"))?),
            query: part(0),
            key: part(1),
            value: part(2),
            output: weights.linear(&format!("{block}.attention.dense"), d, d, self.attention_bias)?,
            head_norms: None,
            n_heads: self.n_heads,
            n_kv_heads: self.n_heads,
            head_dim,
            scale: Scale::InvSqrt(head_dim as u64),
        })
    }

    fn mlp(&self, weights: &Weights, block: &str) -> Result<Mlp, LoadError> {
        let (d, n) = (self.width, self.neurons);
        Ok(Mlp {
            norm: Some(self.norm(weights, &format!("{block}.post_attention_layernorm"))?),
            kind: MlpKind::Plain {
                up: weights.linear(&format!("{block}.mlp.dense_h_to_4h"), d, n, Bias::Required)?,
                down: weights.linear(&format!("{block}.mlp.dense_4h_to_h"), n, d, Bias::Required)?,
            },
            activation: self.activation,
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
