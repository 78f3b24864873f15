//! A model folder in Hugging Face style: `config.json`, `model.safetensors` or its shards, and a vocabulary.
//!
//! Opening maps the weights and checks every header and setting, but reads no weights; each job then reads what it needs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use super::config::Config;
use super::error::LoadError;
use super::family::{Family, Weights};
use super::tensors::Tensors;
use super::vocab::Vocab;
use super::{Head, Model, TokenId};

/// An opened folder.
#[derive(Debug)]
pub struct ModelFolder {
    dir: PathBuf,
    config: Config,
    family: Family,
    tensors: Tensors,
    digest: OnceLock<String>,
    vocab: OnceLock<Vocab>,
}

impl ModelFolder {
    /// Opens a folder: reads `config.json` and the headers of the weight files.
    ///
    /// # Errors
    /// Missing or damaged files, unknown families, settings that are not understood.
    pub fn open(dir: impl AsRef<Path>) -> Result<ModelFolder, LoadError> {
        let dir = dir.as_ref();
        let path = dir.join("config.json");
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound && dir.is_dir() => {
                return Err(LoadError::MissingFile { dir: dir.into(), file: "config.json" });
            }
            Err(source) => return Err(LoadError::Read { path, source }),
        };
        let mut config = Config::parse(bytes, path)?;
        let family = Family::detect(&mut config)?;
        let tensors = Tensors::open(dir)?;
        let (digest, vocab) = (OnceLock::new(), OnceLock::new());
        Ok(ModelFolder { dir: dir.into(), config, family, tensors, digest, vocab })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Value of `model_type`.
    #[must_use]
    pub fn family(&self) -> &'static str {
        self.config.family()
    }

    /// Longest prefix the model accepts, in tokens.
    #[must_use]
    pub fn context(&self) -> usize {
        self.family.context()
    }

    /// Number of tokens the model knows.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.family.vocab_size()
    }

    /// Token that begins a text, if the config names one.
    #[must_use]
    pub fn bos(&self) -> Option<TokenId> {
        self.config.token_ids("bos_token_id", self.vocab_size()).first().copied()
    }

    /// Tokens that end a text, as the config names them.
    #[must_use]
    pub fn eos(&self) -> Vec<TokenId> {
        self.config.token_ids("eos_token_id", self.vocab_size())
    }

    /// Number of stored weights; tied ones count once.
    #[must_use]
    pub fn n_weights(&self) -> usize {
        self.tensors.n_numbers()
    }

    /// Element types of the stored weights, for display.
    #[must_use]
    pub fn dtypes(&self) -> Vec<String> {
        self.tensors.dtypes()
    }

    /// Reads the final norm, the unembedding and its bias, nothing else.
    ///
    /// # Errors
    /// Missing or damaged tensors.
    pub fn load_head(&self) -> Result<Head, LoadError> {
        self.family.head(&Weights::new(&self.tensors))
    }

    /// Reads the whole model.
    ///
    /// # Errors
    /// Missing, damaged or unused tensors.
    pub fn load(&self) -> Result<Model, LoadError> {
        let weights = Weights::new(&self.tensors);
        let model = Model {
            body: self.family.body(&weights)?,
            head: self.family.head(&weights)?,
            context: self.context(),
        };
        weights.finish(self.family.buffers())?;
        Ok(model)
    }

    /// The vocabulary, read at the first call.
    ///
    /// # Errors
    /// A folder without one, or one that does not fit the model.
    pub fn vocab(&self) -> Result<&Vocab, LoadError> {
        if let Some(vocab) = self.vocab.get() {
            return Ok(vocab);
        }
        let vocab = Vocab::open(&self.dir, self.vocab_size())?;
        Ok(self.vocab.get_or_init(|| vocab))
    }

    /// SHA-256 (hex) that binds a certificate to config and weights: the digest of the lines `<sha256 hex>  <name>\n`
    /// of `config.json` and of every weight file, sorted by name. Computed at the first call.
    #[must_use]
    pub fn digest(&self) -> &str {
        self.digest.get_or_init(|| {
            let config = (self.config.path(), self.config.bytes());
            let mut lines: Vec<(String, String)> = std::iter::once(config)
                .chain(self.tensors.files())
                .map(|(path, bytes)| {
                    (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), sha256(bytes))
                })
                .collect();
            lines.sort();
            let text: String = lines.iter().map(|(name, hash)| format!("{hash}  {name}\n")).collect();
            sha256(text.as_bytes())
        })
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
