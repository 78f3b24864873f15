//! `--log`: what is being done, on stderr.

use std::io::IsTerminal;

use tracing_subscriber::filter::LevelFilter;

use super::args::LogLevel;

/// Starts to write messages of this level and the more important ones.
pub fn start(level: LogLevel) {
    let level = match level {
        LogLevel::Off => return,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}
