//! Clarabel: `minimise c·x  subject to  A x + s = b, s ∈ K`, by a homogeneous interior-point method (Goulart, Chen,
//! *Clarabel: an interior-point solver for conic programs with quadratic objectives*, 2024).
//!
//! A row `a·x >= b` is `−a·x + s = −b` with `s >= 0`, so that its multiplier is ours; an equation keeps its sign and flips
//! that of its multiplier. There is no warm start: an interior point of the old program is not one of the new.

use clarabel::algebra::CscMatrix;
use clarabel::solver::{
    DefaultSettings, DefaultSolver, IPSolver, SolverStatus, SupportedConeT,
    SupportedConeT::{NonnegativeConeT, SecondOrderConeT, ZeroConeT},
};

use super::{Answer, Problem, Relation, Row, Session};

/// See [`super::BackEnd::Interior`].
pub struct Interior {
    problem: Problem,
}

impl Interior {
    pub fn new(problem: Problem) -> Interior {
        Interior { problem }
    }
}

/// The conic form, row by row.
#[derive(Default)]
struct Conic {
    rows: Vec<usize>,
    columns: Vec<usize>,
    values: Vec<f64>,
    rhs: Vec<f64>,
    cones: Vec<SupportedConeT<f64>>,
}

impl Conic {
    fn push(&mut self, coefficients: impl Iterator<Item = (usize, f64)>, rhs: f64) {
        for (column, value) in coefficients.filter(|(_, value)| *value != 0.0) {
            self.rows.push(self.rhs.len());
            self.columns.push(column);
            self.values.push(value);
        }
        self.rhs.push(rhs);
    }
}

impl Session for Interior {
    fn solve(&mut self) -> Answer {
        let problem = &self.problem;
        let n = problem.objective.len();
        let mut conic = Conic::default();
        for row in &problem.rows {
            let (sign, cone) = match row.relation {
                Relation::AtLeast => (-1.0, NonnegativeConeT(1)),
                Relation::Equal => (1.0, ZeroConeT(1)),
            };
            conic.push(row.coefficients.iter().map(|a| sign * a).enumerate(), sign * row.rhs);
            conic.cones.push(cone);
        }
        for (i, &[lo, hi]) in problem.bounds.iter().enumerate() {
            for (sign, end) in [(-1.0, lo), (1.0, hi)] {
                if f64::is_finite(end) {
                    conic.push(std::iter::once((i, sign)), sign * end);
                    conic.cones.push(NonnegativeConeT(1));
                }
            }
        }
        if let Some(ball) = problem.ball {
            conic.push(std::iter::empty(), ball.radius);
            (0..ball.variables).for_each(|i| conic.push(std::iter::once((i, -1.0)), 0.0));
            conic.cones.push(SecondOrderConeT(ball.variables + 1));
        }
        let m = conic.rhs.len();
        let matrix = CscMatrix::new_from_triplets(m, n, conic.rows, conic.columns, conic.values);
        let settings = DefaultSettings { verbose: false, max_threads: 1, ..DefaultSettings::default() };
        let quadratic = CscMatrix::zeros((n, n));
        let solver =
            DefaultSolver::new(&quadratic, &problem.objective, &matrix, &conic.rhs, &conic.cones, settings);
        let Ok(mut solver) = solver else { return Answer::Limit };
        solver.solve();
        let solution = &solver.solution;
        let duals = || {
            let signed = |(row, z): (&Row, &f64)| match row.relation {
                Relation::AtLeast => z.max(0.0),
                Relation::Equal => -z,
            };
            problem.rows.iter().zip(&solution.z).map(signed).collect()
        };
        match solution.status {
            SolverStatus::Solved | SolverStatus::AlmostSolved => {
                Answer::Optimal { point: solution.x.clone(), duals: duals() }
            }
            SolverStatus::PrimalInfeasible | SolverStatus::AlmostPrimalInfeasible => {
                Answer::Infeasible { farkas: duals() }
            }
            SolverStatus::DualInfeasible | SolverStatus::AlmostDualInfeasible => Answer::Unbounded,
            _ => Answer::Limit,
        }
    }

    fn add(&mut self, row: Row) {
        assert_eq!(row.coefficients.len(), self.problem.objective.len(), "a row has all coefficients");
        self.problem.rows.push(row);
    }
}
