//! The command line: raw flags, validated options, a run, a report.

mod args;
mod audit;
mod bound;
mod check;
mod checkpoint;
mod config;
mod diff;
mod error;
mod explain;
mod generate;
mod inspect;
mod interrupt;
mod job;
mod language;
mod local;
mod log;
mod options;
mod output;
mod predicate;
mod progress;
mod report;
mod search;
mod shipped;
mod suite;
mod token;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use args::{Cli, Command};
use error::CliError;
use output::Output;

/// Exit code of usage and input errors.
const ERROR: u8 = 2;

/// Parses the command line, runs it, and prints what comes out.
pub fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let command = match config::apply(Cli::command(), &args) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("{error}");
            return report_error(&error, wants_json());
        }
    };
    let cli = command.try_get_matches_from(args).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match cli {
        Ok(cli) => cli,
        Err(e) => return usage(&e),
    };
    log::start(cli.log);
    let (result, json) = match &cli.command {
        Command::Check(args) => (check::run(args), args.json),
        Command::Bound(args) => (bound::run(args), args.json),
        Command::Audit(args) => (audit::run(args), args.json),
        Command::Report(args) => (report::run(args), args.json),
        Command::Search(args) => (search::run(args), args.json),
        Command::Explain(args) => (explain::run(args), args.json),
        Command::Prove(args) => (suite::prove(args), args.suite.json),
        Command::Ci(args) => (suite::ci(args), args.suite.json),
        Command::Completions(args) => (generate::completions(args), false),
        Command::Man(args) => (generate::man(args), false),
        Command::Diff(args) => (diff::run(args), args.json),
        Command::Inspect(args) => (inspect::run(args), args.json),
        Command::Language(args) => (language::run(args), args.json),
        Command::Local(args) => (local::run(args), args.json),
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
    report_error(&CliError::new(message, "see llmprove --help"), wants_json())
}

/// Whether `--json` is on a command line that could not be understood.
fn wants_json() -> bool {
    std::env::args_os().any(|arg| arg == "--json")
}

/// With `--json`, stdout gets its one document even when there is no result.
fn report_error(error: &CliError, json: bool) -> ExitCode {
    let document = serde_json::json!({ "error": error.message, "help": error.help });
    let text = if json { format!("{document}\n") } else { String::new() };
    Output { text, code: ERROR }.print()
}
