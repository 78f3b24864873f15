//! Ctrl-C: the first ends the run with the best bounds so far, the second ends the process.

use std::sync::atomic::Ordering;

use llmprove::limits::Limits;

use super::error::CliError;

/// What a shell reports for a process that SIGINT ended.
const KILLED: i32 = 130;

/// Lets Ctrl-C raise the stop flag of `limits`.
pub fn listen(limits: &Limits) -> Result<(), CliError> {
    let stop = limits.stop.clone();
    ctrlc::set_handler(move || {
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(KILLED);
        }
        eprintln!("\nstopping: the best bounds so far follow (Ctrl-C again to quit at once)");
    })
    .map_err(|e| CliError::new(format!("cannot listen for Ctrl-C: {e}"), "run the command once per process"))
}
