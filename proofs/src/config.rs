//! config.json with exact numbers.

use serde::de::{DeserializeOwned, IgnoredAny};

use crate::decimal::Decimal;
use crate::json::Object;
use crate::reject::InputError;

/// The entries of config.json, still as text.
#[derive(Debug)]
pub(crate) struct Config(Object);

impl Config {
    pub fn parse(bytes: &[u8]) -> Result<Config, InputError> {
        serde_json::from_slice(bytes).map(Config).map_err(|e| InputError::Config(e.to_string()))
    }

    /// The value of `key`; `None` if it is absent or null.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, InputError> {
        let Some(raw) = self.0.get(key) else { return Ok(None) };
        serde_json::from_str(raw.get()).map_err(|e| InputError::Config(format!("{key}: {e}")))
    }

    /// The value of `key`, which must be there.
    pub fn need<T: DeserializeOwned>(&self, key: &str) -> Result<T, InputError> {
        self.get(key)?.ok_or_else(|| InputError::Config(format!("{key} is missing")))
    }

    /// A count of at least one.
    pub fn count(&self, key: &str) -> Result<usize, InputError> {
        match self.need(key)? {
            0 => Err(InputError::Config(format!("{key} is 0"))),
            n => Ok(n),
        }
    }

    /// A number as written; `None` if it is absent or null.
    pub fn decimal(&self, key: &str) -> Result<Option<Decimal>, InputError> {
        let text = self.0.get(key).map(|raw| raw.get()).filter(|text| *text != "null");
        text.map(Decimal::parse).transpose().map_err(|e| InputError::Config(format!("{key}: {e}")))
    }

    /// Refuses a feature that would change the function computed: `key` must be absent, null or `plain`.
    pub fn must_be<T: DeserializeOwned + PartialEq + std::fmt::Debug>(
        &self,
        key: &str,
        plain: T,
    ) -> Result<(), InputError> {
        match self.get::<T>(key)? {
            Some(value) if value != plain => {
                Err(InputError::Config(format!("{key} = {value:?} is not supported (only {plain:?})")))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a feature that would change the function computed: `key` must be absent or null.
    pub fn must_be_absent(&self, key: &str) -> Result<(), InputError> {
        match self.get::<IgnoredAny>(key)? {
            Some(_) => Err(InputError::Config(format!("{key} is not supported"))),
            None => Ok(()),
        }
    }
}
