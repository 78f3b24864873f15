//! What a check ends with: the theorem that was accepted, in words and for machines.

use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::format::{Proof, Statement};
use crate::interval::Interval;
use crate::language::Language;

/// Longest language, in bytes of JSON, that a theorem shows in full.
const MAX_LANGUAGE: usize = 500;

/// What an accepted certificate says about its statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It holds for every prefix of its language.
    Proved,
    /// A prefix violates it.
    Refuted,
}

/// A statement that was settled, and what that rests on.
#[derive(Debug, Clone, Serialize)]
pub struct Theorem {
    /// Whether the statement holds.
    pub verdict: Verdict,
    /// What was established, in plain words.
    pub theorem: String,
    /// Kind of proof, such as `head` or `witness`.
    pub rule: &'static str,
    /// `[lower, upper]` for the probability spoken of, JSON numbers rounded outward: after every prefix if proved, after the
    /// witness if refuted. `None` where the predicate is about the order of logits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<[Box<RawValue>; 2]>,
    /// The same for the difference of logits spoken of, in nats; where every prefix was evaluated, or after the witness.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<[Box<RawValue>; 2]>,
    /// What the words of the theorem mean, and what they rest on.
    pub assumptions: Vec<String>,
    /// What does not follow.
    pub unproved: Vec<String>,
    /// Digest of the model folder.
    pub model: String,
    /// SHA-256 of the statement file.
    pub statement: String,
}

impl Theorem {
    /// Puts into words what the rules have established.
    pub(crate) fn new(
        verdict: Verdict,
        quantity: &Interval,
        statement: &Statement,
        proof: &Proof,
        statement_hash: String,
        vocabulary: usize,
    ) -> Theorem {
        let (lower, upper) = quantity.decimals();
        let claim = statement.predicate.words();
        let of_language = || {
            let length = statement
                .max_len
                .map_or("within the model's context".into(), |n| format!("of 1 to {n} tokens"));
            format!("for every prefix of the statement's language, {length}, {claim}")
        };
        let theorem = match proof {
            Proof::Head { .. } | Proof::Set { .. } | Proof::Pairs {} => {
                let length =
                    statement.max_len.map_or("of any length".into(), |n| format!("of 1 to {n} tokens"));
                let (measure, large) = statement.predicate.measure();
                let end = if large { format!("at most {upper}") } else { format!("at least {lower}") };
                format!("for every prefix {length}, {claim}; {measure} is {end}")
            }
            Proof::Order(_) => {
                let length =
                    statement.max_len.map_or("of any length".into(), |n| format!("of 1 to {n} tokens"));
                format!("for every prefix {length}, {claim}")
            }
            Proof::Attention { .. } => of_language(),
            Proof::Block(_) if statement.language != Language::Any => of_language(),
            Proof::Block(_) | Proof::Parts { .. } => {
                let length =
                    statement.max_len.map_or("of any length within the model's context".into(), |n| {
                        format!("of 1 to {n} tokens")
                    });
                format!("for every prefix {length}, {claim}")
            }
            Proof::Exhaustive {} => {
                let length = statement.max_len.map_or("within the model's context".into(), |n| {
                    format!("of 1 to {n} tokens within the model's context")
                });
                let (measure, _) = statement.predicate.measure();
                format!(
                    "for every prefix of the statement's language, {length}, {claim}; {measure} is within [{lower}, {upper}]"
                )
            }
            Proof::Witness { prefix } => {
                let (measure, large) = statement.predicate.measure();
                let end = if large { format!("at least {lower}") } else { format!("at most {upper}") };
                format!(
                    "not every prefix keeps this: {claim}; after the token ids {prefix:?} {measure} is {end}"
                )
            }
        };
        let mut assumptions = vec![
            format!(
                "logits are the exact real function of the stored weights (model {}), P is their softmax; decimal constants of \
                 the configuration and of activation functions are meant exactly as written",
                statement.model
            ),
            format!("a prefix is a sequence of at least one of the token ids 0 to {}", vocabulary - 1),
        ];
        if statement.language != Language::Any {
            let json = serde_json::to_string(&statement.language).unwrap_or_default();
            let written =
                if json.len() <= MAX_LANGUAGE { &json } else { "that the statement file describes" };
            assumptions.push(match proof {
                Proof::Head { .. } | Proof::Set { .. } | Proof::Pairs {} | Proof::Parts { .. } | Proof::Order(_) => format!(
                    "the statement speaks of the language {written}; the argument holds for every prefix, in the \
                     language or not"
                ),
                Proof::Attention { .. } | Proof::Block(_) => format!("the statement speaks of the language {written}"),
                Proof::Witness { .. } => {
                    format!("the statement speaks of the language {written}; the prefix belongs to it")
                }
                Proof::Exhaustive {} => {
                    format!("the statement speaks of the language {written}, and of no other prefix")
                }
            });
        }
        let mut unproved = vec![
            "what a floating-point implementation computes; it differs by its rounding errors".to_string(),
            "which texts the tokenizer turns into a given prefix".to_string(),
        ];
        let rule = match proof {
            Proof::Head { .. } | Proof::Set { .. } | Proof::Pairs {} => {
                assumptions
                    .push("used of the network: its final norm and its head, nothing below them".into());
                unproved.push("that the bound is attained; the true extreme may be less far".into());
                match proof {
                    Proof::Set { .. } => "set",
                    Proof::Pairs {} => "pairs",
                    _ => "head",
                }
            }
            Proof::Parts { .. } => {
                unproved.push("that the threshold is attained; the true maximum may be lower".into());
                "parts"
            }
            Proof::Order(_) => {
                assumptions
                    .push("used of the network: its final norm and its head, nothing below them".into());
                "order"
            }
            Proof::Block(_) => {
                unproved.push("that the threshold is attained; the true maximum may be lower".into());
                unproved.push("anything about prefixes longer than those".into());
                "block"
            }
            Proof::Attention { .. } => {
                unproved.push("anything about prefixes outside of the language".into());
                "attention"
            }
            Proof::Exhaustive {} => {
                assumptions
                    .push("the certificate holds no argument: the checker evaluated every prefix".into());
                unproved.push("anything about prefixes longer than those".into());
                "exhaustive"
            }
            Proof::Witness { .. } => {
                unproved.push("that no other prefix goes further".into());
                "witness"
            }
        };
        let number = |text: String| RawValue::from_string(text).expect("a decimal is a JSON number");
        let ends = Some([number(lower), number(upper)]);
        let (probability, difference) = match (statement.predicate.is_probability(), verdict) {
            (true, _) => (ends, None),
            (false, Verdict::Refuted) => (None, ends),
            // One who evaluates every prefix knows all the differences.
            (false, Verdict::Proved) if matches!(proof, Proof::Exhaustive {}) => (None, ends),
            (false, Verdict::Proved) => (None, None),
        };
        let model = statement.model.clone();
        Theorem {
            verdict,
            theorem,
            rule,
            probability,
            difference,
            assumptions,
            unproved,
            model,
            statement: statement_hash,
        }
    }
}

impl fmt::Display for Theorem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.verdict {
            Verdict::Proved => "PROVED",
            Verdict::Refuted => "REFUTED",
        };
        writeln!(f, "ACCEPTED: {word} by the {} rule", self.rule)?;
        writeln!(f, "theorem: {}", self.theorem)?;
        for assumption in &self.assumptions {
            writeln!(f, "assumes: {assumption}")?;
        }
        for unproved in &self.unproved {
            writeln!(f, "not proved: {unproved}")?;
        }
        write!(f, "statement: SHA-256 {}", self.statement)
    }
}
