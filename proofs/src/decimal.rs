//! Decimal numbers as exact rationals.

use std::fmt;

use dashu_ratio::RBig;
use serde::{Deserialize, Serialize};

/// Longest accepted text of a decimal.
const MAX_CHARS: usize = 100;
/// Largest accepted power of ten; larger than any that an IEEE double needs.
const MAX_EXPONENT: u32 = 400;

/// A decimal number such as `0.2`, `12` or `1e-05`: its text and its exact value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Decimal {
    text: String,
    value: RBig,
}

/// Why a text is not a decimal number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a decimal number such as 0.2 or 1e-3 (at most {MAX_CHARS} characters, exponent within {MAX_EXPONENT})"
)]
pub struct NotDecimal(String);

impl Decimal {
    /// Reads `digits[.digits][e[±]digits]`, with a minus sign or without.
    ///
    /// # Errors
    /// [`NotDecimal`] for anything else, and for texts or powers of ten that are absurdly long.
    pub fn parse(text: &str) -> Result<Decimal, NotDecimal> {
        let is_plain =
            text.len() <= MAX_CHARS && text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
        let exponent = text.split_once(['e', 'E']).map_or(Ok(0), |(_, exponent)| exponent.parse::<i32>());
        let is_small = exponent.is_ok_and(|e| e.unsigned_abs() <= MAX_EXPONENT);
        let value = if is_plain && is_small { RBig::from_str_decimal(text).ok() } else { None };
        match value {
            Some(value) => Ok(Decimal { text: text.into(), value }),
            None => Err(NotDecimal(text.chars().take(MAX_CHARS).collect())),
        }
    }

    /// The exact value.
    #[must_use]
    pub fn value(&self) -> &RBig {
        &self.value
    }
}

impl TryFrom<String> for Decimal {
    type Error = NotDecimal;
    fn try_from(text: String) -> Result<Decimal, NotDecimal> {
        Decimal::parse(&text)
    }
}

impl From<Decimal> for String {
    fn from(decimal: Decimal) -> String {
        decimal.text
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(i64, u64)>) {
        let value = Decimal::parse(text).ok().map(|d| d.value().clone());
        assert_eq!(value, expected.map(|(n, d)| RBig::from_parts(n.into(), d.into())), "{text}");
    }

    #[test]
    fn decimals_are_exact() {
        check("0.2", Some((1, 5)));
        check("-1.50", Some((-3, 2)));
        check("1e-05", Some((1, 100_000)));
        check("2.5E+3", Some((2500, 1)));
        check("16", Some((16, 1)));
        check("0", Some((0, 1)));
    }

    #[test]
    fn other_texts_are_refused() {
        let long = "1".repeat(MAX_CHARS + 1);
        for text in [
            "", ".", "e", "--1", "1-", "1.2.3", "0.(3)", "1@2", "1e5e5", "1_000", "1e", "1e401", "1e-401",
            "NaN", "inf", "0x1", " 1", &long,
        ] {
            check(text, None);
        }
    }
}
