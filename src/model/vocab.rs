//! Which text a token stands for, and which tokens a text becomes.
//!
//! Sources, in this order: `tokenizer.json`; `vocab.json` with `merges.txt` (byte-level BPE as GPT-2 ships it);
//! `vocab.json` alone, a table from text to id, or `{"type": "bytes"}` where token ids are byte values.

mod lookup;
mod table;
mod text;

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenizers::Tokenizer;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use super::TokenId;
use super::error::LoadError;
pub use lookup::Lookup;
use table::Table;
use text::{Spelling, printable};

/// The vocabulary of a model.
#[derive(Debug)]
pub struct Vocab {
    /// Number of tokens of the model; some may have no text.
    len: usize,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Token ids are byte values.
    Bytes,
    /// Nothing is known about texts.
    Numbered,
    /// Text to id, without a tokenizer.
    Table(Table),
    /// A tokenizer, the names it stores for its tokens, and how these spell bytes.
    Tokenizer { tokenizer: Box<Tokenizer>, names: Table, spelling: Spelling },
}

/// A text that the vocabulary cannot express.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot write {text:?} in this vocabulary: no token for {rest:?}; `inspect` lists the tokens")]
pub struct EncodeError {
    /// The whole text.
    pub text: String,
    /// The part that no token matches.
    pub rest: String,
}

impl Vocab {
    /// Reads the vocabulary of a folder for a model of `len` tokens.
    ///
    /// # Errors
    /// No vocabulary file, a damaged one, or one with ids beyond the model's.
    pub fn open(dir: &Path, len: usize) -> Result<Vocab, LoadError> {
        let [tokenizer, vocab, merges] = ["tokenizer.json", "vocab.json", "merges.txt"].map(|f| dir.join(f));
        let bad = |path: &Path, problem: String| LoadError::Vocabulary { path: path.into(), problem };
        if tokenizer.exists() {
            let bytes = read(&tokenizer)?;
            let parsed = Tokenizer::from_bytes(bytes)
                .map_err(|e| bad(&tokenizer, format!("not a tokenizer: {e}; fetch the file again")))?;
            return Vocab::from_tokenizer(parsed, len, &tokenizer);
        }
        if !vocab.exists() {
            return Err(LoadError::NoVocabulary { dir: dir.into() });
        }
        if merges.exists() {
            let bpe = BPE::from_file(&vocab.to_string_lossy(), &merges.to_string_lossy())
                .build()
                .map_err(|e| bad(&merges, format!("not the merges of {}: {e}", vocab.display())))?;
            let mut tokenizer = Tokenizer::new(bpe);
            tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
            tokenizer.with_decoder(Some(ByteLevel::default()));
            return Vocab::from_tokenizer(tokenizer, len, &vocab);
        }
        let settings: Value = serde_json::from_slice(&read(&vocab)?)
            .map_err(|source| LoadError::Json { path: vocab.clone(), source })?;
        Vocab::from_settings(&settings, len, &vocab)
    }

    /// A vocabulary that knows nothing but numbers, for folders without one.
    #[must_use]
    pub fn numbered(len: usize) -> Vocab {
        Vocab { len, kind: Kind::Numbered }
    }

    fn from_settings(settings: &Value, len: usize, path: &Path) -> Result<Vocab, LoadError> {
        let bad = |problem: String| LoadError::Vocabulary { path: path.into(), problem };
        if settings.get("type").is_some_and(|t| t == "bytes") {
            if len != 256 {
                return Err(bad(format!("a vocabulary of bytes has 256 tokens, the model has {len}")));
            }
            return Ok(Vocab { len, kind: Kind::Bytes });
        }
        let entries =
            settings.as_object().ok_or_else(|| bad("must be an object from text to token id".into()))?;
        let mut table = Table::default();
        for (text, id) in entries {
            let id = id.as_u64().and_then(|id| TokenId::try_from(id).ok());
            let id = id.ok_or_else(|| bad(format!("the id of {text:?} is not a token id")))?;
            table.insert(text.clone(), id).map_err(&bad)?;
        }
        table.check(len).map_err(bad)?;
        Ok(Vocab { len, kind: Kind::Table(table) })
    }

    fn from_tokenizer(mut tokenizer: Tokenizer, len: usize, path: &Path) -> Result<Vocab, LoadError> {
        let bad = |problem: String| LoadError::Vocabulary { path: path.into(), problem };
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| bad(e.to_string()))?;
        let mut names = Table::default();
        for (name, id) in tokenizer.get_vocab(true) {
            names.insert(name, id).map_err(&bad)?;
        }
        names.check(len).map_err(bad)?;
        let spelling = Spelling::of(&tokenizer);
        Ok(Vocab { len, kind: Kind::Tokenizer { tokenizer: Box::new(tokenizer), names, spelling } })
    }

    /// Number of tokens of the model.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no tokens; a model has at least one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes that a token adds to a text; `None` for control tokens and tokens without a text.
    #[must_use]
    pub fn bytes(&self, id: TokenId) -> Option<Vec<u8>> {
        match &self.kind {
            Kind::Bytes => u8::try_from(id).ok().map(|byte| vec![byte]),
            Kind::Numbered => None,
            Kind::Table(table) => table.name(id).map(|name| name.as_bytes().to_vec()),
            Kind::Tokenizer { tokenizer, names, spelling } => {
                let special = tokenizer
                    .get_added_vocabulary()
                    .get_added_tokens_decoder()
                    .get(&id)
                    .is_some_and(|t| t.special);
                if special { None } else { names.name(id).map(|name| spelling.bytes(name)) }
            }
        }
    }

    /// The token as a person reads it: its text with control characters escaped, the stored name of a control token,
    /// or its number. Two tokens may read the same.
    #[must_use]
    pub fn text(&self, id: TokenId) -> String {
        let name = match &self.kind {
            Kind::Tokenizer { names, spelling, .. } => {
                names.name(id).filter(|name| spelling.is_byte(name) || self.bytes(id).is_none())
            }
            Kind::Bytes | Kind::Numbered | Kind::Table(_) => None,
        };
        match (name, self.bytes(id)) {
            (Some(name), _) => name.to_owned(),
            (None, Some(bytes)) => printable(&bytes),
            (None, None) => format!("<token {id}>"),
        }
    }

    /// The tokens of a text, without the control tokens that begin or end one.
    ///
    /// # Errors
    /// A part of the text that no token matches.
    pub fn encode(&self, text: &str) -> Result<Vec<TokenId>, EncodeError> {
        let error = |rest: &str| EncodeError { text: text.to_owned(), rest: rest.to_owned() };
        match &self.kind {
            Kind::Bytes => Ok(text.bytes().map(TokenId::from).collect()),
            Kind::Numbered => Err(error(text)),
            Kind::Table(table) => table.encode(text).map_err(error),
            Kind::Tokenizer { tokenizer, .. } => {
                let encoding = tokenizer.encode(text, false).map_err(|_| error(text))?;
                match Spelling::unknown(tokenizer) {
                    // The token for unknown text stands for anything, so it is no spelling of this text.
                    Some(unk)
                        if encoding.get_ids().contains(&unk) && tokenizer.token_to_id(text) != Some(unk) =>
                    {
                        Err(error(text))
                    }
                    _ => Ok(encoding.get_ids().to_vec()),
                }
            }
        }
    }

    /// The text of a token sequence; bytes that are not UTF-8 become `U+FFFD`.
    #[must_use]
    pub fn decode(&self, tokens: &[TokenId]) -> String {
        let joined = |separator: &str| {
            let parts: Vec<Vec<u8>> =
                tokens.iter().map(|&t| self.bytes(t).unwrap_or_else(|| self.text(t).into())).collect();
            String::from_utf8_lossy(&parts.join(separator.as_bytes())).into_owned()
        };
        match &self.kind {
            Kind::Tokenizer { tokenizer, .. } => {
                tokenizer.decode(tokens, false).unwrap_or_else(|_| joined(""))
            }
            Kind::Table(table) => joined(table.separator()),
            Kind::Numbered => joined(" "),
            Kind::Bytes => joined(""),
        }
    }
}

fn read(path: &PathBuf) -> Result<Vec<u8>, LoadError> {
    std::fs::read(path).map_err(|source| LoadError::Read { path: path.clone(), source })
}
