//! What a command leaves behind: a text for stdout, an exit code, and certificate files.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use llmprove::certify::Files;
use serde::Serialize;

use super::error::CliError;

/// The end of a command.
pub struct Output {
    /// Written to stdout as a whole; colours are stripped unless it is a terminal that wants them.
    pub text: String,
    /// Exit code.
    pub code: u8,
}

impl Output {
    /// One JSON document.
    pub fn json(document: &impl Serialize, code: u8) -> Output {
        let text =
            serde_json::to_string(document).expect("documents hold only strings, finite numbers and lists");
        Output { text: text + "\n", code }
    }

    /// Writes the text and gives the exit code.
    pub fn print(self) -> ExitCode {
        let mut stdout = anstream::stdout().lock();
        match stdout.write_all(self.text.as_bytes()).and_then(|()| stdout.flush()) {
            // Whoever closed the pipe has read enough; the verdict is in the exit code.
            Err(e) if e.kind() != ErrorKind::BrokenPipe => {
                eprintln!(
                    "error: cannot write to stdout: {e}\nhelp: redirect it to a file on a disk with room"
                );
                ExitCode::from(2)
            }
            _ => ExitCode::from(self.code),
        }
    }
}

/// A certificate and its statement, on disk.
pub struct Written {
    /// The certificate.
    pub certificate: PathBuf,
    /// The statement it is about.
    pub statement: PathBuf,
}

/// Writes a certificate to `file` and its statement beside it: `c.json` and `c.statement.json`.
pub fn write_certificate(file: &Path, files: &Files) -> Result<Written, CliError> {
    let written = Written { certificate: file.into(), statement: file.with_extension("statement.json") };
    for (path, bytes) in [(&written.statement, &files.statement), (&written.certificate, &files.certificate)]
    {
        std::fs::write(path, bytes).map_err(|e| {
            CliError::new(
                format!("cannot write {}: {e}", path.display()),
                "name a file in a folder you may write to",
            )
        })?;
    }
    Ok(written)
}
