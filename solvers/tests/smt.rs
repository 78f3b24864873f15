//! z3: known formulas, exact numbers, and linear programs that floats decided.
#![cfg(feature = "z3")]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use llmprove_solvers::lp::{self, BackEnd, Problem, Row};
use llmprove_solvers::smt::{Answer, Atom, Formula, Relation, decide};
use proptest::prelude::*;

fn atom(terms: &[(usize, f64)], relation: Relation, rhs: f64) -> Atom {
    Atom { terms: terms.to_vec(), relation, rhs }
}

fn all(variables: usize, asserted: Vec<Atom>) -> Formula {
    Formula { variables, asserted, at_most: Vec::new() }
}

fn is_satisfiable(formula: &Formula) -> bool {
    match decide(formula).unwrap() {
        Answer::Satisfiable(values) => {
            assert_eq!(values.len(), formula.variables);
            true
        }
        Answer::Unsatisfiable => false,
        Answer::Unknown => panic!("linear arithmetic is decidable"),
    }
}

#[test]
fn floats_are_the_numbers_that_they_are() {
    use Relation::{Above, AtLeast, Equal};
    let x = [(0, 1.0)];
    // As floats 0.1 + 0.2 is 0.30000000000000004; the two numbers themselves add up to yet another one.
    let sum = |c: f64| {
        all(
            2,
            vec![
                atom(&[(0, 1.0)], Equal, 0.1),
                atom(&[(1, 1.0)], Equal, 0.2),
                atom(&[(0, 1.0), (1, 1.0)], Equal, c),
            ],
        )
    };
    assert!(!is_satisfiable(&sum(0.3)) && !is_satisfiable(&sum(0.1 + 0.2)));
    for (a, b, expect) in [
        (atom(&x, AtLeast, 1.0), atom(&[(0, -1.0)], AtLeast, -1.0), true),
        (atom(&x, Above, 1.0), atom(&[(0, -1.0)], AtLeast, -1.0), false),
        (atom(&x, AtLeast, 1.0), atom(&[(0, -1.0)], AtLeast, (-1.0_f64).next_down()), true),
        (atom(&x, AtLeast, 1.0_f64.next_up()), atom(&[(0, -1.0)], AtLeast, -1.0), false),
        (atom(&x, Above, 0.0), atom(&[(0, -1.0)], AtLeast, -5e-324), true),
        (atom(&x, AtLeast, f64::MAX), atom(&[(0, -5e-324)], AtLeast, -5e-16), false),
        (atom(&[], AtLeast, 1.0), atom(&x, AtLeast, 0.0), false),
    ] {
        assert_eq!(is_satisfiable(&all(1, vec![a.clone(), b.clone()])), expect, "{a:?}, {b:?}");
    }
}

#[test]
fn what_may_hold_is_counted() {
    let above = |i: usize| atom(&[(i, 1.0)], Relation::Above, 0.0);
    let total = atom(&[(0, 1.0), (1, 1.0), (2, 1.0)], Relation::AtLeast, 2.5);
    let small = (0..3).map(|i| atom(&[(i, -1.0)], Relation::AtLeast, -1.0));
    for (most, expect) in [(1, false), (2, false), (3, true)] {
        let asserted = small.clone().chain([total.clone()]).collect();
        let formula = Formula { variables: 3, asserted, at_most: vec![(most, (0..3).map(above).collect())] };
        assert_eq!(is_satisfiable(&formula), expect, "at most {most}");
    }
}

/// The rows and the box of a linear program.
fn formula(problem: &Problem) -> Formula {
    let row = |row: &Row| {
        let relation = match row.relation {
            lp::Relation::AtLeast => Relation::AtLeast,
            lp::Relation::Equal => Relation::Equal,
        };
        Atom { terms: row.coefficients.iter().copied().enumerate().collect(), relation, rhs: row.rhs }
    };
    let sides = problem.bounds.iter().enumerate().flat_map(|(i, [lo, hi])| {
        [atom(&[(i, 1.0)], Relation::AtLeast, *lo), atom(&[(i, -1.0)], Relation::AtLeast, -hi)]
    });
    all(problem.objective.len(), problem.rows.iter().map(row).chain(sides).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Small integers keep programs away from the tolerances, so that what floats say is true.
    #[test]
    fn exact_arithmetic_confirms_what_floats_decide(
        rows in prop::collection::vec((prop::collection::vec(-4i32..=4, 3), -6i32..=6, any::<bool>()), 1..7),
    ) {
        let row = |(a, b, equal): (Vec<i32>, i32, bool)| Row {
            coefficients: a.into_iter().map(f64::from).collect(),
            relation: if equal { lp::Relation::Equal } else { lp::Relation::AtLeast },
            rhs: f64::from(b),
        };
        let rows: Vec<Row> = rows.into_iter().map(row).collect();
        let problem = Problem { objective: vec![1.0, -1.0, 2.0], bounds: vec![[-2.0, 2.0]; 3], rows, ball: None };
        let allowed = is_satisfiable(&formula(&problem));
        for back_end in BackEnd::ALL {
            match back_end.solve(&problem) {
                lp::Answer::Optimal { .. } => prop_assert!(allowed, "{back_end:?} found a point"),
                lp::Answer::Infeasible { .. } => prop_assert!(!allowed, "{back_end:?} found none"),
                lp::Answer::Unbounded => prop_assert!(false, "the box is bounded"),
                lp::Answer::Limit => {}
            }
        }
    }
}
