//! What a statement of a suite claims, with tokens still by name: only a model's vocabulary turns these into ids.

use std::collections::BTreeSet;

use super::error::SuiteError;
use super::fields::Fields;
use crate::model::TokenId;
use crate::spec::{Decimal, Predicate, Threshold};

/// How a suite names a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenName {
    /// The field that names it.
    pub field: &'static str,
    /// The name.
    pub by: TokenBy,
}

/// A name of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenBy {
    /// Its text, which has to encode to exactly one token.
    Text(String),
    /// Its id.
    Id(u64),
    /// Its bytes in hexadecimal.
    Bytes(String),
}

/// A predicate whose tokens are names; see [`Predicate`] for what each claims.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the fields are those of the predicates")]
pub enum Claim {
    Ceiling { token: TokenName, threshold: Threshold, temperature: Option<Decimal> },
    SetCeiling { tokens: Vec<TokenName>, threshold: Threshold, temperature: Option<Decimal> },
    Floor { token: TokenName, threshold: Threshold, temperature: Option<Decimal> },
    MaxCeiling { tokens: Vec<TokenName>, threshold: Threshold, temperature: Option<Decimal> },
    Continuation { tokens: Vec<TokenName>, threshold: Threshold, temperature: Option<Decimal> },
    NeverInNucleus { token: TokenName, mass: Threshold, temperature: Option<Decimal> },
    Dominance { over: TokenName, under: TokenName, margin: Decimal },
    NeverArgmax { token: TokenName },
    NeverTopK { token: TokenName, k: u64 },
    AlwaysArgmax { token: TokenName },
}

const KINDS: &str = "predicates: ceiling, set-ceiling, max-ceiling, floor, continuation, never-in-nucleus, dominance, \
                     never-argmax, never-top-k, always-argmax";
const TOKEN: &str = "name one token by token = \"X\", token_id = 49 or token_bytes = \"58\"";

impl Claim {
    /// Reads the fields of a claim.
    pub(super) fn read(fields: &Fields<'_>) -> Result<Claim, SuiteError> {
        let token = || name(fields, ["token", "token_id", "token_bytes"], TOKEN);
        Ok(match fields.text("predicate", KINDS)?.as_deref().unwrap_or("ceiling") {
            "ceiling" => Claim::Ceiling {
                token: token()?,
                threshold: probability(fields, "threshold")?,
                temperature: temperature(fields)?,
            },
            "set-ceiling" => Claim::SetCeiling {
                tokens: set(fields)?,
                threshold: probability(fields, "threshold")?,
                temperature: temperature(fields)?,
            },
            "floor" => Claim::Floor {
                token: token()?,
                threshold: probability(fields, "threshold")?,
                temperature: temperature(fields)?,
            },
            "max-ceiling" => Claim::MaxCeiling {
                tokens: set(fields)?,
                threshold: probability(fields, "threshold")?,
                temperature: temperature(fields)?,
            },
            "continuation" => Claim::Continuation {
                tokens: sequence(fields)?,
                threshold: probability(fields, "threshold")?,
                temperature: temperature(fields)?,
            },
            "never-in-nucleus" => Claim::NeverInNucleus {
                token: token()?,
                mass: probability(fields, "mass")?,
                temperature: temperature(fields)?,
            },
            "dominance" => Claim::Dominance {
                over: name(fields, ["over", "over_id", "over_bytes"], "name a token by over = \"X\"")?,
                under: name(fields, ["under", "under_id", "under_bytes"], "name a token by under = \"Y\"")?,
                margin: margin(fields)?,
            },
            "never-argmax" => Claim::NeverArgmax { token: token()? },
            "never-top-k" => {
                let example = "give a rank, such as k = 5";
                let k = fields.count("k", example)?;
                let k = k.ok_or_else(|| fields.error("k", "is missing", example))?;
                Claim::NeverTopK { token: token()?, k }
            }
            "always-argmax" => Claim::AlwaysArgmax { token: token()? },
            other => return Err(fields.error("predicate", format!("{other:?} is not a predicate"), KINDS)),
        })
    }

    /// The predicate, once somebody knows the id of every token that is named.
    ///
    /// # Errors
    /// Those of `id`.
    pub fn predicate<E>(&self, id: impl Fn(&TokenName) -> Result<TokenId, E>) -> Result<Predicate, E> {
        Ok(match self {
            Claim::Ceiling { token, threshold, temperature } => Predicate::Ceiling {
                token: id(token)?,
                threshold: threshold.clone(),
                temperature: temperature.clone(),
            },
            Claim::SetCeiling { tokens, threshold, temperature } => Predicate::SetCeiling {
                tokens: as_set(tokens, &id)?,
                threshold: threshold.clone(),
                temperature: temperature.clone(),
            },
            Claim::MaxCeiling { tokens, threshold, temperature } => Predicate::MaxCeiling {
                tokens: as_set(tokens, &id)?,
                threshold: threshold.clone(),
                temperature: temperature.clone(),
            },
            Claim::Continuation { tokens, threshold, temperature } => Predicate::Continuation {
                tokens: tokens.iter().map(&id).collect::<Result<_, _>>()?,
                threshold: threshold.clone(),
                temperature: temperature.clone(),
            },
            Claim::NeverInNucleus { token, mass, temperature } => Predicate::NeverInNucleus {
                token: id(token)?,
                mass: mass.clone(),
                temperature: temperature.clone(),
            },
            Claim::Floor { token, threshold, temperature } => Predicate::Floor {
                token: id(token)?,
                threshold: threshold.clone(),
                temperature: temperature.clone(),
            },
            Claim::Dominance { over, under, margin } => {
                Predicate::Dominance { over: id(over)?, under: id(under)?, margin: margin.clone() }
            }
            Claim::NeverArgmax { token } => Predicate::NeverArgmax { token: id(token)? },
            Claim::NeverTopK { token, k } => {
                // A rank beyond the machine's integers is beyond every vocabulary too.
                Predicate::NeverTopK { token: id(token)?, k: usize::try_from(*k).unwrap_or(usize::MAX) }
            }
            Claim::AlwaysArgmax { token } => Predicate::AlwaysArgmax { token: id(token)? },
        })
    }
}

/// One token, by exactly one of three fields: text, id, bytes.
fn name(fields: &Fields<'_>, names: [&'static str; 3], example: &str) -> Result<TokenName, SuiteError> {
    let [text, id, bytes] = names;
    let named = [
        fields.text(text, example)?.map(|by| TokenName { field: text, by: TokenBy::Text(by) }),
        fields.count(id, example)?.map(|by| TokenName { field: id, by: TokenBy::Id(by) }),
        fields.text(bytes, example)?.map(|by| TokenName { field: bytes, by: TokenBy::Bytes(by) }),
    ];
    let mut named = named.into_iter().flatten();
    match (named.next(), named.next()) {
        (Some(name), None) => Ok(name),
        (None, _) => Err(fields.error(text, "is missing", example)),
        (Some(_), Some(_)) => Err(fields.error(text, "is named in two ways", example)),
    }
}

/// Tokens by texts, by ids, or both.
fn set(fields: &Fields<'_>) -> Result<Vec<TokenName>, SuiteError> {
    let example = "name tokens by tokens = [\"X\", \"Y\"], token_ids = [49, 50], or both";
    let texts = fields.texts("tokens", example)?.into_iter().map(TokenBy::Text);
    let ids = fields.counts("token_ids", example)?.into_iter().map(TokenBy::Id);
    let named: Vec<TokenName> = texts
        .map(|by| TokenName { field: "tokens", by })
        .chain(ids.map(|by| TokenName { field: "token_ids", by }))
        .collect();
    if named.is_empty() {
        return Err(fields.error("tokens", "names no token", example));
    }
    Ok(named)
}

/// The ids of a set.
fn as_set<E>(names: &[TokenName], id: impl Fn(&TokenName) -> Result<TokenId, E>) -> Result<Vec<TokenId>, E> {
    let ids: BTreeSet<TokenId> = names.iter().map(id).collect::<Result<_, _>>()?;
    Ok(ids.into_iter().collect())
}

/// Tokens in order: all by texts or all by ids.
fn sequence(fields: &Fields<'_>) -> Result<Vec<TokenName>, SuiteError> {
    let names = set(fields)?;
    if names.iter().any(|name| name.field != names[0].field) {
        let example = "name the tokens in order by tokens = [\"X\", \"Y\"] or by token_ids = [49, 50]";
        return Err(fields.error("tokens", "and token_ids have no order among each other", example));
    }
    Ok(names)
}

fn probability(fields: &Fields<'_>, field: &'static str) -> Result<Threshold, SuiteError> {
    let help = format!("give a probability strictly between 0 and 1, such as {field} = 0.2");
    let text = fields.number(field, &help)?;
    let text = text.ok_or_else(|| fields.error(field, "is missing", &help))?;
    Threshold::parse(&text).map_err(|e| fields.error(field, e.to_string(), &help))
}

fn temperature(fields: &Fields<'_>) -> Result<Option<Decimal>, SuiteError> {
    let example = "give a number above 0, such as temperature = 0.7, or leave it out";
    let Some(text) = fields.number("temperature", example)? else { return Ok(None) };
    Decimal::parse(&text).map(Some).map_err(|e| fields.error("temperature", e.to_string(), example))
}

fn margin(fields: &Fields<'_>) -> Result<Decimal, SuiteError> {
    let example = "give a difference of logits in nats, such as margin = 0.5";
    let text = fields.number("margin", example)?;
    let text = text.ok_or_else(|| fields.error("margin", "is missing", example))?;
    Decimal::parse(&text).map_err(|e| fields.error("margin", e.to_string(), example))
}
