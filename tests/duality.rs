//! Solvers propose, sound code disposes: what multipliers prove never exceeds what a point attains, whoever made them.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use llmprove::num::duality::{is_infeasible, least};
use llmprove_solvers::lp::{Answer, BackEnd, Ball, Problem, Relation, Row};
use proptest::prelude::*;

/// Programs with an allowed point `x`, inside the unit ball of all variables if `round`.
fn programs() -> impl Strategy<Value = (Problem, Vec<f64>)> {
    (1usize..6, 0usize..8, any::<bool>()).prop_flat_map(|(n, m, round)| {
        let numbers = |len| prop::collection::vec(-8i32..=8, len);
        (numbers(n), numbers(n), prop::collection::vec((numbers(n), 0i32..4, any::<bool>()), m)).prop_map(
            move |(x, c, rows)| {
                let size = f64::from(x.iter().map(|x| x * x).sum::<i32>().max(1)).sqrt().ceil();
                let x: Vec<f64> = x.into_iter().map(|x| f64::from(x) / 8.0).collect();
                let dot = |a: &[f64]| a.iter().zip(&x).map(|(a, x)| a * x).sum::<f64>();
                let row = |(a, slack, equal): (Vec<i32>, i32, bool)| {
                    let coefficients: Vec<f64> = a.into_iter().map(f64::from).collect();
                    let (relation, slack) =
                        if equal { (Relation::Equal, 0) } else { (Relation::AtLeast, slack) };
                    // Eighths are exact floats.
                    let rhs = dot(&coefficients) - f64::from(slack);
                    Row { coefficients, relation, rhs }
                };
                let ball = round.then_some(Ball { variables: x.len(), radius: size / 8.0 });
                let problem = Problem {
                    objective: c.into_iter().map(f64::from).collect(),
                    bounds: vec![[-1.0, 1.0]; x.len()],
                    rows: rows.into_iter().map(row).collect(),
                    ball,
                };
                (problem, x)
            },
        )
    })
}

fn value(problem: &Problem, x: &[f64]) -> f64 {
    problem.objective.iter().zip(x).map(|(c, x)| c * x).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn multipliers_of_solvers_prove_their_optimum((problem, x) in programs()) {
        let attained = value(&problem, &x);
        let mut proved = Vec::new();
        for back_end in BackEnd::ALL {
            match back_end.solve(&problem) {
                Answer::Optimal { duals, .. } => {
                    let bound = least(&problem, &duals);
                    prop_assert!(bound <= attained, "{back_end:?}: {bound} above {attained}");
                    prop_assert!(!is_infeasible(&problem, &duals));
                    proved.push(bound);
                }
                Answer::Infeasible { farkas } => prop_assert!(!is_infeasible(&problem, &farkas)),
                Answer::Unbounded | Answer::Limit => {}
            }
        }
        // Where box and ball both hold a point back, the bound takes the better one alone.
        for pair in proved.windows(2).filter(|_| problem.ball.is_none()) {
            prop_assert!((pair[0] - pair[1]).abs() < 1e-5, "{pair:?}");
        }
        prop_assert!(!proved.is_empty());
    }

    #[test]
    fn wrong_hints_never_become_bounds((problem, x) in programs(), noise in prop::collection::vec(-1e3..1e3f64, 8)) {
        let hint = &noise[..problem.rows.len()];
        prop_assert!(least(&problem, hint) <= value(&problem, &x));
        prop_assert!(!is_infeasible(&problem, hint));
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            let mut hint = hint.to_vec();
            if let Some(first) = hint.first_mut() {
                *first = bad;
                prop_assert!(least(&problem, &hint) <= value(&problem, &x));
                prop_assert!(!is_infeasible(&problem, &hint));
            }
        }
        let long = vec![0.0; problem.rows.len() + 1];
        prop_assert_eq!(least(&problem, &long), f64::NEG_INFINITY);
    }

    /// A row that contradicts the box is found out by both back ends, and their vectors prove it.
    #[test]
    fn farkas_vectors_prove_infeasibility((mut problem, _) in programs(), gap in 1i32..5) {
        let coefficients = vec![1.0; problem.objective.len()];
        let rhs = problem.objective.len() as f64 + f64::from(gap) / 4.0;
        problem.rows.push(Row { coefficients, relation: Relation::AtLeast, rhs });
        for back_end in BackEnd::ALL {
            let answer = back_end.solve(&problem);
            let Answer::Infeasible { farkas } = &answer else {
                return Err(TestCaseError::fail(format!("{back_end:?}: {answer:?}")));
            };
            prop_assert!(is_infeasible(&problem, farkas), "{back_end:?}: {farkas:?}");
        }
    }
}
