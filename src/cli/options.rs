//! From raw flags to validated options. Every function here either returns something usable or says what to change.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use llmprove::checkpoint::Checkpoint;
use llmprove::limits::Limits;
use llmprove::model::{LoadError, ModelFolder, Vocab};
use llmprove::spec::{Language, Threshold};
use llmprove::verdict::Prover;

use super::args::{ProverArgs, RunArgs};
use super::checkpoint::StateFile;
use super::error::CliError;
use super::shipped;

/// Longer time limits are the same as none.
const MAX_SECONDS: f64 = 1e9;
/// More worker threads than this are a typing mistake.
const MAX_THREADS: usize = 1024;

/// Opens the folder that `--model` names, or the shipped one.
pub fn model_folder(dir: Option<&Path>) -> Result<ModelFolder, CliError> {
    let folder = match dir {
        Some(dir) => ModelFolder::open(dir)?,
        None => {
            let shipped = shipped::folder().map_err(|e| {
                CliError::new(
                    format!("the shipped model cannot be written out: {e}"),
                    "name a folder with config.json and model.safetensors: --model DIR",
                )
            })?;
            ModelFolder::open(shipped)?
        }
    };
    tracing::info!(folder = %folder.dir().display(), family = folder.family(), "model opened");
    Ok(folder)
}

/// The vocabulary of a folder; one that knows only numbers where the folder has none.
pub fn vocabulary(folder: &ModelFolder) -> Result<Vocab, CliError> {
    match Vocab::open(folder.dir(), folder.vocab_size()) {
        Err(LoadError::NoVocabulary { .. }) => Ok(Vocab::numbered(folder.vocab_size())),
        other => Ok(other?),
    }
}

/// One threshold.
pub fn threshold(text: &str) -> Result<Threshold, CliError> {
    Threshold::parse(text).map_err(|e| {
        CliError::new(e.to_string(), "give a probability strictly between 0 and 1, such as --threshold 0.2")
    })
}

/// Thresholds separated by commas, in the given order, each once.
pub fn thresholds(text: &str) -> Result<Vec<Threshold>, CliError> {
    let mut list: Vec<Threshold> = Vec::new();
    for part in text.split(',') {
        let next = threshold(part)?;
        if !list.contains(&next) {
            list.push(next);
        }
    }
    Ok(list)
}

/// Names of provers separated by commas.
pub fn provers(args: &ProverArgs) -> Result<BTreeSet<Prover>, CliError> {
    let known = Prover::WORKERS.map(Prover::name).join(", ");
    let named = |name: &str| {
        Prover::WORKERS.into_iter().find(|prover| prover.name() == name.trim()).ok_or_else(|| {
            CliError::new(format!("{name:?} is not a prover"), format!("choose from --provers {known}"))
        })
    };
    args.names.split(',').map(named).collect()
}

/// A gap of probabilities.
pub fn gap(text: &str) -> Result<f64, CliError> {
    text.parse().ok().filter(|g| (0.0..=1.0).contains(g)).ok_or_else(|| {
        CliError::new(format!("--gap {text} is not a number from 0 to 1"), "give a width such as --gap 0.01")
    })
}

/// The prefix language.
pub fn language(text: &str, vocab: &Vocab) -> Result<Language, CliError> {
    Language::parse(text, vocab)
        .map_err(|e| CliError::new(e.to_string(), "llmprove language --help shows the syntax of languages"))
}

/// Limits of the run, with the clock started; also sets the number of worker threads.
pub fn limits(args: &RunArgs, time: &str, context: usize) -> Result<Limits, CliError> {
    let max_len = args.max_len.as_deref().map(|text| max_len(text, context)).transpose()?;
    let checkpoint = args.checkpoint.clone().map(|file| Checkpoint::new(StateFile(file)));
    Ok(Limits { max_len, checkpoint, ..limits_of(&args.seed, args.threads.as_deref(), time)? })
}

/// The same where there is no longest prefix to speak of.
pub fn limits_of(seed_text: &str, threads: Option<&str>, time: &str) -> Result<Limits, CliError> {
    let seconds = time.parse().ok().filter(|s: &f64| *s >= 0.0 && s.is_finite()).ok_or_else(|| {
        CliError::new(format!("--time {time} is not a number of seconds"), "give a limit such as --time 30")
    })?;
    let seed = seed(seed_text)?;
    set_threads(threads)?;
    let limits = Limits { seed, ..Limits::default() };
    Ok(if seconds < MAX_SECONDS { limits.within(Duration::from_secs_f64(seconds)) } else { limits })
}

/// The seed of random choices.
pub fn seed(text: &str) -> Result<u64, CliError> {
    text.parse().map_err(|_| {
        CliError::new(format!("--seed {text} is not a whole number from 0 to 2^64 - 1"), "use --seed 0")
    })
}

/// The longest length in question, within the model's context.
pub fn max_len(text: &str, context: usize) -> Result<usize, CliError> {
    let help = format!("give a length from 1 to {context} tokens, or leave --max-len out for every length");
    match text.parse() {
        Ok(len) if (1..=context).contains(&len) => Ok(len),
        Ok(0) => Err(CliError::new("--max-len 0 leaves no prefix to speak of", help)),
        Ok(len) => Err(CliError::new(
            format!("--max-len {len} is beyond the model's context of {context} tokens"),
            help,
        )),
        Err(_) => Err(CliError::new(format!("--max-len {text} is not a number of tokens"), help)),
    }
}

/// Sets the number of worker threads, where the flag is given.
pub fn set_threads(text: Option<&str>) -> Result<(), CliError> {
    let Some(text) = text else { return Ok(()) };
    let help = format!("give a number from 1 to {MAX_THREADS}, or leave --threads out for one per core");
    let bad = |why: &str| CliError::new(format!("--threads {text} {why}"), help.clone());
    let n = text
        .parse()
        .ok()
        .filter(|n| (1..=MAX_THREADS).contains(n))
        .ok_or_else(|| bad("is not a number of threads"))?;
    rayon::ThreadPoolBuilder::new()
        .num_threads(n)
        .build_global()
        .map_err(|e| bad(&format!("cannot be had: {e}")))
}

/// A file to be written later: its folder has to exist now.
pub fn output_file(file: &Path) -> Result<&Path, CliError> {
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if file.file_name().is_none() || file.is_dir() {
        return Err(CliError::new(
            format!("{} is not a file name", file.display()),
            "name a file, such as --certificate c.json",
        ));
    }
    if !folder.is_dir() {
        return Err(CliError::new(
            format!("there is no folder {}", folder.display()),
            "create it first, or write the certificate somewhere else",
        ));
    }
    Ok(file)
}

/// A folder to write into, created if absent.
pub fn output_folder(dir: &Path) -> Result<PathBuf, CliError> {
    std::fs::create_dir_all(dir).map_err(|e| {
        CliError::new(
            format!("cannot create the folder {}: {e}", dir.display()),
            "name a folder you may write to",
        )
    })?;
    Ok(dir.into())
}
