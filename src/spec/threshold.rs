//! A probability threshold as the exact decimal the user wrote.
//!
//! Most decimals are no `f64`: deciding `upper <= 0.2` against the nearest `f64` of 0.2 would claim up to half an ulp too
//! much. So the text is kept, and comparisons go through the greatest `f64` at or below it.

use std::fmt;

use super::decimal::{MAX_MANTISSA, plain};
use crate::num::{Interval, decimal, ln};

/// An exact decimal strictly between 0 and 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// Plain decimal without superfluous zeros, such as `0.2`.
    text: String,
    /// Greatest `f64` at or below the decimal.
    floor: f64,
}

/// Why a text is no threshold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    /// Not of the form `digits[.digits][e[±]digits]`, or too long.
    #[error("threshold {text:?} is not a decimal number such as 0.2 or 1e-3")]
    NotDecimal {
        /// What was given, cut short.
        text: String,
    },
    /// Zero, one, or beyond.
    #[error("threshold {text} is not strictly between 0 and 1")]
    OutOfRange {
        /// What was given.
        text: String,
    },
}

impl Threshold {
    /// Reads `digits[.digits][e[±]digits]`; the value is the exact decimal.
    ///
    /// # Errors
    /// [`ThresholdError`] for other texts and for numbers outside the open interval (0, 1).
    pub fn parse(text: &str) -> Result<Threshold, ThresholdError> {
        let text = text.trim();
        let out_of_range = || ThresholdError::OutOfRange { text: text.into() };
        let cut = || ThresholdError::NotDecimal { text: text.chars().take(MAX_MANTISSA).collect() };
        let (negative, magnitude) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let plain = plain(magnitude).ok_or_else(cut)?;
        if negative || !plain.starts_with("0.") {
            return Err(out_of_range());
        }
        let floor = decimal::floor(&plain);
        Ok(Threshold { text: plain, floor })
    }

    /// Whether a certified upper bound proves `P <= threshold`. False for NaN.
    #[must_use]
    pub fn admits(&self, upper: f64) -> bool {
        upper <= self.floor
    }

    /// Whether a certified lower bound shows `P > threshold`. False for NaN.
    #[must_use]
    pub fn exceeded_by(&self, lower: f64) -> bool {
        // An f64 is above the decimal exactly when it is above the greatest f64 at or below the decimal.
        lower > self.floor
    }

    /// Greatest `f64` at or below the threshold: proving a bound of `floor` proves the statement.
    #[must_use]
    pub fn floor(&self) -> f64 {
        self.floor
    }

    /// Encloses `ln(p / (1 − p))`, the log-odds of the exact threshold `p`, in nats.
    pub fn log_odds(&self) -> Interval {
        let p = self.enclosure();
        ln(p) - ln(Interval::ONE - p)
    }

    /// The tightest enclosure with `f64` ends.
    pub fn enclosure(&self) -> Interval {
        Interval::new(self.floor, decimal::ceil(&self.text))
    }

    /// The exact value as a plain decimal, such as `0.2`.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The nearest `f64`, for display and for heuristics.
    #[must_use]
    pub fn nearest(&self) -> f64 {
        self.text.parse().unwrap_or(self.floor)
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_kept_exactly() {
        for (text, plain) in [
            ("0.2", "0.2"),
            (".2", "0.2"),
            ("0.20", "0.2"),
            ("00.2", "0.2"),
            ("2e-1", "0.2"),
            ("20e-2", "0.2"),
            ("0.002E2", "0.2"),
            ("1e-6", "0.000001"),
            ("0.9999999999999999999999", "0.9999999999999999999999"),
        ] {
            assert_eq!(Threshold::parse(text).unwrap().text(), plain, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["0", "1", "1.0", "-0.2", "2", "1e0", "0.0", "1e3", "0e-3"] {
            assert!(matches!(Threshold::parse(text), Err(ThresholdError::OutOfRange { .. })), "{text}");
        }
        let long = format!("0.{}", "1".repeat(100));
        for text in ["", ".", "abc", "0.2.3", "NaN", "inf", "1e999", "0,2", "20%", "0x1", "e", "- 1", &long] {
            assert!(matches!(Threshold::parse(text), Err(ThresholdError::NotDecimal { .. })), "{text}");
        }
    }

    #[test]
    fn comparisons_are_exact_where_the_nearest_f64_is_not() {
        // The f64 nearest to 0.2 lies above 0.2, the one nearest to 0.3 below 0.3.
        let fifth = Threshold::parse("0.2").unwrap();
        assert!(fifth.exceeded_by(0.2) && !fifth.admits(0.2) && fifth.admits(0.2_f64.next_down()));
        let third = Threshold::parse("0.3").unwrap();
        assert!(third.admits(0.3) && !third.exceeded_by(0.3) && third.exceeded_by(0.3_f64.next_up()));
        let half = Threshold::parse("0.5").unwrap();
        assert!(half.admits(0.5) && !half.exceeded_by(0.5));
        assert!(!half.admits(f64::NAN) && !half.exceeded_by(f64::NAN));
    }
}
