//! `config.json`, read so that nothing in it is passed over in silence.
//!
//! A family reads the settings that it understands; [`Config::finish`] then refuses every setting that was neither read
//! nor is known to leave the function alone (training, generation and bookkeeping settings). A setting that changes
//! what the model computes and that a family does not know is therefore an error and never a wrong theorem.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};

use super::error::LoadError;
use super::layer::Activation;

/// Settings that no family's function depends on: descriptions, training, text generation, storage.
/// `torch_dtype` is storage: theorems speak of the real function of the stored weights, whatever precision runs them.
const HARMLESS: &[&str] = &[
    "architectures",
    "attention_dropout",
    "attn_pdrop",
    "auto_map",
    "bad_words_ids",
    "begin_suppress_tokens",
    "chunk_size_feed_forward",
    "classifier_dropout",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "dropout",
    "dtype",
    "early_stopping",
    "embd_pdrop",
    "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "gradient_checkpointing",
    "hidden_dropout",
    "id2label",
    "initializer_range",
    "keys_to_ignore_at_inference",
    "label2id",
    "length_penalty",
    "max_length",
    "min_length",
    "model_type",
    "no_repeat_ngram_size",
    "note",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "pad_token_id",
    "prefix",
    "problem_type",
    "remove_invalid_values",
    "repetition_penalty",
    "resid_pdrop",
    "return_dict",
    "return_dict_in_generate",
    "sep_token_id",
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers_version",
    "typical_p",
    "unsloth_version",
    "use_bfloat16",
    "use_cache",
];

/// The settings of a model, with a record of those that were read.
#[derive(Debug)]
pub struct Config {
    path: PathBuf,
    bytes: Vec<u8>,
    settings: Map<String, Value>,
    family: &'static str,
    read: Mutex<BTreeSet<String>>,
}

impl Config {
    /// Parses the content of a config file; `path` is for messages.
    ///
    /// # Errors
    /// Anything but a JSON object.
    pub fn parse(bytes: Vec<u8>, path: PathBuf) -> Result<Config, LoadError> {
        let settings = match serde_json::from_slice(&bytes) {
            Ok(settings) => settings,
            Err(source) => return Err(LoadError::Json { path, source }),
        };
        Ok(Config { path, bytes, settings, family: "", read: Mutex::default() })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Content of the file as it was read.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The family that messages speak of.
    #[must_use]
    pub fn family(&self) -> &'static str {
        self.family
    }

    /// Sets the family that messages speak of.
    pub fn set_family(&mut self, family: &'static str) {
        self.family = family;
    }

    /// The value of a setting; an absent one and `null` are the same.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.read().insert(key.to_owned());
        self.settings.get(key).filter(|value| !value.is_null())
    }

    /// An error about a setting.
    pub fn problem(&self, key: &str, problem: impl Into<String>) -> LoadError {
        let found = self.settings.get(key).map_or_else(|| "(absent)".to_owned(), Value::to_string);
        LoadError::Setting { path: self.path.clone(), key: key.into(), found, problem: problem.into() }
    }

    fn missing(&self, key: &str) -> LoadError {
        LoadError::MissingSetting { path: self.path.clone(), key: key.into(), family: self.family }
    }

    /// A positive whole number, at most `u32::MAX` so that products of two stay in range.
    pub fn count_or_none(&self, key: &str) -> Result<Option<usize>, LoadError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let count = value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|&n| n > 0);
        count
            .map(|n| Some(n as usize))
            .ok_or_else(|| self.problem(key, "must be a whole number from 1 to 2^32 - 1"))
    }

    /// A positive whole number that must be there.
    pub fn count(&self, key: &str) -> Result<usize, LoadError> {
        self.count_or_none(key)?.ok_or_else(|| self.missing(key))
    }

    /// A positive finite number, or `default` where it is absent.
    pub fn positive_or(&self, key: &str, default: f64) -> Result<f64, LoadError> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value
            .as_f64()
            .filter(|x| x.is_finite() && *x > 0.0)
            .ok_or_else(|| self.problem(key, "must be a positive number"))
    }

    /// A flag, or `default` where it is absent.
    pub fn flag_or(&self, key: &str, default: bool) -> Result<bool, LoadError> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_bool().ok_or_else(|| self.problem(key, "must be true or false"))
    }

    /// Refuses every value but the one that is supported; absent and `null` pass.
    pub fn only(&self, key: &str, supported: &Value) -> Result<(), LoadError> {
        match self.get(key) {
            Some(value) if value != supported => {
                Err(self.problem(key, format!("not supported, only {supported} or an absent setting is")))
            }
            _ => Ok(()),
        }
    }

    /// Refuses every value but an absent one.
    pub fn absent(&self, key: &str) -> Result<(), LoadError> {
        match self.get(key) {
            Some(_) => Err(self.problem(key, "not supported; this setting changes what the model computes")),
            None => Ok(()),
        }
    }

    /// Marks settings that leave the function of this family alone.
    pub fn harmless(&self, keys: &[&str]) {
        self.read().extend(keys.iter().map(|key| (*key).to_owned()));
    }

    /// A pointwise nonlinearity by its `transformers` name.
    pub fn activation(&self, key: &str, default: &str) -> Result<Activation, LoadError> {
        let name = match self.get(key) {
            Some(value) => {
                value.as_str().ok_or_else(|| self.problem(key, "must be the name of an activation"))?
            }
            None => default,
        };
        match name {
            "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
            "gelu" | "gelu_python" => Ok(Activation::GeluErf),
            "relu" => Ok(Activation::Relu),
            "relu2" => Ok(Activation::SquaredRelu),
            "silu" | "swish" => Ok(Activation::Silu),
            _ => {
                Err(self
                    .problem(key, "unknown activation; gelu_new, gelu, relu, relu2 and silu are supported"))
            }
        }
    }

    /// Token ids of a setting that holds one, several or none; ids outside a vocabulary of `n` are left out, since
    /// small models often keep the ids of a larger relative.
    pub fn token_ids(&self, key: &str, n: usize) -> Vec<super::TokenId> {
        let values = match self.get(key) {
            Some(Value::Array(list)) => list.as_slice(),
            Some(one) => std::slice::from_ref(one),
            None => &[],
        };
        let ids = values.iter().filter_map(|v| v.as_u64()).filter(|&id| id < n as u64);
        ids.filter_map(|id| u32::try_from(id).ok()).collect()
    }

    /// Refuses what was neither read nor is known to be harmless. Names that begin with `_` are notes of the
    /// `transformers` library to itself.
    ///
    /// # Errors
    /// The first setting, in the order of names, that is not understood.
    pub fn finish(&self) -> Result<(), LoadError> {
        let read = self.read();
        let understood = |key: &str| read.contains(key) || HARMLESS.contains(&key) || key.starts_with('_');
        match self.settings.iter().find(|(key, value)| !understood(key) && !value.is_null()) {
            Some((key, value)) => Err(LoadError::UnknownSetting {
                path: self.path.clone(),
                key: key.clone(),
                found: value.to_string(),
                family: self.family,
            }),
            None => Ok(()),
        }
    }
}
