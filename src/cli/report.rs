//! `llmprove report`: an audit as an HTML page, or as bars in the terminal.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use llmprove::model::{ModelFolder, TokenId, Vocab};
use llmprove::report::audit::Document;
use llmprove::report::html::{Link, Page};
use llmprove::report::inspect::Inspection;
use llmprove::report::terminal;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::args::ReportArgs;
use super::audit::{Audited, certificate_name};
use super::error::CliError;
use super::options;
use super::output::Output;

/// The document of `--json`.
#[derive(Serialize)]
struct Written<'a> {
    report: &'a Path,
    certificates: usize,
    audit: &'a Document,
}

/// Runs the command.
pub fn run(args: &ReportArgs) -> Result<Output, CliError> {
    // Whether the page can be written is found out before the audit takes its time.
    let out = options::output_file(&args.out)?;
    let (folder, vocab, audit) = match &args.from {
        Some(file) => earlier(args, file)?,
        None => {
            let audited = Audited::new(&args.question)?;
            let document = audited.audit().document();
            (audited.folder, audited.vocab, document)
        }
    };
    if args.terminal {
        return Ok(Output { text: terminal::bars(&audit), code: 0 });
    }
    let certificates = match &args.question.certificates {
        Some(dir) => links(dir, out, &audit)?,
        None => BTreeMap::new(),
    };
    let facts = Inspection::of(&folder)?.facts();
    let (n, digest) = (certificates.len(), folder.digest());
    let page = Page { audit: &audit, vocab: &vocab, digest, facts, certificates }.render();
    std::fs::write(out, page).map_err(|e| {
        CliError::new(
            format!("cannot write {}: {e}", out.display()),
            "name a file you may write to: --out FILE",
        )
    })?;
    if args.json {
        return Ok(Output::json(&Written { report: out, certificates: n, audit: &audit }, 0));
    }
    let tokens = audit.tokens.len();
    Ok(Output {
        text: format!("{}: bounds of {tokens} tokens, {n} certificates linked\n", out.display()),
        code: 0,
    })
}

/// The audit in a file, and the model it names unless `--model` does.
fn earlier(args: &ReportArgs, file: &Path) -> Result<(ModelFolder, Vocab, Document), CliError> {
    let problem = |what: String| {
        let message = format!("{} {what}", file.display());
        CliError::new(message, "give the file that `llmprove audit --json` wrote")
    };
    let bytes = std::fs::read(file).map_err(|e| problem(format!("cannot be read: {e}")))?;
    let audit: Document = serde_json::from_slice(&bytes)
        .map_err(|e| problem(format!("is not the document of an audit: {e}")))?;
    let named = args.question.model.dir.clone().unwrap_or_else(|| PathBuf::from(&audit.model));
    let folder = options::model_folder(Some(&named))?;
    let vocab = options::vocabulary(&folder)?;
    let ids = audit.tokens.iter().flat_map(|row| row.witness.iter().flatten().chain([&row.id]));
    match ids.max() {
        Some(&id) if id as usize >= folder.vocab_size() => Err(CliError::new(
            format!(
                "{} speaks of token {id}, the model {} has {}",
                file.display(),
                named.display(),
                folder.vocab_size()
            ),
            "name the model of that audit: --model DIR",
        )),
        _ => Ok((folder, vocab, audit)),
    }
}

/// The certificates that lie in a folder, by token and threshold.
fn links(dir: &Path, out: &Path, audit: &Document) -> Result<BTreeMap<(TokenId, String), Link>, CliError> {
    let mut found = BTreeMap::new();
    for row in &audit.tokens {
        for threshold in row.verdicts.keys() {
            let file = dir.join(certificate_name(row.id, threshold));
            let Ok(bytes) = std::fs::read(&file) else { continue };
            let sha256 = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
            found.insert((row.id, threshold.clone()), Link { href: relative(&file, out)?, sha256 });
        }
    }
    Ok(found)
}

/// A link from the page to a file: relative where both lie below the page's folder, absolute otherwise.
fn relative(file: &Path, page: &Path) -> Result<String, CliError> {
    let absolute = |path: &Path| {
        std::path::absolute(path).map_err(|e| {
            CliError::new(format!("cannot find {}: {e}", path.display()), "use paths that exist")
        })
    };
    let (file, page) = (absolute(file)?, absolute(page)?);
    let below = page.parent().and_then(|folder| file.strip_prefix(folder).ok());
    Ok(match below {
        Some(path) => encoded(path),
        None => format!("file://{}", encoded(&file)),
    })
}

/// Bytes that a URL cannot hold as `%XX`.
fn encoded(path: &Path) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
    path.as_os_str()
        .as_encoded_bytes()
        .iter()
        .map(|&b| if plain(b) { char::from(b).into() } else { format!("%{b:02X}") })
        .collect()
}
