//! Which token the user means: by text, by id, or by bytes.

use llmprove::model::{Lookup, TokenId, Vocab};

use super::args::TokenArgs;
use super::error::CliError;

/// Most tokens listed in a message.
const MAX_LISTED: usize = 8;

/// The one token that the flags name. A note about other candidates goes to stderr.
pub fn select(args: &TokenArgs, vocab: &Vocab) -> Result<TokenId, CliError> {
    match (&args.text, &args.id, &args.bytes) {
        (Some(text), _, _) => by_text(text, vocab),
        (_, Some(id), _) => by_id(id, vocab.len()),
        (_, _, Some(hex)) => by_bytes(hex, vocab),
        (None, None, None) => Err(CliError::new(
            "no token given",
            "name one by --token TEXT, --token-id N or --token-bytes HEX",
        )),
    }
}

fn by_text(text: &str, vocab: &Vocab) -> Result<TokenId, CliError> {
    match vocab.find_exact(text) {
        Lookup::Token { id, also } => {
            if !also.is_empty() {
                eprintln!(
                    "note: {text:?} is taken as token {}; tokens that read alike: {}",
                    named(&[id], vocab),
                    named(&also, vocab)
                );
            }
            Ok(id)
        }
        Lookup::Several(ids) => Err(CliError::new(
            format!("{text:?} is not one token but {}: {}", ids.len(), named(&ids, vocab)),
            suggestion(text, vocab),
        )),
        Lookup::Unknown => {
            Err(CliError::new(format!("{text:?} is not in the model's vocabulary"), suggestion(text, vocab)))
        }
    }
}

/// The token of an id.
pub fn by_id(text: &str, n_tokens: usize) -> Result<TokenId, CliError> {
    text.parse().ok().filter(|&id: &TokenId| (id as usize) < n_tokens).ok_or_else(|| {
        CliError::new(
            format!("{text} is not a token id of this model"),
            format!("its ids are 0 to {}", n_tokens.saturating_sub(1)),
        )
    })
}

fn by_bytes(hex: &str, vocab: &Vocab) -> Result<TokenId, CliError> {
    let bytes = parse_hex(hex).ok_or_else(|| {
        CliError::new(
            format!("{hex:?} is not a sequence of bytes in hexadecimal"),
            "give two digits per byte, such as --token-bytes e282ac",
        )
    })?;
    match vocab.by_bytes(&bytes).as_slice() {
        [id] => Ok(*id),
        [] => Err(CliError::new(
            format!("no token of this model has the bytes {hex}"),
            suggestion(&String::from_utf8_lossy(&bytes), vocab),
        )),
        several => Err(CliError::new(
            format!("{} tokens have the bytes {hex}: {}", several.len(), named(several, vocab)),
            "choose one of them by --token-id",
        )),
    }
}

fn parse_hex(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.strip_prefix("0x").unwrap_or(hex).as_bytes();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let well_formed =
        !digits.is_empty() && digits.len().is_multiple_of(2) && digits.iter().all(u8::is_ascii_hexdigit);
    if well_formed { digits.chunks(2).map(pair).collect() } else { None }
}

fn suggestion(text: &str, vocab: &Vocab) -> String {
    match vocab.suggest(text).as_slice() {
        [] => "`llmprove inspect --tokens` lists the tokens; choose one by --token-id".into(),
        near => format!("near tokens, to be chosen by --token or --token-id: {}", named(near, vocab)),
    }
}

/// `71 "G", 72 "H"`.
fn named(ids: &[TokenId], vocab: &Vocab) -> String {
    let shown: Vec<String> =
        ids.iter().take(MAX_LISTED).map(|&id| format!("{id} \"{}\"", vocab.text(id))).collect();
    let more = ids.len().saturating_sub(MAX_LISTED);
    let shown = shown.join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

/// Token ids `A-B,C` in increasing order, each once; all tokens when the flag is absent.
pub fn list(text: Option<&str>, n_tokens: usize) -> Result<Vec<TokenId>, CliError> {
    let all = 0..TokenId::try_from(n_tokens).unwrap_or(TokenId::MAX);
    let Some(text) = text else { return Ok(all.collect()) };
    let mut ids = std::collections::BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (by_id(first.trim(), n_tokens)?, by_id(last.trim(), n_tokens)?);
        if first > last {
            return Err(CliError::new(
                format!("{part} is an empty range of tokens"),
                format!("write {last}-{first}"),
            ));
        }
        ids.extend(first..=last);
    }
    Ok(ids.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_and_without_duplicates() {
        for (text, ids) in [("3", vec![3]), ("5-7,1", vec![1, 5, 6, 7]), ("1-3, 2-4", vec![1, 2, 3, 4])] {
            assert_eq!(list(Some(text), 10).unwrap(), ids, "{text}");
        }
        assert_eq!(list(None, 3).unwrap(), [0, 1, 2]);
    }

    #[test]
    fn malformed_lists_are_refused() {
        for text in ["", ",", "a", "1-", "-1", "3-1", "0-10", "1--3", "1;2", "4294967296"] {
            assert!(list(Some(text), 10).is_err(), "{text}");
        }
    }

    #[test]
    fn hexadecimal_bytes() {
        assert_eq!(parse_hex("e282AC"), Some(vec![0xe2, 0x82, 0xac]));
        assert_eq!(parse_hex("0x41"), Some(vec![0x41]));
        for text in ["", "4", "4g", "+4", "é1", "0x"] {
            assert_eq!(parse_hex(text), None, "{text}");
        }
    }
}
