//! The layers of each family: which tensors they are and how they are stored.

use crate::family::{Family, Norm};
use crate::folder::Folder;
use crate::interval::Interval;
use crate::linear::Linear;
use crate::reject::{CheckError, InputError};
use crate::tensor::Tensor;

/// A residual layer, `x += layer(norm(x))`.
#[derive(Debug)]
pub(crate) enum Layer<'a> {
    Attention(Attention<'a>),
    Mlp(Mlp<'a>),
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
    /// θ of the rotary embedding.
    pub rotary: Option<Interval>,
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
        self.config.count(match self.family {
            Family::Gpt2 => "n_positions",
            Family::Llama => "max_position_embeddings",
            Family::Hooked => "n_ctx",
        })
    }

    /// Number of blocks.
    pub fn n_blocks(&self) -> Result<usize, InputError> {
        self.config.need(match self.family {
            Family::Gpt2 => "n_layer",
            Family::Llama => "num_hidden_layers",
            Family::Hooked => "n_layers",
        })
    }

    /// Embedding `[vocabulary, d]`, and the table of positions `[context, d]` that is added to it.
    pub fn embeddings(&self) -> Result<(&Tensor, Option<&Tensor>), InputError> {
        let (vocabulary, width) = self.family.sizes(&self.config)?;
        let (tokens, positions) = match self.family {
            Family::Gpt2 => ("wte.weight", Some("wpe.weight")),
            Family::Llama => ("embed_tokens.weight", None),
            Family::Hooked => ("embed.W_E", Some("pos_embed.W_pos")),
        };
        let context = self.context()?;
        let positions = positions.map(|name| self.tensor(name, &[context, width])).transpose()?;
        Ok((self.tensor(tokens, &[vocabulary, width])?, positions))
    }

    /// The layers of block `i`.
    pub fn block(&self, i: usize) -> Result<Vec<Layer<'_>>, CheckError> {
        match self.family {
            Family::Gpt2 => self.gpt2_block(&format!("h.{i}")),
            Family::Llama => self.llama_block(&format!("layers.{i}")),
            Family::Hooked => self.hooked_block(&format!("blocks.{i}.attn")),
        }
    }

    /// Weights are stored `[in, out]`; queries, keys and values side by side.
    fn gpt2_block(&self, name: &str) -> Result<Vec<Layer<'_>>, CheckError> {
        let config = &self.config;
        config.must_be("scale_attn_by_inverse_layer_idx", false)?;
        config.must_be("add_cross_attention", false)?;
        let d = config.count("n_embd")?;
        let inner = config.get("n_inner")?.unwrap_or(4 * d);
        let n_heads = config.count("n_head")?;
        let head_dim = quotient(d, n_heads, "n_embd", "n_head")?;
        let scaled = config.get("scale_attn_weights")?.unwrap_or(true);
        let linear = |part: &str, [rows, columns]: [usize; 2]| -> Result<Linear, InputError> {
            let weight = self.tensor(&format!("{name}.{part}.weight"), &[columns, rows])?;
            let bias = self.find(&format!("{name}.{part}.bias"), &[rows])?;
            Ok(Linear::new(weight, [rows, columns], |r, c| c * rows + r, bias))
        };
        let attention = Attention {
            norm: Some(self.layer_norm(&format!("{name}.ln_1"), d)?),
            projections: vec![linear("attn.c_attn", [3 * d, d])?],
            output: linear("attn.c_proj", [d, d])?,
            n_heads,
            n_kv_heads: n_heads,
            head_dim,
            divisor: if scaled { Interval::from_int(head_dim).sqrt() } else { Interval::from_int(1) },
            rotary: None,
        };
        let mlp = Mlp {
            norm: Some(self.layer_norm(&format!("{name}.ln_2"), d)?),
            gate: None,
            up: linear("mlp.c_fc", [inner, d])?,
            down: linear("mlp.c_proj", [d, inner])?,
            activation: self.activation("activation_function", "gelu_new")?,
        };
        Ok(vec![Layer::Attention(attention), Layer::Mlp(mlp)])
    }

    /// Weights are stored `[out, in]`.
    fn llama_block(&self, name: &str) -> Result<Vec<Layer<'_>>, CheckError> {
        let config = &self.config;
        config.must_be_absent("rope_scaling")?;
        config.must_be_absent("rope_parameters")?;
        config.must_be_absent("partial_rotary_factor")?;
        config.must_be_absent("sliding_window")?;
        let d = config.count("hidden_size")?;
        let inner = config.count("intermediate_size")?;
        let n_heads = config.count("num_attention_heads")?;
        let n_kv_heads = config.get("num_key_value_heads")?.unwrap_or(n_heads);
        quotient(n_heads, n_kv_heads, "num_attention_heads", "num_key_value_heads")?;
        let head_dim = match config.get("head_dim")? {
            Some(head_dim) => head_dim,
            None => quotient(d, n_heads, "hidden_size", "num_attention_heads")?,
        };
        quotient(head_dim, 2, "head_dim", "2")?;
        let theta = config
            .decimal("rope_theta")?
            .map_or(Interval::from_int(10_000), |theta| Interval::rational(theta.value()));
        let linear = |part: &str, [rows, columns]: [usize; 2]| -> Result<Linear, InputError> {
            let weight = self.tensor(&format!("{name}.{part}.weight"), &[rows, columns])?;
            let bias = self.find(&format!("{name}.{part}.bias"), &[rows])?;
            Ok(Linear::new(weight, [rows, columns], |r, c| r * columns + c, bias))
        };
        let attention = Attention {
            norm: Some(self.rms_norm(&format!("{name}.input_layernorm.weight"), d)?),
            projections: vec![
                linear("self_attn.q_proj", [n_heads * head_dim, d])?,
                linear("self_attn.k_proj", [n_kv_heads * head_dim, d])?,
                linear("self_attn.v_proj", [n_kv_heads * head_dim, d])?,
            ],
            output: linear("self_attn.o_proj", [d, n_heads * head_dim])?,
            n_heads,
            n_kv_heads,
            head_dim,
            divisor: Interval::from_int(head_dim).sqrt(),
            rotary: Some(theta),
        };
        let mlp = Mlp {
            norm: Some(self.rms_norm(&format!("{name}.post_attention_layernorm.weight"), d)?),
            gate: Some(linear("mlp.gate_proj", [inner, d])?),
            up: linear("mlp.up_proj", [inner, d])?,
            down: linear("mlp.down_proj", [d, inner])?,
            activation: self.activation("hidden_act", "silu")?,
        };
        Ok(vec![Layer::Attention(attention), Layer::Mlp(mlp)])
    }

    /// Weights are stored per head, `[head, d, head_dim]` and `[head, head_dim, d]`.
    fn hooked_block(&self, name: &str) -> Result<Vec<Layer<'_>>, CheckError> {
        let config = &self.config;
        config.must_be("attn_only", true)?;
        config.must_be("positional_embedding_type", "standard".to_string())?;
        config.must_be("attention_dir", "causal".to_string())?;
        config.must_be_absent("normalization_type")?;
        let (d, n_heads, head_dim) =
            (config.count("d_model")?, config.count("n_heads")?, config.count("d_head")?);
        let divisor = config.decimal("attn_scale")?.map(|scale| Interval::rational(scale.value()));
        let projection = |part: &str| -> Result<Linear, InputError> {
            let weight = self.tensor(&format!("{name}.W_{part}"), &[n_heads, d, head_dim])?;
            let bias = self.find(&format!("{name}.b_{part}"), &[n_heads, head_dim])?;
            let at = |r: usize, c: usize| (r / head_dim * d + c) * head_dim + r % head_dim;
            Ok(Linear::new(weight, [n_heads * head_dim, d], at, bias))
        };
        let output = self.tensor(&format!("{name}.W_O"), &[n_heads, head_dim, d])?;
        let bias = self.find(&format!("{name}.b_O"), &[d])?;
        Ok(vec![Layer::Attention(Attention {
            norm: None,
            projections: vec![projection("Q")?, projection("K")?, projection("V")?],
            output: Linear::new(output, [d, n_heads * head_dim], |r, c| c * d + r, bias),
            n_heads,
            n_kv_heads: n_heads,
            head_dim,
            divisor: divisor.unwrap_or_else(|| Interval::from_int(head_dim).sqrt()),
            rotary: None,
        })])
    }

    fn activation(&self, key: &str, default: &str) -> Result<Activation, InputError> {
        match self.config.get::<String>(key)?.as_deref().unwrap_or(default) {
            "relu" => Ok(Activation::Relu),
            "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
            "gelu" => Ok(Activation::GeluErf),
            "silu" | "swish" => Ok(Activation::Silu),
            other => Err(InputError::Config(format!("{key} = {other:?} is not supported"))),
        }
    }
}

/// `a / b`, which must be exact.
fn quotient(a: usize, b: usize, a_name: &str, b_name: &str) -> Result<usize, InputError> {
    match a.checked_rem(b) {
        Some(0) => Ok(a / b),
        _ => Err(InputError::Config(format!("{a_name} = {a} is not a multiple of {b_name} = {b}"))),
    }
}
