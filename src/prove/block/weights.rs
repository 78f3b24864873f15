//! Attention weights before normalisation of one head, enclosed for every token of every position, and the least mixtures of them.

use multiversion::multiversion;

use super::hull::Free;
use super::network::Network;
use crate::num::{Interval, dot_error, exp, nonnegative_sum};

/// Enclosures of `e` of one head.
#[derive(Debug, Clone)]
pub(super) struct HeadWeights {
    /// Of every token of every free position, in order.
    pub low: Vec<f64>,
    /// Likewise.
    pub high: Vec<f64>,
    /// Per last token, its weight on itself.
    pub own: Vec<(f64, f64)>,
}

/// Tokens that [`least_term`] looks at before it compares.
const RUN: usize = 64;

/// `min_v e(v)(r(v) − μ)` with `e` at its high end where `r < μ`, else at its low end; and where the run of [`RUN`] tokens begins
/// that holds it.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2", "aarch64+neon"))]
fn least_term(r: &[f64], low: &[f64], high: &[f64], mu: f64) -> (f64, usize) {
    const LANES: usize = 8;
    let (mut least, mut run) = (f64::INFINITY, 0);
    for start in (0..r.len()).step_by(RUN) {
        let end = (start + RUN).min(r.len());
        let (r, low, high) = (&r[start..end], &low[start..end], &high[start..end]);
        let mut lanes = [f64::INFINITY; LANES];
        let whole = r.len() / LANES * LANES;
        for i in (0..whole).step_by(LANES) {
            let (r, low, high) = (&r[i..i + LANES], &low[i..i + LANES], &high[i..i + LANES]);
            for k in 0..LANES {
                let x = r[k] - mu;
                let term = x * if x < 0.0 { high[k] } else { low[k] };
                lanes[k] = if term < lanes[k] { term } else { lanes[k] };
            }
        }
        let mut here = lanes.into_iter().fold(f64::INFINITY, f64::min);
        for i in whole..r.len() {
            let x = r[i] - mu;
            here = here.min(x * if x < 0.0 { high[i] } else { low[i] });
        }
        if here < least {
            (least, run) = (here, start);
        }
    }
    (least, run)
}

impl HeadWeights {
    /// Of the tokens that positions may hold, for a set of last tokens.
    pub fn new(network: &Network, h: usize, free: &Free, tokens: &[usize]) -> HeadWeights {
        let (query, key) = (&network.query[h], &network.key[h]);
        let last = free.positions() * network.vocab;
        let rows: Vec<usize> = free.rows(network.vocab).collect();
        let dim = query.row(0).len() as f64;
        let spread = query.rad * key.longest + key.rad * query.longest + dim * query.rad * key.rad;
        let error = nonnegative_sum(
            dot_error(dim as usize, nonnegative_sum(query.longest * key.longest))
                + nonnegative_sum(dim * spread),
        );
        let (mut low, mut high) = (vec![f64::INFINITY; rows.len()], vec![f64::NEG_INFINITY; rows.len()]);
        let mut own = Vec::with_capacity(tokens.len());
        let mut scores = vec![0.0; rows.len()];
        // The shift and its subtraction round once more than the scores do.
        let enclose = |z: f64, shift: f64| {
            let slack = nonnegative_sum(error + 2.0 * f64::EPSILON * (z.abs() + shift.abs()));
            Interval::new(z - slack, z + slack)
        };
        let (mut shift_most, mut own_scores) = (0.0f64, Vec::with_capacity(tokens.len()));
        for &u in tokens {
            let q = query.row(last + u);
            for (s, &row) in scores.iter_mut().zip(&rows) {
                *s = q.iter().zip(key.row(row)).map(|(a, b)| a * b).sum();
            }
            let shift = if rows.is_empty() { 0.0 } else { scores.iter().sum::<f64>() / rows.len() as f64 };
            shift_most = shift_most.max(shift.abs());
            for ((lo, hi), s) in low.iter_mut().zip(&mut high).zip(&scores) {
                let z = s - shift;
                *lo = lo.min(z);
                *hi = hi.max(z);
            }
            let itself: f64 = q.iter().zip(key.row(last + u)).map(|(a, b)| a * b).sum();
            own_scores.push((itself - shift, shift));
        }
        for (z, shift) in own_scores {
            let e = exp(enclose(z, shift));
            own.push((e.lo(), e.hi()));
        }
        for (lo, hi) in low.iter_mut().zip(&mut high) {
            (*lo, *hi) = (exp(enclose(*lo, shift_most)).lo(), exp(enclose(*hi, shift_most)).hi());
        }
        HeadWeights { low, high, own }
    }

    /// Of scores that are enclosed: those of all free rows in order, and the last position's own.
    pub fn of_scores(scores: &[Interval], own: Interval) -> HeadWeights {
        let mean = scores.iter().map(|s| s.mid_rad().0).sum::<f64>() / scores.len().max(1) as f64;
        let weight = |s: Interval| exp(s - Interval::point(mean));
        let all: Vec<Interval> = scores.iter().map(|&s| weight(s)).collect();
        let own = weight(own);
        HeadWeights {
            low: all.iter().map(|e| e.lo()).collect(),
            high: all.iter().map(|e| e.hi()).collect(),
            own: vec![(own.lo(), own.hi())],
        }
    }

    /// `min_x Σ e r / Σ e` in floats from a guess (Dinkelbach); leaves what is read in `picks`.
    pub fn minimise(
        &self,
        vocab: usize,
        free: &Free,
        tokens: &[usize],
        r: &[f64],
        guess: f64,
        picks: &mut Vec<(usize, f64)>,
    ) -> f64 {
        let mut m = guess;
        for step in 0..20 {
            let (num, den) = self.select(vocab, free, tokens, r, m, picks);
            let next = num / den;
            let settled = step > 0 && (next - m).abs() <= 1e-10 * (1.0 + m.abs());
            m = next;
            if settled {
                break;
            }
        }
        m
    }

    /// The minimising token and its weight at every position for a given `μ`; returns `(Σ e r, Σ e)`.
    pub fn select(
        &self,
        vocab: usize,
        free: &Free,
        tokens: &[usize],
        r: &[f64],
        mu: f64,
        picks: &mut Vec<(usize, f64)>,
    ) -> (f64, f64) {
        picks.clear();
        let (mut num, mut den) = (0.0, 0.0);
        for (j, (held, start, r)) in free.entries(vocab, r).enumerate() {
            let span = start..start + held.len();
            let (low, high) = (&self.low[span.clone()], &self.high[span]);
            let (least, run) = least_term(&r, low, high, mu);
            let weight = |i: usize| if r[i] < mu { high[i] } else { low[i] };
            let run = run..(run + RUN).min(held.len());
            let i = run.clone().find(|&i| (r[i] - mu) * weight(i) == least).unwrap_or(run.start);
            num += weight(i) * r[i];
            den += weight(i);
            picks.push((j * vocab + held[i], weight(i)));
        }
        let row = free.positions() * vocab;
        let term = |i: usize| {
            let x = r[row + tokens[i]] - mu;
            x * if x < 0.0 { self.own[i].1 } else { self.own[i].0 }
        };
        let best = (0..tokens.len()).fold(0, |b, i| if term(i) < term(b) { i } else { b });
        let x = r[row + tokens[best]];
        let e = if x < mu { self.own[best].1 } else { self.own[best].0 };
        picks.push((row + tokens[best], e));
        (num + e * x, den + e)
    }

    /// The largest `μ` near the float minimum for which `φ(μ) >= 0` is proved.
    pub fn certify(
        &self,
        vocab: usize,
        free: &Free,
        tokens: &[usize],
        r: &[f64],
        minimum: f64,
        [error, largest]: [f64; 2],
    ) -> f64 {
        let length = free.positions() + 1;
        let mut picks = Vec::with_capacity(length);
        let (_, den) = self.select(vocab, free, tokens, r, minimum, &mut picks);
        let scale = largest + error + minimum.abs();
        let mut mu = minimum - 2.0 * error - 1e-13 * scale;
        for _ in 0..6 {
            // Not below μ + error, so that r − floor is not above what the true r exceeds μ by.
            let floor = (mu + error).next_up();
            let own = tokens.iter().zip(&self.own).map(|(&u, e)| {
                let x = r[(length - 1) * vocab + u] - floor;
                x * if x < 0.0 { e.1 } else { e.0 }
            });
            let own = own.fold(f64::INFINITY, f64::min);
            let (mut phi, mut size) = (own, own.abs());
            for (held, start, r) in free.entries(vocab, r) {
                let span = start..start + held.len();
                let term = least_term(&r, &self.low[span.clone()], &self.high[span], floor).0;
                phi += term;
                size += term.abs();
            }
            // A term takes a subtraction and a product, each off by a rounding of its own size, and `x − c|x|` grows with x: the
            // least term's error counts.
            let rounding = dot_error(length + 6, nonnegative_sum(size));
            if phi >= rounding && rounding.is_finite() {
                return mu;
            }
            mu -= 2.0 * (rounding - phi).max(0.0) / den + 1e-13 * scale;
        }
        f64::NEG_INFINITY
    }
}
