//! Reads the textual syntax of languages, which the parent module describes, with exact error positions.

use crate::model::{Lookup, TokenId, Vocab};

use super::classes;
use super::{Language, LanguageError, MAX_DEPTH, TokenSet};

/// Largest number in a repetition.
const MAX_TIMES: u32 = 1_000_000;

/// Reads a language for a model with this vocabulary.
pub fn parse(text: &str, vocab: &Vocab) -> Result<Language, LanguageError> {
    let mut parser = Parser { text, chars: text.chars().collect(), at: 0, depth: 0, vocab };
    let language = parser.restricted(Top::Yes)?;
    if parser.peek().is_some() {
        return Err(parser.expected("· or | or the end"));
    }
    Ok(language)
}

/// Whether a lone `any` stands for the whole language.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Top {
    Yes,
    No,
}

struct Parser<'a> {
    text: &'a str,
    chars: Vec<char>,
    /// Index of the next character.
    at: usize,
    /// Open parentheses.
    depth: usize,
    vocab: &'a Vocab,
}

impl Parser<'_> {
    /// `A`, or `A without [..]`.
    fn restricted(&mut self, top: Top) -> Result<Language, LanguageError> {
        let mut language = self.alternatives()?;
        if top == Top::Yes && language == Language::Set(TokenSet::all()) {
            language = Language::Any;
        }
        while self.keyword("without") {
            self.skip_blanks();
            let start = self.at;
            let forbidden = match self.atom()? {
                Language::Set(set) => set,
                _ => return Err(self.error(start, "after without there has to be a slot, such as [id:5]")),
            };
            language = language.without(&forbidden);
        }
        Ok(language)
    }

    fn alternatives(&mut self) -> Result<Language, LanguageError> {
        let mut parts = vec![self.sequence()?];
        while self.take('|') {
            parts.push(self.sequence()?);
        }
        Ok(one_or(parts, Language::Union))
    }

    fn sequence(&mut self) -> Result<Language, LanguageError> {
        let mut parts = vec![self.repeated()?];
        while self.take('·') || self.take('~') {
            parts.push(self.repeated()?);
        }
        Ok(one_or(parts, Language::Seq))
    }

    fn repeated(&mut self) -> Result<Language, LanguageError> {
        let part = self.atom()?;
        Ok(if self.take('*') {
            part.repeat(0, None)
        } else if self.take('+') {
            part.repeat(1, None)
        } else if self.take('?') {
            part.repeat(0, Some(1))
        } else if self.take('{') {
            let (min, max) = self.times()?;
            part.repeat(min, max)
        } else {
            part
        })
    }

    /// `m}`, `m,}` or `m,n}`.
    fn times(&mut self) -> Result<(u32, Option<u32>), LanguageError> {
        let start = self.at;
        let min = self.number(10, "a number of times")?;
        let max = if !self.take(',') {
            Some(min)
        } else if self.peek() == Some('}') {
            None
        } else {
            Some(self.number(10, "a number of times")?)
        };
        self.require('}')?;
        if min.max(max.unwrap_or(0)) > MAX_TIMES {
            return Err(self.error(start, &format!("at most {MAX_TIMES} times can be asked for")));
        }
        match max {
            Some(max) if max < min => {
                Err(self.error(start, &format!("at least {min} and at most {max} times is impossible")))
            }
            _ => Ok((min, max)),
        }
    }

    fn atom(&mut self) -> Result<Language, LanguageError> {
        match self.peek() {
            Some('"') => self.encoded(),
            Some('[') => self.slot(),
            Some('(') => self.group(),
            Some(c) if c.is_alphabetic() => self.class().map(Language::Set),
            _ => Err(self.expected("any, \"text\", [slot] or (group)")),
        }
    }

    fn group(&mut self) -> Result<Language, LanguageError> {
        let start = self.at;
        self.require('(')?;
        if self.take(')') {
            return Ok(Language::Seq(Vec::new()));
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(start, &format!("more than {MAX_DEPTH} parentheses are open")));
        }
        let language = self.restricted(Top::No)?;
        self.require(')')?;
        self.depth -= 1;
        Ok(language)
    }

    /// `"text"`, as the tokens of the text.
    fn encoded(&mut self) -> Result<Language, LanguageError> {
        let start = self.at;
        let text = self.string()?;
        let tokens = self.vocab.encode(&text).map_err(|e| self.error(start, &e.to_string()))?;
        Ok(Language::word(&tokens))
    }

    fn slot(&mut self) -> Result<Language, LanguageError> {
        self.require('[')?;
        let inverted = self.take('^');
        let mut set = TokenSet::default();
        if self.peek() != Some(']') {
            set = self.item()?;
            while self.take('|') {
                set = set.union(&self.item()?);
            }
        }
        self.require(']')?;
        Ok(Language::Set(if inverted { set.complement() } else { set }))
    }

    /// One entry of a slot.
    fn item(&mut self) -> Result<TokenSet, LanguageError> {
        match self.peek() {
            Some('"') => self.listed(),
            Some('/') => self.pattern(),
            Some(c) if c.is_alphabetic() => self.class(),
            _ => Err(self.expected("\"text\", /regex/, id:, bytes: or a class of tokens")),
        }
    }

    /// `"text"`, as the one token it names.
    fn listed(&mut self) -> Result<TokenSet, LanguageError> {
        let start = self.at;
        let text = self.string()?;
        match self.vocab.find_exact(&text) {
            Lookup::Token { id, .. } => Ok(TokenSet::one(id)),
            Lookup::Several(tokens) => Err(self.error(
                start,
                &format!(
                    "{text:?} is not one token but {}; outside of brackets it can stand as it is: (\"..\" | \"..\")",
                    tokens.len()
                ),
            )),
            Lookup::Unknown => Err(self.error(start, &format!("{text:?} is not in the model's vocabulary"))),
        }
    }

    fn pattern(&mut self) -> Result<TokenSet, LanguageError> {
        let start = self.at;
        self.at += 1;
        let mut pattern = String::new();
        loop {
            match self.next() {
                Some('/') => break,
                Some('\\') => match self.next() {
                    Some('/') => pattern.push('/'),
                    Some(c) => pattern.extend(['\\', c]),
                    None => return Err(self.error(start, "this regular expression has no closing /")),
                },
                Some(c) => pattern.push(c),
                None => return Err(self.error(start, "this regular expression has no closing /")),
            }
        }
        classes::matching(&pattern, self.vocab).map_err(|problem| self.error(start, &problem))
    }

    /// `any`, `id:..`, `bytes:..` or the name of a class.
    fn class(&mut self) -> Result<TokenSet, LanguageError> {
        self.skip_blanks();
        let start = self.at;
        let name = self.word();
        match name.as_str() {
            "any" => Ok(TokenSet::all()),
            "id" => {
                self.require(':')?;
                self.ranges(10, "a token id", |first, last| ids(first, last, self.vocab))
            }
            "bytes" => {
                self.require(':')?;
                self.ranges(16, "a byte in hexadecimal", |first, last| {
                    classes::single_bytes(first, last, self.vocab)
                })
            }
            name => classes::named(name, self.vocab).ok_or_else(|| {
                let known = classes::NAMES.join(", ");
                self.error(start, &format!("{name:?} is no class of tokens; there are any, {known}"))
            }),
        }
    }

    /// `5,7-9`: the union of what `of` makes of each range.
    fn ranges(
        &mut self,
        radix: u32,
        what: &str,
        of: impl Fn(u32, u32) -> Result<TokenSet, String>,
    ) -> Result<TokenSet, LanguageError> {
        let mut set = TokenSet::default();
        loop {
            self.skip_blanks();
            let start = self.at;
            let first = self.number(radix, what)?;
            let last = if self.take('-') { self.number(radix, what)? } else { first };
            if last < first {
                return Err(self.error(start, "this range is empty; turn its ends round"));
            }
            set = set.union(&of(first, last).map_err(|problem| self.error(start, &problem))?);
            if !self.take(',') {
                return Ok(set);
            }
        }
    }

    fn number(&mut self, radix: u32, what: &str) -> Result<u32, LanguageError> {
        self.skip_blanks();
        let start = self.at;
        let digits: String = self.chars[start..].iter().take_while(|c| c.is_digit(radix)).collect();
        if digits.is_empty() {
            return Err(self.expected(what));
        }
        self.at += digits.len();
        u32::from_str_radix(&digits, radix).map_err(|_| self.error(start, &format!("{digits} is too large")))
    }

    /// A quoted text with its escapes.
    fn string(&mut self) -> Result<String, LanguageError> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            let at = self.at;
            match self.next() {
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.escape().ok_or_else(|| {
                    self.error(at, "an escape is one of \\\" \\\\ \\n \\t \\r and \\u{20ac}")
                })?),
                Some(c) => text.push(c),
                None => return Err(self.error(start, "this text has no closing \"")),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        match self.next()? {
            'n' => Some('\n'),
            't' => Some('\t'),
            'r' => Some('\r'),
            'u' => {
                let rest = self.chars[self.at..].strip_prefix(&['{'])?;
                let digits: String = rest.iter().take_while(|c| **c != '}').collect();
                self.at += digits.chars().count() + 2;
                u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32)
            }
            c @ ('"' | '\\') => Some(c),
            _ => None,
        }
    }

    fn word(&mut self) -> String {
        let word: String =
            self.chars[self.at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').collect();
        self.at += word.chars().count();
        word
    }

    /// Takes a word if it comes next.
    fn keyword(&mut self, keyword: &str) -> bool {
        self.skip_blanks();
        let start = self.at;
        let found = self.word() == keyword;
        if !found {
            self.at = start;
        }
        found
    }

    fn skip_blanks(&mut self) {
        while self.chars.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
    }

    /// The next character that is no blank.
    fn peek(&mut self) -> Option<char> {
        self.skip_blanks();
        self.chars.get(self.at).copied()
    }

    /// The next character, blank or not.
    fn next(&mut self) -> Option<char> {
        let next = self.chars.get(self.at).copied();
        self.at += usize::from(next.is_some());
        next
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        self.at += usize::from(found);
        found
    }

    fn require(&mut self, c: char) -> Result<(), LanguageError> {
        if self.take(c) { Ok(()) } else { Err(self.expected(&c.to_string())) }
    }

    fn expected(&mut self, what: &str) -> LanguageError {
        let found = self.peek().map_or("the text ends".into(), |c| format!("there is {c:?}"));
        self.error(self.at, &format!("expected {what}, but {found}"))
    }

    fn error(&self, column: usize, problem: &str) -> LanguageError {
        LanguageError::Syntax { text: self.text.into(), column, problem: problem.into() }
    }
}

/// The part itself if it is the only one.
fn one_or(mut parts: Vec<Language>, many: impl Fn(Vec<Language>) -> Language) -> Language {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            many(parts)
        }
    }
}

fn ids(first: TokenId, last: TokenId, vocab: &Vocab) -> Result<TokenSet, String> {
    if last as usize >= vocab.len() {
        return Err(format!("{last} is not a token id of this model; its ids are 0 to {}", vocab.len() - 1));
    }
    Ok(TokenSet::range(first, last))
}

#[cfg(test)]
mod tests;
