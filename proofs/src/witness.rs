//! The witness rule: one prefix after which the claim fails refutes a statement.

use crate::family::Head;
use crate::folder::Folder;
use crate::format::Statement;
use crate::forward::logits;
use crate::head::index;
use crate::interval::Interval;
use crate::reject::{CheckError, Reject};
use crate::softmax::Digits;

/// Encloses the quantity of the predicate after `prefix`, which must be one that statement and model speak of; an error if
/// the prefix does not violate the predicate for certain.
pub(crate) fn witness_refutes(
    folder: &Folder,
    head: &Head,
    statement: &Statement,
    prefix: &[u32],
) -> Result<Interval, CheckError> {
    let length = prefix.len();
    if prefix.is_empty() {
        return Err(Reject::PrefixEmpty.into());
    }
    let predicate = &statement.predicate;
    let continuation = predicate.continuation();
    let room = folder.context()?.saturating_sub(continuation.len());
    for (limit, whose) in [(statement.max_len.map(index), "statement"), (Some(room), "model")] {
        if let Some(limit) = limit.filter(|limit| length > *limit) {
            return Err(Reject::PrefixTooLong { length, limit, whose }.into());
        }
    }
    let vocabulary = head.vocabulary();
    if let Some(position) = prefix.iter().position(|token| index(*token) >= vocabulary) {
        return Err(Reject::PrefixOutOfVocabulary { token: prefix[position], position, vocabulary }.into());
    }
    if !statement.language.contains(prefix)? {
        return Err(Reject::PrefixOutsideLanguage.into());
    }
    let mut rows = Vec::with_capacity(continuation.len() + 1);
    for step in 0..=continuation.len() {
        rows.push(logits(folder, head, &[prefix, &continuation[..step]].concat())?);
    }
    let quantity = predicate.quantity(&rows, Digits::All)?;
    if !predicate.is_violated_by(&quantity) {
        let ((lower, upper), claim) = (quantity.decimals(), predicate.words());
        return Err(Reject::NotViolated { claim, measure: predicate.measure().0, lower, upper }.into());
    }
    Ok(quantity)
}
