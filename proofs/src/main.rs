//! `llmprove-check`: checks that a certificate settles a statement about a model, independently of the prover.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use llmprove_proofs::{
    CheckError, InputError, MAX_CERTIFICATE_BYTES, MAX_PREFIXES, MAX_STATEMENT_BYTES, Theorem, check_within,
};
use serde_json::{Value, json};

/// Check that a certificate settles a statement about a model, with exact arithmetic and nothing taken on trust.
///
/// Exit code 0: accepted. 1: rejected. 2: an input can't be used.
#[derive(Parser)]
#[command(name = "llmprove-check", version)]
struct Arguments {
    /// Model folder with config.json and model.safetensors (or shards with their index)
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Statement file
    #[arg(long, value_name = "FILE")]
    statement: PathBuf,
    /// Certificate file
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// Most prefixes to evaluate where a proof consists in evaluating all of them
    #[arg(long, value_name = "N", default_value_t = MAX_PREFIXES)]
    limit: usize,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = run(&arguments);
    let code = match &outcome {
        Ok(_) => 0,
        Err(CheckError::Reject(_)) => 1,
        Err(CheckError::Input(_)) => 2,
    };
    let text = match &outcome {
        _ if arguments.json => document(&outcome).to_string(),
        Ok(theorem) => theorem.to_string(),
        Err(CheckError::Reject(reject)) => format!("REJECTED ({}): {reject}", reject.name()),
        Err(CheckError::Input(error)) => {
            eprintln!("error: {error}");
            return ExitCode::from(code);
        }
    };
    // Whoever closed the pipe has read enough; the verdict is in the exit code.
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("error: cannot write to stdout: {error}");
            ExitCode::from(2)
        }
        _ => ExitCode::from(code),
    }
}

fn run(arguments: &Arguments) -> Result<Theorem, CheckError> {
    let statement = read(&arguments.statement, MAX_STATEMENT_BYTES)?;
    let certificate = read(&arguments.certificate, MAX_CERTIFICATE_BYTES)?;
    check_within(&arguments.model, &statement, &certificate, arguments.limit)
}

/// At most one byte more than `limit`, so that an endless file costs no memory and is still found too long.
fn read(path: &Path, limit: usize) -> Result<Vec<u8>, InputError> {
    let unreadable = |source| InputError::Read { path: path.into(), source };
    let limit = u64::try_from(limit).unwrap_or(u64::MAX - 1);
    let mut bytes = Vec::new();
    File::open(path).map_err(unreadable)?.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

fn document(outcome: &Result<Theorem, CheckError>) -> Value {
    let failed =
        |error: String, message: String| json!({"accepted": false, "error": error, "message": message});
    match outcome {
        Ok(theorem) => {
            let mut document = json!(theorem);
            document["accepted"] = Value::Bool(true);
            document
        }
        Err(CheckError::Reject(reject)) => failed(reject.name(), reject.to_string()),
        Err(CheckError::Input(error)) => failed("Input".into(), error.to_string()),
    }
}
