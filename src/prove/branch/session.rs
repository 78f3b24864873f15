//! A run of the branch prover within a portfolio: its progress, its checkpoint, its bounds.

use std::sync::Mutex;

use crate::limits::Limits;
use crate::model::{PrefixError, TokenId};
use crate::prove::{Event, Observer};
use crate::verdict::{Bounds, Prover, Witness};

use super::{Branch, Goal, State, Watch};

/// Why a run could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum BranchError {
    /// A prefix that the model does not accept.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
    /// A checkpoint that cannot be used.
    #[error("{0}")]
    Checkpoint(String),
}

/// What a run is about, and who is told.
#[derive(Clone, Copy)]
pub struct Session<'a> {
    /// The prover.
    pub branch: &'a Branch<'a>,
    /// Model and language, in words that name no other.
    pub run: &'a str,
    /// When to end, and the checkpoint.
    pub limits: &'a Limits,
    /// Who is told.
    pub observer: Observer<'a>,
}

/// Watches one run.
struct Watcher<'a> {
    session: Session<'a>,
    run: String,
    failed: Mutex<Option<String>>,
}

impl Session<'_> {
    /// Narrows the bounds of the tokens that are farther apart than `gap`.
    ///
    /// # Errors
    /// [`BranchError`].
    pub fn bound(&self, tokens: &[TokenId], all: &mut [Bounds], gap: f64) -> Result<(), BranchError> {
        let open: Vec<usize> = (0..all.len()).filter(|&i| all[i].upper - all[i].lower() > gap).collect();
        if open.is_empty() {
            return Ok(());
        }
        (self.observer)(Event::Stage("branch and bound over token sets"));
        let asked: Vec<TokenId> = open.iter().map(|&i| tokens[i]).collect();
        let upper: Vec<f64> = open.iter().map(|&i| all[i].upper).collect();
        let lower: Vec<f64> = open.iter().map(|&i| all[i].lower()).collect();
        let goal = Goal { tokens: &asked, upper: &upper, lower: &lower, gap };
        let run = format!("branch {} {asked:?} {gap}", self.run);
        let stored = match &self.limits.checkpoint {
            Some(checkpoint) => checkpoint.load::<State>(&run).map_err(BranchError::Checkpoint)?,
            None => None,
        };
        let state = match stored {
            Some(state) if !self.branch.fits(&state, asked.len()) => {
                return Err(BranchError::Checkpoint("the checkpoint is damaged".into()));
            }
            Some(state) => state,
            None => self.branch.start(goal),
        };
        let watcher = Watcher { session: *self, run, failed: Mutex::default() };
        let found = self.branch.run(goal, state, self.limits, &watcher)?;
        if let Ok(Some(message)) = watcher.failed.into_inner() {
            return Err(BranchError::Checkpoint(message));
        }
        for ((&i, extremes), upper) in open.iter().zip(found.closed.all).zip(found.upper) {
            if let Some(best) = extremes.best
                && best.lower > all[i].lower()
            {
                let witness = Witness { prefix: best.prefix, lower: best.lower, upper: best.upper };
                (self.observer)(Event::Lower { token: tokens[i], witness: &witness });
                all[i].witness = Some(witness);
            }
            all[i].tighten(upper, Prover::Branch);
            all[i].stopped = found.stopped.or(all[i].stopped);
        }
        Ok(())
    }
}

impl Watch for Watcher<'_> {
    fn progress(&self, open: usize, bounds: u64, excess: f64) {
        let text =
            format!("branch and bound: {open} sets of prefixes open, {bounds} bounded, {excess:.4} to go");
        (self.session.observer)(Event::Progress(&text));
    }

    fn store(&self, state: State) -> bool {
        let Some(checkpoint) = &self.session.limits.checkpoint else { return true };
        match checkpoint.save(&self.run, state) {
            Ok(()) => true,
            Err(message) => {
                if let Ok(mut failed) = self.failed.lock() {
                    *failed = Some(message);
                }
                false
            }
        }
    }
}
