//! `llmprove diff`: what a change of the weights does to probabilities, and to the statements of a suite.

use std::time::Instant;

use llmprove::compare::{Ground, count_short, every_prefix, short_prefixes};
use llmprove::report::diff::Difference;
use llmprove::report::suite::Report;

use super::args::DiffArgs;
use super::error::CliError;
use super::output::Output;
use super::progress::Progress;
use super::suite::{self, Opened};
use super::{interrupt, options};

/// More prefixes than this are not enumerated.
const MAX_PREFIXES: usize = 1_000_000;

/// Runs the command.
pub fn run(args: &DiffArgs) -> Result<Output, CliError> {
    let start = Instant::now();
    let [a, b] = [&args.a, &args.b].map(|dir| Opened::at(Some(dir)));
    let (a, b) = (a?, b?);
    let limits = options::limits_of(&args.seed, args.threads.as_deref(), &args.time)?;
    interrupt::listen(&limits)?;
    let len = length(args, &a, &b)?;

    let progress = Progress::start();
    progress.say("head theorem on both models".into());
    let [model_a, model_b] = [a.folder.load()?, b.folder.load()?];
    let (ground, changes) = every_prefix(&model_a, &model_b, &limits).map_err(refused)?;
    let short = if len == 0 || ground == Ground::Equal {
        None
    } else {
        progress.say(format!("both models after every prefix of at most {len} tokens"));
        short_prefixes(&model_a, &model_b, len, &limits).map_err(refused)?
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
        short: short.as_deref().map(|found| (len, found)),
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
    let help = format!("give a length from 0 (nothing is enumerated) to {context} tokens");
    let len: usize = args.max_len.parse().ok().filter(|len| *len <= context).ok_or_else(|| {
        CliError::new(format!("--max-len {} is not a length for these models", args.max_len), &help)
    })?;
    match count_short(a.folder.vocab_size(), len) {
        Some(count) if count <= MAX_PREFIXES => Ok(len),
        _ => Err(CliError::new(
            format!("there are more than {MAX_PREFIXES} prefixes of at most {len} tokens"),
            "give a smaller --max-len",
        )),
    }
}

fn refused(error: llmprove::compare::CompareError) -> CliError {
    CliError { message: error.to_string(), help: None }
}
