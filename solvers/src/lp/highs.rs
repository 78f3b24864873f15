//! HiGHS, modelled with `good_lp`: a fast sparse simplex method (Huangfu, Hall, *Parallelizing the dual revised simplex
//! method*, 2018), without warm starts here.

use good_lp::solvers::highs::highs;
use good_lp::{
    Expression, ProblemVariables, ResolutionError, Solution as _, SolverModel as _, Variable, constraint,
    variable,
};

use super::simplex::Stop;
use super::{Relation, Row};

/// Least value of `objective · x` over bounds and rows.
pub fn minimise<'a>(
    objective: &[f64],
    bounds: &[[f64; 2]],
    rows: impl Iterator<Item = &'a Row>,
) -> Result<Vec<f64>, Stop> {
    let mut variables = ProblemVariables::new();
    let of = |&[lo, hi]: &[f64; 2]| {
        let free = variable();
        let bounded = if lo.is_finite() { free.min(lo) } else { free };
        variables.add(if hi.is_finite() { bounded.max(hi) } else { bounded })
    };
    let all: Vec<Variable> = bounds.iter().map(of).collect();
    let sum = |coefficients: &[f64]| -> Expression {
        let terms = all.iter().zip(coefficients).filter(|(_, a)| **a != 0.0);
        terms.map(|(&variable, &a)| a * variable).sum()
    };
    let mut model = variables.minimise(sum(objective)).using(highs).set_threads(1);
    for row in rows {
        let left = sum(&row.coefficients);
        model.add_constraint(match row.relation {
            Relation::AtLeast => constraint!(left >= row.rhs),
            Relation::Equal => constraint!(left == row.rhs),
        });
    }
    let solution = model.solve().map_err(|error| match error {
        ResolutionError::Infeasible => Stop::Infeasible,
        ResolutionError::Unbounded => Stop::Unbounded,
        _ => Stop::Limit,
    })?;
    Ok(all.iter().map(|&variable| solution.value(variable)).collect())
}
