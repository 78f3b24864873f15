//! The layers of each family: which tensors they are and how they are stored.

use dashu_ratio::RBig;

use crate::config::{Config, Object};
use crate::family::{Family, Norm};
use crate::folder::Folder;
use crate::interval::Interval;
use crate::linear::Linear;
use crate::recurrent::{ChannelMix, Wkv4, Wkv7};
use crate::reject::InputError;
use crate::tensor::Tensor;

/// A residual layer, `x += layer(norm(x))`.
#[derive(Debug)]
pub(crate) enum Layer<'a> {
    Attention(Attention<'a>),
    Mlp(Mlp<'a>),
    /// `x += attention(norm(x)) + mlp(norm'(x))`.
    Parallel(Box<(Attention<'a>, Mlp<'a>)>),
    Wkv4(Wkv4<'a>),
    Wkv7(Box<Wkv7<'a>>),
    ChannelMix(ChannelMix<'a>),
}

/// Causal self-attention; query head `h` reads key/value head `h / (n_heads / n_kv_heads)`.
#[derive(Debug)]
pub(crate) struct Attention<'a> {
    pub norm: Option<Norm<'a>>,
    /// Their outputs in a row are all queries, all keys, all values: `[(n_heads + 2 n_kv_heads) head_dim]`.
    pub projections: Vec<Linear>,
    pub output: Linear,
    pub n_heads: usize,
    pub n_kv_heads: usize,
    pub head_dim: usize,
    /// Scores are `q·k / divisor`.
    pub divisor: Interval,
    /// Norms of each query head and of each key head, before the rotation.
    pub head_norms: Option<[Norm<'a>; 2]>,
    /// θ of the rotary embedding, and how many elements of each head it rotates.
    pub rotary: Option<(Interval, usize)>,
}

/// `down(act(up(x)))`, or `down(act(gate(x)) ⊙ up(x))`.
#[derive(Debug)]
pub(crate) struct Mlp<'a> {
    pub norm: Option<Norm<'a>>,
    pub gate: Option<Linear>,
    pub up: Linear,
    pub down: Linear,
    pub activation: Activation,
}

/// Pointwise nonlinearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `max(x, 0)²`.
    SquaredRelu,
    /// `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
    GeluTanh,
    /// `x/2 (1 + erf(x/√2))`.
    GeluErf,
    /// `x / (1 + e^-x)`.
    Silu,
}

impl Folder {
    /// Longest prefix that the model accepts.
    pub fn context(&self) -> Result<usize, InputError> {
        self.config.size(match self.family {
            Family::Gpt2 => "n_positions",
            Family::Llama | Family::Qwen2 | Family::Qwen3 | Family::Neox => "max_position_embeddings",
            Family::Hooked => "n_ctx",
            Family::Rwkv4 | Family::Rwkv7 => "context_length",
        })
    }

    /// Number of blocks.
    pub fn n_blocks(&self) -> Result<usize, InputError> {
        self.config.size(match self.family {
            Family::Gpt2 => "n_layer",
            Family::Hooked => "n_layers",
            _ => "num_hidden_layers",
        })
    }

    /// Embedding `[vocabulary, d]`, and the table of positions `[context, d]` that is added to it.
    pub fn embeddings(&self) -> Result<(&Tensor, Option<&Tensor>), InputError> {
        let shape @ [_, width] = self.vocabulary_and_width()?;
        let (tokens, positions) = match self.family {
            Family::Gpt2 => ("wte.weight", Some("wpe.weight")),
            Family::Llama | Family::Qwen2 | Family::Qwen3 => ("embed_tokens.weight", None),
            Family::Neox => ("embed_in.weight", None),
            Family::Hooked => ("embed.W_E", Some("pos_embed.W_pos")),
            Family::Rwkv4 => ("embeddings.weight", None),
            Family::Rwkv7 => ("emb.weight", None),
        };
        let context = self.context()?;
        let positions = positions.map(|name| self.tensor(name, &[context, width])).transpose()?;
        Ok((self.tensor(tokens, &shape)?, positions))
    }

    /// The layers of block `i`.
    pub fn block(&self, i: usize) -> Result<Vec<Layer<'_>>, InputError> {
        match self.family {
            Family::Gpt2 => self.gpt2_block(i),
            Family::Llama | Family::Qwen2 | Family::Qwen3 => self.llama_block(i),
            Family::Neox => self.neox_block(i),
            Family::Hooked => self.hooked_block(i),
            Family::Rwkv4 => self.rwkv4_block(i),
            Family::Rwkv7 => self.rwkv7_block(i),
        }
    }

    /// Weights are stored `[in, out]`; queries, keys and values side by side.
    fn gpt2_block(&self, i: usize) -> Result<Vec<Layer<'_>>, InputError> {
        let config = &self.config;
        let (d, n_heads) = (config.size("n_embd")?, config.size("n_head")?);
        let inner = config.get("n_inner")?.unwrap_or(4 * d);
        let head_dim = quotient(d, n_heads, "n_embd", "n_head")?;
        let mut divisor = Interval::from_int(1);
        if config.get("scale_attn_weights")?.unwrap_or(true) {
            divisor = Interval::from_int(head_dim).sqrt();
        }
        if config.get("scale_attn_by_inverse_layer_idx")?.unwrap_or(false) {
            divisor = divisor * Interval::from_int(i + 1);
        }
        let linear = |part: &str, [rows, columns]: [usize; 2]| -> Result<Linear, InputError> {
            let weight = self.tensor(&format!("h.{i}.{part}.weight"), &[columns, rows])?;
            let bias = self.find(&format!("h.{i}.{part}.bias"), &[rows])?;
            Ok(Linear::new(weight, [rows, columns], |r, c| c * rows + r, bias))
        };
        let attention = Attention {
            norm: Some(self.layer_norm(&format!("h.{i}.ln_1"), d)?),
            projections: vec![linear("attn.c_attn", [3 * d, d])?],
            output: linear("attn.c_proj", [d, d])?,
            n_heads,
            n_kv_heads: n_heads,
            head_dim,
            divisor,
            head_norms: None,
            rotary: None,
        };
        let mlp = Mlp {
            norm: Some(self.layer_norm(&format!("h.{i}.ln_2"), d)?),
            gate: None,
            up: linear("mlp.c_fc", [inner, d])?,
            down: linear("mlp.c_proj", [d, inner])?,
            activation: self.activation("activation_function", "gelu_new")?,
        };
        Ok(vec![Layer::Attention(attention), Layer::Mlp(mlp)])
    }

    /// Weights are stored `[out, in]`.
    fn llama_block(&self, i: usize) -> Result<Vec<Layer<'_>>, InputError> {
        let config = &self.config;
        let (d, inner) = (config.size("hidden_size")?, config.size("intermediate_size")?);
        let n_heads = config.size("num_attention_heads")?;
        let n_kv_heads = config.get("num_key_value_heads")?.unwrap_or(n_heads);
        quotient(n_heads, n_kv_heads, "num_attention_heads", "num_key_value_heads")?;
        let head_dim = match config.get("head_dim")? {
            Some(head_dim) => head_dim,
            None => quotient(d, n_heads, "hidden_size", "num_attention_heads")?,
        };
        quotient(head_dim, 2, "head_dim", "2")?;
        let is_set = |key: &str| Ok::<bool, InputError>(config.get(key)?.unwrap_or(false));
        let (bias_in, bias_out) = match self.family {
            Family::Qwen2 => (true, false),
            _ => (is_set("attention_bias")?, is_set("attention_bias")?),
        };
        let bias_mlp = is_set("mlp_bias")?;
        let linear =
            |part: &str, [rows, columns]: [usize; 2], has_bias: bool| -> Result<Linear, InputError> {
                let weight = self.tensor(&format!("layers.{i}.{part}.weight"), &[rows, columns])?;
                let bias = format!("layers.{i}.{part}.bias");
                let bias = if has_bias { Some(self.tensor(&bias, &[rows])?) } else { None };
                Ok(Linear::new(weight, [rows, columns], |r, c| r * columns + c, bias))
            };
        let [all, all_kv] = [n_heads, n_kv_heads].map(|n| n.saturating_mul(head_dim));
        let attention = Attention {
            norm: Some(self.rms_norm(&format!("layers.{i}.input_layernorm.weight"), d)?),
            projections: vec![
                linear("self_attn.q_proj", [all, d], bias_in)?,
                linear("self_attn.k_proj", [all_kv, d], bias_in)?,
                linear("self_attn.v_proj", [all_kv, d], bias_in)?,
            ],
            output: linear("self_attn.o_proj", [d, all], bias_out)?,
            n_heads,
            n_kv_heads,
            head_dim,
            divisor: Interval::from_int(head_dim).sqrt(),
            head_norms: match self.family {
                Family::Qwen3 => Some([
                    self.rms_norm(&format!("layers.{i}.self_attn.q_norm.weight"), head_dim)?,
                    self.rms_norm(&format!("layers.{i}.self_attn.k_norm.weight"), head_dim)?,
                ]),
                _ => None,
            },
            rotary: Some((self.rope_theta()?, head_dim)),
        };
        let mlp = Mlp {
            norm: Some(self.rms_norm(&format!("layers.{i}.post_attention_layernorm.weight"), d)?),
            gate: Some(linear("mlp.gate_proj", [inner, d], bias_mlp)?),
            up: linear("mlp.up_proj", [inner, d], bias_mlp)?,
            down: linear("mlp.down_proj", [d, inner], bias_mlp)?,
            activation: self.activation("hidden_act", "silu")?,
        };
        Ok(vec![Layer::Attention(attention), Layer::Mlp(mlp)])
    }

    /// Weights are stored per head, `[head, d, head_dim]` and `[head, head_dim, d]`.
    fn hooked_block(&self, i: usize) -> Result<Vec<Layer<'_>>, InputError> {
        let config = &self.config;
        let (d, n_heads, head_dim) =
            (config.size("d_model")?, config.size("n_heads")?, config.size("d_head")?);
        // −1 stands for the default.
        let scale = config.decimal("attn_scale")?.filter(|scale| *scale.value() != -RBig::ONE);
        let projection = |part: &str| -> Result<Linear, InputError> {
            let weight = self.tensor(&format!("blocks.{i}.attn.W_{part}"), &[n_heads, d, head_dim])?;
            let bias = self.tensor(&format!("blocks.{i}.attn.b_{part}"), &[n_heads, head_dim])?;
            let at = |r: usize, c: usize| (r / head_dim * d + c) * head_dim + r % head_dim;
            Ok(Linear::new(weight, [n_heads * head_dim, d], at, Some(bias)))
        };
        let output = self.tensor(&format!("blocks.{i}.attn.W_O"), &[n_heads, head_dim, d])?;
        let bias = self.tensor(&format!("blocks.{i}.attn.b_O"), &[d])?;
        Ok(vec![Layer::Attention(Attention {
            norm: None,
            projections: vec![projection("Q")?, projection("K")?, projection("V")?],
            output: Linear::new(output, [d, n_heads * head_dim], |r, c| c * d + r, Some(bias)),
            n_heads,
            n_kv_heads: n_heads,
            head_dim,
            divisor: scale
                .map_or_else(|| Interval::from_int(head_dim).sqrt(), |s| Interval::rational(s.value())),
            head_norms: None,
            rotary: None,
        })])
    }

    /// θ from `rope_theta`, or from the newer `rope_parameters`; scaled frequencies are refused.
    fn rope_theta(&self) -> Result<Interval, InputError> {
        let mut theta = self.config.decimal("rope_theta")?;
        for key in ["rope_scaling", "rope_parameters"] {
            let Some(fields) = self.config.get::<Object>(key)? else { continue };
            let fields = Config::from(fields);
            fields.refuse_unknown(&[("rope_type", "\"default\""), ("type", "\"default\"")], "rope_theta")?;
            theta = fields.decimal("rope_theta")?.or(theta);
        }
        Ok(theta.map_or(Interval::from_int(10_000), |theta| Interval::rational(theta.value())))
    }

    pub fn activation(&self, key: &str, default: &str) -> Result<Activation, InputError> {
        match self.config.get::<String>(key)?.as_deref().unwrap_or(default) {
            "relu" => Ok(Activation::Relu),
            "relu2" => Ok(Activation::SquaredRelu),
            "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
            "gelu" | "gelu_python" => Ok(Activation::GeluErf),
            "silu" | "swish" => Ok(Activation::Silu),
            other => Err(InputError::Config(format!("{key} = {other:?} is not supported"))),
        }
    }
}

/// `a / b`, which must be exact.
pub(crate) fn quotient(a: usize, b: usize, a_name: &str, b_name: &str) -> Result<usize, InputError> {
    match a.checked_rem(b) {
        Some(0) => Ok(a / b),
        _ => Err(InputError::Config(format!("{a_name} = {a} is not a multiple of {b_name} = {b}"))),
    }
}
