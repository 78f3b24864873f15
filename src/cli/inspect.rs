//! `llmprove inspect`: what a model folder holds and which provers apply.

use llmprove::report::inspect::Inspection;

use super::args::InspectArgs;
use super::error::CliError;
use super::options;
use super::output::Output;

/// Runs the command.
pub fn run(args: &InspectArgs) -> Result<Output, CliError> {
    let folder = options::model_folder(args.model.dir.as_deref())?;
    let mut inspection = Inspection::of(&folder)?;
    if args.tokens {
        inspection = inspection.with_tokens(&options::vocabulary(&folder)?);
    }
    Ok(if args.json { Output::json(&inspection, 0) } else { Output { text: inspection.text(), code: 0 } })
}
