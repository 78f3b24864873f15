//! What a check ends with: the theorem that was accepted, in words and for machines.

use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::format::{Language, Predicate, Proof, Statement};
use crate::interval::Interval;

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
    /// Kind of proof: `head`, `block` or `witness`.
    pub rule: &'static str,
    /// `[lower, upper]` for the probability of the target, JSON numbers rounded outward: after every prefix if proved,
    /// after the witness if refuted.
    pub probability: [Box<RawValue>; 2],
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
        probability: &Interval,
        statement: &Statement,
        proof: &Proof,
        statement_hash: String,
        vocabulary: usize,
    ) -> Theorem {
        let (lower, upper) = probability.decimals();
        let Language::Any = statement.language;
        let Predicate::Ceiling { token, threshold, temperature } = &statement.predicate;
        let at = temperature.as_ref().map_or(String::new(), |t| format!(" at temperature {t}"));
        let theorem = match proof {
            Proof::Head { .. } => {
                let length =
                    statement.max_len.map_or("of any length".into(), |n| format!("of 1 to {n} tokens"));
                format!(
                    "for every prefix {length}, P(token {token} | prefix){at} <= {threshold}; it is at most {upper}"
                )
            }
            Proof::Block(_) => {
                let length =
                    statement.max_len.map_or("of any length within the model's context".into(), |n| {
                        format!("of 1 to {n} tokens")
                    });
                format!("for every prefix {length}, P(token {token} | prefix){at} <= {threshold}")
            }
            Proof::Witness { prefix } => format!(
                "not every prefix keeps P(token {token} | prefix){at} <= {threshold}: after the token ids {prefix:?} \
                 it is at least {lower}"
            ),
        };
        let mut assumptions = vec![
            format!(
                "P is the softmax of the exact real function of the stored weights (model {}); decimal constants of the \
                 configuration and of activation functions are meant exactly as written",
                statement.model
            ),
            format!("a prefix is a sequence of at least one of the token ids 0 to {}", vocabulary - 1),
        ];
        let mut unproved = vec![
            "what a floating-point implementation computes; it differs by its rounding errors".to_string(),
            "which texts the tokenizer turns into a given prefix".to_string(),
        ];
        let rule = match proof {
            Proof::Head { .. } => {
                assumptions
                    .push("used of the network: its final norm and its head, nothing below them".into());
                unproved.push("that the bound is attained; the true maximum may be lower".into());
                "head"
            }
            Proof::Block(_) => {
                unproved.push("that the threshold is attained; the true maximum may be lower".into());
                unproved.push("anything about prefixes longer than those".into());
                "block"
            }
            Proof::Witness { .. } => {
                unproved.push("that no other prefix gives more".into());
                "witness"
            }
        };
        let number = |text: String| RawValue::from_string(text).expect("a decimal is a JSON number");
        let probability = [number(lower), number(upper)];
        let model = statement.model.clone();
        Theorem {
            verdict,
            theorem,
            rule,
            probability,
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
