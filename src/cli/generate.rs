//! `llmprove completions` and `llmprove man`: what is made of the command line's own description.

use clap::CommandFactory;

use super::args::{Cli, CompletionsArgs, ManArgs};
use super::error::CliError;
use super::options;
use super::output::Output;

/// A completion script on stdout.
pub fn completions(args: &CompletionsArgs) -> Result<Output, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "llmprove", &mut script);
    Ok(Output { text: String::from_utf8_lossy(&script).into_owned(), code: 0 })
}

/// One manual page for the command and one for each subcommand.
pub fn man(args: &ManArgs) -> Result<Output, CliError> {
    let dir = options::output_folder(&args.dir)?;
    clap_mangen::generate_to(Cli::command(), &dir).map_err(|e| {
        CliError::new(
            format!("cannot write manual pages to {}: {e}", dir.display()),
            "name a folder you may write to",
        )
    })?;
    Ok(Output { text: format!("manual pages written to {}\n", dir.display()), code: 0 })
}
