//! The command line: raw flags, validated options, a run, a report.

mod args;
mod audit;
mod bound;
mod check;
mod error;
mod inspect;
mod interrupt;
mod job;
mod options;
mod output;
mod progress;
mod report;
mod search;
mod suite;
mod token;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use error::CliError;
use output::Output;

/// Exit code of usage and input errors.
const ERROR: u8 = 2;

/// Parses the command line, runs it, and prints what comes out.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return usage(&e),
    };
    let (result, json) = match &cli.command {
        Command::Check(args) => (check::run(args), args.json),
        Command::Bound(args) => (bound::run(args), args.json),
        Command::Audit(args) => (audit::run(args), args.json),
        Command::Report(args) => (report::run(args), args.json),
        Command::Search(args) => (search::run(args), args.json),
        Command::Prove(args) => (suite::prove(args), args.suite.json),
        Command::Ci(args) => (suite::ci(args), args.suite.json),
        Command::Inspect(args) => (inspect::run(args), args.json),
    };
    match result {
        Ok(output) => output.print(),
        Err(error) => {
            eprintln!("{error}");
            report_error(&error, json)
        }
    }
}

/// What `clap` could not parse; `--help` and `--version` come this way too.
fn usage(error: &clap::Error) -> ExitCode {
    // A closed pipe is the only thing that can go wrong here, and then nobody reads on.
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    // The first paragraph says what is wrong, the others how to call the command.
    let paragraph = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    let message = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let json = std::env::args_os().any(|arg| arg == "--json");
    report_error(&CliError::new(message, "see llmprove --help"), json)
}

/// With `--json`, stdout gets its one document even when there is no result.
fn report_error(error: &CliError, json: bool) -> ExitCode {
    let document = serde_json::json!({ "error": error.message, "help": error.help });
    let text = if json { format!("{document}\n") } else { String::new() };
    Output { text, code: ERROR }.print()
}
