//! `llmprove audit`: bounds and answers for every token of a list, at one or several thresholds.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use llmprove::certify::Recorder;
use llmprove::model::{ModelFolder, TokenId, Vocab};
use llmprove::prove::{Arguments, Event, Portfolio};
use llmprove::report::audit::Audit;
use llmprove::search::Aim;
use llmprove::spec::{Predicate, Statement, Threshold};
use llmprove::verdict::{Answer, Bounds};

use super::args::{AuditArgs, AuditQuestion};
use super::error::CliError;
use super::output::{Output, write_certificate};
use super::progress::Progress;
use super::{interrupt, job, options, token};

/// Gap between bounds that is worth the time that thresholds leave.
const WORTHWHILE_GAP: f64 = 0.005;

/// Runs the command.
pub fn run(args: &AuditArgs) -> Result<Output, CliError> {
    let audited = Audited::new(&args.question)?;
    let audit = audited.audit();
    let code = audit.answer().exit_code();
    Ok(if args.json {
        Output::json(&audit.document(), code)
    } else if args.csv {
        Output { text: audit.csv(), code }
    } else {
        Output { text: audit.text(), code }
    })
}

/// An audit that has run.
pub struct Audited {
    pub folder: ModelFolder,
    pub vocab: Vocab,
    model: String,
    /// As the user wrote it.
    language: String,
    max_len: Option<usize>,
    thresholds: Vec<Threshold>,
    rows: Vec<(TokenId, Bounds)>,
    seconds: f64,
}

impl Audited {
    /// Runs the provers on every token, and writes certificates if they are asked for.
    pub fn new(args: &AuditQuestion) -> Result<Audited, CliError> {
        let start = Instant::now();
        let thresholds = options::thresholds(&args.threshold)?;
        let provers = options::provers(&args.provers)?;
        let folder = options::model_folder(args.model.dir.as_deref())?;
        let vocab = options::vocabulary(&folder)?;
        let language = options::language(&args.run.prefix, &vocab)?;
        let tokens = token::list(args.token_ids.as_deref(), folder.vocab_size())?;
        let limits = options::limits(&args.run, &args.time, folder.context())?;
        let certificates = args.certificates.as_deref().map(options::output_folder).transpose()?;
        interrupt::listen(&limits)?;

        let recorder = Recorder::default();
        let progress = Progress::start();
        let arguments = if certificates.is_some() { Arguments::Kept } else { Arguments::Dropped };
        let improved = AtomicUsize::new(0);
        let observe = |event: Event<'_>| {
            recorder.notice(event);
            event.log();
            match event {
                Event::Progress(what) => progress.say(what.to_owned()),
                Event::Stage(what) => progress.say(format!("{what}, {} tokens", tokens.len())),
                Event::Lower { .. } => {
                    let n = 1 + improved.fetch_add(1, Ordering::Relaxed);
                    let tokens = tokens.len();
                    progress.say(format!("search for witnesses, {tokens} tokens, {n} witnesses evaluated"));
                }
                Event::Upper { .. } => {}
            }
        };
        let portfolio = Portfolio::open(&folder, &language, provers)?.narrowing_to(WORTHWHILE_GAP);
        let found = portfolio.bound(&tokens, Aim::Exceed(&thresholds), arguments, &limits, &observe)?;
        drop(progress);

        let rows: Vec<(TokenId, Bounds)> = tokens.into_iter().zip(found).collect();
        rows.iter().try_for_each(|(token, bounds)| job::consistent(*token, bounds))?;
        if let Some(dir) = &certificates {
            let statement =
                |predicate| Statement { language: language.clone(), max_len: limits.max_len, predicate };
            write_certificates(dir, &recorder, &folder, &rows, &thresholds, statement)?;
        }
        let (model, max_len) = (folder.dir().display().to_string(), limits.max_len);
        let seconds = start.elapsed().as_secs_f64();
        let language = args.run.prefix.trim().to_owned();
        Ok(Audited { folder, vocab, model, language, max_len, thresholds, rows, seconds })
    }

    /// What the reports are made from.
    pub fn audit(&self) -> Audit<'_> {
        Audit {
            model: &self.model,
            vocab: &self.vocab,
            language: &self.language,
            max_len: self.max_len,
            thresholds: &self.thresholds,
            rows: &self.rows,
            seconds: self.seconds,
        }
    }
}

/// Name of the certificate about a token and a threshold (its exact text) in the folder of certificates.
pub fn certificate_name(token: TokenId, threshold: &str) -> String {
    format!("token-{token}-at-{threshold}.json")
}

/// One pair of files for every decided token and threshold.
fn write_certificates(
    dir: &Path,
    recorder: &Recorder,
    folder: &ModelFolder,
    rows: &[(TokenId, Bounds)],
    thresholds: &[Threshold],
    statement: impl Fn(Predicate) -> Statement,
) -> Result<(), CliError> {
    for (token, bounds) in rows {
        for threshold in thresholds {
            let answer = bounds.answer(threshold);
            if answer != Answer::Unknown {
                let file = dir.join(certificate_name(*token, threshold.text()));
                let statement = statement(Predicate::Ceiling {
                    token: *token,
                    threshold: threshold.clone(),
                    temperature: None,
                });
                write_certificate(&file, &recorder.files(folder.digest(), &statement, answer)?)?;
            }
        }
    }
    Ok(())
}
