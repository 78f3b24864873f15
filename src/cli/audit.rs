//! `llmprove audit`: bounds and answers for every token of a list, at one or several thresholds.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use llmprove::certify::Recorder;
use llmprove::model::{ModelFolder, TokenId};
use llmprove::prove::{Arguments, Event, Portfolio};
use llmprove::report::audit::Audit;
use llmprove::search::Aim;
use llmprove::spec::{Predicate, Statement, Threshold};
use llmprove::verdict::{Answer, Bounds};

use super::args::AuditArgs;
use super::error::CliError;
use super::output::{Output, write_certificate};
use super::progress::Progress;
use super::{interrupt, job, options, token};

/// Runs the command.
pub fn run(args: &AuditArgs) -> Result<Output, CliError> {
    let start = Instant::now();
    let thresholds = options::thresholds(&args.threshold)?;
    let language = options::language(&args.run)?;
    let provers = options::provers(&args.provers)?;
    let folder = options::model_folder(args.model.dir.as_deref())?;
    let vocab = options::vocabulary(&folder)?;
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
        match event {
            Event::Stage(what) => progress.say(format!("{what}, {} tokens", tokens.len())),
            Event::Lower { .. } => {
                let n = 1 + improved.fetch_add(1, Ordering::Relaxed);
                progress
                    .say(format!("search for witnesses, {} tokens, {n} witnesses evaluated", tokens.len()));
            }
            Event::Upper { .. } => {}
        }
    };
    let portfolio = Portfolio::open(&folder, provers)?;
    let found = portfolio.bound(&tokens, Aim::Exceed(&thresholds), arguments, &limits, &observe)?;
    drop(progress);

    let rows: Vec<(TokenId, Bounds)> = tokens.into_iter().zip(found).collect();
    rows.iter().try_for_each(|(token, bounds)| job::consistent(*token, bounds))?;
    if let Some(dir) = &certificates {
        let statement =
            |predicate| Statement { language: language.clone(), max_len: limits.max_len, predicate };
        write_certificates(dir, &recorder, &folder, &rows, &thresholds, statement)?;
    }
    let model = folder.dir().display().to_string();
    let seconds = start.elapsed().as_secs_f64();
    let (thresholds, max_len) = (thresholds.as_slice(), limits.max_len);
    let audit = Audit {
        model: &model,
        vocab: &vocab,
        language: &language,
        max_len,
        thresholds,
        rows: &rows,
        seconds,
    };
    let code = audit.answer().exit_code();
    Ok(if args.json {
        Output::json(&audit.document(), code)
    } else if args.csv {
        Output { text: audit.csv(), code }
    } else {
        Output { text: audit.text(), code }
    })
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
                let file = dir.join(format!("token-{token}-at-{threshold}.json"));
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
