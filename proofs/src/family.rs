//! Model families: where config.json and the tensors of a folder say what the network computes.

use std::borrow::Cow;

use dashu_ratio::RBig;

use crate::config::Config;
use crate::decimal::Decimal;
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
    /// `hooked_transformer`: the TransformerLens layout, attention only, without norms.
    Hooked,
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
    pub fn of(config: &Config) -> Result<Family, InputError> {
        match config.need::<String>("model_type")?.as_str() {
            "gpt2" => Ok(Family::Gpt2),
            "llama" => Ok(Family::Llama),
            "hooked_transformer" => Ok(Family::Hooked),
            other => {
                let what = format!("model_type {other:?} is not one of gpt2, llama, hooked_transformer");
                Err(InputError::Config(what))
            }
        }
    }

    /// Whether a rule with this scope reads the tensor `name`. Masks and tables that some files carry along are not read.
    pub fn reads(self, name: &str, scope: Scope) -> bool {
        let head: &[&str] = match self {
            Family::Gpt2 => &["ln_f.weight", "ln_f.bias", "wte.weight", "lm_head.weight", "lm_head.bias"],
            Family::Llama => &["norm.weight", "embed_tokens.weight", "lm_head.weight", "lm_head.bias"],
            Family::Hooked => &["unembed.W_U", "unembed.b_U"],
        };
        let unused = [".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq", ".mask", ".IGNORE"];
        match scope {
            Scope::Head => head.contains(&name),
            Scope::Network => !unused.iter().any(|end| name.ends_with(end)),
        }
    }

    /// `(vocabulary, width d)`.
    pub fn sizes(self, config: &Config) -> Result<(usize, usize), InputError> {
        match self {
            Family::Gpt2 => Ok((config.count("vocab_size")?, config.count("n_embd")?)),
            Family::Llama => Ok((config.count("vocab_size")?, config.count("hidden_size")?)),
            Family::Hooked => Ok((config.count("d_vocab")?, config.count("d_model")?)),
        }
    }
}

impl Folder {
    /// The final norm and the unembedding.
    pub fn head(&self) -> Result<Head<'_>, InputError> {
        let (vocabulary, width) = self.family.sizes(&self.config)?;
        let bias = |name| self.find(name, &[vocabulary]);
        match self.family {
            Family::Gpt2 => Ok(Head {
                norm: Some(self.layer_norm("ln_f", width)?),
                unembed: Cow::Borrowed(self.unembed("wte.weight", true, &[vocabulary, width])?),
                bias: bias("lm_head.bias")?,
            }),
            Family::Llama => Ok(Head {
                norm: Some(self.rms_norm("norm.weight", width)?),
                unembed: Cow::Borrowed(self.unembed("embed_tokens.weight", false, &[vocabulary, width])?),
                bias: bias("lm_head.bias")?,
            }),
            Family::Hooked => Ok(Head {
                norm: None,
                unembed: Cow::Owned(self.tensor("unembed.W_U", &[width, vocabulary])?.transposed()),
                bias: bias("unembed.b_U")?,
            }),
        }
    }

    /// lm_head.weight, or the embedding where the configuration ties the two.
    fn unembed(&self, embed: &str, tied_by_default: bool, shape: &[usize]) -> Result<&Tensor, InputError> {
        let stored = self.find("lm_head.weight", shape)?;
        if !self.config.get("tie_word_embeddings")?.unwrap_or(tied_by_default) {
            return stored.map_or_else(|| self.tensor("lm_head.weight", shape), Ok);
        }
        let embed = self.tensor(embed, shape)?;
        if stored.is_some_and(|stored| stored.values != embed.values) {
            let what = "differs from the embedding that tie_word_embeddings says it is".into();
            return Err(InputError::Tensor { name: "lm_head.weight".into(), what });
        }
        Ok(embed)
    }

    /// `{name}.weight` and `{name}.bias` as a LayerNorm.
    pub fn layer_norm(&self, name: &str, width: usize) -> Result<Norm<'_>, InputError> {
        Ok(Norm {
            centring: Centring::Mean,
            gain: self.tensor(&format!("{name}.weight"), &[width])?,
            shift: self.find(&format!("{name}.bias"), &[width])?,
            epsilon: self.epsilon("layer_norm_epsilon", "1e-5")?,
        })
    }

    /// The tensor `name` as an RMSNorm.
    pub fn rms_norm(&self, name: &str, width: usize) -> Result<Norm<'_>, InputError> {
        let epsilon = self.epsilon("rms_norm_eps", "1e-6")?;
        Ok(Norm { centring: Centring::None, gain: self.tensor(name, &[width])?, shift: None, epsilon })
    }

    /// The head rule needs ε >= 0.
    fn epsilon(&self, key: &str, default: &str) -> Result<Interval, InputError> {
        let epsilon = self.config.decimal(key)?.map_or_else(|| Decimal::parse(default), Ok);
        match epsilon {
            Ok(epsilon) if *epsilon.value() >= RBig::ZERO => Ok(Interval::rational(epsilon.value())),
            _ => Err(InputError::Config(format!("{key} must be a number that is not negative"))),
        }
    }
}
