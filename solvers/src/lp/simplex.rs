//! Simplex methods, microlp with warm starts or HiGHS without, and what they lack: multipliers, and the ball.
//!
//! microlp reports no multipliers, and HiGHS no Farkas vector, so both come from a second program, the dual
//!
//! ```text
//! maximise y·b + l·v − u·w   subject to   Aᵀy + v − w = c,   y >= 0 on the inequalities,   v, w >= 0
//! ```
//!
//! whose vertices are sparse; with `c = 0` and the objective limited to 1 it gives a Farkas vector. The ball becomes cuts
//! `e·x <= r`, `‖e‖ = 1`, added at points outside of it until they lie inside or the cuts are many (Kelley 1960). Each cut
//! makes the program a tighter outer approximation, so multipliers of the rows stay what they are: vectors to re-check.

use microlp::{ComparisonOp, Error, OptimizationDirection, Solution, Variable};

use super::{Answer, Ball, Problem, Relation, Row, Session};

/// Cuts after which the ball is round enough.
const MAX_CUTS: usize = 400;
/// Relative distance outside the ball at which a point counts as inside.
const ROUND: f64 = 1e-9;

/// Which simplex method.
#[derive(Debug, Clone, Copy)]
pub enum Engine {
    Microlp,
    #[cfg(feature = "highs")]
    Highs,
}

/// See [`super::BackEnd::Simplex`].
pub struct Simplex {
    engine: Engine,
    problem: Problem,
    /// Cuts of the ball so far, as rows.
    cuts: Vec<Row>,
    /// The last optimum, to go on from.
    at: Option<At>,
}

/// An optimum of the rows and cuts so far.
enum At {
    /// From which the method can go on.
    Warm { solution: Box<Solution>, variables: Vec<Variable> },
    #[cfg(feature = "highs")]
    Point(Vec<f64>),
}

/// Why there is no optimum.
pub(super) enum Stop {
    Infeasible,
    Unbounded,
    Limit,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        match error {
            Error::Infeasible => Stop::Infeasible,
            Error::Unbounded => Stop::Unbounded,
            _ => Stop::Limit,
        }
    }
}

impl At {
    /// Minimises over a program without ball from nothing.
    fn cold<'a>(
        engine: Engine,
        objective: &[f64],
        bounds: &[[f64; 2]],
        rows: impl Iterator<Item = &'a Row>,
    ) -> Result<At, Stop> {
        match engine {
            Engine::Microlp => {}
            #[cfg(feature = "highs")]
            Engine::Highs => return super::highs::minimise(objective, bounds, rows).map(At::Point),
        }
        let mut program = microlp::Problem::new(OptimizationDirection::Minimize);
        let add = |(&c, &[lo, hi]): (&f64, &[f64; 2])| program.add_var(c, (lo, hi));
        let variables: Vec<Variable> = objective.iter().zip(bounds).map(add).collect();
        for row in rows {
            let (expression, relation) = expression(&variables, row);
            program.add_constraint(expression, relation, row.rhs);
        }
        let solution = program.solve()?.into_solution().map_err(|_| Stop::Limit)?;
        Ok(At::Warm { solution: Box::new(solution), variables })
    }

    /// Goes on with one row more; `None` if that takes a solution from nothing.
    fn with(self, row: &Row) -> Option<Result<At, Stop>> {
        let (solution, variables) = match self {
            At::Warm { solution, variables } => (solution, variables),
            #[cfg(feature = "highs")]
            At::Point(_) => return None,
        };
        let (expression, relation) = expression(&variables, row);
        let outcome = solution.add_constraint(expression, relation, row.rhs);
        let solution = outcome.map_err(Stop::from).and_then(|o| o.into_solution().map_err(|_| Stop::Limit));
        Some(solution.map(|solution| At::Warm { solution: Box::new(solution), variables }))
    }

    fn point(&self) -> Vec<f64> {
        match self {
            At::Warm { solution, variables } => variables.iter().map(|&v| solution.var_value(v)).collect(),
            #[cfg(feature = "highs")]
            At::Point(point) => point.clone(),
        }
    }
}

/// A row in microlp's terms.
fn expression(variables: &[Variable], row: &Row) -> (Vec<(Variable, f64)>, ComparisonOp) {
    let terms = variables.iter().zip(&row.coefficients).filter(|(_, a)| **a != 0.0);
    let relation = match row.relation {
        Relation::AtLeast => ComparisonOp::Ge,
        Relation::Equal => ComparisonOp::Eq,
    };
    (terms.map(|(&variable, &a)| (variable, a)).collect(), relation)
}

impl Simplex {
    pub fn new(engine: Engine, problem: Problem) -> Simplex {
        let cuts = problem.ball.map_or_else(Vec::new, |ball| box_around(ball, problem.objective.len()));
        Simplex { engine, problem, cuts, at: None }
    }

    fn cold(&self) -> Result<At, Stop> {
        let Problem { objective, bounds, rows, .. } = &self.problem;
        At::cold(self.engine, objective, bounds, rows.iter().chain(&self.cuts))
    }

    /// Optimum of the rows and of as many cuts as the ball needs.
    fn optimum(&mut self) -> Result<At, Stop> {
        let mut at = match self.at.take() {
            Some(at) => at,
            None => self.cold()?,
        };
        let Some(ball) = self.problem.ball else { return Ok(at) };
        for _ in 0..MAX_CUTS {
            let point = at.point();
            let norm = point[..ball.variables].iter().map(|x| x * x).sum::<f64>().sqrt();
            if norm <= ball.radius * (1.0 + ROUND) {
                break;
            }
            let mut coefficients = vec![0.0; point.len()];
            coefficients.iter_mut().zip(&point[..ball.variables]).for_each(|(e, x)| *e = -x / norm);
            let cut = Row { coefficients, relation: Relation::AtLeast, rhs: -ball.radius };
            // Kept first: if this cut leaves nothing, the contradiction needs it.
            self.cuts.push(cut.clone());
            at = match at.with(&cut) {
                Some(next) => next?,
                None => self.cold()?,
            };
        }
        Ok(at)
    }

    /// Multipliers of the rows for the objective `c`; or a Farkas vector, for none.
    fn multipliers(&self, objective: Option<&[f64]>) -> Option<Vec<f64>> {
        let Problem { bounds, rows, .. } = &self.problem;
        let all: Vec<&Row> = rows.iter().chain(&self.cuts).collect();
        let mut worth: Vec<f64> = all.iter().map(|row| row.rhs).collect();
        let mut ranges: Vec<[f64; 2]> = all.iter().map(|row| multiplier_range(row)).collect();
        let sides: Vec<(usize, f64, f64)> = bounds
            .iter()
            .enumerate()
            .flat_map(|(i, &[lo, hi])| [(i, 1.0, lo), (i, -1.0, hi)])
            .filter(|(_, _, end)| end.is_finite())
            .collect();
        worth.extend(sides.iter().map(|(_, sign, end)| sign * end));
        ranges.extend(sides.iter().map(|_| [0.0, f64::INFINITY]));
        let stationary = |i: usize| {
            let own = all.iter().map(|row| row.coefficients[i]);
            let side = sides.iter().map(|&(k, sign, _)| if k == i { sign } else { 0.0 });
            let rhs = objective.map_or(0.0, |c| c[i]);
            Row { coefficients: own.chain(side).collect(), relation: Relation::Equal, rhs }
        };
        let mut program: Vec<Row> = (0..bounds.len()).map(stationary).collect();
        if objective.is_none() {
            let coefficients = worth.iter().map(|b| -b).collect();
            program.push(Row { coefficients, relation: Relation::AtLeast, rhs: -1.0 });
        }
        let cost: Vec<f64> = worth.iter().map(|b| -b).collect();
        let at = At::cold(self.engine, &cost, &ranges, program.iter()).ok()?;
        Some(at.point()[..rows.len()].to_vec())
    }
}

fn multiplier_range(row: &Row) -> [f64; 2] {
    match row.relation {
        Relation::AtLeast => [0.0, f64::INFINITY],
        Relation::Equal => [f64::NEG_INFINITY, f64::INFINITY],
    }
}

/// The first cuts: `−r <= x_i <= r`.
fn box_around(ball: Ball, n: usize) -> Vec<Row> {
    let cut = |(i, sign): (usize, f64)| {
        let mut coefficients = vec![0.0; n];
        coefficients[i] = sign;
        Row { coefficients, relation: Relation::AtLeast, rhs: -ball.radius }
    };
    (0..ball.variables).flat_map(|i| [(i, 1.0), (i, -1.0)]).map(cut).collect()
}

impl Session for Simplex {
    fn solve(&mut self) -> Answer {
        let answer = match self.optimum() {
            Ok(at) => {
                let point = at.point();
                self.at = Some(at);
                self.multipliers(Some(&self.problem.objective)).map(|duals| Answer::Optimal { point, duals })
            }
            Err(Stop::Infeasible) => self.multipliers(None).map(|farkas| Answer::Infeasible { farkas }),
            Err(Stop::Unbounded) => Some(Answer::Unbounded),
            Err(Stop::Limit) => None,
        };
        answer.unwrap_or(Answer::Limit)
    }

    fn add(&mut self, row: Row) {
        assert_eq!(row.coefficients.len(), self.problem.objective.len(), "a row has all coefficients");
        self.at = self.at.take().and_then(|at| at.with(&row)?.ok());
        self.problem.rows.push(row);
    }
}
