//! Linear programs, with at most one Euclidean ball, and the vectors that prove what is said about them.
//!
//! ```text
//! minimise c·x   subject to   a_i·x >= b_i  or  a_i·x = b_i,   l <= x <= u,   ‖(x_1, .., x_n)‖ <= r
//! ```
//!
//! With X the box and the ball, every vector `y` that is not negative on the inequalities gives, for all `x` that are
//! allowed,
//!
//! ```text
//! c·x  >=  y·b + min { (c − Aᵀy)·x : x ∈ X }            (weak duality)
//! ```
//!
//! and if the right-hand side with `c = 0` is positive, nothing is allowed (Farkas). So `y` alone is a proof, whoever found
//! it: callers evaluate this bound with outward rounding (Neumaier, Shcherbina, *Safe bounds in linear and mixed-integer
//! linear programming*, 2004) and believe nothing else.

#[cfg(feature = "highs")]
mod highs;
mod interior;
mod simplex;

use simplex::Engine;

/// A linear program; see the module for the formula.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Problem {
    /// `c`, `[variables]`.
    pub objective: Vec<f64>,
    /// `[l, u]` of each variable; ends may be infinite.
    pub bounds: Vec<[f64; 2]>,
    /// The rows.
    pub rows: Vec<Row>,
    /// The ball.
    pub ball: Option<Ball>,
}

/// `coefficients · x >= rhs`, or `=`.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// `a`, `[variables]`.
    pub coefficients: Vec<f64>,
    /// How the two sides compare.
    pub relation: Relation,
    /// `b`.
    pub rhs: f64,
}

/// How the two sides of a row compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// `>=`.
    AtLeast,
    /// `=`.
    Equal,
}

/// The first `variables` variables have a norm of at most `radius`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ball {
    /// `n`.
    pub variables: usize,
    /// `r >= 0`.
    pub radius: f64,
}

/// What a solver believes. All vectors are hints.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A point and multipliers that meet each other.
    Optimal {
        /// `x`, `[variables]`.
        point: Vec<f64>,
        /// `y`, `[rows]`.
        duals: Vec<f64>,
    },
    /// No point is allowed.
    Infeasible {
        /// `y`, `[rows]`, for the bound with `c = 0`; of any scale.
        farkas: Vec<f64>,
    },
    /// The objective falls without end.
    Unbounded,
    /// Given up: too many iterations, or numerical trouble.
    Limit,
}

/// A program that is being solved, and solved again with more rows.
pub trait Session {
    /// Solves the rows so far. Law: the same calls give the same answers.
    fn solve(&mut self) -> Answer;

    /// Adds a row; back ends that can continue from the last point.
    ///
    /// # Panics
    /// If the row has another number of coefficients than there are variables.
    fn add(&mut self, row: Row);
}

/// The solvers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BackEnd {
    /// Clarabel, an interior-point method: multipliers and balls as they are, points inside faces.
    Interior,
    /// microlp, a simplex method: vertices, warm starts; balls by lazily added cuts.
    Simplex,
    /// HiGHS, a faster one for large sparse programs, without warm starts; feature `highs`.
    #[cfg(feature = "highs")]
    Highs,
}

impl BackEnd {
    /// All of them.
    pub const ALL: &[BackEnd] = &[
        BackEnd::Interior,
        BackEnd::Simplex,
        #[cfg(feature = "highs")]
        BackEnd::Highs,
    ];

    /// Starts to work on a program.
    ///
    /// # Panics
    /// If the lengths of the program's vectors contradict each other.
    #[must_use]
    pub fn session(self, problem: Problem) -> Box<dyn Session> {
        let n = problem.objective.len();
        assert_eq!(problem.bounds.len(), n, "every variable has bounds");
        assert!(problem.rows.iter().all(|row| row.coefficients.len() == n), "every row has all coefficients");
        assert!(problem.ball.is_none_or(|ball| ball.variables <= n), "the ball has no more variables");
        match self {
            BackEnd::Interior => Box::new(interior::Interior::new(problem)),
            BackEnd::Simplex => Box::new(simplex::Simplex::new(Engine::Microlp, problem)),
            #[cfg(feature = "highs")]
            BackEnd::Highs => Box::new(simplex::Simplex::new(Engine::Highs, problem)),
        }
    }

    /// Solves a program.
    ///
    /// # Panics
    /// See [`BackEnd::session`].
    #[must_use]
    pub fn solve(self, problem: &Problem) -> Answer {
        self.session(problem.clone()).solve()
    }
}
