//! Typed access to the fields of a TOML table that remembers where each of them stands and which were asked for.
//!
//! Numbers are handed out as the text in the file, because `0.2` means one fifth and the nearest `f64` does not.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::SuiteError;

/// Name and text of a TOML file, for error messages.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The file as the user named it.
    pub file: &'a str,
    /// Its text.
    pub text: &'a str,
}

impl Source<'_> {
    /// Line of a byte offset, from 1.
    pub fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|&b| b == b'\n').count()
    }

    /// An error at a byte offset.
    pub fn error(&self, offset: usize, problem: impl Into<String>, help: impl Into<String>) -> SuiteError {
        SuiteError {
            place: format!("{}:{}", self.file, self.line(offset)),
            statement: None,
            field: None,
            problem: problem.into(),
            help: help.into(),
        }
    }
}

/// A table, the place where it begins, and the statement it describes.
#[derive(Debug)]
pub struct Fields<'a> {
    source: Source<'a>,
    table: &'a DeTable<'a>,
    start: usize,
    statement: RefCell<Option<String>>,
    known: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Fields<'a> {
    /// The fields of a table that begins at the byte `start`.
    pub fn new(source: Source<'a>, table: &'a DeTable<'a>, start: usize) -> Fields<'a> {
        Fields { source, table, start, statement: RefCell::default(), known: RefCell::default() }
    }

    /// From now on errors name this statement.
    pub fn name(&self, statement: &str) {
        *self.statement.borrow_mut() = Some(statement.into());
    }

    /// Lines of all fields.
    pub fn lines(&self) -> BTreeMap<String, usize> {
        let line = |key: &Spanned<_>| self.source.line(key.span().start);
        self.table.keys().map(|key| (key.get_ref().to_string(), line(key))).collect()
    }

    /// Line where the table begins.
    pub fn line(&self) -> usize {
        self.source.line(self.start)
    }

    fn get(&self, field: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.borrow_mut().insert(field);
        self.table.iter().find(|(key, _)| key.get_ref() == field).map(|(_, value)| value)
    }

    /// An error about a field, or about the whole table where the field is absent.
    pub fn error(
        &self,
        field: &'static str,
        problem: impl Into<String>,
        help: impl Into<String>,
    ) -> SuiteError {
        let key = self.table.keys().find(|key| key.get_ref() == field);
        let offset = key.map_or(self.start, |key| key.span().start);
        SuiteError {
            statement: self.statement.borrow().clone(),
            field: Some(field.into()),
            ..self.source.error(offset, problem, help)
        }
    }

    fn mistyped(&self, field: &'static str, value: &DeValue<'_>, wanted: &str, example: &str) -> SuiteError {
        self.error(field, format!("is {} {}, not {wanted}", article(value), value.type_str()), example)
    }

    /// A text.
    pub fn text(&self, field: &'static str, example: &str) -> Result<Option<String>, SuiteError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        match value.get_ref() {
            DeValue::String(text) => Ok(Some(text.to_string())),
            other => Err(self.mistyped(field, other, "a text in quotes", example)),
        }
    }

    /// A text that has to be there.
    pub fn required_text(&self, field: &'static str, example: &str) -> Result<String, SuiteError> {
        self.text(field, example)?.ok_or_else(|| self.error(field, "is missing", example))
    }

    /// A number as written, without its separating underscores; a text in quotes is taken for one as well.
    pub fn number(&self, field: &'static str, example: &str) -> Result<Option<String>, SuiteError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        match value.get_ref() {
            DeValue::Float(number) => Ok(Some(number.as_str().replace('_', ""))),
            DeValue::Integer(number) if number.radix() == 10 => Ok(Some(number.as_str().replace('_', ""))),
            DeValue::String(text) => Ok(Some(text.to_string())),
            other => Err(self.mistyped(field, other, "a decimal number", example)),
        }
    }

    /// A whole number from 0 on.
    pub fn count(&self, field: &'static str, example: &str) -> Result<Option<u64>, SuiteError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        match value.get_ref() {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix())
                .map(Some)
                .map_err(|_| self.error(field, "is not a whole number from 0 on", example)),
            other => Err(self.mistyped(field, other, "a whole number", example)),
        }
    }

    /// Texts in a list; none where the field is absent.
    pub fn texts(&self, field: &'static str, example: &str) -> Result<Vec<String>, SuiteError> {
        let text = |value: &DeValue<'_>| value.as_str().map(str::to_owned);
        self.list(field, text, "a list of texts", example)
    }

    /// Whole numbers from 0 on in a list; none where the field is absent.
    pub fn counts(&self, field: &'static str, example: &str) -> Result<Vec<u64>, SuiteError> {
        let count = |value: &DeValue<'_>| {
            let number = value.as_integer()?;
            u64::from_str_radix(number.as_str(), number.radix()).ok()
        };
        self.list(field, count, "a list of whole numbers from 0 on", example)
    }

    fn list<T>(
        &self,
        field: &'static str,
        item: impl Fn(&DeValue<'_>) -> Option<T>,
        wanted: &str,
        example: &str,
    ) -> Result<Vec<T>, SuiteError> {
        let Some(value) = self.get(field) else { return Ok(Vec::new()) };
        let items = value.get_ref().as_array();
        let items = items.ok_or_else(|| self.mistyped(field, value.get_ref(), wanted, example))?;
        let item = |value: &Spanned<DeValue<'_>>| {
            item(value.get_ref()).ok_or_else(|| self.error(field, format!("is not {wanted}"), example))
        };
        items.iter().map(item).collect()
    }

    /// A list of tables: each with the place where it begins.
    pub fn tables(
        &self,
        field: &'static str,
        example: &str,
    ) -> Result<Vec<(usize, &'a DeTable<'a>)>, SuiteError> {
        let Some(value) = self.get(field) else { return Ok(Vec::new()) };
        let mistyped = |value: &DeValue<'_>| self.mistyped(field, value, "a list of tables", example);
        let DeValue::Array(items) = value.get_ref() else { return Err(mistyped(value.get_ref())) };
        let table = |item: &'a Spanned<DeValue<'a>>| match item.get_ref() {
            DeValue::Table(table) => Ok((item.span().start, table)),
            other => Err(mistyped(other)),
        };
        items.iter().map(table).collect()
    }

    /// Refuses fields that nobody asked for; to be called last.
    pub fn finish(&self) -> Result<(), SuiteError> {
        let known = self.known.borrow();
        let unknown = self.table.keys().find(|key| !known.contains(key.get_ref().as_ref()));
        let Some(key) = unknown else { return Ok(()) };
        let name = key.get_ref().to_string();
        let near = known
            .iter()
            .max_by(|a, b| strsim::jaro_winkler(a, &name).total_cmp(&strsim::jaro_winkler(b, &name)));
        let help = match near.filter(|near| strsim::jaro_winkler(near, &name) > 0.8) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("fields here: {}", known.iter().copied().collect::<Vec<_>>().join(", ")),
        };
        let error = self.source.error(key.span().start, "is not a field of this table", help);
        Err(SuiteError { statement: self.statement.borrow().clone(), field: Some(name), ..error })
    }
}

fn article(value: &DeValue<'_>) -> &'static str {
    if value.type_str().starts_with(['a', 'i', 'o']) { "an" } else { "a" }
}
