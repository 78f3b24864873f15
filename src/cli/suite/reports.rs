//! The files that a run of a suite leaves behind, besides certificates.

use std::path::Path;

use llmprove::report::suite::Report;

use crate::cli::args::SuiteArgs;
use crate::cli::error::CliError;
use crate::cli::options;

/// Refuses file names that cannot be written to, before any work is done.
pub fn check_files(args: &SuiteArgs) -> Result<(), CliError> {
    for file in [&args.junit, &args.sarif, &args.markdown].into_iter().flatten() {
        options::output_file(file)?;
    }
    Ok(())
}

/// Writes the reports that were asked for.
pub fn write(args: &SuiteArgs, report: &Report<'_>) -> Result<(), CliError> {
    if let Some(file) = &args.junit {
        write_file(file, &report.junit())?;
    }
    if let Some(file) = &args.sarif {
        write_file(file, &report.sarif())?;
    }
    if let Some(file) = &args.markdown {
        write_file(file, &report.markdown())?;
    }
    Ok(())
}

fn write_file(file: &Path, text: &str) -> Result<(), CliError> {
    std::fs::write(file, text).map_err(|e| {
        CliError::new(format!("cannot write {}: {e}", file.display()), "name a file you may write to")
    })
}
