//! The config file: defaults for flags, so that `--help` shows them and flags still win.
//!
//! `--config FILE`, or `llmprove.toml` in the current folder. A key is the name of a flag, for every command that has it:
//!
//! ```toml
//! model = "models/moby-l2"   # relative to the config file
//! time = 30
//! threads = 2
//! ```

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml::Value;

use super::error::CliError;

/// Read where no file is named.
const FILE: &str = "llmprove.toml";
/// Flags that may be given a default, and what their values are.
const KEYS: [(&str, Kind); 6] = [
    ("model", Kind::Path),
    ("time", Kind::Number),
    ("threads", Kind::Number),
    ("seed", Kind::Number),
    ("provers", Kind::Text),
    ("log", Kind::Text),
];

/// What a value has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Path,
    Number,
    Text,
}

/// Puts the defaults of the config file, if there is one, into the description of the command line.
pub fn apply(command: clap::Command, args: &[OsString]) -> Result<clap::Command, CliError> {
    let file = match named(args) {
        Some(file) => file,
        None if Path::new(FILE).is_file() => FILE.into(),
        None => return Ok(command),
    };
    Ok(with_defaults(command, &read(&file)?))
}

/// The value of `--config`, before anything else is understood of the command line.
fn named(args: &[OsString]) -> Option<PathBuf> {
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.to_string_lossy().as_ref() {
            "--" => return None,
            "--config" => return args.next().map(PathBuf::from),
            other => {
                if let Some(file) = other.strip_prefix("--config=") {
                    return Some(file.into());
                }
            }
        }
    }
    None
}

/// Names of flags and their defaults.
fn read(file: &Path) -> Result<Vec<(&'static str, String)>, CliError> {
    let name = file.display();
    let text = std::fs::read_to_string(file).map_err(|e| {
        CliError::new(format!("cannot read the config file {name}: {e}"), "name another by --config FILE")
    })?;
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
        CliError::new(format!("{name}: {}", e.message()), "write lines such as time = 30")
    })?;
    let folder = file.parent().unwrap_or(Path::new(""));
    table.iter().map(|(key, value)| default(key, value, folder, file)).collect()
}

fn default(key: &str, value: &Value, folder: &Path, file: &Path) -> Result<(&'static str, String), CliError> {
    let name = file.display();
    let Some((flag, kind)) = KEYS.into_iter().find(|(flag, _)| *flag == key) else {
        let known = KEYS.map(|(flag, _)| flag).join(", ");
        return Err(CliError::new(format!("{name}: {key} is not a setting"), format!("settings: {known}")));
    };
    let text = match (kind, value) {
        (Kind::Path, Value::String(path)) => folder.join(path).display().to_string(),
        (Kind::Text, Value::String(text)) => text.clone(),
        (Kind::Number, Value::Integer(number)) => number.to_string(),
        (Kind::Number, Value::Float(number)) => number.to_string(),
        (Kind::Path | Kind::Text, other) => {
            let help = format!("write {key} = \"...\"");
            return Err(CliError::new(format!("{name}: {key} is a {}, not a text", other.type_str()), help));
        }
        (Kind::Number, other) => {
            let help = format!("write {key} = 1");
            return Err(CliError::new(
                format!("{name}: {key} is a {}, not a number", other.type_str()),
                help,
            ));
        }
    };
    Ok((flag, text))
}

fn with_defaults(command: clap::Command, defaults: &[(&str, String)]) -> clap::Command {
    let command = command.mut_args(|arg| {
        let default = defaults.iter().find(|(flag, _)| arg.get_long() == Some(flag));
        match default {
            Some((_, value)) => arg.default_value(value.clone()),
            None => arg,
        }
    });
    command.mut_subcommands(|sub| with_defaults(sub, defaults))
}
