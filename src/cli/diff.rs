//! `llmprove diff`: what a change of the weights does to probabilities, and to the statements of a suite.

use std::time::Instant;

use llmprove::compare::{Ground, every_prefix, short_prefixes};
use llmprove::report::diff::{Difference, Enumerated};
use llmprove::report::suite::Report;
use llmprove::spec::language::Automaton;

use super::args::DiffArgs;
use super::error::CliError;
use super::output::Output;
use super::progress::Progress;
use super::suite::{self, Opened};
use super::{interrupt, options};

/// More prefixes than this are not enumerated.
const MAX_PREFIXES: u32 = 1_000_000;

/// Runs the command.
pub fn run(args: &DiffArgs) -> Result<Output, CliError> {
    let start = Instant::now();
    let [a, b] = [&args.a, &args.b].map(|dir| Opened::at(Some(dir)));
    let (a, b) = (a?, b?);
    let limits = options::limits_of(&args.seed, args.threads.as_deref(), &args.time)?;
    interrupt::listen(&limits)?;
    let longest = length(args, &a, &b)?;
    let prefix = args.prefix.as_deref().unwrap_or("any");
    let language = prefixes(prefix, longest, &a)?;

    let progress = Progress::start();
    progress.say("head theorem on both models".into());
    let [model_a, model_b] = [a.folder.load()?, b.folder.load()?];
    let (ground, changes) = every_prefix(&model_a, &model_b, &limits).map_err(refused)?;
    let enumerates = longest > 0 && ground != Ground::Equal;
    let short = if enumerates {
        progress.say("both models after every prefix of the language".into());
        short_prefixes(&model_a, &model_b, (&language, longest), &limits).map_err(refused)?
    } else {
        None
    };
    let outcomes = match &args.suite {
        None => None,
        Some(file) => {
            Some(suite::moved(file, args.certificates.as_deref(), &args.a, &b, &limits, &progress)?)
        }
    };
    drop(progress);

    let names = [&a, &b].map(|model| model.folder.dir().display().to_string());
    let suite = args.suite.as_ref().map(|file| file.display().to_string());
    let seconds = start.elapsed().as_secs_f64();
    let report = suite.as_deref().zip(outcomes.as_deref());
    let report = report.map(|(suite, outcomes)| Report { suite, outcomes, seconds });
    let difference = Difference {
        models: [&names[0], &names[1]],
        vocab: &a.vocab,
        ground,
        changes: &changes,
        short: enumerates.then_some(Enumerated { language: prefix, longest, found: short.as_deref() }),
        suite: report,
        seconds,
    };
    let code = report.map_or(0, |report| report.summary().exit_code());
    Ok(if args.json {
        Output::json(&difference.document(), code)
    } else {
        Output { text: difference.text(), code }
    })
}

/// The longest prefix to enumerate; 0 for none.
fn length(args: &DiffArgs, a: &Opened, b: &Opened) -> Result<usize, CliError> {
    let context = a.folder.context().min(b.folder.context());
    let Some(text) = &args.max_len else { return Ok(if args.prefix.is_some() { context } else { 1 }) };
    text.parse().ok().filter(|len| *len <= context).ok_or_else(|| {
        CliError::new(
            format!("--max-len {text} is not a length for these models"),
            format!("give a length from 0 (nothing is enumerated) to {context} tokens"),
        )
    })
}

/// A language whose prefixes are few enough to enumerate.
fn prefixes(text: &str, longest: usize, of: &Opened) -> Result<Automaton, CliError> {
    let language = Automaton::new(&options::language(text, &of.vocab)?, of.folder.vocab_size())
        .map_err(|e| CliError::new(e.to_string(), "name a simpler language"))?;
    if longest > 0 && language.lengths(longest).is_empty() {
        return Err(CliError::new(
            format!("{text} holds no prefix of at most {longest} tokens"),
            "give a greater --max-len, or another language",
        ));
    }
    if language.within(longest).total() > MAX_PREFIXES.into() {
        return Err(CliError::new(
            format!("there are more than {MAX_PREFIXES} prefixes of at most {longest} tokens"),
            "give a smaller --max-len",
        ));
    }
    Ok(language)
}

fn refused(error: llmprove::compare::CompareError) -> CliError {
    CliError { message: error.to_string(), help: None }
}
