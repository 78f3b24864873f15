//! What `check`, `bound` and `search` share: a model, a token, limits, and a portfolio of provers let loose on them.

use std::collections::BTreeSet;
use std::time::Instant;

use llmprove::decide::{Decision, decide};
use llmprove::limits::Limits;
use llmprove::model::{ModelFolder, TokenId, Vocab};
use llmprove::num::decimal::{round_down, round_up};
use llmprove::prove::{Arguments, Event, Portfolio};
use llmprove::report::Subject;
use llmprove::search::Aim;
use llmprove::spec::{Language, Statement};
use llmprove::verdict::{Bounds, Prover};

use super::args::{ModelArgs, RunArgs, TokenArgs};
use super::error::CliError;
use super::progress::Progress;
use super::{interrupt, options, token};

/// Significant digits in the progress line.
const DIGITS: usize = 3;

/// One question about one token, ready to run.
pub struct Job {
    start: Instant,
    folder: ModelFolder,
    /// The folder as the user may type it.
    name: String,
    vocab: Vocab,
    token: TokenId,
    language: Language,
    /// The language as the user wrote it.
    written: String,
    limits: Limits,
}

impl Job {
    /// Validates the flags and opens the model, for a question about one token.
    pub fn new(model: &ModelArgs, which: &TokenArgs, run: &RunArgs, time: &str) -> Result<Job, CliError> {
        Ok(Job::about(model, run, time, |vocab| token::select(which, vocab), |token| *token)?.0)
    }

    /// The same for a question about anything that takes a vocabulary to read; `token` is the one that reports name first.
    pub fn about<T>(
        model: &ModelArgs,
        run: &RunArgs,
        time: &str,
        read: impl FnOnce(&Vocab) -> Result<T, CliError>,
        token: impl FnOnce(&T) -> TokenId,
    ) -> Result<(Job, T), CliError> {
        let start = Instant::now();
        let folder = options::model_folder(model.dir.as_deref())?;
        let vocab = options::vocabulary(&folder)?;
        let language = options::language(&run.prefix, &vocab)?;
        let written = run.prefix.trim().to_owned();
        let subject = read(&vocab)?;
        let token = token(&subject);
        let limits = options::limits(run, time, folder.context())?;
        interrupt::listen(&limits)?;
        let name = folder.dir().display().to_string();
        Ok((Job { start, folder, name, vocab, token, language, written, limits }, subject))
    }

    /// Runs the provers until the aim is reached or the limits are. Nobody asks for certificates here, so an enumeration that there is
    /// time for comes first.
    pub fn run(&self, provers: BTreeSet<Prover>, aim: Aim<'_>) -> Result<Bounds, CliError> {
        let progress = Progress::start();
        let observe = |event: Event<'_>| show(&progress, event);
        let portfolio = Portfolio::open(&self.folder, &self.language, provers)?;
        let found = portfolio.bound(&[self.token], aim, Arguments::Dropped, &self.limits, &observe)?;
        let bounds = found.into_iter().next().expect("one token, one answer");
        consistent(self.token, &bounds)?;
        Ok(bounds)
    }

    /// Works on a statement about the model until it is decided or the limits are reached.
    pub fn decide(&self, provers: BTreeSet<Prover>, statement: &Statement) -> Result<Decision, CliError> {
        let progress = Progress::start();
        Ok(decide(&self.folder, statement, provers, &self.limits, &|event| show(&progress, event))?)
    }

    /// What the report is about.
    pub fn subject(&self) -> Subject<'_> {
        Subject {
            model: &self.name,
            vocab: &self.vocab,
            token: self.token,
            language: &self.written,
            max_len: self.limits.max_len,
            seconds: self.start.elapsed().as_secs_f64(),
        }
    }

    /// The model.
    pub fn folder(&self) -> &ModelFolder {
        &self.folder
    }

    /// How long it may take.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The token in question.
    pub fn token(&self) -> TokenId {
        self.token
    }

    /// The prefixes in question.
    pub fn language(&self) -> &Language {
        &self.language
    }

    /// The longest prefix in question.
    pub fn max_len(&self) -> Option<usize> {
        self.limits.max_len
    }
}

/// An event on the progress line.
fn show(progress: &Progress, event: Event<'_>) {
    match event {
        Event::Stage(what) | Event::Progress(what) => progress.say(what.to_owned()),
        Event::Upper { upper, .. } => progress.say(format!("max P <= {}", round_up(upper, DIGITS))),
        Event::Lower { witness, .. } => {
            progress.say(format!("max P >= {}", round_down(witness.lower, DIGITS)));
        }
    }
}

/// Refuses to report bounds that cannot both be true.
pub fn consistent(token: TokenId, bounds: &Bounds) -> Result<(), CliError> {
    if !bounds.contradict() {
        return Ok(());
    }
    Err(CliError::new(
        format!(
            "two certified bounds for token {token} contradict each other: lower {} and upper {}; nothing is claimed",
            bounds.lower(),
            bounds.upper
        ),
        "this is a mistake in llmprove: please report it with the command line and the model",
    ))
}
