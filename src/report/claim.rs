//! A statement as a formula with token texts.

use crate::model::{TokenId, Vocab};
use crate::spec::{Language, Predicate, Statement};

/// Such as `P("X") <= 0.2 after every prefix`; `prefix` is the language as it was written.
#[must_use]
pub fn claim(statement: &Statement, prefix: &str, vocab: &Vocab) -> String {
    let prefixes = match (&statement.language, statement.max_len) {
        (Language::Any, None) => "after every prefix".into(),
        (Language::Any, Some(n)) => format!("after every prefix of at most {n} tokens"),
        (_, None) => format!("after every prefix in {prefix}"),
        (_, Some(n)) => format!("after every prefix of at most {n} tokens in {prefix}"),
    };
    format!("{} {prefixes}", predicate(&statement.predicate, vocab))
}

/// Such as `P("X") <= 0.2`.
fn predicate(predicate: &Predicate, vocab: &Vocab) -> String {
    let text = |token: &TokenId| format!("\"{}\"", vocab.text(*token));
    let at = predicate.temperature_text().map_or(String::new(), |t| format!(" at temperature {t}"));
    match predicate {
        Predicate::Ceiling { token, threshold, .. } => format!("P({}) <= {threshold}{at}", text(token)),
        Predicate::SetCeiling { tokens, threshold, .. } => {
            let tokens: Vec<String> = tokens.iter().map(text).collect();
            format!("P({}) <= {threshold}{at}", tokens.join(" or "))
        }
        Predicate::Floor { token, threshold, .. } => format!("P({}) >= {threshold}{at}", text(token)),
        Predicate::MaxCeiling { tokens, threshold, .. } => {
            let tokens: Vec<String> = tokens.iter().map(text).collect();
            format!("max P({}) <= {threshold}{at}", tokens.join(", "))
        }
        Predicate::Continuation { tokens, threshold, .. } => {
            let tokens: Vec<String> = tokens.iter().map(text).collect();
            format!("P({}) <= {threshold}{at}", tokens.join(" "))
        }
        Predicate::NeverInNucleus { token, mass, .. } => {
            format!("{} is never in the nucleus of {mass}{at}", text(token))
        }
        Predicate::Dominance { over, under, margin } => {
            format!("logit({}) - logit({}) >= {margin}", text(over), text(under))
        }
        Predicate::NeverArgmax { token } => format!("{} is never the likeliest", text(token)),
        Predicate::NeverTopK { token, k } => format!("{} is never among the {k} likeliest", text(token)),
        Predicate::AlwaysArgmax { token } => format!("{} is always the likeliest", text(token)),
    }
}
