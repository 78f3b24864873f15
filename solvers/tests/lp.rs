//! One suite for every back end: programs with known answers, and sessions that get rows one by one.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use llmprove_solvers::lp::{Answer, BackEnd, Ball, Problem, Relation, Row};

fn at_least(coefficients: &[f64], rhs: f64) -> Row {
    Row { coefficients: coefficients.to_vec(), relation: Relation::AtLeast, rhs }
}

fn equal(coefficients: &[f64], rhs: f64) -> Row {
    Row { relation: Relation::Equal, ..at_least(coefficients, rhs) }
}

const FREE: [f64; 2] = [f64::NEG_INFINITY, f64::INFINITY];

fn program(objective: &[f64], bounds: &[[f64; 2]], rows: Vec<Row>) -> Problem {
    Problem { objective: objective.to_vec(), bounds: bounds.to_vec(), rows, ball: None }
}

fn round(radius: f64, problem: Problem) -> Problem {
    let ball = Some(Ball { variables: problem.objective.len(), radius });
    Problem { ball, ..problem }
}

/// What is expected.
enum Expect {
    /// An optimum at this point with these multipliers.
    Optimum(&'static [f64], &'static [f64]),
    Infeasible,
    Unbounded,
}
use Expect::{Infeasible, Optimum, Unbounded};

/// Cuts meet a ball to within a tolerance, and points along it to within about its root.
fn near(found: &[f64], expected: &[f64]) -> bool {
    found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 2e-3)
}

/// Compares every back end's answer with what is expected.
fn check(name: &str, problem: &Problem, expect: &Expect) {
    for back_end in BackEnd::ALL {
        let answer = back_end.solve(problem);
        assert_eq!(answer, back_end.solve(problem), "{name}: {back_end:?} answers the same twice");
        match (&answer, expect) {
            (Answer::Optimal { point, duals }, Optimum(x, y)) => {
                assert!(near(point, x), "{name}: {back_end:?} is at {point:?}");
                assert!(near(duals, y), "{name}: {back_end:?} has multipliers {duals:?}");
            }
            (Answer::Infeasible { farkas }, Infeasible) => {
                assert!(contradicts(problem, farkas), "{name}: {back_end:?} has {farkas:?}");
            }
            (Answer::Unbounded, Unbounded) => {}
            _ => panic!("{name}: {back_end:?} says {answer:?}"),
        }
    }
}

/// Whether `y·b` exceeds what `Aᵀy·x` can be in box and ball, in floats.
fn contradicts(problem: &Problem, y: &[f64]) -> bool {
    let rows = || problem.rows.iter().zip(y);
    let at_rows: f64 = rows().map(|(row, y)| y * row.rhs).sum();
    let slope = |i: usize| rows().map(|(row, y)| y * row.coefficients[i]).sum::<f64>();
    let slopes: Vec<f64> = (0..problem.objective.len()).map(slope).collect();
    let greatest = match problem.ball {
        Some(ball) => slopes.iter().map(|a| a * a).sum::<f64>().sqrt() * ball.radius,
        None => {
            let term =
                |(a, [lo, hi]): (&f64, &[f64; 2])| if a.abs() < 1e-9 { 0.0 } else { (a * lo).max(a * hi) };
            slopes.iter().zip(&problem.bounds).map(term).sum()
        }
    };
    at_rows > greatest
}

#[test]
fn known_programs_have_known_answers() {
    let unit = [[0.0, 1.0]; 2];
    let free = [FREE; 2];
    const DOWN: f64 = -std::f64::consts::FRAC_1_SQRT_2;
    let cases = [
        ("box alone", program(&[1.0, -1.0], &unit, vec![]), Optimum(&[0.0, 1.0], &[])),
        (
            "one row",
            program(&[1.0, 2.0], &unit, vec![at_least(&[1.0, 1.0], 1.5)]),
            Optimum(&[1.0, 0.5], &[2.0]),
        ),
        (
            "equations have multipliers of either sign",
            program(&[1.0, 0.0], &free, vec![equal(&[1.0, 1.0], 1.0), equal(&[1.0, -1.0], 3.0)]),
            Optimum(&[2.0, -1.0], &[0.5, 0.5]),
        ),
        (
            "a negative multiplier",
            program(&[-1.0, 0.0], &[FREE, [0.0, 1.0]], vec![equal(&[1.0, 1.0], 1.0)]),
            Optimum(&[1.0, 0.0], &[-1.0]),
        ),
        (
            "a redundant row",
            program(&[1.0, 0.0], &unit, vec![at_least(&[1.0, 0.0], 0.5), at_least(&[1.0, 0.0], -9.0)]),
            Optimum(&[0.5, 0.0], &[1.0, 0.0]),
        ),
        ("nothing is allowed", program(&[0.0, 0.0], &unit, vec![at_least(&[1.0, 1.0], 2.5)]), Infeasible),
        (
            "two rows contradict each other",
            program(&[1.0, 1.0], &free, vec![at_least(&[1.0, 1.0], 1.0), at_least(&[-1.0, -1.0], 0.0)]),
            Infeasible,
        ),
        (
            "equations contradict each other",
            program(&[1.0, 1.0], &free, vec![equal(&[1.0, 1.0], 1.0), equal(&[2.0, 2.0], 3.0)]),
            Infeasible,
        ),
        ("no end", program(&[1.0, 0.0], &free, vec![at_least(&[0.0, 1.0], 0.0)]), Unbounded),
        ("the ball", round(1.0, program(&[1.0, 1.0], &free, vec![])), Optimum(&[DOWN, DOWN], &[])),
        (
            "ball and row",
            round(5.0, program(&[0.0, 1.0], &free, vec![equal(&[1.0, 0.0], 3.0)])),
            Optimum(&[3.0, -4.0], &[0.75]),
        ),
        (
            "a row beyond the ball",
            round(1.0, program(&[0.0, 0.0], &free, vec![at_least(&[1.0, 1.0], 1.5)])),
            Infeasible,
        ),
    ];
    for (name, problem, expect) in &cases {
        if name.contains("redundant") {
            // The second variable is free to move: only its bound is known.
            let fixed = Problem { bounds: vec![[0.0, 1.0], [0.0, 0.0]], ..problem.clone() };
            check(name, &fixed, expect);
        } else {
            check(name, problem, expect);
        }
    }
}

#[test]
fn a_session_with_rows_added_ends_where_a_fresh_one_does() {
    let rows =
        [at_least(&[1.0, 2.0, 0.5], 1.0), at_least(&[2.0, -1.0, 1.0], 0.5), at_least(&[0.0, 1.0, 3.0], 1.5)];
    for back_end in BackEnd::ALL {
        for ball in [None, Some(Ball { variables: 3, radius: 1.5 })] {
            let empty = Problem { ball, ..program(&[3.0, 2.0, 4.0], &[[-2.0, 2.0]; 3], vec![]) };
            let mut session = back_end.session(empty.clone());
            session.solve();
            for (i, row) in rows.iter().enumerate() {
                session.add(row.clone());
                let whole = Problem { rows: rows[..=i].to_vec(), ..empty.clone() };
                let (warm, cold) = (session.solve(), back_end.solve(&whole));
                let (Answer::Optimal { point: a, duals: y }, Answer::Optimal { point: b, duals: z }) =
                    (&warm, &cold)
                else {
                    panic!("{back_end:?}: {warm:?} and {cold:?}")
                };
                assert!(near(a, b) && near(y, z), "{back_end:?}, {ball:?}: {warm:?} and {cold:?}");
            }
            session.add(at_least(&[-1.0, -1.0, -1.0], 7.0));
            assert!(matches!(session.solve(), Answer::Infeasible { .. }), "{back_end:?}");
        }
    }
}
