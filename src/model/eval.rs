//! Fast concrete evaluation in `f32`: many prefixes at once, shared beginnings computed once.
//!
//! What is computed here guides searches; a probability that counts comes from the rigorous evaluation. Prefixes are cut
//! into batches of a fixed size that run on all cores, so that results do not depend on the number of threads.

mod attention;
mod backward;
mod cache;
mod forward;
mod gradient;
mod kernels;
mod recurrent;

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::prefix::PrefixError;
use super::{Model, TokenId};
use attention::Columns;
pub use cache::Cache;
use forward::Batch;

/// Columns, (position, prefix) pairs, that run together: enough for matrix products, few enough for the caches of a core.
const COLUMNS: usize = 512;

/// Evaluates a model on concrete prefixes.
#[derive(Debug, Clone, Copy)]
pub struct Evaluator<'m> {
    model: &'m Model,
}

impl<'m> Evaluator<'m> {
    /// An evaluator of `model`.
    #[must_use]
    pub fn new(model: &'m Model) -> Evaluator<'m> {
        Evaluator { model }
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &'m Model {
        self.model
    }

    /// Logits after each prefix, `[prefixes, vocabulary]`. Prefixes may differ in length.
    ///
    /// # Errors
    /// A prefix that the model does not accept.
    pub fn next_logits(&self, prefixes: &[Vec<TokenId>]) -> Result<Array2<f32>, PrefixError> {
        self.continue_all(&self.empty(), 0, prefixes)
    }

    /// Logarithms of the next token's probabilities after each prefix, in nats, `[prefixes, vocabulary]`.
    ///
    /// # Errors
    /// A prefix that the model does not accept.
    pub fn log_probs(&self, prefixes: &[Vec<TokenId>]) -> Result<Array2<f32>, PrefixError> {
        let mut logits = self.next_logits(prefixes)?;
        log_softmax(&mut logits);
        Ok(logits)
    }

    /// What all layers keep of a prefix, which may be empty.
    ///
    /// # Errors
    /// A prefix that is too long or holds a token that does not exist.
    pub fn cache(&self, prefix: &[TokenId]) -> Result<Cache, PrefixError> {
        if prefix.is_empty() {
            return Ok(self.empty());
        }
        self.model.check_prefix(prefix)?;
        let columns = Columns { len: prefix.len(), batch: 1 };
        let batch = Batch { cache: &self.empty(), keep: 0, tokens: prefix, columns };
        Ok(Cache { prefix: prefix.to_vec(), layers: forward::kept(self.model, batch) })
    }

    /// Logits after the cached prefix and one more token, for many tokens: `[tokens, vocabulary]`.
    ///
    /// # Errors
    /// A token that does not exist, or a prefix that fills the context.
    pub fn extend_all(&self, cache: &Cache, tokens: &[TokenId]) -> Result<Array2<f32>, PrefixError> {
        let suffixes: Vec<[TokenId; 1]> = tokens.iter().map(|&token| [token]).collect();
        self.continue_all(cache, cache.prefix.len(), &suffixes)
    }

    /// Logits after `prefix` with the token at `position` replaced by each candidate: `[candidates, vocabulary]`.
    /// What lies left of the position is computed once.
    ///
    /// # Errors
    /// A prefix that the model does not accept, a position outside it, a candidate that does not exist.
    pub fn substitute(
        &self,
        prefix: &[TokenId],
        position: usize,
        candidates: &[TokenId],
    ) -> Result<Array2<f32>, PrefixError> {
        self.substitute_cached(
            &self.cache(prefix.get(..position).unwrap_or(prefix))?,
            prefix,
            position,
            candidates,
        )
    }

    /// As [`Evaluator::substitute`], with the cache of any prefix that agrees with `prefix` left of `position`.
    ///
    /// # Errors
    /// As there; a cache that does not reach up to `position` is an error about that position.
    pub fn substitute_cached(
        &self,
        cache: &Cache,
        prefix: &[TokenId],
        position: usize,
        candidates: &[TokenId],
    ) -> Result<Array2<f32>, PrefixError> {
        let no_position = || PrefixError::NoSuchPosition { position, len: prefix.len() };
        let suffix = prefix.get(position..).filter(|suffix| !suffix.is_empty()).ok_or_else(no_position)?;
        if cache.prefix.get(..position) != Some(&prefix[..position]) {
            return Err(no_position());
        }
        let suffixes: Vec<Vec<TokenId>> = candidates
            .iter()
            .map(|&candidate| {
                let mut suffix = suffix.to_vec();
                suffix[0] = candidate;
                suffix
            })
            .collect();
        self.continue_all(cache, position, &suffixes)
    }

    /// Logits after the first `keep` tokens of the cached prefix followed by each suffix: `[suffixes, vocabulary]`.
    /// Suffixes may differ in length.
    ///
    /// # Errors
    /// Together empty or too long, or a token that does not exist.
    pub fn continue_all<S: AsRef<[TokenId]> + Sync>(
        &self,
        cache: &Cache,
        keep: usize,
        suffixes: &[S],
    ) -> Result<Array2<f32>, PrefixError> {
        if keep > cache.prefix.len() {
            return Err(PrefixError::NoSuchPosition { position: keep - 1, len: cache.prefix.len() });
        }
        // Prefixes of the same length run together; none is padded.
        let mut by_len: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (i, suffix) in suffixes.iter().enumerate() {
            let suffix = suffix.as_ref();
            self.model.check_len(suffix.len())?;
            self.model.check_len(keep + suffix.len())?;
            self.model.check_tokens(suffix)?;
            by_len.entry(suffix.len()).or_default().push(i);
        }
        let mut logits = Array2::zeros((suffixes.len(), self.model.head.vocab_size()));
        let mut rows: Vec<Option<ArrayViewMut2<f32>>> =
            logits.axis_chunks_iter_mut(Axis(0), 1).map(Some).collect();
        let mut jobs = Vec::new();
        for (len, members) in by_len {
            for members in members.chunks((COLUMNS / len).max(1)) {
                let outs: Vec<_> = members.iter().filter_map(|&i| rows[i].take()).collect();
                jobs.push((len, members.to_vec(), outs));
            }
        }
        jobs.into_par_iter().for_each(|(len, members, outs)| {
            let tokens: Vec<TokenId> =
                (0..len).flat_map(|p| members.iter().map(move |&i| suffixes[i].as_ref()[p])).collect();
            let columns = Columns { len, batch: members.len() };
            let hidden = forward::last_hidden(self.model, Batch { cache, keep, tokens: &tokens, columns });
            let mut logits = Array2::zeros((members.len(), self.model.head.vocab_size()));
            forward::logits(&self.model.head, &hidden, logits.view_mut());
            for (mut out, logits) in outs.into_iter().zip(logits.rows()) {
                out.row_mut(0).assign(&logits);
            }
        });
        Ok(logits)
    }

    fn empty(&self) -> Cache {
        Cache { prefix: Vec::new(), layers: Vec::new() }
    }
}

/// Turns rows of logits into logarithms of probabilities, in nats.
pub fn log_softmax(logits: &mut Array2<f32>) {
    logits.axis_iter_mut(Axis(0)).into_par_iter().for_each(|mut row| {
        if let Some(row) = row.as_slice_mut() {
            kernels::log_softmax(row);
        }
    });
}
