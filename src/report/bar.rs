//! Bounds as a picture: solid up to the certified lower bound, hatched up to the proved upper bound.
//!
//! ```text
//! 0 ██████░░░░░░░░░░░░·····|···················· 0.5
//! ```

/// Characters between the two ends.
const CELLS: usize = 48;
/// Ends of the scale to choose from.
const SCALES: [(f64, &str); 10] = [
    (0.001, "0.001"),
    (0.002, "0.002"),
    (0.005, "0.005"),
    (0.01, "0.01"),
    (0.02, "0.02"),
    (0.05, "0.05"),
    (0.1, "0.1"),
    (0.2, "0.2"),
    (0.5, "0.5"),
    (1.0, "1"),
];

/// Draws `[lower, upper]`, with a mark at the threshold if there is one.
pub fn draw(lower: f64, upper: f64, threshold: Option<f64>) -> String {
    let scale = scale(threshold.map_or(upper, |t| t.max(upper)));
    format!("0 {} {}", cells(lower, upper, threshold, scale), scale.1)
}

/// The least scale that shows probabilities up to `most`: its end, and how that is written.
pub fn scale(most: f64) -> (f64, &'static str) {
    // A mark at the very end of the scale would be hard to see, so a tenth is left free.
    SCALES.into_iter().find(|&(end, _)| most <= 0.9 * end).unwrap_or((1.0, "1"))
}

/// The bar alone.
pub fn cells(lower: f64, upper: f64, threshold: Option<f64>, (end, _): (f64, &str)) -> String {
    let cell = |p: f64| p / end * CELLS as f64;
    // Float-to-integer casts saturate, so even a bound that is no probability stays inside the bar.
    let solid = (cell(lower).floor() as usize).min(CELLS);
    let hatched = (cell(upper).ceil() as usize).clamp(solid, CELLS);
    let mark = threshold.map(|t| (cell(t) as usize).min(CELLS - 1));
    let glyph = |k: usize| match k {
        _ if mark == Some(k) => '|',
        _ if k < solid => '█',
        _ if k < hatched => '░',
        _ => '·',
    };
    (0..CELLS).map(glyph).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_shows_both_bounds_and_the_threshold() {
        let bar = draw(0.05, 0.1, Some(0.2));
        assert_eq!(bar, "0 ████░░░░░░·········|···························· 0.5");
    }

    #[test]
    fn odd_bounds_stay_inside() {
        for (lower, upper) in [(0.0, 1.0), (1.0, 1.0), (0.0, f64::NAN), (0.7, 0.2), (0.0, f64::INFINITY)] {
            let bar = draw(lower, upper, Some(0.999));
            assert_eq!(bar.chars().count(), CELLS + 4, "{bar}");
        }
    }
}
