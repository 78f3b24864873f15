//! The model of a bundle method: planes seen from a centre, and the move that maximises their minimum within reach.

use super::dual::{Piece, Sensitivity, add_scaled, dot};

/// A collected piece and how it looks from the present centre.
pub(super) struct Plane {
    /// The plane itself.
    pub piece: Piece,
    /// Weight in the last model; infinite before the first.
    pub weight: f64,
    /// Its value at the centre less the function's: not negative.
    slack: f64,
    /// Gradient with respect to ẑ at the centre.
    tilt: Vec<f64>,
    /// The move of ẑ that answers the tilt under the curvature of `w(ẑ)`.
    answer: Vec<f64>,
}

impl Plane {
    /// A plane not yet looked at.
    pub fn new(piece: Piece) -> Plane {
        Plane { piece, weight: f64::INFINITY, slack: 0.0, tilt: Vec::new(), answer: Vec::new() }
    }

    /// Expresses the plane relative to a centre where the function has `value`.
    pub fn look_from(&mut self, sensitivity: &Sensitivity, w: &[f64], rest: &[f64], value: f64) {
        self.slack = (dot(&self.piece.residual, w) + dot(&self.piece.rest, rest) - value).max(0.0);
        self.tilt = sensitivity.transposed(&self.piece.residual);
        self.answer = sensitivity.inward(&self.piece.residual);
        self.answer.iter_mut().for_each(|r| *r /= sensitivity.kappa);
    }

    /// Value at `centre + moves`, relative to the function at the centre.
    pub fn at(&self, moves: &[f64]) -> f64 {
        let (point, rest) = moves.split_at(self.tilt.len());
        self.slack + dot(&self.tilt, point) + dot(&self.piece.rest, rest)
    }
}

/// The move of `(ẑ, a, q, v″, w″)` that maximises the planes' minimum less the quadratic, and a bound on the gain.
///
/// Its dual is `min ½ a'Ga + slack'a` over the simplex, solved by pairwise steps that start at the last weights (SMO,
/// Platt 1998, with the second-order choice of Fan, Chen, Lin 2005).
pub(super) fn propose(planes: &mut [Plane], metric: &[f64], reach: f64, stiffness: f64) -> (Vec<f64>, f64) {
    let m = planes.len();
    let damp = 1.0 / stiffness;
    let scaled: Vec<Vec<f64>> = planes
        .iter()
        .map(|p| p.piece.rest.iter().zip(metric).map(|(g, s)| g * s * reach).collect())
        .collect();
    let mut gram = vec![0.0; m * m];
    for i in 0..m {
        for j in 0..=i {
            let (p, q) = (&planes[i], &planes[j]);
            let curved = 0.5 * (dot(&p.answer, &q.tilt) + dot(&q.answer, &p.tilt));
            let g = dot(&scaled[i], &q.piece.rest) + damp * curved;
            (gram[i * m + j], gram[j * m + i]) = (g, g);
        }
    }
    let mut a: Vec<f64> = planes.iter().map(|p| if p.weight.is_finite() { p.weight } else { 0.0 }).collect();
    let total: f64 = a.iter().sum();
    match total > 0.0 {
        true => a.iter_mut().for_each(|a| *a /= total),
        false => a[m - 1] = 1.0,
    }
    let mut slope: Vec<f64> = (0..m).map(|i| dot(&gram[i * m..(i + 1) * m], &a) + planes[i].slack).collect();
    for _ in 0..20 * m {
        let active = (0..m).filter(|&i| a[i] > 0.0);
        let Some(high) = active.max_by(|&i, &j| slope[i].total_cmp(&slope[j])) else { break };
        let curve =
            |i: usize| (gram[i * m + i] + gram[high * m + high] - 2.0 * gram[i * m + high]).max(1e-300);
        let promise = |i: usize| (slope[high] - slope[i]).max(0.0).powi(2) / curve(i);
        let most = |best: (f64, usize), i: usize| match promise(i) {
            better if better > best.0 => (better, i),
            _ => best,
        };
        let (_, low) = (1..m).fold((promise(0), 0), most);
        let gap = slope[high] - slope[low];
        if !(gap > 1e-4 * slope[high].abs()) {
            break;
        }
        let step = (gap / curve(low)).min(a[high]);
        a[low] += step;
        a[high] -= step;
        for (i, slope) in slope.iter_mut().enumerate() {
            *slope += step * (gram[i * m + low] - gram[i * m + high]);
        }
    }
    let d = planes[0].answer.len();
    let mut moves = vec![0.0; d + metric.len()];
    let mut gain = 0.0;
    for (i, plane) in planes.iter_mut().enumerate() {
        plane.weight = a[i];
        add_scaled(&mut moves[..d], a[i] * damp, &plane.answer);
        add_scaled(&mut moves[d..], a[i], &scaled[i]);
        gain += a[i] * 0.5 * (slope[i] + plane.slack);
    }
    (moves, gain)
}
