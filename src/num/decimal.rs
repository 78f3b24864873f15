//! Decimal texts and `f64`, with every rounding in a known direction.
//!
//! A finite `f64` is `m · 2^−k`, so its decimal expansion ends after at most `k` places and can be written out exactly;
//! comparing two numbers is then comparing digits. Only numbers `>= 0` occur here: probabilities and thresholds.

use std::cmp::Ordering;

/// The exact decimal expansion of a finite `x >= 0`, without trailing zeros: `0.5`, `1`, `0.1000000000000000055…`.
#[must_use]
pub fn exact(x: f64) -> String {
    debug_assert!(x.is_finite() && x >= 0.0, "{x} is not a finite number >= 0");
    // x = m · 2^(e − 52) with integer m, where e is the biased exponent less 1023 (−1022 for subnormal numbers).
    let exponent = ((x.to_bits() >> 52) & 0x7ff).max(1) as usize;
    let places = (1023 + 52_usize).saturating_sub(exponent);
    let mut text = format!("{x:.places$}");
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    text
}

/// Compares two plain decimals `digits[.digits]` without superfluous zeros, exactly.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    let ((a, a_fraction), (b, b_fraction)) = (split(a), split(b));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b)).then_with(|| a_fraction.cmp(b_fraction))
}

/// Digits before and after the point.
fn split(text: &str) -> (&str, &str) {
    text.split_once('.').unwrap_or((text, ""))
}

/// Greatest `f64` at or below a plain decimal.
#[must_use]
pub fn floor(text: &str) -> f64 {
    let near: f64 = text.parse().unwrap_or(0.0);
    if compare(&exact(near), text) == Ordering::Greater { near.next_down() } else { near }
}

/// Smallest `f64` at or above a plain decimal.
#[must_use]
pub fn ceil(text: &str) -> f64 {
    let near: f64 = text.parse().unwrap_or(f64::MAX);
    if compare(&exact(near), text) == Ordering::Less { near.next_up() } else { near }
}

/// An `f64` at or below `x` whose shortest text is at or below `x` as a decimal, so that printing it keeps a lower bound.
#[must_use]
pub fn printable_below(x: f64) -> f64 {
    let x = x.max(0.0);
    if compare(&plain(x), &exact(x)) == Ordering::Greater { x.next_down().max(0.0) } else { x }
}

/// [`printable_below`] for numbers of either sign; infinities stay what they are.
#[must_use]
pub fn signed_below(x: f64) -> f64 {
    if x.is_infinite() {
        x
    } else if x < 0.0 {
        -printable_above(-x)
    } else {
        printable_below(x)
    }
}

/// An `f64` at or above `x` whose shortest text is at or above `x` as a decimal, so that printing it keeps an upper bound.
#[must_use]
pub fn printable_above(x: f64) -> f64 {
    let x = x.max(0.0);
    if compare(&plain(x), &exact(x)) == Ordering::Less { x.next_up() } else { x }
}

/// Shortest decimal that reads back as `x`. `Display` of `f64` never uses an exponent.
fn plain(x: f64) -> String {
    x.to_string()
}

/// `x` cut to `digits` significant digits: a decimal at or below `x`.
#[must_use]
pub fn round_down(x: f64, digits: usize) -> String {
    significant(x, digits, Direction::Down)
}

/// `x` cut to `digits` significant digits and, unless that was exact, one unit more: a decimal at or above `x`.
#[must_use]
pub fn round_up(x: f64, digits: usize) -> String {
    significant(x, digits, Direction::Up)
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Down,
    Up,
}

/// Below this many leading zeros a number is written plainly, from here on with an exponent.
const MAX_LEADING_ZEROS: usize = 3;

fn significant(x: f64, digits: usize, direction: Direction) -> String {
    if !x.is_finite() {
        return x.to_string();
    }
    let text = exact(x.max(0.0));
    let (whole, fraction) = split(&text);
    if whole != "0" || fraction.is_empty() {
        return mixed(whole, fraction, digits, direction);
    }
    let zeros = fraction.len() - fraction.trim_start_matches('0').len();
    let kept = &fraction[zeros..fraction.len().min(zeros + digits)];
    // `kept` has at most `digits` <= 15 digits, which fit.
    let mut unit: u64 = kept.parse().unwrap_or(0) * 10_u64.pow((digits - kept.len()) as u32);
    if direction == Direction::Up && zeros + digits < fraction.len() {
        unit += 1;
    }
    scaled(unit, digits, zeros)
}

/// A number from 1 on: all of its whole digits, and places as long as `digits` leaves some.
fn mixed(whole: &str, fraction: &str, digits: usize, direction: Direction) -> String {
    let places = digits.saturating_sub(whole.len()).min(fraction.len());
    let kept = format!("{whole}{}", &fraction[..places]);
    let up = direction == Direction::Up && places < fraction.len();
    // Whole parts that do not fit are beyond what anybody rounds.
    let Ok(unit) = kept.parse::<u128>().map(|unit| unit + u128::from(up)) else { return whole.into() };
    let text = format!("{unit:0places$}");
    let (whole, fraction) = text.split_at(text.len() - places);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{whole}{point}{fraction}")
}

/// Writes `unit · 10^−(zeros + digits)`, `unit <= 10^digits`.
fn scaled(unit: u64, digits: usize, zeros: usize) -> String {
    let full = 10_u64.pow(digits as u32);
    // Rounding up may carry into the place of the last leading zero, or to 1.
    let (unit, zeros) = match (unit == full, zeros) {
        (true, 0) => return "1".into(),
        (true, _) => (full / 10, zeros - 1),
        (false, _) => (unit, zeros),
    };
    let text = format!("{unit:0digits$}");
    let text = text.trim_end_matches('0');
    if zeros <= MAX_LEADING_ZEROS {
        return format!("0.{}{text}", "0".repeat(zeros));
    }
    let (first, rest) = text.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    format!("{first}{point}{rest}e-{}", zeros + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn exact_writes_every_digit() {
        assert_eq!(exact(0.0), "0");
        assert_eq!(exact(1.0), "1");
        assert_eq!(exact(0.375), "0.375");
        assert_eq!(exact(0.1), "0.1000000000000000055511151231257827021181583404541015625");
        assert_eq!(exact(1e15), "1000000000000000");
        assert_eq!(exact(f64::from_bits(1)).len(), 2 + 1074);
    }

    #[test]
    fn floor_and_ceil_enclose_the_decimal() {
        for (text, lo, hi) in [
            ("0.5", 0.5, 0.5),
            ("0.2", 0.2_f64.next_down(), 0.2),
            ("0.3", 0.3, 0.3_f64.next_up()),
            ("0", 0.0, 0.0),
        ] {
            assert_eq!((floor(text), ceil(text)), (lo, hi), "{text}");
        }
    }

    #[test]
    fn rounding_examples() {
        for (x, down, up) in [
            (0.03174, "0.0317", "0.0318"),
            (0.5, "0.5", "0.5"),
            (0.0, "0", "0"),
            (1.0, "1", "1"),
            (1.5, "1.5", "1.5"),
            (7.9985, "7.99", "8"),
            (10.04, "10", "10.1"),
            (1234.5, "1234", "1235"),
            (1e30, "1000000000000000019884624838656", "1000000000000000019884624838656"),
            (0.99999, "0.999", "1"),
            (0.09999, "0.0999", "0.1"),
            (0.0000123456, "1.23e-5", "1.24e-5"),
            (0.00099999, "0.000999", "0.001"),
            (0.0000099999, "9.99e-6", "1e-5"),
        ] {
            assert_eq!((round_down(x, 3).as_str(), round_up(x, 3).as_str()), (down, up), "{x}");
        }
    }

    proptest! {
        #[test]
        fn printed_numbers_keep_their_side(x in prop_oneof![0.0..=1.0_f64, 0.0..1e-9_f64]) {
            prop_assert!(compare(&plain(printable_below(x)), &exact(x)) != Ordering::Greater);
            prop_assert!(compare(&plain(printable_above(x)), &exact(x)) != Ordering::Less);
        }

        #[test]
        fn rounded_texts_keep_their_side(x in prop_oneof![0.0..=1.0_f64, 0.0..1e-9_f64, 0.5..1e6_f64], digits in 1..12_usize) {
            // A decimal at or below x rounds to an f64 at or below x, because x is one.
            prop_assert!(round_down(x, digits).parse::<f64>().unwrap() <= x);
            prop_assert!(round_up(x, digits).parse::<f64>().unwrap() >= x);
        }

        #[test]
        fn floor_is_below_and_next_to_ceil(digits in 1..u64::MAX, places in 20..40_usize) {
            let text = format!("0.{digits:0places$}");
            let text = text.trim_end_matches('0');
            let (lo, hi) = (floor(text), ceil(text));
            prop_assert!(compare(&exact(lo), text) != Ordering::Greater);
            prop_assert!(compare(&exact(hi), text) != Ordering::Less);
            prop_assert!(hi <= lo.next_up());
        }
    }
}
