//! Softmax-weighted sums over boxes of scores and values, exactly.
//!
//! Position `j` contributes `e_j r_j` to the numerator and `e_j` to the denominator, with `e_j ∈ [e⁻, e⁺]` and `r_j <= r⁺` taken
//! from one of its alternatives. The greatest value μ* of `Σ e_j r_j / Σ e_j` is the root of
//!
//! ```text
//! φ(μ) = Σ_j max over alternatives of  max(e⁺ (r⁺ − μ), e⁻ (r⁺ − μ)),
//! ```
//!
//! so only vertices that take `e⁺` above a threshold and `e⁻` below can be optimal (Dinkelbach 1967). Newton steps find it in
//! floats; `φ(μ) <= 0`, tested with its rounding, proves the bound `μ`. No epsilon, no shortcut for tiny exponentials: an
//! underflow leaves `e⁻ = 0` and a positive `e⁺`.

use crate::num::{Interval, dot_error, exp, nonnegative_sum};

/// Alternatives of all positions, with enclosures of `e^{score}` up to a common factor.
#[derive(Debug, Clone, Default)]
pub struct Weights {
    /// `[alternatives]`.
    low: Vec<f64>,
    /// `[alternatives]`.
    high: Vec<f64>,
    /// First alternative of each position; its last is before the next one's first.
    starts: Vec<usize>,
}

impl Weights {
    /// Weights of positions, each a list of alternatives with enclosed scores (nats). No position may be empty.
    pub fn new<'a>(positions: impl Iterator<Item = &'a [Interval]>) -> Weights {
        let (mut scores, mut starts) = (Vec::new(), Vec::new());
        for alternatives in positions {
            assert!(!alternatives.is_empty(), "a position holds some token");
            starts.push(scores.len());
            scores.extend_from_slice(alternatives);
        }
        let top = scores.iter().map(|s| s.hi()).fold(f64::NEG_INFINITY, f64::max);
        let shift = if top.is_finite() { Interval::point(top) } else { Interval::ZERO };
        let weight = |s: &Interval| exp(*s - shift);
        let (low, high) = scores.iter().map(weight).map(|e| (e.lo(), e.hi())).unzip();
        Weights { low, high, starts }
    }

    /// Encloses the weighted mean of values `[alternatives]`, in the order of the scores.
    pub fn mean(&self, values: &[Interval]) -> Interval {
        let upper: Vec<f64> = values.iter().map(|v| v.hi()).collect();
        let lower: Vec<f64> = values.iter().map(|v| -v.lo()).collect();
        Interval::new(-self.greatest(&lower), self.greatest(&upper))
    }

    /// Upper bound on the weighted mean of values that are at most `r`.
    #[must_use]
    pub fn greatest(&self, r: &[f64]) -> f64 {
        // A mean is never above the greatest value.
        let trivial =
            r.iter().copied().fold(f64::NEG_INFINITY, |a, b| if b.is_nan() { f64::NAN } else { a.max(b) });
        if !trivial.is_finite() {
            return trivial;
        }
        let mut mu = r.iter().copied().fold(f64::INFINITY, f64::min);
        for _ in 0..60 {
            let step = self.newton(r, mu);
            if !(step > 0.0) {
                break;
            }
            // At a kink of φ the step of the heavy side vanishes in rounding, but the root lies above.
            mu = (mu + step).max(mu.next_up());
        }
        let size = r.iter().fold(0.0, |m: f64, r| m.max(r.abs()));
        let mut step = 4.0 * f64::EPSILON * size + f64::MIN_POSITIVE;
        mu += step;
        for _ in 0..40 {
            if mu >= trivial {
                break;
            }
            if self.proved(r, mu) {
                return mu;
            }
            step *= 4.0;
            mu += step;
        }
        trivial
    }

    /// The alternatives of each position.
    fn positions(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let ends = self.starts.iter().skip(1).copied().chain([self.high.len()]);
        self.starts.iter().copied().zip(ends).map(|(first, end)| first..end)
    }

    /// `max(e⁺ (r − μ), e⁻ (r − μ))` in floats, with the weight that was taken.
    fn term(&self, i: usize, r: f64, mu: f64) -> (f64, f64) {
        let x = r - mu;
        let e = if x > 0.0 { self.high[i] } else { self.low[i] };
        (x * e, e)
    }

    /// The Newton step `Σ e (r − μ) / Σ e` over the best terms at `μ`; a float hint.
    fn newton(&self, r: &[f64], mu: f64) -> f64 {
        let (mut excess, mut denominator) = (0.0, 0.0);
        for range in self.positions() {
            let mut best = (f64::NEG_INFINITY, 0.0);
            for i in range {
                let (term, e) = self.term(i, r[i], mu);
                if term > best.0 {
                    best = (term, e);
                }
            }
            excess += best.0;
            denominator += best.1;
        }
        excess / denominator
    }

    /// Whether `φ(μ) <= 0` for certain.
    fn proved(&self, r: &[f64], mu: f64) -> bool {
        // A term has a relative error of three roundings, and `x + c|x|` grows with x: the greatest term's error counts.
        let (mut phi, mut magnitude, mut n) = (0.0f64, 0.0f64, 2);
        for range in self.positions() {
            let best = range.map(|i| self.term(i, r[i], mu).0).fold(f64::NEG_INFINITY, worse);
            phi += best;
            magnitude += best.abs();
            n += 1;
        }
        phi + dot_error(n + 2, nonnegative_sum(magnitude)) <= 0.0
    }
}

/// Maximum in which NaN wins, so that a lost bound stays lost.
fn worse(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn weights(scores: &[(f64, f64)]) -> Weights {
        let positions: Vec<[Interval; 1]> = scores.iter().map(|&(l, u)| [Interval::new(l, u)]).collect();
        Weights::new(positions.iter().map(<[Interval; 1]>::as_slice))
    }

    fn points(values: &[f64]) -> Vec<Interval> {
        values.iter().map(|&v| Interval::point(v)).collect()
    }

    #[test]
    fn the_first_entry_of_a_wide_softmax_reaches_one() {
        // softmax_0 with x0 = −30, x1 ∈ [−90, 0]: 1 / (1 + e^30) to 1 / (1 + e^{−60}).
        let mean = weights(&[(-30.0, -30.0), (-90.0, 0.0)]).mean(&points(&[1.0, 0.0]));
        assert!(mean.hi() >= 1.0 - 1e-26 && mean.hi() <= 1.0, "{mean}");
        let least = 1.0 / (1.0 + 30f64.exp());
        assert!(mean.lo() <= least && mean.lo() >= least - 2e-15, "{mean}");
    }

    #[test]
    fn softmax_beside_its_scores_reaches_its_maximum() {
        // f = softmax_0 − 0.05 x0 + 0.1 x1 on [−70, −40] × [−60, −20]; f(−70, −20) = 1.5 + e^{−50}.
        let bound = |a: (f64, f64), b: (f64, f64)| {
            let p = weights(&[a, b]).greatest(&[1.0, 0.0]);
            let at = |c: f64, x: (f64, f64)| (Interval::point(c) * Interval::new(x.0, x.1)).hi();
            (Interval::point(p) + Interval::point(at(-0.05, a)) + Interval::point(at(0.1, b))).hi()
        };
        assert!(bound((-70.0, -40.0), (-60.0, -20.0)) >= 1.5);
        // Cut into strips of half a nat the bound is exact to three digits.
        let strips = |lo: i32, n: i32| {
            (0..n).map(move |i| (f64::from(lo) + f64::from(i) / 2.0, f64::from(lo) + f64::from(i + 1) / 2.0))
        };
        let best =
            strips(-70, 60).flat_map(|a| strips(-60, 80).map(move |b| bound(a, b))).fold(f64::MIN, f64::max);
        assert!((1.5..1.501).contains(&best), "{best}");
    }

    #[test]
    fn extremes_stay_sound() {
        let huge = weights(&[(-1e300, 1e300), (0.0, 0.0)]).mean(&points(&[1.0, -1.0]));
        assert!(huge.lo() <= -1.0 && huge.hi() >= 1.0 - 1e-15, "{huge}");
        let lost = weights(&[(f64::NAN, 1.0), (0.0, 0.0)]).mean(&points(&[1.0, -1.0]));
        assert!(lost.hi() >= 0.462 && lost.lo() <= -1.0 + 1e-15, "{lost}");
        assert!(!(weights(&[(0.0, 0.0)]).greatest(&[f64::NAN]) < f64::INFINITY));
        assert_eq!(weights(&[(0.0, 0.0)]).mean(&points(&[3.0])), Interval::point(3.0));
    }

    /// `Σ e_j r_j / Σ e_j` in floats.
    fn value(scores: &[f64], r: &[f64]) -> f64 {
        let top = scores.iter().copied().fold(f64::MIN, f64::max);
        let e: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
        e.iter().zip(r).map(|(e, r)| e * r).sum::<f64>() / e.iter().sum::<f64>()
    }

    #[test]
    fn no_random_box_has_a_point_above_its_bound() {
        // A linear congruential generator: a fixed sequence of boxes up to 200 nats wide.
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        for _ in 0..1_000_000 {
            let n = 2 + (random() * 4.0) as usize;
            let boxes: Vec<(f64, f64)> = (0..n)
                .map(|_| {
                    let (lo, width) = (random() * 200.0 - 100.0, random() * 200.0);
                    (lo, lo + if random() < 0.2 { 0.0 } else { width })
                })
                .collect();
            let r: Vec<f64> = (0..n).map(|_| random() * 4.0 - 2.0).collect();
            let bound = weights(&boxes).greatest(&r);
            // Vertices of a random threshold and a random interior point.
            let threshold = random() * 4.0 - 2.0;
            let vertex: Vec<f64> =
                boxes.iter().zip(&r).map(|(b, r)| if *r > threshold { b.1 } else { b.0 }).collect();
            let inside: Vec<f64> = boxes.iter().map(|b| b.0 + random() * (b.1 - b.0)).collect();
            for scores in [vertex, inside] {
                let value = value(&scores, &r);
                assert!(value <= bound + 1e-12, "{value} > {bound}: {boxes:?} {r:?}");
            }
        }
    }

    #[test]
    fn a_root_just_above_a_heavy_value_is_found() {
        // The first position outweighs the others by e^11 below the root and is negligible above it.
        let scores =
            [(38.0996453115926, 65.083429), (0.17495341172704756, 30.646045), (30.188758, 76.754674)];
        let r = [2.001473026904737, 2.172263085201237, 1.7442654994894633];
        let best = value(&[scores[0].0, scores[1].1, scores[2].0], &r);
        let bound = weights(&scores).greatest(&r);
        assert!(best > r[0] + 1e-6 && (best..best + 1e-12).contains(&bound), "{best} {bound}");
    }

    proptest! {
        #[test]
        fn the_bound_is_the_best_vertex(
            boxes in prop::collection::vec((-50.0f64..50.0, 0.0f64..60.0, -3.0f64..3.0), 1..7),
        ) {
            let ends: Vec<(f64, f64)> = boxes.iter().map(|b| (b.0, b.0 + b.1)).collect();
            let r: Vec<f64> = boxes.iter().map(|b| b.2).collect();
            let vertices = (0..1u32 << boxes.len()).map(|mask| {
                let scores: Vec<f64> = ends.iter().enumerate()
                    .map(|(i, b)| if mask >> i & 1 == 1 { b.1 } else { b.0 }).collect();
                value(&scores, &r)
            });
            let best = vertices.fold(f64::MIN, f64::max);
            let bound = weights(&ends).greatest(&r);
            prop_assert!(best <= bound + 1e-12 && bound <= best + 1e-9, "{best} {bound}");
        }

        #[test]
        fn alternatives_are_all_covered(
            rows in prop::collection::vec(prop::collection::vec((-30.0f64..30.0, -3.0f64..3.0), 1..5), 1..5),
        ) {
            let scores: Vec<Vec<Interval>> =
                rows.iter().map(|row| row.iter().map(|a| Interval::point(a.0)).collect()).collect();
            let weights = Weights::new(scores.iter().map(Vec::as_slice));
            let r: Vec<f64> = rows.iter().flatten().map(|a| a.1).collect();
            let bound = weights.greatest(&r);
            let mut best = f64::MIN;
            let total: usize = rows.iter().map(Vec::len).product();
            for mut code in 0..total {
                let (mut s, mut v) = (Vec::new(), Vec::new());
                for row in &rows {
                    let pick = row[code % row.len()];
                    code /= row.len();
                    s.push(pick.0);
                    v.push(pick.1);
                }
                best = best.max(value(&s, &v));
            }
            prop_assert!(best <= bound + 1e-12 && bound <= best + 1e-9, "{best} {bound}");
        }
    }
}
