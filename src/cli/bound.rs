//! `llmprove bound`: the largest probability of one token, enclosed between a witness and a proof.

use llmprove::report::{bounds, json};
use llmprove::search::Aim;

use super::args::BoundArgs;
use super::error::CliError;
use super::job::Job;
use super::options;
use super::output::Output;

/// Runs the command.
pub fn run(args: &BoundArgs) -> Result<Output, CliError> {
    let gap = args.gap.as_deref().map(options::gap).transpose()?;
    let provers = options::provers(&args.provers)?;
    let job = Job::new(&args.model, &args.token, &args.run, &args.time)?;
    let found = job.run(provers, Aim::Narrow { gap: gap.unwrap_or(0.0) })?;
    let subject = job.subject();
    Ok(if args.json {
        Output::json(&json::bound(&subject, &found), 0)
    } else {
        Output { text: bounds::bound(&subject, &found), code: 0 }
    })
}
