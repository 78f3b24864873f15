//! From what a person types to a token.

use super::{Kind, Vocab};
use crate::model::TokenId;

/// What a text names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// One token.
    Token {
        /// The token.
        id: TokenId,
        /// Other tokens that the same words could mean, such as the one without the leading space.
        also: Vec<TokenId>,
    },
    /// The text becomes several tokens.
    Several(Vec<TokenId>),
    /// The text has no spelling in this vocabulary.
    Unknown,
}

/// Most suggestions that help.
const MAX_SUGGESTIONS: usize = 5;

impl Vocab {
    /// The token a text names: the one that the text alone encodes to; else the one stored under that name; else the
    /// one whose bytes are the text.
    #[must_use]
    pub fn find_exact(&self, text: &str) -> Lookup {
        let encoded = self.encode(text);
        let spaced = format!(" {text}");
        let mut candidates = match encoded.as_deref() {
            Ok(&[id]) => vec![id],
            _ => Vec::new(),
        };
        candidates.extend(self.by_name(text));
        candidates.extend(self.by_bytes(text.as_bytes()));
        let found = candidates.first().copied();
        candidates.extend(self.by_bytes(spaced.as_bytes()));
        match (found, encoded) {
            (Some(id), _) => {
                let mut also: Vec<TokenId> = candidates.into_iter().filter(|&other| other != id).collect();
                also.sort_unstable();
                also.dedup();
                Lookup::Token { id, also }
            }
            (None, Ok(tokens)) if !tokens.is_empty() => Lookup::Several(tokens),
            (None, _) => Lookup::Unknown,
        }
    }

    /// All tokens that add exactly these bytes to a text.
    #[must_use]
    pub fn by_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.ids().into_iter().filter(|&id| self.bytes(id).is_some_and(|b| b == bytes)).collect()
    }

    /// Tokens that read most like `text`, nearest first.
    #[must_use]
    pub fn suggest(&self, text: &str) -> Vec<TokenId> {
        let wanted = text.trim().to_lowercase();
        let limit = (wanted.chars().count() / 2).max(1);
        let distance = |id: TokenId| {
            let read = self.text(id);
            let near = strsim::levenshtein(&wanted, &read.trim().to_lowercase());
            (near <= limit && !read.trim().is_empty()).then_some((near, id))
        };
        let mut near: Vec<(usize, TokenId)> = self.ids().into_iter().filter_map(distance).collect();
        near.sort_unstable();
        near.into_iter().take(MAX_SUGGESTIONS).map(|(_, id)| id).collect()
    }

    fn by_name(&self, name: &str) -> Option<TokenId> {
        match &self.kind {
            Kind::Tokenizer { names, .. } | Kind::Table(names) => names.id(name),
            Kind::Bytes | Kind::Numbered => None,
        }
    }

    /// Tokens that have a text, in the order of their ids.
    fn ids(&self) -> Vec<TokenId> {
        match &self.kind {
            Kind::Tokenizer { names, .. } | Kind::Table(names) => names.ids().collect(),
            Kind::Bytes => (0..256).collect(),
            Kind::Numbered => Vec::new(),
        }
    }
}
