//! `llmprove search`: a prefix after which one token is as likely as possible.

use std::collections::BTreeSet;

use llmprove::report::{bounds, json};
use llmprove::search::Aim;
use llmprove::verdict::Prover;

use super::args::SearchArgs;
use super::error::CliError;
use super::job::Job;
use super::output::Output;

/// Runs the command.
pub fn run(args: &SearchArgs) -> Result<Output, CliError> {
    let job = Job::new(&args.model, &args.token, &args.run, &args.time)?;
    let found = job.run(BTreeSet::from([Prover::Search]), Aim::Narrow { gap: 0.0 })?;
    let subject = job.subject();
    Ok(if args.json {
        Output::json(&json::bound(&subject, &found), 0)
    } else {
        Output { text: bounds::search(&subject, &found), code: 0 }
    })
}
