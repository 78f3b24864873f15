//! The model of a bundle method: planes seen from a centre, and the move that maximises their minimum within reach.

use super::dual::{add_scaled, dot};
use super::functional::Sensitivity;
use super::piece::Piece;
use super::simplex;

/// The point that planes are seen from.
pub(super) struct Centre {
    /// How `w` moves with ẑ there.
    pub sensitivity: Sensitivity,
    /// `w`, `[d]`.
    pub w: Vec<f64>,
    /// `(a, q, v″, w″)`.
    pub rest: Vec<f64>,
    /// The function's value without what is the same for all planes.
    pub value: f64,
}

/// A collected piece and how it looks from the centre.
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
    /// The move of the rest that answers its gradient.
    scaled: Vec<f64>,
}

impl Plane {
    fn look_from(&mut self, centre: &Centre) {
        let Centre { sensitivity, w, rest, value } = centre;
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

/// Planes and their products.
pub(super) struct Bundle {
    /// The planes.
    pub planes: Vec<Plane>,
    /// Squared length scale of each of `(a, q, v″, w″)`.
    metric: Vec<f64>,
    /// `rest · metric · rest`, a triangle.
    rests: Vec<Vec<f64>>,
    /// Products of tilts and answers, a triangle.
    curves: Vec<Vec<f64>>,
}

impl Bundle {
    /// No planes yet.
    pub fn new(metric: Vec<f64>) -> Bundle {
        Bundle { planes: Vec::new(), metric, rests: Vec::new(), curves: Vec::new() }
    }

    /// Adds a plane, looked at from the centre, with a weight to start from.
    pub fn add(&mut self, piece: Piece, weight: f64, centre: &Centre) {
        let scaled: Vec<f64> = piece.rest.iter().zip(&self.metric).map(|(g, s)| g * s).collect();
        let mut plane = Plane { piece, weight, slack: 0.0, tilt: Vec::new(), answer: Vec::new(), scaled };
        plane.look_from(centre);
        self.planes.push(plane);
        let last = &self.planes[self.planes.len() - 1];
        self.rests.push(self.planes.iter().map(|p| dot(&last.scaled, &p.piece.rest)).collect());
        self.curves.push(self.planes.iter().map(|p| curve(last, p)).collect());
    }

    /// Looks at all planes from a new centre.
    pub fn look_from(&mut self, centre: &Centre) {
        self.planes.iter_mut().for_each(|plane| plane.look_from(centre));
        for (i, row) in self.curves.iter_mut().enumerate() {
            for (x, p) in row.iter_mut().zip(&self.planes) {
                *x = curve(&self.planes[i], p);
            }
        }
    }

    /// Leaves `most` planes; those of least weight go first.
    pub fn shrink(&mut self, most: usize) {
        while self.planes.len() > most {
            let less = |b: usize, i: usize| if self.planes[i].weight < self.planes[b].weight { i } else { b };
            let least = (0..self.planes.len()).fold(0, less);
            self.planes.remove(least);
            for triangle in [&mut self.rests, &mut self.curves] {
                triangle.remove(least);
                triangle[least..].iter_mut().for_each(|row| {
                    row.remove(least);
                });
            }
        }
    }

    /// The move of `(ẑ, a, q, v″, w″)` that maximises the planes' minimum less the quadratic, and a bound on the gain.
    ///
    /// Its dual is `min ½ a'Ga + slack'a` over the simplex, started at the last weights.
    pub fn propose(&mut self, reach: f64, stiffness: f64) -> (Vec<f64>, f64) {
        let m = self.planes.len();
        let damp = 1.0 / stiffness;
        let mut gram = vec![0.0; m * m];
        for (i, (rests, curves)) in self.rests.iter().zip(&self.curves).enumerate() {
            for (j, (rest, curve)) in rests.iter().zip(curves).enumerate() {
                let g = reach * rest + damp * curve;
                (gram[i * m + j], gram[j * m + i]) = (g, g);
            }
        }
        let known = |p: &Plane| if p.weight.is_finite() { p.weight } else { 0.0 };
        let mut weights: Vec<f64> = self.planes.iter().map(known).collect();
        let total: f64 = weights.iter().sum();
        match total > 0.0 {
            true => weights.iter_mut().for_each(|a| *a /= total),
            false => weights[m - 1] = 1.0,
        }
        let slack: Vec<f64> = self.planes.iter().map(|p| p.slack).collect();
        let slope = simplex::minimise(&gram, &slack, &mut weights);
        let d = self.planes[0].answer.len();
        let mut moves = vec![0.0; d + self.metric.len()];
        let mut gain = 0.0;
        for ((plane, &a), slope) in self.planes.iter_mut().zip(&weights).zip(slope) {
            plane.weight = a;
            add_scaled(&mut moves[..d], a * damp, &plane.answer);
            add_scaled(&mut moves[d..], a * reach, &plane.scaled);
            gain += a * 0.5 * (slope + plane.slack);
        }
        (moves, gain)
    }
}

/// What the curvature of `w(ẑ)` makes of two planes.
fn curve(p: &Plane, q: &Plane) -> f64 {
    0.5 * (dot(&p.answer, &q.tilt) + dot(&q.answer, &p.tilt))
}
