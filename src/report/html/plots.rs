//! The plots of an audit as inline SVG, drawn from the same document that the page carries.

use maud::{Markup, html};

use super::axis::{FRAME, at, decades, label};
use crate::report::audit::{Document, Row};

/// Size of a plot with its labels.
const VIEW_BOX: &str = "0 0 480 292";
/// Points of the curves of decided tokens.
const STEPS: usize = 160;
/// Dots drawn at most; of a larger vocabulary every so many-th token is drawn, and the caption says so.
const MAX_DOTS: usize = 4096;
/// Upper ends of the classes of gaps.
const CLASSES: [f64; 9] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3, 1.0];

/// Upper against lower bound, a dot per token: on the diagonal nothing is left to prove.
pub fn bounds(audit: &Document) -> Markup {
    let stride = audit.tokens.len().div_ceil(MAX_DOTS).max(1);
    let f = FRAME;
    html! {
        figure id="plot-bounds" {
            svg viewBox=(VIEW_BOX) role="img" aria-label="Upper against lower bound of every token" {
                (f.x_axis("certified lower bound of max P"))
                (f.y_axis(decades().map(|p| (f.y(p), label(p)))))
                line class="diagonal" x1=(at(f.left)) y1=(at(f.bottom())) x2=(at(f.right())) y2=(at(f.top)) {}
                @for &p in &audit.thresholds {
                    line class="threshold" x1=(at(f.x(p))) x2=(at(f.x(p))) y1=(at(f.top)) y2=(at(f.y(p))) {}
                    line class="threshold" x1=(at(f.left)) x2=(at(f.x(p))) y1=(at(f.y(p))) y2=(at(f.y(p))) {}
                }
                @for row in audit.tokens.iter().step_by(stride) {
                    circle class=(row.prover) r="3" cx=(at(f.x(row.lower))) cy=(at(f.y(row.upper)))
                        data-id=(row.id) data-lower=(row.lower) data-upper=(row.upper) {
                        title { (format!("{} {:?}: {} ≤ max P ≤ {}", row.id, row.text, row.lower, row.upper)) }
                    }
                }
            }
            figcaption {
                "Proved upper bound (vertical) against the probability at the best prefix found (horizontal), a dot per token"
                @if stride > 1 { ", every " (stride) "th drawn" }
                ". Dots on the diagonal are settled; below a dashed line the threshold is proved, to the right of one it is refuted."
            }
        }
    }
}

/// Fractions of the tokens that are proved and refuted at threshold `p`.
fn decided(rows: &[Row], p: f64) -> (f64, f64) {
    let share = |n: usize| n as f64 / rows.len().max(1) as f64;
    (share(rows.iter().filter(|r| r.upper <= p).count()), share(rows.iter().filter(|r| r.lower > p).count()))
}

/// How many tokens are decided, for every threshold.
pub fn thresholds(audit: &Document) -> Markup {
    let f = FRAME;
    let curve: Vec<(f64, f64, f64)> = (0..=STEPS)
        .map(|k| super::axis::LEAST.powf(1.0 - k as f64 / STEPS as f64))
        .map(|p| (p, decided(&audit.tokens, p)))
        .map(|(p, (proved, refuted))| (f.x(p), proved, refuted))
        .collect();
    // Proved tokens are stacked from below, refuted ones hang from above; what stays free between them is unknown.
    let area = |end: f64, place: &dyn Fn(&(f64, f64, f64)) -> f64| {
        let points = curve.iter().map(|c| format!("{},{}", at(c.0), at(f.linear_y(place(c)))));
        let close = [f.right(), f.left].map(|x| format!("{},{}", at(x), at(f.linear_y(end))));
        points.chain(close).collect::<Vec<_>>().join(" ")
    };
    html! {
        figure id="plot-thresholds" {
            svg viewBox=(VIEW_BOX) role="img" aria-label="Decided fraction of the tokens against the threshold" {
                polygon class="proved" points=(area(0.0, &|c| c.1)) {}
                polygon class="refuted" points=(area(1.0, &|c| 1.0 - c.2)) {}
                (f.x_axis("threshold"))
                (f.y_axis((0..=4).map(|k| (f.linear_y(f64::from(k) / 4.0), format!("{} %", 25 * k)))))
                @for &p in &audit.thresholds {
                    line class="threshold" x1=(at(f.x(p))) x2=(at(f.x(p))) y1=(at(f.top)) y2=(at(f.bottom())) {}
                }
            }
            figcaption {
                "Tokens " span.proved { "proved" } " (from below), " span.refuted { "refuted" }
                " (from above) and unknown (between) at every threshold."
            }
        }
    }
}

/// Where the bounds are lost: how wide the certified intervals are, by the prover of the upper bound.
pub fn gaps(audit: &Document) -> Markup {
    let f = FRAME;
    let mut provers: Vec<&str> = audit.tokens.iter().map(|r| r.prover.as_str()).collect();
    provers.sort_unstable();
    provers.dedup();
    let class =
        |row: &Row| CLASSES.iter().position(|&end| row.upper - row.lower <= end).unwrap_or(CLASSES.len() - 1);
    let count =
        |k: usize, prover: &str| audit.tokens.iter().filter(|r| class(r) == k && r.prover == prover).count();
    let totals: Vec<usize> = (0..CLASSES.len()).map(|k| provers.iter().map(|p| count(k, p)).sum()).collect();
    let most = totals.iter().copied().max().unwrap_or(0).max(1) as f64;
    let column = f.width / CLASSES.len() as f64;
    html! {
        figure id="plot-gaps" {
            svg viewBox=(VIEW_BOX) role="img" aria-label="Widths of the certified intervals" {
                (f.y_axis([0.0, 0.5, 1.0].into_iter().map(|part| (f.linear_y(part), format!("{:.0}", part * most)))))
                @for (k, end) in CLASSES.iter().enumerate() {
                    @let x = f.left + column * k as f64;
                    @let starts = provers.iter().scan(0, |sum, p| { let old = *sum; *sum += count(k, p); Some(old) });
                    @for (prover, start) in provers.iter().zip(starts) {
                        @let n = count(k, prover);
                        @if n > 0 {
                            rect class=(prover) data-count=(n) data-class=(end) x=(at(x + 4.0)) width=(at(column - 8.0))
                                y=(at(f.linear_y((start + n) as f64 / most))) height=(at(f.height * n as f64 / most)) {
                                title { (n) " tokens, " (prover) }
                            }
                        }
                    }
                    text x=(at(x + column / 2.0)) y=(at(f.bottom() + 16.0)) text-anchor="middle" { "≤" (end) }
                }
                text x=(at(f.left + f.width / 2.0)) y=(at(f.bottom() + 34.0)) text-anchor="middle" { "upper − lower" }
            }
            figcaption {
                "Where bounds are lost: tokens by the width of their certified interval, coloured by whose upper bound it is:"
                @for prover in &provers { " " span class=(format!("key {prover}")) { (prover) } }
                "."
            }
        }
    }
}
