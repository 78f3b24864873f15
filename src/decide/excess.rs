//! Predicates other than the plain ceiling: an upper bound on the excess proves, a prefix with a greater one refutes.

use std::collections::BTreeSet;

use super::compound::Parts;
use super::{DecideError, Decision, Extreme};
use crate::certify::Recorder;
use crate::limits::{Limits, StopReason};
use crate::model::{Evaluator, ModelFolder, TokenId};
use crate::prove::head::{Goal, HeadError, HeadProver};
use crate::prove::order::OrderProver;
use crate::prove::{Argument, Event, Observer};
use crate::search::{Aim, Hunt, Incumbent, Leads};
use crate::spec::language::Automaton;
use crate::spec::{Predicate, Statement};
use crate::verdict::{Answer, Prover, Witness};

/// A statement, and who may work on it for how long.
pub struct Question<'a> {
    /// The model.
    pub folder: &'a ModelFolder,
    /// The statement; its predicate makes sense for the model.
    pub statement: &'a Statement,
    /// Its language, compiled, not empty.
    pub language: &'a Automaton,
    /// Who may work.
    pub provers: BTreeSet<Prover>,
    /// How long, and the statement's longest prefix.
    pub limits: Limits,
    /// Who watches.
    pub observer: Observer<'a>,
}

impl Question<'_> {
    /// Works on the question: what is cheap to prove first, then the search.
    pub fn decide(&self) -> Result<Decision, DecideError> {
        let predicate = &self.statement.predicate;
        let limit = predicate.limit();
        let recorder = Recorder::default();
        let token = predicate.first_token();
        let (mut upper, mut prover) = (f64::INFINITY, Prover::None);
        let mut parts = None;
        if self.provers.contains(&Prover::Head) {
            (self.observer)(Event::Stage("head theorem"));
            let proved = |bound: f64, argument: Argument<'_>| {
                recorder.notice(Event::Upper { token, upper: bound, argument });
                tracing::debug!(excess = bound, "better upper bound");
                if bound < upper {
                    (upper, prover) = (bound, argument.prover());
                }
            };
            parts = self.head(proved)?;
        }
        if let Some(parts) = &parts
            && parts.excess() < upper
        {
            (upper, prover) = (parts.excess(), Prover::Head);
            recorder.keep_upper(token, upper, parts.proof()?);
        }
        let incumbent = Incumbent::of_excess();
        let mut stopped = None;
        if self.provers.contains(&Prover::Search) && !limit.admits(upper) {
            stopped = self.search(parts.is_some(), upper, &incumbent, &recorder)?;
        }
        if let Some(parts) = &mut parts
            && !limit.admits(upper)
            && !limit.exceeded_by(incumbent.lower())
            && parts.strengthen(self.folder, self.statement, &self.provers, &self.limits, self.observer)?
        {
            (upper, prover) = (parts.excess(), Prover::Block);
            recorder.keep_upper(token, upper, parts.proof()?);
        }
        if self.provers.contains(&Prover::Block)
            && !limit.admits(upper)
            && !limit.exceeded_by(incumbent.lower())
            && let Some((bound, proof)) =
                super::block::prove(self.folder, self.statement, &self.limits, self.observer)?
        {
            (upper, prover) = (bound, Prover::Block);
            recorder.notice(Event::Upper { token, upper, argument: Argument::Block(&proof) });
        }
        let witness = incumbent.best();
        let lower = witness.as_ref().map_or(f64::NEG_INFINITY, |witness| witness.lower);
        if lower > upper {
            return Err(DecideError::Contradiction { lower, upper });
        }
        let answer = predicate.answer(lower, upper);
        let files = match answer {
            Answer::Unknown => None,
            Answer::Proved | Answer::Refuted => {
                Some(recorder.files(self.folder.digest(), self.statement, answer)?)
            }
        };
        let extreme = Extreme::of_excess(predicate, (upper, prover), witness, stopped);
        Ok(Decision { answer, extreme, files })
    }

    /// What the final norm and the head alone prove of the excess, told to `proved`, and of single tokens where the predicate
    /// is made of them.
    fn head(&self, mut proved: impl FnMut(f64, Argument<'_>)) -> Result<Option<Parts<'_>>, DecideError> {
        let predicate = &self.statement.predicate;
        let head = self.folder.load_head()?;
        let prover = match HeadProver::new(&head, predicate.temperature()) {
            Err(HeadError::NoFinalNorm) => return Ok(None),
            other => other?,
        };
        match predicate {
            Predicate::Ceiling { token, .. } => {
                let proof = prover.bound(*token, &Goal::tight(), &self.limits)?;
                let certificate = prover.certificate(&proof);
                let argument =
                    Argument::Head { denominator: certificate.denominator, lambda: &certificate.lambda };
                proved(-certificate.log_odds, argument);
            }
            Predicate::SetCeiling { tokens, .. } => {
                let parts = Parts::of_head(predicate, &prover, &self.limits)?;
                let proof = prover.set(tokens, &self.limits)?;
                proved(proof.excess, Argument::Set(&proof.duals));
                return Ok(parts);
            }
            Predicate::MaxCeiling { .. } | Predicate::Continuation { .. } => {
                return Parts::of_head(predicate, &prover, &self.limits);
            }
            Predicate::Floor { token, .. } => proved(prover.others(*token)?.excess, Argument::Pairs),
            Predicate::NeverInNucleus { token, .. } => {
                let never = Predicate::NeverArgmax { token: *token };
                let ordered = OrderProver::new(&head)?.prove(&never, &self.limits);
                let sums = ordered.iter().flat_map(|proof| &proof.sums);
                let by_order = sums.map(|sum| {
                    let positive =
                        sum.iter().filter_map(|&(j, weight)| Some((j, u64::try_from(weight).ok()?)));
                    prover.not_above_by(*token, &positive.collect::<Vec<_>>())
                });
                for proof in by_order.chain([prover.not_above(*token, &self.limits)?]) {
                    for dual in &proof.duals {
                        let argument = Argument::Head { denominator: dual.denominator, lambda: &dual.lambda };
                        proved(proof.excess, argument);
                    }
                }
            }
            Predicate::Dominance { .. }
            | Predicate::NeverArgmax { .. }
            | Predicate::NeverTopK { .. }
            | Predicate::AlwaysArgmax { .. } => {
                if let Some(proof) = OrderProver::new(&head)?.prove(predicate, &self.limits) {
                    proved(proof.excess, Argument::Order(&proof));
                }
            }
        }
        Ok(None)
    }

    /// The search for a prefix with an excess beyond the limit; says why it ended early, if it did. It has half of the time if the
    /// predicate is made of parts that may want the other half, and a quarter if the block prover may want the rest.
    fn search(
        &self,
        parts: bool,
        upper: f64,
        incumbent: &Incumbent,
        recorder: &Recorder,
    ) -> Result<Option<StopReason>, DecideError> {
        (self.observer)(Event::Stage("search for witnesses"));
        let (predicate, leads) = (&self.statement.predicate, Leads::default());
        let model = self.folder.load()?;
        let block = self.provers.contains(&Prover::Block) && super::block::applies(&model, predicate);
        let limits = &match self.limits.remaining() {
            Some(left) if block => self.limits.within(left / 4),
            Some(left) if parts => self.limits.within(left / 2),
            Some(_) | None => self.limits.clone(),
        };
        let evaluator = Evaluator::new(&model);
        let bos = self.folder.bos();
        let hunt = Hunt::of_predicate(evaluator, bos, predicate, (upper, incumbent), &leads, limits);
        let found = |token: TokenId, witness: &Witness| {
            recorder.notice(Event::Lower { token, witness });
            tracing::debug!(excess = witness.lower, "better witness");
        };
        Ok(hunt.within(self.language).run(Aim::Violate(predicate.limit()), limits, &found)?)
    }
}
