//! config.json with exact numbers, and without a setting that is passed over in silence.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::decimal::Decimal;
use crate::reject::InputError;

/// Settings that the function of no family depends on: descriptions, training, text generation, storage.
const HARMLESS: &str = "architectures attention_dropout attn_pdrop auto_map bad_words_ids begin_suppress_tokens
    bos_token_id chunk_size_feed_forward classifier_dropout decoder_start_token_id diversity_penalty do_sample dropout
    dtype early_stopping embd_pdrop encoder_no_repeat_ngram_size eos_token_id exponential_decay_length_penalty
    finetuning_task forced_bos_token_id forced_eos_token_id gradient_checkpointing hidden_dropout id2label
    initializer_range keys_to_ignore_at_inference label2id length_penalty max_length min_length model_type
    no_repeat_ngram_size note num_beam_groups num_beams num_return_sequences output_attentions output_hidden_states
    output_scores pad_token_id prefix problem_type remove_invalid_values repetition_penalty resid_pdrop return_dict
    return_dict_in_generate sep_token_id summary_activation summary_first_dropout summary_proj_to_labels summary_type
    summary_use_proj suppress_tokens task_specific_params temperature tf_legacy_loss tokenizer_class top_k top_p
    torch_dtype torchscript transformers_version typical_p unsloth_version use_bfloat16 use_cache";

/// A JSON object whose values are still text, so that numbers keep all their digits. The last of equal keys counts.
pub(crate) type Object = BTreeMap<String, Box<RawValue>>;

/// The settings, still as text; null counts as absent.
#[derive(Debug)]
pub(crate) struct Config(Object);

impl From<Object> for Config {
    fn from(settings: Object) -> Config {
        Config(settings)
    }
}

impl Config {
    pub fn parse(bytes: &[u8]) -> Result<Config, InputError> {
        serde_json::from_slice(bytes).map(Config).map_err(|e| InputError::Config(e.to_string()))
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|raw| raw.get()).filter(|text| *text != "null")
    }

    /// The value of `key`, if there is one.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, InputError> {
        let value = self.text(key).map(serde_json::from_str).transpose();
        value.map_err(|e| InputError::Config(format!("{key}: {e}")))
    }

    /// The value of `key`, which must be there.
    pub fn need<T: DeserializeOwned>(&self, key: &str) -> Result<T, InputError> {
        self.get(key)?.ok_or_else(|| InputError::Config(format!("{key} is missing")))
    }

    /// A size of 1 to 2^31, so that the product of two fits.
    pub fn size(&self, key: &str) -> Result<usize, InputError> {
        match self.need(key)? {
            n @ 1..=0x8000_0000 => Ok(n),
            n => Err(InputError::Config(format!("{key} = {n} is not a size from 1 to 2^31"))),
        }
    }

    /// A number as written, if there is one.
    pub fn decimal(&self, key: &str) -> Result<Option<Decimal>, InputError> {
        let value = self.text(key).map(Decimal::parse).transpose();
        value.map_err(|e| InputError::Config(format!("{key}: {e}")))
    }

    /// Refuses every setting that might change the function computed: one that `fixed` holds must have the value (JSON
    /// text) given there, and any other must be among the `free` ones or harmless.
    pub fn refuse_unknown(&self, fixed: &[(&str, &str)], free: &str) -> Result<(), InputError> {
        let is_among = |names: &str, key: &str| names.split_whitespace().any(|name| name == key);
        for key in self.0.keys() {
            let Some(text) = self.text(key) else { continue };
            match fixed.iter().find(|(name, _)| name == key) {
                Some((_, value)) if text == *value => {}
                Some((_, value)) => {
                    return Err(InputError::Config(format!("{key} = {text} is not supported, only {value}")));
                }
                None if is_among(free, key) || is_among(HARMLESS, key) || key.starts_with('_') => {}
                None => {
                    return Err(InputError::Config(format!("{key} = {text} is not known; it might matter")));
                }
            }
        }
        Ok(())
    }
}
