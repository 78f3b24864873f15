//! Leads: prefixes that somebody outside the search believes in, such as the rounded optimum of a relaxation.

use std::sync::{Mutex, PoisonError};

use crate::model::TokenId;

/// A box for candidate prefixes; whoever has a reference may drop some in while a search runs.
#[derive(Debug, Default)]
pub struct Leads {
    waiting: Mutex<Vec<Vec<TokenId>>>,
}

impl Leads {
    /// An empty box.
    #[must_use]
    pub fn new() -> Leads {
        Leads::default()
    }

    /// Suggests a prefix. One that the model does not accept is dropped later without further ado.
    pub fn offer(&self, prefix: Vec<TokenId>) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(prefix);
    }

    /// Everything suggested since the last call, sorted, so that the order of suggestions does not matter.
    #[must_use]
    pub fn take(&self) -> Vec<Vec<TokenId>> {
        let mut all = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        all.sort_unstable();
        all.dedup();
        all
    }
}
