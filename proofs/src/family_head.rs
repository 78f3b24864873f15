//! The final norm, the unembedding and other norms of a model, under the names that its family gives them.

use std::borrow::Cow;

use dashu_ratio::RBig;

use crate::decimal::Decimal;
use crate::family::{Centring, Family, Head, Norm};
use crate::folder::Folder;
use crate::interval::Interval;
use crate::reject::InputError;
use crate::tensor::Tensor;

impl Folder {
    /// The final norm and the unembedding.
    pub fn head(&self) -> Result<Head<'_>, InputError> {
        let shape @ [vocabulary, width] = self.vocabulary_and_width()?;
        match self.family {
            Family::Gpt2 => Ok(Head {
                norm: Some(self.layer_norm("ln_f", width)?),
                unembed: Cow::Borrowed(self.unembed("lm_head.weight", "wte.weight", &shape)?),
                bias: self.find("lm_head.bias", &[vocabulary])?,
            }),
            Family::Neox => Ok(Head {
                norm: Some(self.layer_norm("final_layer_norm", width)?),
                unembed: Cow::Borrowed(self.unembed("embed_out.weight", "embed_in.weight", &shape)?),
                bias: None,
            }),
            Family::Llama | Family::Qwen2 | Family::Qwen3 => Ok(Head {
                norm: Some(self.rms_norm("norm.weight", width)?),
                unembed: Cow::Borrowed(self.unembed("lm_head.weight", "embed_tokens.weight", &shape)?),
                bias: None,
            }),
            Family::Hooked => Ok(Head {
                norm: None,
                unembed: Cow::Owned(self.tensor("unembed.W_U", &[width, vocabulary])?.transposed()),
                bias: self.find("unembed.b_U", &[vocabulary])?,
            }),
            Family::Rwkv4 => Ok(Head {
                norm: Some(self.layer_norm("ln_out", width)?),
                unembed: Cow::Borrowed(self.unembed("head.weight", "embeddings.weight", &shape)?),
                bias: None,
            }),
            Family::Rwkv7 => Ok(Head {
                norm: Some(self.layer_norm("ln_out", width)?),
                unembed: Cow::Borrowed(self.unembed("head.weight", "emb.weight", &shape)?),
                bias: match self.config.get("head_bias")?.unwrap_or(false) {
                    true => Some(self.tensor("head.bias", &[vocabulary])?),
                    false => None,
                },
            }),
        }
    }

    /// The tensor `name`, or the embedding where the configuration ties the two.
    fn unembed(&self, name: &str, embed: &str, shape: &[usize]) -> Result<&Tensor, InputError> {
        if !self.family.is_tied(&self.config)? {
            return self.tensor(name, shape);
        }
        let embed = self.tensor(embed, shape)?;
        match self.find(name, shape)? {
            Some(stored) if stored.values != embed.values => {
                let what = "differs from the embedding that tie_word_embeddings says it is".into();
                Err(InputError::Tensor { name: name.into(), what })
            }
            _ => Ok(embed),
        }
    }

    /// `{name}.weight` and `{name}.bias` as a LayerNorm.
    pub fn layer_norm(&self, name: &str, width: usize) -> Result<Norm<'_>, InputError> {
        Ok(Norm {
            centring: Centring::Mean,
            gain: self.tensor(&format!("{name}.weight"), &[width])?,
            shift: self.find(&format!("{name}.bias"), &[width])?,
            epsilon: match self.family {
                Family::Neox => self.epsilon("layer_norm_eps", "1e-5")?,
                _ => self.epsilon("layer_norm_epsilon", "1e-5")?,
            },
        })
    }

    /// The tensor `name` as an RMSNorm.
    pub fn rms_norm(&self, name: &str, width: usize) -> Result<Norm<'_>, InputError> {
        let epsilon = self.epsilon("rms_norm_eps", "1e-6")?;
        Ok(Norm { centring: Centring::None, gain: self.tensor(name, &[width])?, shift: None, epsilon })
    }

    /// The head rule needs ε >= 0.
    pub fn epsilon(&self, key: &str, default: &str) -> Result<Interval, InputError> {
        match self.config.decimal(key)?.map_or_else(|| Decimal::parse(default), Ok) {
            Ok(epsilon) if *epsilon.value() >= RBig::ZERO => Ok(Interval::rational(epsilon.value())),
            _ => Err(InputError::Config(format!("{key} is negative"))),
        }
    }
}
