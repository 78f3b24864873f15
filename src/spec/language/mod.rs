//! Prefix languages: the universe of inputs that a statement speaks of.
//!
//! A [`Language`] is a regular expression over token ids, written as text in the syntax below. [`Automaton`] is its compiled form: deterministic, every state on
//! the way to a member, and without the empty sequence, since a prefix has at least one token. Provers and searchers work
//! with the automaton, or with the members of one length ([`Slice`]): their number, a walk through them in order, the
//! tokens allowed at each position, and a disjoint union of products of token sets.
//!
//! # Syntax
//!
//! `any{0,3} · "Once upon a"` is at most three tokens of any kind, then the tokens of that text. Blanks between the parts mean
//! nothing.
//!
//! | text | members |
//! |---|---|
//! | `any` | one token of any kind; as the whole text: every prefix of one or more tokens |
//! | `"Once upon a"` | the tokens that the model's tokenizer makes of this text on its own |
//! | `["a"\|"b"]` | a slot: one token out of a list of texts, each of which is one token |
//! | `[id:5,7-9]` | one token out of a list of ids |
//! | `[/[a-z]+/]` | one token whose whole text matches the regular expression |
//! | `[bytes:41-5a]` | one token that is a single byte out of a list, in hexadecimal |
//! | `[digit]`, `digit` | one token of a named class |
//! | `[^"a"\|digit]` | one token that is none of these |
//! | `A · B`, or `A ~ B` | a member of `A`, then one of `B` |
//! | `A \| B` | a member of `A` or of `B`; binds less than `·` |
//! | `A{2}`, `A{1,3}`, `A{2,}` | so many members of `A`, one after the other |
//! | `A*`, `A+`, `A?` | `A{0,}`, `A{1,}`, `A{0,1}` |
//! | `(A)` | `A`; `()` is the empty sequence |
//! | `A without [..]` | `A` with these tokens forbidden everywhere; binds least |
//!
//! **Texts** are encoded as they stand, without the control tokens that begin or end a text; a SentencePiece tokenizer begins
//! them with a space of its own. Where the tokens have to be others (a control token first, a word that goes on), they can be
//! listed: `[id:1] · "Once"`. Between quotes, `\"`, `\\`, `\n`, `\t`, `\r` and `\u{20ac}` are escapes.
//!
//! **Classes** of tokens, by their bytes, of which control tokens have none: `letter`, `upper`, `lower`, `digit`, `space`,
//! `punct` (all characters of the token are of this kind), `word` (letters, with or without one space before them), `byte`
//! (a single byte that is not ASCII), `control` (tokens without bytes). Regular expressions are those of the crate `regex`;
//! within them a slash is written `\/`.
//!
//! ```
//! use llmprove::model::Vocab;
//! use llmprove::spec::Language;
//!
//! let vocab = Vocab::numbered(50);
//! let language = Language::parse("any{0,3} · ([id:7] | [id:8,9]{2})", &vocab)?;
//! assert_eq!(language.to_string(), "any{0,3} · ([id:7] | [id:8-9]{2})");
//! let error = Language::parse("any{0,3} [id:7]", &vocab).unwrap_err();
//! assert!(error.to_string().ends_with("\n  any{0,3} [id:7]\n           ^"));
//! # Ok::<(), llmprove::spec::LanguageError>(())
//! ```

mod automaton;
mod classes;
mod compile;
mod print;
mod slice;
mod syntax;
mod token_set;

use std::collections::BTreeSet;

use crate::model::{TokenId, Vocab};
use serde::{Deserialize, Serialize};

pub use automaton::{Automaton, Counts, State};
pub use slice::Slice;
pub use token_set::TokenSet;

/// Most levels of nesting; statement files allow no more.
const MAX_DEPTH: usize = 32;

/// A set of token sequences. The JSON form is that of statement files.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Language {
    /// Every sequence of one or more tokens.
    #[default]
    Any,
    /// One token out of a set.
    Set(TokenSet),
    /// A member of each part, one after the other; without parts, the empty sequence.
    Seq(Vec<Language>),
    /// A member of one of the parts; without parts, nothing.
    Union(Vec<Language>),
    /// Members of one language, between `min` and `max` of them, one after the other.
    Repeat {
        /// What is repeated.
        of: Box<Language>,
        /// Least number of times.
        min: u32,
        /// Largest number of times; `None` for any.
        max: Option<u32>,
    },
}

/// Why a language cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LanguageError {
    /// A text that is no language of this model.
    #[error("{problem}\n  {}\n  {:>column$}^", one_line(text), "")]
    Syntax {
        /// What was given.
        text: String,
        /// Where it goes wrong, in characters from the beginning.
        column: usize,
        /// What is wrong there.
        problem: String,
    },
    /// Too many levels.
    #[error("the language is nested more than {limit} levels deep; write it with fewer parentheses")]
    Deep {
        /// Most levels.
        limit: usize,
    },
    /// A repetition `{m,n}` with `m > n`.
    #[error("a repetition of at least {min} and at most {max} times is empty; write {{{max},{min}}}")]
    Repetition {
        /// Least number of times.
        min: u32,
        /// Largest number of times.
        max: u32,
    },
    /// The automaton would be too large.
    #[error(
        "the language needs an automaton of more than {limit} states; use smaller repetitions, or fewer alternatives that begin alike"
    )]
    TooLarge {
        /// Most states.
        limit: usize,
    },
}

impl Language {
    /// Reads a language in the [textual syntax](self) for a model with this vocabulary.
    ///
    /// # Errors
    /// [`LanguageError::Syntax`] with the place and the problem.
    pub fn parse(text: &str, vocab: &Vocab) -> Result<Language, LanguageError> {
        let language = syntax::parse(text, vocab)?;
        if language.depth() > MAX_DEPTH {
            return Err(LanguageError::Deep { limit: MAX_DEPTH });
        }
        Ok(language)
    }

    /// Levels of nesting.
    fn depth(&self) -> usize {
        1 + match self {
            Language::Any | Language::Set(_) => 0,
            Language::Seq(parts) | Language::Union(parts) => {
                parts.iter().map(Language::depth).max().unwrap_or(0)
            }
            Language::Repeat { of, .. } => of.depth(),
        }
    }

    /// About how many steps it takes to find the tokens of each position of the members of up to `longest` tokens by trying
    /// them: tokens in classes that no set tells apart, each followed through the language.
    #[must_use]
    pub fn effort(&self, longest: usize) -> f64 {
        fn visit(language: &Language, longest: usize, ends: &mut BTreeSet<u64>) -> f64 {
            1.0 + match language {
                Language::Any => 0.0,
                Language::Set(set) => {
                    let ranges = set.ranges().iter();
                    ends.extend(ranges.flat_map(|&(first, last)| [u64::from(first), u64::from(last) + 1]));
                    0.0
                }
                Language::Seq(parts) | Language::Union(parts) => {
                    parts.iter().map(|part| visit(part, longest, ends)).sum()
                }
                Language::Repeat { of, .. } => (longest + 1) as f64 * visit(of, longest, ends),
            }
        }
        let mut ends = BTreeSet::from([0]);
        let size = visit(self, longest, &mut ends);
        size * (longest as f64).powi(3) * (ends.len() as f64).powi(2)
    }

    /// The members without any of these tokens.
    #[must_use]
    pub fn without(self, forbidden: &TokenSet) -> Language {
        let all = |parts: Vec<Language>| parts.into_iter().map(|part| part.without(forbidden)).collect();
        match self {
            Language::Any => Language::Set(forbidden.complement()).repeat(1, None),
            Language::Set(set) => Language::Set(set.minus(forbidden)),
            Language::Seq(parts) => Language::Seq(all(parts)),
            Language::Union(parts) => Language::Union(all(parts)),
            Language::Repeat { of, min, max } => of.without(forbidden).repeat(min, max),
        }
    }

    /// The tokens one after the other.
    #[must_use]
    pub fn word(tokens: &[TokenId]) -> Language {
        Language::Seq(tokens.iter().map(|&token| Language::Set(TokenSet::one(token))).collect())
    }

    /// `self` between `min` and `max` times.
    #[must_use]
    pub fn repeat(self, min: u32, max: Option<u32>) -> Language {
        Language::Repeat { of: Box::new(self), min, max }
    }
}

/// Line breaks would take the caret away from its place.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
