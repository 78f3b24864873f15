//! Exact decimals as the user wrote them, with the floats on either side.

use std::fmt;

use crate::num::{Interval, decimal};

/// Longest mantissa, in characters.
pub(super) const MAX_MANTISSA: usize = 40;
/// Largest accepted power of ten, either sign.
const MAX_EXPONENT: u32 = 40;

/// A decimal number: its text and the tightest enclosure with `f64` ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Decimal {
    /// Without exponent and superfluous zeros, such as `-0.5`.
    text: String,
    enclosure: Interval,
}

/// A text that is no decimal number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a decimal number such as 0.5, -2 or 1e-3")]
pub struct DecimalError {
    /// What was given, cut short.
    text: String,
}

impl Decimal {
    /// Reads `digits[.digits][e[±]digits]`, with a minus sign or without; the value is the exact decimal.
    ///
    /// # Errors
    /// [`DecimalError`] for other texts and for numbers that are absurdly long, large or small.
    pub fn parse(text: &str) -> Result<Decimal, DecimalError> {
        let text = text.trim();
        let (negative, magnitude) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let plain = plain(magnitude)
            .ok_or_else(|| DecimalError { text: text.chars().take(MAX_MANTISSA).collect() })?;
        let enclosure = Interval::new(decimal::floor(&plain), decimal::ceil(&plain));
        Ok(if negative && plain != "0" {
            Decimal { text: format!("-{plain}"), enclosure: -enclosure }
        } else {
            Decimal { text: plain, enclosure }
        })
    }

    /// The exact value as a plain decimal, such as `-0.5`.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Holds the exact value.
    pub fn enclosure(&self) -> Interval {
        self.enclosure
    }

    /// The nearest `f64`, for display and for heuristics.
    #[must_use]
    pub fn nearest(&self) -> f64 {
        self.text.parse().unwrap_or(self.enclosure.lo())
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Rewrites `digits[.digits][e[±]digits]` without exponent and superfluous zeros.
pub(super) fn plain(text: &str) -> Option<String> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().ok().filter(|e: &i32| e.unsigned_abs() <= MAX_EXPONENT)?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if mantissa.len() > MAX_MANTISSA
        || !is_digits(whole)
        || !is_digits(fraction)
        || whole.len() + fraction.len() == 0
    {
        return None;
    }
    let shift = exponent.unsigned_abs() as usize;
    let (left, right) = ("0".repeat(shift), "0".repeat(shift));
    let digits = format!("{left}{whole}{fraction}{right}");
    let point = if exponent < 0 { whole.len() } else { whole.len() + 2 * shift };
    let (whole, fraction) = digits.split_at(point);
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if fraction.is_empty() { whole.into() } else { format!("{whole}.{fraction}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_kept_exactly() {
        for (text, expected, near) in [
            ("-0.50", "-0.5", -0.5),
            ("2e1", "20", 20.0),
            ("-0", "0", 0.0),
            ("0.1", "0.1", 0.1),
            ("-.3", "-0.3", -0.3),
        ] {
            let decimal = Decimal::parse(text).unwrap();
            assert_eq!((decimal.text(), decimal.nearest()), (expected, near), "{text}");
            assert!(decimal.enclosure().contains(near) && decimal.enclosure().width() <= 1e-16, "{text}");
        }
        // The f64 nearest to 0.1 lies above it, the one nearest to 0.3 below.
        assert_eq!(Decimal::parse("0.1").unwrap().enclosure().hi(), 0.1);
        assert_eq!(Decimal::parse("-0.3").unwrap().enclosure().hi(), -0.3);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "-", "--1", "+1", "NaN", "inf", "1e99", "1,5"] {
            assert!(Decimal::parse(text).is_err(), "{text}");
        }
    }
}
