//! `llmprove explain`: where the bound of a token is lost.

use llmprove::explain::profile;
use llmprove::num::Interval;
use llmprove::prove::PortfolioError;
use llmprove::prove::head::{Goal, HeadError, HeadProver};
use llmprove::report::explain;
use llmprove::search::Aim;
use llmprove::spec::Language;
use llmprove::verdict::Prover;

use super::args::ExplainArgs;
use super::error::CliError;
use super::job::Job;
use super::output::Output;

/// Runs the command.
pub fn run(args: &ExplainArgs) -> Result<Output, CliError> {
    let job = Job::new(&args.model, &args.token, &args.run, &args.time)?;
    if *job.language() != Language::Any {
        return Err(CliError::new("explain speaks of every prefix", "leave out --prefix"));
    }
    let bounds = job.run(Prover::WORKERS.into(), Aim::Narrow { gap: 0.0 })?;
    let model = job.folder().load()?;
    // The provers have had their time; the stages take seconds and are not cut short by it.
    let limits = llmprove::limits::Limits { deadline: None, ..job.limits().clone() };
    let head = match HeadProver::new(&model.head, Interval::ONE) {
        Err(HeadError::NoFinalNorm) => None,
        Err(error) => return Err(PortfolioError::from(error).into()),
        Ok(prover) => {
            let proofs = prover.bound_all(&[job.token()], &Goal::tight(), &limits, &|_| {});
            let proofs = proofs.map_err(PortfolioError::from)?;
            proofs.first().map(|proof| proof.upper)
        }
    };
    let longest = job.limits().longest_prefix(model.context);
    let profile = profile(&model, job.token(), head, &bounds, longest, &limits);
    let subject = job.subject();
    Ok(if args.json {
        Output::json(&explain::document(&subject, &bounds, &profile), 0)
    } else {
        Output { text: explain::text(&subject, &bounds, &profile), code: 0 }
    })
}
