//! The progress line on stderr: appears after two seconds, redrawn on a terminal, repeated now and then elsewhere.

use std::io::IsTerminal;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

/// Runs shorter than this show nothing.
const PATIENCE: Duration = Duration::from_secs(2);
/// Redraws on a terminal.
const FRAME: Duration = Duration::from_millis(120);
/// Lines elsewhere, such as in the log of a build.
const PLAIN_LINE: Duration = Duration::from_secs(15);

/// A running progress line; dropping it wipes the line.
pub struct Progress {
    message: Arc<Mutex<String>>,
    /// Dropped first, which wakes the thread and ends it.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Starts the clock.
    pub fn start() -> Progress {
        let message = Arc::new(Mutex::new(String::new()));
        let (end, ended) = mpsc::channel::<()>();
        let shown = Arc::clone(&message);
        let thread = std::thread::spawn(move || {
            let start = Instant::now();
            if ended.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let current = || shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if std::io::stderr().is_terminal() {
                let bar = ProgressBar::new_spinner();
                bar.set_elapsed(start.elapsed());
                while ended.recv_timeout(FRAME) == Err(RecvTimeoutError::Timeout) {
                    bar.set_message(format!("{:.0} s  {}", start.elapsed().as_secs_f64(), current()));
                    bar.tick();
                }
                bar.finish_and_clear();
            } else {
                loop {
                    eprintln!("{:.0} s  {}", start.elapsed().as_secs_f64(), current());
                    if ended.recv_timeout(PLAIN_LINE) != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                }
            }
        });
        Progress { message, end: Some(end), thread: Some(thread) }
    }

    /// Replaces the text of the line.
    pub fn say(&self, message: String) {
        *self.message.lock().unwrap_or_else(PoisonError::into_inner) = message;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the drawing thread has been printed already and concerns nobody else.
            let _ = thread.join();
        }
    }
}
