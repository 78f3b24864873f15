//! The witness rule: one prefix, after which the probability of the target is above the threshold, refutes a ceiling.

use dashu_ratio::RBig;

use crate::family::Head;
use crate::folder::Folder;
use crate::forward::{logits, probability};
use crate::head::index;
use crate::interval::Interval;
use crate::reject::{CheckError, Reject};

/// Encloses the probability of `target` after `prefix`, which must be one that statement and model speak of.
pub(crate) fn witness_probability(
    folder: &Folder,
    head: &Head,
    target: u32,
    temperature: &RBig,
    max_len: Option<u32>,
    prefix: &[u32],
) -> Result<Interval, CheckError> {
    let length = prefix.len();
    if prefix.is_empty() {
        return Err(Reject::PrefixEmpty.into());
    }
    for (limit, whose) in [(max_len.map(index), "statement"), (Some(folder.context()?), "model")] {
        if let Some(limit) = limit.filter(|limit| length > *limit) {
            return Err(Reject::PrefixTooLong { length, limit, whose }.into());
        }
    }
    let vocabulary = head.vocabulary();
    if let Some(position) = prefix.iter().position(|token| index(*token) >= vocabulary) {
        return Err(Reject::PrefixOutOfVocabulary { token: prefix[position], position, vocabulary }.into());
    }
    let logits = logits(folder, head, prefix)?;
    Ok(probability(&logits, target, temperature)?)
}
