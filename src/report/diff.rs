//! The reports of `diff`: text and JSON.

use serde::Serialize;

use super::style::{self, line, paint};
use super::suite::Report;
use crate::compare::{Change, Ground, Largest};
use crate::model::{TokenId, Vocab};
use crate::num::decimal::{printable_above, printable_below, round_down, round_up};

/// Significant digits of printed bounds.
const DIGITS: usize = 4;
/// Tokens that the text lists: those that can change most.
const LISTED: usize = 10;

/// What is known of two models.
#[derive(Debug, Clone, Copy)]
pub struct Difference<'a> {
    /// The models as the user named them.
    pub models: [&'a str; 2],
    /// Texts of tokens.
    pub vocab: &'a Vocab,
    /// What the bounds rest on.
    pub ground: Ground,
    /// Bounds for every prefix, one per token.
    pub changes: &'a [Change],
    /// What was found by evaluation.
    pub short: Option<Enumerated<'a>>,
    /// Statements about the first model, put to the second.
    pub suite: Option<Report<'a>>,
    /// Seconds the comparison took.
    pub seconds: f64,
}

/// Prefixes after which both models were evaluated, all of them.
#[derive(Debug, Clone, Copy)]
pub struct Enumerated<'a> {
    /// Their language as the user wrote it.
    pub language: &'a str,
    /// The longest of them, in tokens.
    pub longest: usize,
    /// One per token; `None` if the limits came first.
    pub found: Option<&'a [Largest]>,
}

#[derive(Serialize)]
struct Document<'a, S: Serialize> {
    models: [&'a str; 2],
    ground: &'static str,
    bound: f64,
    tokens: Vec<Token>,
    prefix: Option<&'a str>,
    max_len: Option<usize>,
    suite: Option<S>,
    seconds: f64,
}

#[derive(Serialize)]
struct Token {
    id: TokenId,
    text: String,
    /// Proved for every prefix of every length.
    bound: f64,
    /// Enclosure of the maximum over the prefixes of `prefix` of at most `max_len` tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    short: Option<Short>,
}

#[derive(Serialize)]
struct Short {
    lower: f64,
    upper: f64,
    prefix: Vec<TokenId>,
}

fn ground(ground: Ground) -> (&'static str, &'static str) {
    match ground {
        Ground::Equal => ("equal", "all weights are the same"),
        Ground::SameBody => ("same-body", "only norm and head differ: both heads read the same vector"),
        Ground::Heads => ("heads", "the bodies differ: only what the heads allow at most is known"),
    }
}

impl Difference<'_> {
    /// The JSON document.
    #[must_use]
    pub fn document(&self) -> impl Serialize {
        let short = |k: usize| {
            self.short.and_then(|short| short.found).map(|found| Short {
                lower: printable_below(found[k].lower),
                upper: printable_above(found[k].upper),
                prefix: found[k].prefix.clone(),
            })
        };
        let token = |(k, change): (usize, &Change)| Token {
            id: change.token,
            text: self.vocab.text(change.token),
            bound: printable_above(change.bound),
            short: short(k),
        };
        Document {
            models: self.models,
            ground: ground(self.ground).0,
            bound: printable_above(self.bound()),
            tokens: self.changes.iter().enumerate().map(token).collect(),
            prefix: self.short.map(|short| short.language),
            max_len: self.short.map(|short| short.longest),
            suite: self.suite.as_ref().map(Report::document),
            seconds: self.seconds,
        }
    }

    /// The largest bound of any token.
    fn bound(&self) -> f64 {
        self.changes.iter().map(|change| change.bound).fold(0.0, f64::max)
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let [a, b] = self.models;
        let headline =
            format!("|p - q| <= {} for every token after every prefix", round_up(self.bound(), DIGITS));
        let mut text = paint(style::STRONG, &headline) + "\n\n";
        text += &line("p", a);
        text += &line("q", b);
        text += &line("why", ground(self.ground).1);
        let mut order: Vec<usize> = (0..self.changes.len()).collect();
        order.sort_by(|&a, &b| self.changes[b].bound.total_cmp(&self.changes[a].bound));
        for (n, &k) in order.iter().take(LISTED).enumerate() {
            let Change { token, bound } = self.changes[k];
            let about = format!("\"{}\" at most {}", self.vocab.text(token), round_up(bound, DIGITS));
            text += &line(if n == 0 { "by token" } else { "" }, &about);
        }
        if let Some(short) = self.short {
            text += &self.short_lines(short);
        }
        if let Some(report) = &self.suite {
            text += &("\n".to_owned() + &report.text());
            return text;
        }
        text + &line("time", &format!("{:.2} s", self.seconds))
    }

    fn short_lines(&self, Enumerated { language, longest, found }: Enumerated<'_>) -> String {
        let which = if language == "any" { String::new() } else { format!(" in {language}") };
        let all = format!("prefixes{which} of at most {longest} tokens");
        let Some(found) = found else {
            return line("enumerated", &format!("nothing: the {all} took too long"));
        };
        let most = found.iter().max_by(|a, b| a.lower.total_cmp(&b.lower));
        let upper = found.iter().map(|largest| largest.upper).fold(0.0, f64::max);
        let Some(most) = most else { return String::new() };
        let (lower, upper) = (round_down(most.lower, DIGITS), round_up(upper, DIGITS));
        let token = self.vocab.text(most.token);
        let mut text = line("enumerated", &format!("{lower} <= max |p - q| <= {upper} on {all}"));
        text += &line("", &format!("\"{token}\" after {:?}", self.vocab.decode(&most.prefix)));
        text
    }
}
