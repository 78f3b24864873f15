//! A plain table between texts and token ids.

use std::collections::BTreeMap;

use crate::model::TokenId;

/// Texts and ids, one to one.
#[derive(Debug, Default)]
pub struct Table {
    ids: BTreeMap<String, TokenId>,
    names: BTreeMap<TokenId, String>,
}

impl Table {
    /// Adds an entry.
    ///
    /// # Errors
    /// An id that another text has already.
    pub fn insert(&mut self, name: String, id: TokenId) -> Result<(), String> {
        if let Some(other) = self.names.insert(id, name.clone()) {
            return Err(format!("{other:?} and {name:?} have the same id {id}"));
        }
        self.ids.insert(name, id);
        Ok(())
    }

    /// Tests the table against the number of tokens of the model.
    ///
    /// # Errors
    /// An id that the model does not have.
    pub fn check(&self, len: usize) -> Result<(), String> {
        match self.names.last_key_value() {
            Some((&id, name)) if id as usize >= len => Err(format!(
                "{name:?} has id {id}, but config.json gives the model {len} tokens; one of the files belongs to another model"
            )),
            _ => Ok(()),
        }
    }

    /// The stored name of a token.
    #[must_use]
    pub fn name(&self, id: TokenId) -> Option<&str> {
        self.names.get(&id).map(String::as_str)
    }

    /// The token of a stored name.
    #[must_use]
    pub fn id(&self, name: &str) -> Option<TokenId> {
        self.ids.get(name).copied()
    }

    /// All ids that have a name, in order.
    pub fn ids(&self) -> impl Iterator<Item = TokenId> {
        self.names.keys().copied()
    }

    /// What stands between two tokens of a text: a space where tokens are words and none of them holds a space.
    #[must_use]
    pub fn separator(&self) -> &'static str {
        let control = |name: &str| name.starts_with(['<', '[']);
        let words = self.ids.keys().any(|name| name.chars().count() > 1 && !control(name));
        if words && !self.ids.keys().any(|name| name.contains(' ')) { " " } else { "" }
    }

    /// Tokens of a text: from the left always the longest one that matches, words separated by spaces where no token
    /// holds one.
    ///
    /// # Errors
    /// The rest of the text from the first place where no token matches.
    pub fn encode<'t>(&self, text: &'t str) -> Result<Vec<TokenId>, &'t str> {
        let words = if self.separator().is_empty() {
            vec![text]
        } else {
            text.split(' ').filter(|w| !w.is_empty()).collect()
        };
        let longest = self.ids.keys().map(String::len).max().unwrap_or(0);
        let mut tokens = Vec::new();
        for mut word in words {
            while !word.is_empty() {
                let ends = (1..=longest.min(word.len())).rev().filter(|&end| word.is_char_boundary(end));
                let (end, id) =
                    ends.filter_map(|end| Some((end, self.id(&word[..end])?))).next().ok_or(word)?;
                tokens.push(id);
                word = &word[end..];
            }
        }
        Ok(tokens)
    }
}
