//! A run of the exhaustive prover within a portfolio: what it is good for, its progress, its checkpoint, its bounds.

use std::sync::Mutex;

use crate::limits::Limits;
use crate::model::{Model, PrefixError, TokenId};
use crate::prove::{Argument, Event, Observer};
use crate::search::Aim;
use crate::spec::Predicate;
use crate::spec::language::Automaton;
use crate::verdict::{Answer, Bounds, Prover, Witness};

use super::{Exhaustive, Pace, Question, Seen, State, Tally, Watch};

/// Why a run could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum ExhaustiveError {
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
    /// The model.
    pub model: &'a Model,
    /// Its digest.
    pub digest: &'a str,
    /// The prefixes.
    pub automaton: &'a Automaton,
    /// When to end, the longest prefix, and the checkpoint.
    pub limits: &'a Limits,
    /// Who is told.
    pub observer: Observer<'a>,
}

/// Watches one run.
struct Watcher<'a> {
    session: Session<'a>,
    /// What the run is about, for its checkpoint.
    run: String,
    enough: &'a dyn Fn(&Tally) -> bool,
    failed: Mutex<Option<String>>,
}

/// Whether something is left to find out.
#[must_use]
pub fn is_open(bounds: &Bounds, aim: Aim<'_>) -> bool {
    match aim {
        Aim::Exceed(thresholds) => thresholds.iter().any(|t| bounds.answer(t) == Answer::Unknown),
        Aim::Violate(limit) => !limit.admits(bounds.upper) && !limit.exceeded_by(bounds.lower()),
        Aim::Narrow { gap } => bounds.upper - bounds.lower() > gap,
    }
}

impl Session<'_> {
    /// Improves the bounds of the tokens that are open. Says whether all prefixes were evaluated.
    ///
    /// # Errors
    /// [`ExhaustiveError`].
    pub fn bound(
        &self,
        tokens: &[TokenId],
        all: &mut [Bounds],
        aim: Aim<'_>,
    ) -> Result<bool, ExhaustiveError> {
        let open: Vec<usize> = (0..all.len()).filter(|&i| is_open(&all[i], aim)).collect();
        let asked: Vec<TokenId> = open.iter().map(|&i| tokens[i]).collect();
        let enough = |tally: &Tally| {
            let refuted = |(&i, extremes): (&usize, &super::Extremes)| match aim {
                Aim::Exceed(thresholds) => thresholds.iter().all(|t| {
                    all[i].answer(t) != Answer::Unknown
                        || extremes.best.as_ref().is_some_and(|best| t.exceeded_by(best.lower))
                }),
                Aim::Narrow { .. } | Aim::Violate(_) => false,
            };
            open.iter().zip(&tally.all).all(refuted)
        };
        let seen = self.run(Question::Probabilities(&asked, aim), &enough)?;
        for (&i, extremes) in open.iter().zip(seen.tally.all) {
            let token = tokens[i];
            if let Some(best) = extremes.best
                && best.lower > all[i].lower()
            {
                let witness = Witness { prefix: best.prefix, lower: best.lower, upper: best.upper };
                (self.observer)(Event::Lower { token, witness: &witness });
                all[i].witness = Some(witness);
            }
            if seen.complete {
                let upper = extremes.upper;
                (self.observer)(Event::Upper { token, upper, argument: Argument::Exhaustive });
                all[i].tighten(upper, Prover::Exhaustive);
            }
            all[i].stopped = seen.stopped;
        }
        Ok(seen.complete)
    }

    /// Decides a predicate: its answer, and what was seen of its excess.
    ///
    /// # Errors
    /// [`ExhaustiveError`].
    pub fn decide(&self, predicate: &Predicate) -> Result<(Answer, Seen), ExhaustiveError> {
        let answer = |tally: &Tally, upper: f64| {
            let lower = tally.all[0].best.as_ref().map_or(f64::NEG_INFINITY, |best| best.lower);
            predicate.answer(lower, upper)
        };
        let enough = |tally: &Tally| answer(tally, f64::INFINITY) == Answer::Refuted;
        let seen = self.run(Question::Excess(predicate), &enough)?;
        let upper = if seen.complete { seen.tally.all[0].upper } else { f64::INFINITY };
        Ok((answer(&seen.tally, upper), seen))
    }

    fn run(&self, question: Question<'_>, enough: &dyn Fn(&Tally) -> bool) -> Result<Seen, ExhaustiveError> {
        (self.observer)(Event::Stage("every prefix"));
        let longest = self.limits.longest_prefix(self.model.context);
        let exhaustive = Exhaustive::new(self.model, self.automaton, longest);
        // A state is a number of units: it means nothing where these are cut differently.
        let cut = exhaustive.cut();
        let run = format!("{} {longest} {question:?} {:?} {cut}", self.digest, self.automaton);
        let stored = match &self.limits.checkpoint {
            Some(checkpoint) => checkpoint.load::<State>(&run).map_err(ExhaustiveError::Checkpoint)?,
            None => None,
        };
        if stored.as_ref().is_some_and(|state| state.tally.all.len() != question.start().all.len()) {
            return Err(ExhaustiveError::Checkpoint("the checkpoint is damaged".into()));
        }
        let watcher = Watcher { session: *self, run, enough, failed: Mutex::default() };
        let seen = exhaustive.run(question, stored, self.limits, &watcher)?;
        match watcher.failed.into_inner() {
            Ok(Some(message)) => Err(ExhaustiveError::Checkpoint(message)),
            Ok(None) | Err(_) => Ok(seen),
        }
    }
}

impl Watch for Watcher<'_> {
    fn progress(&self, pace: Pace) {
        let percent = 100.0 * pace.done / pace.all.max(1.0);
        let rate = pace.here / pace.seconds.max(1e-9);
        let left = (pace.all - pace.done) / rate.max(1e-9);
        let text = format!("every prefix: {percent:.1} %, {rate:.0} beginnings/s, at most {left:.0} s left");
        (self.session.observer)(Event::Progress(&text));
    }

    fn store(&self, state: &State) {
        if let Some(checkpoint) = &self.session.limits.checkpoint
            && let Err(message) = checkpoint.save(&self.run, state)
            && let Ok(mut failed) = self.failed.lock()
        {
            *failed = Some(message);
        }
    }

    fn is_enough(&self, tally: &Tally) -> bool {
        // A state that cannot be kept ends the run rather than be lost later.
        self.failed.lock().is_ok_and(|failed| failed.is_some()) || (self.enough)(tally)
    }
}
