//! How tokenizers spell bytes in the names of their tokens, and how bytes are printed.

use serde::Serialize;
use tokenizers::{ModelWrapper, Tokenizer};

/// Convention by which a stored name stands for bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// One printable character per byte (GPT-2): a space is `Ġ`.
    ByteLevel,
    /// SentencePiece: a space is `▁`, a lone byte is `<0x41>`.
    SentencePiece,
    /// Names are texts.
    Plain,
}

impl Spelling {
    /// Finds the convention by the decoder that a tokenizer carries.
    pub fn of(tokenizer: &Tokenizer) -> Spelling {
        let decoder = as_json(&tokenizer.get_decoder());
        if decoder.contains("\"ByteLevel\"") {
            Spelling::ByteLevel
        } else if decoder.contains("\"ByteFallback\"") || decoder.contains('▁') {
            Spelling::SentencePiece
        } else {
            Spelling::Plain
        }
    }

    /// The token that a tokenizer puts where nothing matches.
    pub fn unknown(tokenizer: &Tokenizer) -> Option<u32> {
        let name = match tokenizer.get_model() {
            ModelWrapper::BPE(bpe) => bpe.get_unk_token().clone(),
            ModelWrapper::WordLevel(words) => Some(words.unk_token.clone()),
            ModelWrapper::WordPiece(pieces) => Some(pieces.unk_token.clone()),
            // Unigram gives an id for it, but names it in no public field; its models fall back to bytes.
            ModelWrapper::Unigram(_) => None,
        };
        tokenizer.token_to_id(&name?)
    }

    /// Whether a name stands for one byte given in hexadecimal.
    pub fn is_byte(self, name: &str) -> bool {
        self == Spelling::SentencePiece && hex_byte(name).is_some()
    }

    /// The bytes of a name.
    pub fn bytes(self, name: &str) -> Vec<u8> {
        match self {
            Spelling::Plain => name.into(),
            Spelling::SentencePiece => match hex_byte(name) {
                Some(byte) => vec![byte],
                None => name.replace('▁', " ").into(),
            },
            // A name with other characters is an added token, which stands for itself.
            Spelling::ByteLevel => {
                name.chars().map(byte_of).collect::<Option<Vec<u8>>>().unwrap_or_else(|| name.into())
            }
        }
    }
}

fn as_json(part: &impl Serialize) -> String {
    serde_json::to_string(part).unwrap_or_default()
}

/// `<0x41>` to `0x41`.
fn hex_byte(name: &str) -> Option<u8> {
    let digits = name.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// GPT-2's table: printable Latin-1 characters stand for themselves, the other 68 bytes for `U+0100` and following, in order.
fn byte_of(c: char) -> Option<u8> {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    match u8::try_from(c) {
        Ok(byte) => printable(byte).then_some(byte),
        Err(_) => {
            let nth = usize::try_from(u32::from(c).checked_sub(0x100)?).ok()?;
            (0..=u8::MAX).filter(|&b| !printable(b)).nth(nth)
        }
    }
}

/// Bytes as text with control characters and broken UTF-8 escaped.
pub fn printable(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
        }
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}
