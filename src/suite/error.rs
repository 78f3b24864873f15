//! What is wrong in a suite file: where, and the way out.

use std::fmt;

/// A defect of a suite file, or of what one of its statements asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteError {
    /// File and line, such as `suite.toml:12`.
    pub place: String,
    /// Name of the statement, where the defect is inside one that has a name.
    pub statement: Option<String>,
    /// The field, where the defect is in one.
    pub field: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub help: String,
}

impl fmt::Display for SuiteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if let Some(statement) = &self.statement {
            write!(f, "statement {statement:?}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "field {field}: ")?;
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for SuiteError {}
