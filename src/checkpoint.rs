//! Where a long run keeps its state, so that a later one can go on from there.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A place for one state, such as a file. A new state replaces the old one as a whole.
pub trait Storage: Send + Sync {
    /// The state that is there; `None` if there is none.
    ///
    /// # Errors
    /// Why it cannot be read, for people.
    fn load(&self) -> Result<Option<Vec<u8>>, String>;

    /// Replaces it.
    ///
    /// # Errors
    /// Why it cannot be written, for people.
    fn save(&self, state: &[u8]) -> Result<(), String>;
}

/// A handle on a place; clones share it.
#[derive(Clone)]
pub struct Checkpoint(Arc<dyn Storage>);

/// What is stored: the run that it belongs to, and its state.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored<T> {
    run: String,
    state: T,
}

impl Checkpoint {
    /// States go to this place.
    #[must_use]
    pub fn new(storage: impl Storage + 'static) -> Checkpoint {
        Checkpoint(Arc::new(storage))
    }

    /// The state of the run that `run` describes, if there is one.
    ///
    /// # Errors
    /// A place that cannot be read, or that holds something else, such as the state of another run.
    pub fn load<T: for<'de> Deserialize<'de>>(&self, run: &str) -> Result<Option<T>, String> {
        let Some(bytes) = self.0.load()? else { return Ok(None) };
        let stored: Stored<T> =
            serde_json::from_slice(&bytes).map_err(|e| format!("the checkpoint is damaged: {e}"))?;
        if stored.run != name(run) {
            return Err(
                "the checkpoint belongs to another run: model, question, language or length differ".into()
            );
        }
        Ok(Some(stored.state))
    }

    /// Keeps the state of a run.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub fn save<T: Serialize>(&self, run: &str, state: T) -> Result<(), String> {
        let bytes = serde_json::to_vec(&Stored { run: name(run), state }).map_err(|e| e.to_string())?;
        self.0.save(&bytes)
    }
}

/// A short name of a run.
fn name(run: &str) -> String {
    Sha256::digest(run.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checkpoint")
    }
}

/// Floats as their bits, for serde: they come back as they were, and JSON has no infinity.
pub(crate) mod bits {
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the bits.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub fn serialize<S: Serializer>(x: &f64, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(x.to_bits())
    }

    /// Reads them.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
        u64::deserialize(d).map(f64::from_bits)
    }
}
