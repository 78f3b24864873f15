//! The report of `language`: how many prefixes there are, and some of them.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::style::line;
use crate::model::{TokenId, Vocab};
use crate::spec::Language;
use crate::spec::language::Automaton;

/// Longest number that the text shows in full, in digits.
const MAX_DIGITS: usize = 30;
/// Longest language that the text shows, in characters.
const MAX_SHOWN: usize = 400;

/// What can be said about a language and a vocabulary.
#[derive(Debug, Serialize)]
pub struct Description {
    /// In token ids.
    language: String,
    /// The form of statement files.
    json: Language,
    /// Exact, in decimal.
    prefixes: String,
    shortest: Option<usize>,
    longest: Option<usize>,
    /// Longest prefix that was counted.
    max_len: usize,
    states: usize,
    edges: usize,
    samples: Vec<Sample>,
}

#[derive(Debug, Serialize)]
struct Sample {
    ids: Vec<TokenId>,
    text: String,
    /// Whether encoding the text gives the same tokens again.
    reencodes: bool,
}

impl Description {
    /// Counts the prefixes of at most `max_len` tokens and draws `samples` of them, each with the same probability.
    #[must_use]
    pub fn new(
        language: &Language,
        automaton: &Automaton,
        max_len: usize,
        vocab: &Vocab,
        samples: usize,
        seed: u64,
    ) -> Description {
        let counts = automaton.within(max_len);
        let lengths = automaton.lengths(max_len);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut slices = BTreeMap::new();
        let mut draw = || {
            let length = counts.draw_length(&mut rng)?;
            let slice = slices.entry(length).or_insert_with(|| automaton.slice(length)).as_ref()?;
            let ids = slice.sample(&mut rng);
            let text = vocab.decode(&ids);
            let reencodes = vocab.encode(&text).is_ok_and(|again| again == ids);
            Some(Sample { ids, text, reencodes })
        };
        Description {
            language: language.to_string(),
            json: language.clone(),
            prefixes: counts.total().to_string(),
            shortest: lengths.first().copied(),
            longest: lengths.last().copied(),
            max_len,
            states: automaton.states.len(),
            edges: automaton.states.iter().map(|state| state.edges.len()).sum(),
            samples: (0..samples).map_while(|_| draw()).collect(),
        }
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let language = match self.language.char_indices().nth(MAX_SHOWN) {
            Some((end, _)) => format!("{}…", &self.language[..end]),
            None => self.language.clone(),
        };
        let mut text = line("language", &language);
        let Description { states, edges, max_len, .. } = self;
        text += &line("automaton", &format!("{states} states, {edges} edges"));
        text += &line("prefixes", &format!("{} of at most {max_len} tokens", rounded(&self.prefixes)));
        text += &line(
            "lengths",
            &match (self.shortest, self.longest) {
                (Some(a), Some(b)) if a == b => format!("{a} tokens"),
                (Some(a), Some(b)) => format!("{a} to {b} tokens"),
                _ => "none".into(),
            },
        );
        for (k, sample) in self.samples.iter().enumerate() {
            let note = if sample.reencodes { "" } else { "  (its text becomes other tokens)" };
            let about = format!("{:?}  {:?}{note}", sample.text, sample.ids);
            text += &line(if k == 0 { "samples" } else { "" }, &about);
        }
        text
    }
}

/// `1,234,567`, or about `1.234e40` where that is long.
fn rounded(digits: &str) -> String {
    if digits.len() > MAX_DIGITS {
        return format!("about {}.{}e{}", &digits[..1], &digits[1..4], digits.len() - 1);
    }
    let mut text = String::new();
    for (k, digit) in digits.chars().enumerate() {
        if k > 0 && (digits.len() - k).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use dashu_int::UBig;

    #[test]
    fn numbers_for_people() {
        for (digits, text) in [("0", "0"), ("999", "999"), ("1000", "1,000"), ("12345678", "12,345,678")] {
            assert_eq!(rounded(digits), text);
        }
        assert_eq!(rounded(&UBig::from(2u32).pow(200).to_string()), "about 1.606e60");
    }
}
