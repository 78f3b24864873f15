//! A suite as its TOML file has it: models by folder, tokens by name, every field with its line.

use std::collections::{BTreeMap, BTreeSet};

use toml::de::DeTable;

use super::claim::Claim;
use super::error::SuiteError;
use super::fields::{Fields, Source};
use crate::verdict::Answer;

/// Seconds per statement where the file names none.
const DEFAULT_SECONDS: f64 = 60.0;
/// Longest name of a statement, so that a file can be called so everywhere.
const MAX_NAME: usize = 100;

/// A list of statements.
#[derive(Debug, Clone, PartialEq)]
pub struct Suite {
    /// The file as the user named it.
    pub file: String,
    /// Statements in the order of the file.
    pub entries: Vec<Entry>,
}

/// One statement, before a model was opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Unique in the file; names the certificate.
    pub name: String,
    /// Line of the file on which the statement begins.
    pub line: usize,
    /// Model folder, relative to the suite's folder; `None` is the shipped model.
    pub model: Option<String>,
    /// The prefixes spoken of; a language with texts in it means something for a vocabulary only.
    pub prefix: String,
    /// Longest prefix spoken of, in tokens.
    pub max_len: Option<u64>,
    /// What holds after each of them.
    pub claim: Claim,
    /// The answer that is as it should be.
    pub expect: Answer,
    /// Seconds that a search for a proof or a witness may take.
    pub seconds: f64,
    /// Lines of the fields.
    lines: BTreeMap<String, usize>,
}

impl Suite {
    /// Reads a suite; `file` names it in errors.
    ///
    /// # Errors
    /// [`SuiteError`]: no TOML, unknown or missing fields, values of the wrong kind, two statements of one name.
    pub fn parse(file: &str, text: &str) -> Result<Suite, SuiteError> {
        let source = Source { file, text };
        let document = DeTable::parse(text).map_err(|e| {
            let offset = e.span().map_or(0, |span| span.start);
            source.error(offset, e.message().replace('\n', ", "), "see the guide for an example of a suite")
        })?;
        let fields = Fields::new(source, document.get_ref(), 0);
        let defaults = Defaults {
            model: fields.text("model", "model = \"models/moby-l1\"")?,
            seconds: seconds(&fields)?.unwrap_or(DEFAULT_SECONDS),
        };
        let tables = fields.tables("statement", "begin each statement by a line [[statement]]")?;
        fields.finish()?;
        if tables.is_empty() {
            return Err(source.error(0, "there is no statement", "begin one by a line [[statement]]"));
        }
        let mut names = BTreeSet::new();
        let mut entries = Vec::new();
        for (start, table) in tables {
            let fields = Fields::new(source, table, start);
            let entry = Entry::read(&fields, &defaults)?;
            // Certificates are files, and some file systems take capitals for small letters.
            if !names.insert(entry.name.to_lowercase()) {
                let problem = format!("another statement is called {:?} already", entry.name);
                return Err(fields.error("name", problem, "give every statement a name of its own"));
            }
            entries.push(entry);
        }
        Ok(Suite { file: file.into(), entries })
    }
}

/// What holds for all statements that do not say otherwise.
struct Defaults {
    model: Option<String>,
    seconds: f64,
}

impl Entry {
    fn read(fields: &Fields<'_>, defaults: &Defaults) -> Result<Entry, SuiteError> {
        let name = name(fields)?;
        fields.name(&name);
        let prefix = fields.text("prefix", "prefix = \"any\"")?.unwrap_or_else(|| "any".into());
        let expect = match fields.text("expect", "expect = \"proved\"")?.as_deref() {
            None | Some("proved") => Answer::Proved,
            Some("refuted") => Answer::Refuted,
            Some(other) => {
                let help = "write expect = \"proved\" or expect = \"refuted\"";
                return Err(fields.error("expect", format!("{other:?} is not an answer"), help));
            }
        };
        let model = fields.text("model", "model = \"models/moby-l1\"")?;
        let entry = Entry {
            line: fields.line(),
            model: model.or_else(|| defaults.model.clone()),
            prefix,
            max_len: fields.count("max_len", "max_len = 16")?,
            claim: Claim::read(fields)?,
            expect,
            seconds: seconds(fields)?.unwrap_or(defaults.seconds),
            lines: fields.lines(),
            name,
        };
        fields.finish()?;
        Ok(entry)
    }

    /// An error about a field of this statement that only shows once its model is open.
    #[must_use]
    pub fn error(&self, file: &str, field: &str, problem: String, help: String) -> SuiteError {
        SuiteError {
            place: format!("{file}:{}", self.lines.get(field).copied().unwrap_or(self.line)),
            statement: Some(self.name.clone()),
            field: Some(field.into()),
            problem,
            help,
        }
    }
}

fn name(fields: &Fields<'_>) -> Result<String, SuiteError> {
    let example = "name = \"capital-x-is-rare\"";
    let name = fields.required_text("name", example)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(allowed) || name.starts_with(['.', '-'])
    {
        let problem = format!("{name:?} is no file name");
        let help = format!(
            "use 1 to {MAX_NAME} letters, digits, '.', '_' and '-', beginning with a letter or a digit, such as {example}"
        );
        return Err(fields.error("name", problem, help));
    }
    Ok(name)
}

fn seconds(fields: &Fields<'_>) -> Result<Option<f64>, SuiteError> {
    let example = "give a number of seconds, such as time = 30";
    let Some(text) = fields.number("time", example)? else { return Ok(None) };
    let seconds = text.parse().ok().filter(|s: &f64| *s >= 0.0 && s.is_finite());
    seconds
        .map(Some)
        .ok_or_else(|| fields.error("time", format!("{text} is not a number of seconds"), example))
}
