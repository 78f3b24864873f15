//! The models of a suite, each opened once.

use std::collections::BTreeMap;
use std::path::Path;

use llmprove::model::{ModelFolder, TokenId, Vocab};
use llmprove::spec::{Language, Statement};
use llmprove::suite::{Entry, Suite, SuiteError, TokenBy, TokenName};

use crate::cli::args::TokenArgs;
use crate::cli::error::CliError;
use crate::cli::{options, token};

/// An opened model and its vocabulary.
pub struct Opened {
    /// The folder.
    pub folder: ModelFolder,
    /// Texts of tokens.
    pub vocab: Vocab,
}

/// Opened models by the name that the suite gives them; `None` is the shipped one.
pub struct Models(BTreeMap<Option<String>, Opened>);

impl Models {
    /// Opens every model that the suite names, relative to the suite's folder `base`.
    pub fn open(suite: &Suite, base: &Path) -> Result<Models, CliError> {
        let mut models = BTreeMap::new();
        for entry in &suite.entries {
            if models.contains_key(&entry.model) {
                continue;
            }
            let dir = entry.model.as_ref().map(|name| base.join(name));
            let opened = Opened::at(dir.as_deref());
            let opened = opened.map_err(|e| located(&suite.file, entry, "model", e))?;
            models.insert(entry.model.clone(), opened);
        }
        Ok(Models(models))
    }

    /// The model of a statement.
    pub fn of(&self, entry: &Entry) -> &Opened {
        // `open` has seen every entry of the suite.
        &self.0[&entry.model]
    }
}

impl Opened {
    /// Opens a folder, or the shipped model.
    pub fn at(dir: Option<&Path>) -> Result<Opened, CliError> {
        let folder = options::model_folder(dir)?;
        let vocab = options::vocabulary(&folder)?;
        Ok(Opened { folder, vocab })
    }

    /// The statement of an entry about this model.
    pub fn statement(&self, file: &str, entry: &Entry) -> Result<Statement, SuiteError> {
        let language = Language::parse(&entry.prefix, &self.vocab).map_err(|e| {
            entry.error(
                file,
                "prefix",
                e.to_string(),
                "`llmprove language --help` shows the syntax of languages".into(),
            )
        })?;
        let context = self.folder.context();
        let max_len = match entry.max_len {
            None => None,
            Some(len) => match usize::try_from(len) {
                Ok(len) if (1..=context).contains(&len) => Some(len),
                Ok(_) | Err(_) => {
                    let help =
                        format!("the model reads 1 to {context} tokens; leave max_len out for every length");
                    return Err(entry.error(file, "max_len", format!("{len} is out of range"), help));
                }
            },
        };
        let predicate = entry.claim.predicate(|name| self.token(file, entry, name))?;
        predicate.check(self.folder.vocab_size()).map_err(|e| {
            let help = "see the guide for what each predicate needs".to_owned();
            entry.error(file, "predicate", e.to_string(), help)
        })?;
        Ok(Statement { language, max_len, predicate })
    }

    fn token(&self, file: &str, entry: &Entry, name: &TokenName) -> Result<TokenId, SuiteError> {
        let (mut text, mut id, mut bytes) = (None, None, None);
        match &name.by {
            TokenBy::Text(by) => text = Some(by.clone()),
            TokenBy::Id(by) => id = Some(by.to_string()),
            TokenBy::Bytes(by) => bytes = Some(by.clone()),
        }
        token::select(&TokenArgs { text, id, bytes }, &self.vocab).map_err(|e| {
            // Flags and fields have the same names.
            let help = e.help.unwrap_or_default();
            let help = help.replace("--token-id", "token_id").replace("--token-bytes", "token_bytes");
            entry.error(file, name.field, e.message, help.replace("--token", "token"))
        })
    }
}

/// An error of the command line, with the place in the suite that led to it.
fn located(file: &str, entry: &Entry, field: &str, error: CliError) -> CliError {
    let help = error.help.unwrap_or_else(|| "name a folder with config.json and model.safetensors".into());
    entry.error(file, field, error.message, help).into()
}
