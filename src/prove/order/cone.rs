//! The solver's side: multipliers that put some token above the target everywhere on the ball.
//!
//! With `f_j = l_j − l_t` and tokens A assumed above the target, `min { s : f_j(ẑ) <= s for j ∉ A, f_a(ẑ) >= 0 for a ∈ A,
//! ‖ẑ‖ <= √d }` is positive exactly if some token outside A is above wherever all of A are. Its multipliers (λ, μ) are the
//! weights of a sum: `Σ λ_j f_j − Σ μ_a f_a > 0`. Few tokens matter, so they are generated: solve for some, add those that
//! lie highest at the solution, until `s > 0` proves the claim or no token is above at the solution, which refutes it on
//! the ball. The program lives in the span of its rows. All of it is float arithmetic: hints.

use llmprove_solvers::lp::{Answer, BackEnd, Ball, Problem as Program, Relation, Row};
use ndarray::Array1;

use super::{Problem, Sum, functional};
use crate::model::TokenId;

/// Tokens that are added at a time.
const BATCH: usize = 4;
/// Programs solved for one sum.
const MAX_ROUNDS: usize = 100;
/// Logarithms of the scales that multipliers are rounded at: coarse ones make short certificates.
const SCALES: [u32; 5] = [6, 12, 20, 30, 40];
/// Part of a row that may be lost to the span of the others.
const DEPENDENT: f64 = 1e-9;

/// One target.
pub struct Cone<'a, 'p> {
    problem: &'a Problem<'p>,
    target: usize,
}

/// A solution of the program over some tokens.
struct Solution {
    /// `ẑ / √d`, `[d]`.
    point: Array1<f64>,
    /// `s`; infinite if the assumptions contradict each other.
    level: f64,
    /// Multipliers of the tokens, then of those assumed above.
    duals: Vec<f64>,
}

impl<'a, 'p> Cone<'a, 'p> {
    pub fn new(problem: &'a Problem<'p>, target: usize) -> Cone<'a, 'p> {
        Cone { problem, target }
    }

    /// Lower bound on `Σ w_j (l_j − l_t)` over the ball. Rigorous.
    pub fn least(&self, sum: &[(TokenId, i64)]) -> f64 {
        let total = sum.iter().fold(0i64, |total, (_, w)| total.saturating_add(*w));
        let mut weights = sum.to_vec();
        weights.push((self.target as TokenId, -total));
        functional::least(self.problem, &weights)
    }

    /// A sum with positive weights on tokens that are neither `above` nor barred, and negative ones on those `above`; `None`
    /// if there is none or it is not found.
    pub fn sum(&self, above: &[usize], barred: &dyn Fn(usize) -> bool, thin: bool) -> Option<Sum> {
        let allowed = |j: usize| j != self.target && !above.contains(&j) && !barred(j);
        let mut tokens: Vec<usize> = Vec::new();
        let mut point = self.start();
        for _ in 0..MAX_ROUNDS {
            let lead = self.leads(&point);
            let mut fresh: Vec<usize> =
                (0..lead.len()).filter(|&j| allowed(j) && lead[j] > 0.0 && !tokens.contains(&j)).collect();
            fresh.sort_by(|&i, &j| lead[j].total_cmp(&lead[i]).then(i.cmp(&j)));
            fresh.truncate(BATCH);
            let stuck = fresh.is_empty();
            tokens.append(&mut fresh);
            if tokens.is_empty() {
                // Nothing is above at the start: it may lie where the assumptions fail, so begin with any token.
                tokens.push(
                    (0..lead.len()).filter(|&j| allowed(j)).max_by(|&i, &j| lead[i].total_cmp(&lead[j]))?,
                );
            } else if stuck {
                return None;
            }
            let solution = self.solve(&tokens, above)?;
            if let Some(sum) = self.round(&tokens, above, &solution) {
                return Some(if thin { self.thinned(sum, above) } else { sum });
            }
            point = solution.point;
        }
        None
    }

    /// Where the target lies highest among its surroundings: the direction of its own row.
    fn start(&self) -> Array1<f64> {
        let row = self.row(self.target);
        let norm = row.dot(&row).sqrt();
        if norm > 0.0 { row / norm } else { row }
    }

    /// `√d Π a_j`, `[d]`.
    fn row(&self, j: usize) -> Array1<f64> {
        let row = self.problem.unembed.row(j).mapv(f64::from) * &self.problem.gain;
        self.problem.project(row) * self.problem.radius
    }

    /// `l_j − l_t` of all tokens at `√d · point`.
    fn leads(&self, point: &Array1<f64>) -> Vec<f64> {
        let problem = self.problem;
        let scaled = problem.project(point.clone()) * &problem.gain * problem.radius;
        let logit = |j: usize| {
            let product: f64 =
                problem.unembed.row(j).iter().zip(&scaled).map(|(&u, z)| f64::from(u) * z).sum();
            product + problem.constant(j).mid_rad().0
        };
        let own = logit(self.target);
        (0..problem.vocab_size()).map(|j| logit(j) - own).collect()
    }

    /// Solves the program over some tokens.
    fn solve(&self, tokens: &[usize], above: &[usize]) -> Option<Solution> {
        let own = self.row(self.target);
        let vectors: Vec<Array1<f64>> = tokens.iter().chain(above).map(|&j| self.row(j) - &own).collect();
        let basis = orthonormal(&vectors);
        let n = basis.len();
        let constant = |j: usize| self.problem.constant(j).mid_rad().0;
        let row = |(&j, vector): (&usize, &Array1<f64>)| {
            let slope = basis.iter().map(|b| b.dot(vector));
            (slope.collect::<Vec<f64>>(), constant(j) - constant(self.target))
        };
        let mut rows: Vec<Row> = Vec::new();
        for (i, (slope, constant)) in tokens.iter().chain(above).zip(&vectors).map(row).enumerate() {
            let is_token = i < tokens.len();
            let sign = if is_token { -1.0 } else { 1.0 };
            let mut coefficients: Vec<f64> = slope.iter().map(|a| sign * a).collect();
            coefficients.push(if is_token { 1.0 } else { 0.0 });
            rows.push(Row { coefficients, relation: Relation::AtLeast, rhs: -sign * constant });
        }
        let mut objective = vec![0.0; n];
        objective.push(1.0);
        let bounds = vec![[f64::NEG_INFINITY, f64::INFINITY]; n + 1];
        let ball = Some(Ball { variables: n, radius: 1.0 });
        let mut point = Array1::zeros(self.problem.width());
        match BackEnd::Interior.solve(&Program { objective, bounds, rows, ball }) {
            Answer::Optimal { point: x, duals } => {
                basis.iter().zip(&x).for_each(|(b, &x)| point.scaled_add(x, b));
                Some(Solution { point, level: x[n], duals })
            }
            // All of the tokens assumed above cannot be above together: their multipliers alone are a sum.
            Answer::Infeasible { farkas } => Some(Solution { point, level: f64::INFINITY, duals: farkas }),
            Answer::Unbounded | Answer::Limit => None,
        }
    }

    /// Rounds multipliers to the coarsest integers that prove something.
    fn round(&self, tokens: &[usize], above: &[usize], solution: &Solution) -> Option<Sum> {
        let duals = &solution.duals;
        let largest = duals.iter().copied().fold(0.0, f64::max);
        if !(solution.level > 0.0 && largest > 0.0 && largest.is_finite()) {
            return None;
        }
        SCALES.iter().find_map(|&scale| {
            // Casts saturate; whatever comes out is evaluated before it counts.
            let unit = (1u64 << scale) as f64 / largest;
            let weight = |(i, x): (usize, &f64)| {
                let weight = (x * unit).round() as i64;
                if i < tokens.len() { weight } else { -weight }
            };
            let ids = tokens.iter().chain(above).map(|&j| j as TokenId);
            let mut sum: Sum =
                ids.zip(duals.iter().enumerate().map(weight)).filter(|(_, w)| *w != 0).collect();
            sum.sort_unstable();
            (self.least(&sum) > 0.0).then_some(sum)
        })
    }

    /// The same with fewer tokens, as far as leaving out the lightest quarter goes well: sums that share no token can be
    /// used together.
    fn thinned(&self, mut sum: Sum, above: &[usize]) -> Sum {
        loop {
            let mut tokens: Vec<(i64, usize)> =
                sum.iter().filter(|(_, w)| *w > 0).map(|&(j, w)| (-w, j as usize)).collect();
            tokens.sort_unstable();
            tokens.truncate(tokens.len() - tokens.len().div_ceil(4));
            let tokens: Vec<usize> = tokens.into_iter().map(|(_, j)| j).collect();
            if tokens.is_empty() {
                return sum;
            }
            let solution = self.solve(&tokens, above);
            match solution.and_then(|solution| self.round(&tokens, above, &solution)) {
                Some(thinner) if thinner.len() < sum.len() => sum = thinner,
                _ => return sum,
            }
        }
    }
}

/// An orthonormal basis of the span of vectors, by the modified Gram-Schmidt process, twice for stability.
fn orthonormal(vectors: &[Array1<f64>]) -> Vec<Array1<f64>> {
    let mut basis: Vec<Array1<f64>> = Vec::new();
    for vector in vectors {
        let mut rest = vector.clone();
        for _ in 0..2 {
            for b in &basis {
                let along = b.dot(&rest);
                rest.scaled_add(-along, b);
            }
        }
        let norm = rest.dot(&rest).sqrt();
        if norm > DEPENDENT * vector.dot(vector).sqrt() {
            basis.push(rest / norm);
        }
    }
    basis
}
