//! `llmprove language`: how many prefixes a language holds, and some of them.

use llmprove::report::language::Description;
use llmprove::spec::language::Automaton;

use super::args::LanguageArgs;
use super::error::CliError;
use super::options;
use super::output::Output;

/// Most prefixes to draw.
const MAX_SAMPLES: usize = 1_000_000;

/// Runs the command.
pub fn run(args: &LanguageArgs) -> Result<Output, CliError> {
    let folder = options::model_folder(args.model.dir.as_deref())?;
    let vocab = options::vocabulary(&folder)?;
    let max_len = args.max_len.as_deref().map(|text| options::max_len(text, folder.context())).transpose()?;
    let samples = args.samples.parse().ok().filter(|n| *n <= MAX_SAMPLES).ok_or_else(|| {
        CliError::new(
            format!("--samples {} is not a number of prefixes", args.samples),
            format!("give a number from 0 to {MAX_SAMPLES}"),
        )
    })?;
    let seed = options::seed(&args.seed)?;
    let language = options::language(&args.language, &vocab)?;
    let automaton = Automaton::new(&language, vocab.len())
        .map_err(|e| CliError { message: e.to_string(), help: None })?;
    let longest = max_len.unwrap_or(folder.context());
    let description = Description::new(&language, &automaton, longest, &vocab, samples, seed);
    Ok(if args.json { Output::json(&description, 0) } else { Output { text: description.text(), code: 0 } })
}
