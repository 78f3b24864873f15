//! Classes of tokens by their text: names, regular expressions, single bytes.

use regex::bytes::RegexBuilder;

use crate::model::{TokenId, Vocab};

use super::TokenSet;

/// Largest compiled regular expression in bytes.
const MAX_REGEX: usize = 1 << 20;

/// The named classes.
pub const NAMES: [&str; 9] =
    ["letter", "upper", "lower", "digit", "space", "punct", "word", "byte", "control"];

/// The tokens of a named class; `None` if there is no such class.
pub fn named(name: &str, vocab: &Vocab) -> Option<TokenSet> {
    // All characters of a token are of one kind, and there is at least one.
    let all = |is: fn(char) -> bool| {
        of_bytes(vocab, |bytes| {
            std::str::from_utf8(bytes).is_ok_and(|text| !text.is_empty() && text.chars().all(is))
        })
    };
    Some(match name {
        "letter" => all(char::is_alphabetic),
        "upper" => all(char::is_uppercase),
        "lower" => all(char::is_lowercase),
        "digit" => all(char::is_numeric),
        "space" => all(char::is_whitespace),
        "punct" => all(|c| c.is_ascii_punctuation()),
        "word" => of_bytes(vocab, |bytes| {
            let word = std::str::from_utf8(bytes).map(|text| text.strip_prefix(' ').unwrap_or(text));
            word.is_ok_and(|word| !word.is_empty() && word.chars().all(char::is_alphabetic))
        }),
        "byte" => of_bytes(vocab, |bytes| matches!(bytes, [byte] if !byte.is_ascii())),
        "control" => ids(vocab).filter(|&id| vocab.bytes(id).is_none()).collect(),
        _ => return None,
    })
}

/// The tokens whose bytes match a regular expression from their first to their last one.
pub fn matching(pattern: &str, vocab: &Vocab) -> Result<TokenSet, String> {
    let alone = |pattern: &str| RegexBuilder::new(pattern).size_limit(MAX_REGEX).build();
    // First as written, so that the message is about what was written.
    let regex = alone(pattern).and_then(|_| alone(&format!(r"\A(?:{pattern})\z")));
    let regex = regex.map_err(|e| format!("/{pattern}/ is no regular expression: {e}"))?;
    Ok(of_bytes(vocab, |bytes| regex.is_match(bytes)))
}

/// The tokens that are one byte from `first` to `last`.
pub fn single_bytes(first: u32, last: u32, vocab: &Vocab) -> Result<TokenSet, String> {
    if last > 0xff {
        return Err(format!("{last:x} is no byte"));
    }
    Ok(of_bytes(vocab, |bytes| matches!(bytes, [byte] if (first..=last).contains(&u32::from(*byte)))))
}

fn ids(vocab: &Vocab) -> impl Iterator<Item = TokenId> {
    0..TokenId::try_from(vocab.len()).unwrap_or(TokenId::MAX)
}

fn of_bytes(vocab: &Vocab, holds: impl Fn(&[u8]) -> bool) -> TokenSet {
    ids(vocab).filter(|&id| vocab.bytes(id).is_some_and(|bytes| holds(&bytes))).collect()
}
