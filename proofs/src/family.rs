//! Model families: which settings and tensors say what the network computes, and where its head is.

use std::borrow::Cow;

use crate::config::Config;
use crate::folder::Folder;
use crate::interval::Interval;
use crate::reject::InputError;
use crate::tensor::Tensor;

/// A supported `model_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// `gpt2`.
    Gpt2,
    /// `llama`.
    Llama,
    /// `qwen2`: llama with biases on queries, keys and values.
    Qwen2,
    /// `qwen3`: llama with an RMSNorm on each query and key head.
    Qwen3,
    /// `gpt_neox`: attention and MLP side by side, rotary positions on a part of each head.
    Neox,
    /// `hooked_transformer`: the TransformerLens layout, attention only, without norms.
    Hooked,
    /// `rwkv`: RWKV-4, recurrent.
    Rwkv4,
    /// `rwkv7`: RWKV-7, recurrent, with the tensor names of its authors.
    Rwkv7,
}

/// How much of the network a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The final norm and the unembedding.
    Head,
    /// Everything.
    Network,
}

/// Whether a norm subtracts the mean first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Centring {
    /// LayerNorm.
    Mean,
    /// RMSNorm.
    None,
}

/// `γ ⊙ (x − mean) / sqrt(mean square + ε) + β`.
#[derive(Debug)]
pub(crate) struct Norm<'a> {
    pub centring: Centring,
    /// γ `[d]`.
    pub gain: &'a Tensor,
    /// β `[d]`.
    pub shift: Option<&'a Tensor>,
    /// ε >= 0.
    pub epsilon: Interval,
}

/// The final norm and the unembedding.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    pub norm: Option<Norm<'a>>,
    /// `[vocabulary, d]`.
    pub unembed: Cow<'a, Tensor>,
    /// `[vocabulary]`.
    pub bias: Option<&'a Tensor>,
}

impl Head<'_> {
    /// Number of tokens.
    pub fn vocabulary(&self) -> usize {
        self.unembed.shape[0]
    }
}

impl Family {
    /// The family that `model_type` names, if the other settings hold nothing unknown.
    pub fn of(config: &Config) -> Result<Family, InputError> {
        let llama = "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads
            head_dim max_position_embeddings rms_norm_eps rope_theta rope_scaling rope_parameters hidden_act
            tie_word_embeddings pretraining_tp";
        match config.need::<String>("model_type")?.as_str() {
            "gpt2" => {
                let fixed = [
                    ("add_cross_attention", "false"),
                    ("is_encoder_decoder", "false"),
                    ("pruned_heads", "{}"),
                ];
                let free = "vocab_size n_embd n_inner n_layer n_head n_positions n_ctx layer_norm_epsilon
                    activation_function scale_attn_weights scale_attn_by_inverse_layer_idx tie_word_embeddings is_decoder
                    reorder_and_upcast_attn cross_attention_hidden_size";
                config.refuse_unknown(&fixed, free)?;
                Ok(Family::Gpt2)
            }
            "llama" => {
                let fixed = [("partial_rotary_factor", "1.0"), ("is_encoder_decoder", "false")];
                config.refuse_unknown(&fixed, &format!("{llama} attention_bias mlp_bias"))?;
                Ok(Family::Llama)
            }
            "qwen2" => {
                let fixed = [
                    ("use_sliding_window", "false"),
                    ("use_mrope", "false"),
                    ("is_encoder_decoder", "false"),
                ];
                config.refuse_unknown(
                    &fixed,
                    &format!("{llama} sliding_window max_window_layers layer_types"),
                )?;
                full_attention_only(config)?;
                Ok(Family::Qwen2)
            }
            "qwen3" => {
                let fixed = [("use_sliding_window", "false"), ("is_encoder_decoder", "false")];
                let more = "attention_bias sliding_window max_window_layers layer_types";
                config.refuse_unknown(&fixed, &format!("{llama} {more}"))?;
                full_attention_only(config)?;
                config.size("head_dim")?;
                Ok(Family::Qwen3)
            }
            "gpt_neox" => {
                let free = "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads
                    max_position_embeddings layer_norm_eps rotary_pct rotary_emb_base hidden_act attention_bias
                    use_parallel_residual tie_word_embeddings is_decoder";
                config.refuse_unknown(&[("is_encoder_decoder", "false")], free)?;
                Ok(Family::Neox)
            }
            "hooked_transformer" => {
                let fixed = [
                    ("attn_only", "true"),
                    ("positional_embedding_type", "\"standard\""),
                    ("attention_dir", "\"causal\""),
                    ("tie_word_embeddings", "false"),
                    ("use_attn_scale", "true"),
                    ("use_local_attn", "false"),
                    ("parallel_attn_mlp", "false"),
                    ("scale_attn_by_inverse_layer_idx", "false"),
                    ("final_rms", "false"),
                ];
                let free = "d_vocab d_vocab_out d_model d_head n_ctx n_layers n_heads attn_scale act_fn checkpoint_index
                    checkpoint_label_type checkpoint_value default_prepend_bos device eps from_checkpoint gated_mlp init_mode
                    init_weights model_name n_devices n_params original_architecture seed tokenizer_name
                    tokenizer_prepends_bos use_attn_in use_attn_result use_hook_mlp_in use_hook_tokens
                    use_split_qkv_input window_size";
                config.need::<bool>("attn_only")?;
                config.refuse_unknown(&fixed, free)?;
                if config.get("d_vocab_out")?.unwrap_or(config.size("d_vocab")?) != config.size("d_vocab")? {
                    return Err(InputError::Config("d_vocab_out is not d_vocab".into()));
                }
                Ok(Family::Hooked)
            }
            "rwkv" => {
                // Halving the residual every so many layers is another function, as ε does not shrink with it.
                config.need::<usize>("rescale_every")?;
                let free = "vocab_size hidden_size num_hidden_layers layer_norm_epsilon tie_word_embeddings
                    attention_hidden_size intermediate_size context_length";
                config.refuse_unknown(&[("rescale_every", "0")], free)?;
                Ok(Family::Rwkv4)
            }
            "rwkv7" => {
                let free = "vocab_size hidden_size num_hidden_layers head_size num_attention_heads intermediate_size
                    layer_norm_epsilon group_norm_epsilon use_ln0 head_bias attention_output_bias tie_word_embeddings
                    context_length";
                config.refuse_unknown(&[], free)?;
                Ok(Family::Rwkv7)
            }
            other => {
                let known = "gpt2, gpt_neox, llama, qwen2, qwen3, hooked_transformer, rwkv, rwkv7";
                Err(InputError::Config(format!("model_type {other:?} is not one of {known}")))
            }
        }
    }

    /// Whether the configuration says that the unembedding is the embedding.
    pub fn is_tied(self, config: &Config) -> Result<bool, InputError> {
        Ok(config.get("tie_word_embeddings")?.unwrap_or(self == Family::Gpt2))
    }

    /// Whether the tensor `name` belongs to what a rule with this scope looks at. Masks and tables that old files carry
    /// along don't.
    pub fn reads(self, name: &str, scope: Scope, is_tied: bool) -> bool {
        let (norm, embed, unembed, unused): (&str, &str, &str, &[&str]) = match self {
            Family::Gpt2 => ("ln_f.", "wte.", "lm_head.", &[".attn.bias", ".attn.masked_bias"]),
            Family::Llama | Family::Qwen2 | Family::Qwen3 => {
                ("norm.", "embed_tokens.", "lm_head.", &[".rotary_emb.inv_freq"])
            }
            Family::Neox => (
                "final_layer_norm.",
                "embed_in.",
                "embed_out.",
                &[".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq"],
            ),
            Family::Hooked => ("ln_final.", "embed.", "unembed.", &[".attn.mask", ".attn.IGNORE"]),
            Family::Rwkv4 => ("ln_out.", "embeddings.", "head.", &[]),
            // The first layer has no earlier values to blend in.
            Family::Rwkv7 => {
                ("ln_out.", "emb.", "head.", &["blocks.0.att.v0", "blocks.0.att.v1", "blocks.0.att.v2"])
            }
        };
        match scope {
            Scope::Head => {
                name.starts_with(norm) || name.starts_with(unembed) || is_tied && name.starts_with(embed)
            }
            Scope::Network => !unused.iter().any(|end| name.ends_with(end)),
        }
    }
}

fn full_attention_only(config: &Config) -> Result<(), InputError> {
    let kinds: Vec<String> = config.get("layer_types")?.unwrap_or_default();
    if kinds.iter().any(|kind| kind != "full_attention") {
        return Err(InputError::Config("layer_types holds others than full_attention".into()));
    }
    Ok(())
}

impl Folder {
    /// Whether layers carry a state from position to position.
    pub fn is_recurrent(&self) -> bool {
        match self.family {
            Family::Gpt2 | Family::Neox | Family::Llama | Family::Qwen2 | Family::Qwen3 | Family::Hooked => {
                false
            }
            Family::Rwkv4 | Family::Rwkv7 => true,
        }
    }

    /// Number of tokens and width d.
    pub fn vocabulary_and_width(&self) -> Result<[usize; 2], InputError> {
        let [vocabulary, width] = match self.family {
            Family::Gpt2 => ["vocab_size", "n_embd"],
            Family::Hooked => ["d_vocab", "d_model"],
            _ => ["vocab_size", "hidden_size"],
        };
        Ok([self.config.size(vocabulary)?, self.config.size(width)?])
    }
}
