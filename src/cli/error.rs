//! An error as the user sees it: what is wrong, and the way out.

use std::fmt;

use llmprove::certify::CertifyError;
use llmprove::decide::DecideError;
use llmprove::model::LoadError;
use llmprove::prove::PortfolioError;
use llmprove::suite::SuiteError;

/// Ends the command with exit code 2.
#[derive(Debug)]
pub struct CliError {
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do about it, where there is more to say than the message does.
    pub help: Option<String>,
}

impl CliError {
    /// An error with a way out.
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> CliError {
        CliError { message: message.into(), help: Some(help.into()) }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        match &self.help {
            Some(help) => write!(f, "\nhelp: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for CliError {}

// The messages of the library name the file, tensor, setting or flag, and end with the way out.

impl From<LoadError> for CliError {
    fn from(error: LoadError) -> CliError {
        CliError { message: error.to_string(), help: None }
    }
}

impl From<PortfolioError> for CliError {
    fn from(error: PortfolioError) -> CliError {
        CliError { message: error.to_string(), help: None }
    }
}

impl From<CertifyError> for CliError {
    fn from(error: CertifyError) -> CliError {
        CliError { message: error.to_string(), help: None }
    }
}

impl From<DecideError> for CliError {
    fn from(error: DecideError) -> CliError {
        CliError { message: error.to_string(), help: None }
    }
}

impl From<SuiteError> for CliError {
    fn from(error: SuiteError) -> CliError {
        CliError { message: error.to_string(), help: Some(error.help) }
    }
}
