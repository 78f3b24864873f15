//! `llmprove prove` and `llmprove ci`: suites of statements and their certificates.

mod models;
mod reports;
mod settle;
mod workers;

use std::path::{Path, PathBuf};
use std::time::Instant;

use llmprove::limits::Limits;
use llmprove::report::suite::Report;
use llmprove::suite::{How, Outcome, Suite};

use super::args::{CiArgs, ProveArgs, SuiteArgs};
use super::error::CliError;
use super::output::{Output, write_certificate};
use super::progress::Progress;
use super::{interrupt, options};
use models::Models;
pub use models::Opened;
use settle::{Settled, Task};

/// Folder of certificates beside a suite.
const CERTIFICATES: &str = "certificates";

/// `llmprove prove`: what has no certificate gets one.
pub fn prove(args: &ProveArgs) -> Result<Output, CliError> {
    let dir = certificates(&args.suite);
    options::output_folder(&dir)?;
    run(&args.suite, (!args.fresh).then_some(&*dir), Some(&dir))
}

/// `llmprove ci`: the suite's folder is only read.
pub fn ci(args: &CiArgs) -> Result<Output, CliError> {
    let out = args.out.as_deref().map(options::output_folder).transpose()?;
    run(&args.suite, Some(&certificates(&args.suite)), out.as_deref())
}

fn certificates(args: &SuiteArgs) -> PathBuf {
    let beside = || args.file.parent().unwrap_or(Path::new("")).join(CERTIFICATES);
    args.certificates.clone().unwrap_or_else(beside)
}

/// Settles every statement, with the certificates of the folder `old`; new ones go to the folder `new`.
fn run(args: &SuiteArgs, old: Option<&Path>, new: Option<&Path>) -> Result<Output, CliError> {
    let start = Instant::now();
    reports::check_files(args)?;
    let (suite, models) = open(&args.file)?;
    let limits = Limits { seed: options::seed(&args.seed)?, ..Limits::default() };
    options::set_threads(args.threads.as_deref())?;
    interrupt::listen(&limits)?;

    let tasks = suite
        .entries
        .iter()
        .map(|entry| Task::new(&suite.file, entry, models.of(entry), old))
        .collect::<Result<Vec<_>, _>>()?;
    let progress = Progress::start();
    let settled = workers::settle_all(&tasks, &limits, &progress)?;
    drop(progress);

    let outcomes = std::iter::zip(&tasks, settled).map(|(task, settled)| finish(task, settled, old, new));
    let outcomes = outcomes.collect::<Result<Vec<_>, _>>()?;
    let report = Report { suite: &suite.file, outcomes: &outcomes, seconds: start.elapsed().as_secs_f64() };
    reports::write(args, &report)?;
    let code = report.summary().exit_code();
    Ok(if args.json { Output::json(&report.document(), code) } else { Output { text: report.text(), code } })
}

/// The statements of a suite about the model folder `from`, put to the model `to`.
pub fn moved(
    file: &Path,
    certificates: Option<&Path>,
    from: &Path,
    to: &Opened,
    limits: &Limits,
    progress: &Progress,
) -> Result<Vec<Outcome>, CliError> {
    let (suite, models) = open(file)?;
    let beside = file.parent().unwrap_or(Path::new("")).join(CERTIFICATES);
    let old = Some(certificates.unwrap_or(&beside));
    let digest = Opened::at(Some(from))?.folder.digest().to_owned();
    let about = suite.entries.iter().filter(|entry| models.of(entry).folder.digest() == digest);
    let tasks: Vec<Task<'_>> =
        about.map(|entry| Task::new(&suite.file, entry, to, old)).collect::<Result<_, _>>()?;
    if tasks.is_empty() {
        return Err(CliError::new(
            format!("{} has no statement about the model {}", file.display(), from.display()),
            "name a suite about the first of the two models",
        ));
    }
    let settled = workers::settle_all(&tasks, limits, progress)?;
    std::iter::zip(&tasks, settled).map(|(task, settled)| finish(task, settled, old, None)).collect()
}

/// Reads a suite and opens its models.
fn open(file: &Path) -> Result<(Suite, Models), CliError> {
    let text = std::fs::read_to_string(file).map_err(|e| {
        CliError::new(
            format!("cannot read the suite {}: {e}", file.display()),
            "name a TOML file of statements",
        )
    })?;
    let suite = Suite::parse(&file.display().to_string(), &text)?;
    let models = Models::open(&suite, file.parent().unwrap_or(Path::new("")))?;
    Ok((suite, models))
}

/// Writes the certificate of a settled statement, unless it is there already, and reports on it.
fn finish(
    task: &Task<'_>,
    settled: Settled,
    old: Option<&Path>,
    new: Option<&Path>,
) -> Result<Outcome, CliError> {
    let name = format!("{}.json", task.entry.name);
    let certificate = match (&settled.files, settled.how, new) {
        (Some(_), How::Checked, _) => old.map(|dir| dir.join(name)),
        (Some(files), How::Survived | How::Searched, Some(dir)) => {
            Some(write_certificate(&dir.join(name), files)?.certificate)
        }
        (Some(_), How::Survived | How::Searched, None) | (None, _, _) => None,
    };
    Ok(settled.outcome(task, certificate))
}
