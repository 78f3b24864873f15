//! What a report is about, besides the bounds.

use crate::model::{TokenId, Vocab};

/// Model, token and prefixes that bounds are about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The model as the user named it.
    pub model: &'a str,
    /// Texts of tokens.
    pub vocab: &'a Vocab,
    /// The token spoken of.
    pub token: TokenId,
    /// The prefixes spoken of, as the user wrote them.
    pub language: &'a str,
    /// Longest prefix spoken of, in tokens; `None` for every length.
    pub max_len: Option<usize>,
    /// Seconds the run took.
    pub seconds: f64,
}

impl Subject<'_> {
    /// The token's text in quotes.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.vocab.text(self.token))
    }

    /// Which prefixes, in words.
    #[must_use]
    pub fn prefixes(&self) -> String {
        match (self.language, self.max_len) {
            ("any", None) => "every prefix of every length".into(),
            ("any", Some(1)) => "every prefix of 1 token".into(),
            ("any", Some(n)) => format!("every prefix of 1 to {n} tokens"),
            (language, None) => format!("every prefix in {language}"),
            (language, Some(n)) => format!("every prefix of at most {n} tokens in {language}"),
        }
    }

    /// Text of a prefix, and whether encoding that text gives the same tokens again.
    #[must_use]
    pub fn read(&self, prefix: &[TokenId]) -> (String, bool) {
        let text = self.vocab.decode(prefix);
        let reencodes = self.vocab.encode(&text).is_ok_and(|ids| ids == prefix);
        (text, reencodes)
    }
}
