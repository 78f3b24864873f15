//! `llmprove check`: PROVED, REFUTED or UNKNOWN for one statement.

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
use super::predicate::Claim;

/// Runs the command.
pub fn run(args: &CheckArgs) -> Result<Output, CliError> {
    let claim = Claim::new(&args.claim)?;
    let provers = options::provers(&args.provers)?;
    let file = args.certificate.as_deref().map(options::output_file).transpose()?;
    let (job, predicate) = Job::about(
        &args.model,
        &args.run,
        &args.time,
        |vocab| claim.predicate(vocab),
        Predicate::first_token,
    )?;
    let statement = Statement { language: job.language().clone(), max_len: job.max_len(), predicate };
    let Decision { answer, extreme, files } = job.decide(provers, &statement)?;
    let written = match (file, &files) {
        (Some(file), Some(files)) => Some(write_certificate(file, files)?),
        _ => None,
    };
    let subject = job.subject();
    let code = answer.exit_code();
    let paths = written.as_ref().map(|w| (w.certificate.as_path(), w.statement.as_path()));
    let files = match &written {
        Some(w) => Certificate::Written { certificate: &w.certificate, statement: &w.statement },
        None if answer == Answer::Unknown => Certificate::Nothing,
        None => Certificate::NotAsked,
    };
    if let Predicate::Ceiling { threshold, temperature: None, .. } = &statement.predicate {
        let found = extreme.into_bounds();
        return Ok(if args.json {
            Output::json(&json::check(&subject, threshold, &found, paths), code)
        } else {
            Output { text: bounds::check(&subject, threshold, &found, files), code }
        });
    }
    let found = (answer, &extreme);
    Ok(if args.json {
        Output::json(&bounds::predicate_document(&subject, &statement, found, paths), code)
    } else {
        Output { text: bounds::predicate(&subject, &statement, found, files), code }
    })
}
