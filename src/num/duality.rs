//! Weak duality of linear programs, rounded outward: what a solver's multipliers prove, whatever the solver thinks of them.
//!
//! With X the box `l <= x <= u` met with the ball `‖(x_1, .., x_n)‖ <= r`, and `y >= 0` on the inequalities,
//!
//! `c·x >= y·b + min { (c − Aᵀy)·x : x ∈ X }`   for all `x` that the rows `A x >= b` allow,
//!
//! where the minimum over a box and a ball of the same variables is at least the greater of the two minima, and variables
//! outside the ball have their box alone. Variables without finite bounds of either kind leave nothing to prove (Neumaier, Shcherbina, *Safe bounds in linear and mixed-integer linear
//! programming*, 2004).

use llmprove_solvers::lp::{Problem, Relation};

use super::Interval;

/// Lower bound on the objective over everything that is allowed; `−∞` where `y` proves nothing. Negative multipliers of
/// inequalities count as zero.
#[must_use]
pub fn least(problem: &Problem, y: &[f64]) -> f64 {
    bound(problem, y, &problem.objective)
}

/// Whether `y` proves that nothing is allowed.
#[must_use]
pub fn is_infeasible(problem: &Problem, y: &[f64]) -> bool {
    bound(problem, y, &vec![0.0; problem.objective.len()]) > 0.0
}

fn bound(problem: &Problem, y: &[f64], objective: &[f64]) -> f64 {
    if y.len() != problem.rows.len() || y.iter().any(|y| !y.is_finite()) {
        return f64::NEG_INFINITY;
    }
    let multiplier = |(row, &y): (_, &f64)| match row {
        Relation::AtLeast => Interval::point(y.max(0.0)),
        Relation::Equal => Interval::point(y),
    };
    let y: Vec<Interval> = problem.rows.iter().map(|row| row.relation).zip(y).map(multiplier).collect();
    let at_rows: Interval = problem.rows.iter().zip(&y).map(|(row, &y)| y * row.rhs).sum();
    let reduced = |(i, &c): (usize, &f64)| {
        let own: Interval = problem.rows.iter().zip(&y).map(|(row, &y)| y * row.coefficients[i]).sum();
        Interval::point(c) - own
    };
    let reduced: Vec<Interval> = objective.iter().enumerate().map(reduced).collect();
    let (inside, outside) = reduced.split_at(problem.ball.map_or(0, |ball| ball.variables));
    let (round, flat) = problem.bounds.split_at(inside.len());
    let in_box = over_box(inside, round);
    let in_ball = problem.ball.map_or(f64::NEG_INFINITY, |ball| {
        let norm = inside.iter().map(|r| r.square()).sum::<Interval>().sqrt();
        (-(norm * ball.radius)).lo()
    });
    (at_rows + Interval::point(in_box.max(in_ball)) + Interval::point(over_box(outside, flat))).lo()
}

/// Lower bound on `r·x` over a box.
fn over_box(reduced: &[Interval], bounds: &[[f64; 2]]) -> f64 {
    let term = |(&r, &[lo, hi]): (&Interval, &[f64; 2])| (r * lo).min(r * hi).lo();
    reduced.iter().zip(bounds).map(term).map(Interval::point).sum::<Interval>().lo()
}
