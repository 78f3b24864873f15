//! Logarithmic axes for probabilities: `x(p) = left + width · (ln p − ln least) / (0 − ln least)`, clamped at the ends.

use maud::{Markup, html};

/// Least probability that is drawn as itself; smaller ones sit at the end of the axis.
pub const LEAST: f64 = 1e-4;

/// A plot's inner rectangle in SVG units, `y` pointing down.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// Left end.
    pub left: f64,
    /// Upper end.
    pub top: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

/// Where the plots draw.
pub const FRAME: Frame = Frame { left: 46.0, top: 10.0, width: 420.0, height: 240.0 };

/// From 0 at the least probability to 1 at probability 1.
fn part(p: f64) -> f64 {
    let p = if p > LEAST { p.min(1.0) } else { LEAST };
    1.0 - p.ln() / LEAST.ln()
}

impl Frame {
    /// Horizontal place of a probability on the logarithmic axis.
    pub fn x(&self, p: f64) -> f64 {
        self.left + self.width * part(p)
    }

    /// Vertical place of a probability on the logarithmic axis.
    pub fn y(&self, p: f64) -> f64 {
        self.linear_y(part(p))
    }

    /// Vertical place of a fraction of the height.
    pub fn linear_y(&self, fraction: f64) -> f64 {
        self.top + self.height * (1.0 - fraction)
    }

    /// Lower end.
    pub fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// Right end.
    pub fn right(&self) -> f64 {
        self.left + self.width
    }

    /// Grid lines and labels of the horizontal logarithmic axis.
    pub fn x_axis(&self, title: &str) -> Markup {
        html! {
            @for p in decades() {
                line class="grid" x1=(at(self.x(p))) x2=(at(self.x(p))) y1=(at(self.top)) y2=(at(self.bottom())) {}
                text x=(at(self.x(p))) y=(at(self.bottom() + 16.0)) text-anchor="middle" { (label(p)) }
            }
            text x=(at(self.left + self.width / 2.0)) y=(at(self.bottom() + 34.0)) text-anchor="middle" { (title) }
        }
    }

    /// Grid lines and labels of a vertical axis: `(place, label)`.
    pub fn y_axis(&self, marks: impl Iterator<Item = (f64, String)>) -> Markup {
        html! {
            @for (y, label) in marks {
                line class="grid" x1=(at(self.left)) x2=(at(self.right())) y1=(at(y)) y2=(at(y)) {}
                text x=(at(self.left - 5.0)) y=(at(y + 4.0)) text-anchor="end" { (label) }
            }
        }
    }
}

/// The powers of ten of an axis.
pub fn decades() -> impl Iterator<Item = f64> {
    [1e-4, 1e-3, 1e-2, 1e-1, 1.0].into_iter()
}

/// A power of ten as an axis writes it; the first stands for everything below too.
pub fn label(p: f64) -> String {
    if p <= LEAST { format!("≤{p}") } else { p.to_string() }
}

/// A coordinate with a tenth of a unit.
pub fn at(x: f64) -> String {
    format!("{x:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_monotone_and_stay_inside() {
        let mut last = FRAME.left - 1.0;
        for p in [0.0, 1e-4, 1e-3, 0.2, 0.999, 1.0, 7.0] {
            let x = FRAME.x(p);
            assert!(x >= last && (FRAME.left..=FRAME.right()).contains(&x), "{p}");
            last = x;
        }
        assert_eq!((FRAME.x(f64::NAN), FRAME.y(1.0)), (FRAME.left, FRAME.top));
    }
}
