//! Linear real arithmetic with counting, decided in exact rational arithmetic (Dutertre, de Moura, *A fast linear-arithmetic
//! solver for DPLL(T)*, 2006).
//!
//! Coefficients are floats and mean the rational numbers that they are. Unlike a linear program's, an answer here involves no
//! tolerance; it is a hint all the same, because a large program gave it and nothing small checks it.

mod z3;

/// Conditions on real variables.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Formula {
    /// Number of variables.
    pub variables: usize,
    /// All of these hold.
    pub asserted: Vec<Atom>,
    /// Of these, at most so many hold.
    pub at_most: Vec<(usize, Vec<Atom>)>,
}

/// `Σ coefficient · variable` compared with a constant.
#[derive(Debug, Clone, PartialEq)]
pub struct Atom {
    /// `(variable, coefficient)`, finite coefficients.
    pub terms: Vec<(usize, f64)>,
    /// How the two sides compare.
    pub relation: Relation,
    /// The constant, finite.
    pub rhs: f64,
}

/// How the two sides of an atom compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// `>=`.
    AtLeast,
    /// `>`.
    Above,
    /// `=`.
    Equal,
}

/// What the solver says.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// There are values that satisfy the formula; these do, to the nearest.
    Satisfiable(Vec<f64>),
    /// There are none.
    Unsatisfiable,
    /// Not decided.
    Unknown,
}

/// Why z3 cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongVersion {
    /// What the library says of itself.
    pub found: String,
}

impl std::fmt::Display for WrongVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "libz3 is {}, at least 5.3 is needed: older ones number their operations otherwise",
            self.found
        )
    }
}

impl std::error::Error for WrongVersion {}

/// Decides a formula with z3.
///
/// # Errors
/// [`WrongVersion`] for a library that the bindings do not fit.
///
/// # Panics
/// If an atom names a variable that does not exist, or holds a number that is not finite.
pub fn decide(formula: &Formula) -> Result<Answer, WrongVersion> {
    z3::check_version()?;
    Ok(z3::decide(formula))
}
