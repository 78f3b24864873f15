//! `llmprove check`: PROVED, REFUTED or UNKNOWN for one token and one threshold.

use llmprove::decide::Decision;
use llmprove::report::bounds::Certificate;
use llmprove::report::{bounds, json};
use llmprove::spec::{Predicate, Statement};
use llmprove::verdict::Answer;

use super::args::CheckArgs;
use super::error::CliError;
use super::job::Job;
use super::options;
use super::output::{Output, write_certificate};

/// Runs the command.
pub fn run(args: &CheckArgs) -> Result<Output, CliError> {
    let threshold = options::threshold(&args.threshold)?;
    let provers = options::provers(&args.provers)?;
    let file = args.certificate.as_deref().map(options::output_file).transpose()?;
    let job = Job::new(&args.model, &args.token, &args.run, &args.time)?;
    let predicate =
        Predicate::Ceiling { token: job.token(), threshold: threshold.clone(), temperature: None };
    let statement = Statement { language: job.language().clone(), max_len: job.max_len(), predicate };
    let Decision { answer, bounds: found, files } = job.decide(provers, &statement)?;
    let written = match (file, &files) {
        (Some(file), Some(files)) => Some(write_certificate(file, files)?),
        _ => None,
    };
    let subject = job.subject();
    if args.json {
        let files = written.as_ref().map(|w| (w.certificate.as_path(), w.statement.as_path()));
        return Ok(Output::json(&json::check(&subject, &threshold, &found, files), answer.exit_code()));
    }
    let files = match &written {
        Some(w) => Certificate::Written { certificate: &w.certificate, statement: &w.statement },
        None if answer == Answer::Unknown => Certificate::Nothing,
        None => Certificate::NotAsked,
    };
    Ok(Output { text: bounds::check(&subject, &threshold, &found, files), code: answer.exit_code() })
}
