//! The order in which provers and searchers are let loose on questions about tokens.
//!
//! Cheap and strong first: the head theorem needs milliseconds per token and settles many for good; the search for witnesses
//! gets what is left, all tokens together, because one run of the network speaks of all of them; then the block prover, where
//! the model has one block, works on what is still open. What was proved stays proved whatever happens later.

use std::collections::BTreeSet;

use rayon::prelude::*;

use crate::limits::{Limits, StopReason};
use crate::model::{Evaluator, Head, LoadError, Model, ModelFolder, PrefixError, TokenId};
use crate::num::Interval;
use crate::search::{Aim, Hunt, Incumbent, Leads, Target};
use crate::spec::Predicate;
use crate::spec::language::{Automaton, Language, LanguageError};
use crate::verdict::{Answer, Bounds, Prover, Witness};

use super::attempts::Attempts;
use super::attention::{Tables, prove_ceiling};
use super::block::{Block, prove_at};
use super::branch::{self, Branch, BranchError};
use super::exhaustive::{Exhaustive, ExhaustiveError, Seen, Session, is_open};
use super::head::{self, HeadError, HeadProof, HeadProver};
use super::{Argument, Event, Observer};

/// Beginnings of prefixes, beyond which nobody waits for an enumeration.
const MOST_NODES: f64 = 1e12;
/// One part in so many of the time goes to witnesses that narrow bounds beyond what thresholds ask for.
const NARROWING: u32 = 8;
/// Time for an enumeration where there is no deadline, in seconds.
const WITHOUT_DEADLINE: f64 = 3600.0;

/// All provers and searchers that may work on a model.
#[derive(Debug)]
pub struct Portfolio<'a> {
    folder: &'a ModelFolder,
    members: BTreeSet<Prover>,
    head: Head,
    /// The prefixes spoken of.
    language: Automaton,
    /// Those that the block prover speaks of: the same, or all prefixes if that is easier.
    outline: Automaton,
    /// Gap to narrow bounds to with the time that thresholds leave.
    refine: Option<f64>,
}

/// Why a portfolio could not work.
#[derive(Debug, thiserror::Error)]
pub enum PortfolioError {
    /// A model that cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A head about which nothing can be proved.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// A token that the model does not have.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
    /// A language that cannot be compiled.
    #[error(transparent)]
    Language(#[from] LanguageError),
    /// An enumeration that could not be finished.
    #[error(transparent)]
    Exhaustive(#[from] ExhaustiveError),
    /// A branch and bound that could not be finished.
    #[error(transparent)]
    Branch(#[from] BranchError),
    /// A language without prefixes.
    #[error(
        "the language holds no prefix of at most {longest} tokens, so there is nothing to prove or refute"
    )]
    NoPrefixes {
        /// Longest prefix that the question allows, in tokens.
        longest: usize,
    },
}

/// Whether bounds have to come with data for certificates, which costs some time per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arguments {
    /// Every reported bound is that of an argument that the observer has seen.
    Kept,
    /// Bounds only.
    Dropped,
}

impl<'a> Portfolio<'a> {
    /// Prepares work on questions about the prefixes of a language. Reads what the first step needs; the rest of the model
    /// is read when a later step needs it.
    ///
    /// # Errors
    /// A head that cannot be read, or a language that cannot be compiled.
    pub fn open(
        folder: &'a ModelFolder,
        language: &Language,
        members: BTreeSet<Prover>,
    ) -> Result<Portfolio<'a>, PortfolioError> {
        let vocab = folder.vocab_size();
        let outline = Block::outline(language, vocab, folder.context())?;
        let language = Automaton::new(language, vocab)?;
        Ok(Portfolio { folder, members, head: folder.load_head()?, language, outline, refine: None })
    }

    /// The same, and where a time limit leaves room, bounds are narrowed to this gap beyond what thresholds ask for.
    #[must_use]
    pub fn narrowing_to(self, gap: f64) -> Portfolio<'a> {
        Portfolio { refine: Some(gap), ..self }
    }

    /// Bounds for every token of a list, in its order, as good as the aim asks for or the limits allow.
    ///
    /// # Errors
    /// [`PortfolioError`] when the model cannot be read, its head is damaged, or a token does not exist.
    pub fn bound(
        &self,
        tokens: &[TokenId],
        aim: Aim<'_>,
        arguments: Arguments,
        limits: &Limits,
        observer: Observer<'_>,
    ) -> Result<Vec<Bounds>, PortfolioError> {
        let enumerates = self.enumerates(limits)?;
        // A proof that the checker repeats without being asked for more comes first, a longer one last.
        let early = arguments == Arguments::Dropped || self.is_insisted_on(limits) || self.is_short(limits);
        let mut all = vec![Bounds::trivial(); tokens.len()];
        if self.members.contains(&Prover::Head) {
            let upper = self.head_bounds(tokens, arguments, limits, observer)?;
            all.iter_mut().zip(upper).for_each(|(bounds, upper)| bounds.tighten(upper, Prover::Head));
        }
        if enumerates && early && self.enumerate(tokens, &mut all, aim, limits, observer)? {
            // Nobody knows more than one who has seen all prefixes.
            return Ok(all);
        }
        if self.members.contains(&Prover::Search) {
            let incumbents: Vec<Incumbent> = tokens.iter().map(|_| Incumbent::new()).collect();
            for (incumbent, bounds) in incumbents.iter().zip(&all) {
                bounds.witness.iter().cloned().for_each(|witness| {
                    incumbent.offer(witness);
                });
            }
            let targets: Vec<Target<'_>> = std::iter::zip(tokens, &all)
                .zip(&incumbents)
                .map(|((&token, bounds), incumbent)| Target { token, upper: bounds.upper, incumbent })
                .collect();
            let beyond = self.beyond(aim, limits);
            let is_wanted = |aim| targets.iter().any(|target| target.wanted(aim).is_some());
            if is_wanted(aim) || beyond.is_some_and(is_wanted) {
                let model = self.folder.load()?;
                let waits = enumerates && !early && self.is_affordable(&model, limits);
                let own = self.search_limits(&model, aim, limits, waits);
                let stopped = self.hunt(&model, targets, (aim, &own), (beyond, limits), observer)?;
                for (bounds, incumbent) in all.iter_mut().zip(&incumbents) {
                    bounds.witness = incumbent.best();
                    bounds.stopped = stopped;
                }
            }
        }
        if self.members.contains(&Prover::Block) {
            self.block_bounds(Prover::Block, tokens, &mut all, aim, limits, observer)?;
        }
        if self.members.contains(&Prover::Attention) {
            self.attention_bounds(tokens, &mut all, aim, limits, observer)?;
        }
        if enumerates && !early && self.enumerate(tokens, &mut all, aim, limits, observer)? {
            return Ok(all);
        }
        if self.members.contains(&Prover::Deep) {
            self.block_bounds(Prover::Deep, tokens, &mut all, aim, limits, observer)?;
        }
        if self.members.contains(&Prover::Branch) {
            self.branch_bounds(tokens, &mut all, aim, limits, observer)?;
        }
        Ok(all)
    }

    /// The exhaustive prover, if something is open and there is time for it. Says whether it saw all prefixes.
    fn enumerate(
        &self,
        tokens: &[TokenId],
        all: &mut [Bounds],
        aim: Aim<'_>,
        limits: &Limits,
        observer: Observer<'_>,
    ) -> Result<bool, PortfolioError> {
        if !all.iter().any(|bounds| is_open(bounds, aim)) {
            return Ok(false);
        }
        let model = self.folder.load()?;
        if !self.is_affordable(&model, limits) {
            return Ok(false);
        }
        Ok(self.session(&model, limits, observer).bound(tokens, all, aim)?)
    }

    /// Decides any predicate by enumeration: its answer, and what was seen; `None` if there are too many prefixes for that.
    ///
    /// # Errors
    /// As [`Portfolio::bound`].
    pub fn decide(
        &self,
        predicate: &Predicate,
        limits: &Limits,
        observer: Observer<'_>,
    ) -> Result<Option<(Answer, Seen)>, PortfolioError> {
        if !self.enumerates(limits)? {
            return Ok(None);
        }
        let model = self.folder.load()?;
        if !self.is_affordable(&model, limits) {
            return Ok(None);
        }
        Ok(Some(self.session(&model, limits, observer).decide(predicate)?))
    }

    fn session<'s>(&'s self, model: &'s Model, limits: &'s Limits, observer: Observer<'s>) -> Session<'s> {
        Session { model, digest: self.folder.digest(), automaton: &self.language, limits, observer }
    }

    /// Whether enumeration is asked for, and thinkable.
    fn enumerates(&self, limits: &Limits) -> Result<bool, PortfolioError> {
        let longest = limits.longest_prefix(self.folder.context());
        if self.language.lengths(longest).is_empty() {
            return Err(PortfolioError::NoPrefixes { longest });
        }
        Ok(self.members.contains(&Prover::Exhaustive)
            && Exhaustive::nodes(&self.language, longest) < MOST_NODES)
    }

    /// Whether the user wants an enumeration whatever it takes: by asking for nothing else, or for a checkpoint.
    fn is_insisted_on(&self, limits: &Limits) -> bool {
        let alone = self.members.iter().all(|member| matches!(member, Prover::Exhaustive | Prover::Head));
        alone || limits.checkpoint.is_some()
    }

    /// Whether there are so few prefixes that the checker evaluates them all.
    fn is_short(&self, limits: &Limits) -> bool {
        let nodes = Exhaustive::nodes(&self.language, limits.longest_prefix(self.folder.context()));
        nodes <= llmprove_proofs::MAX_PREFIXES as f64
    }

    /// Whether an enumeration should end within half of the time, or is wanted anyhow.
    fn is_affordable(&self, model: &Model, limits: &Limits) -> bool {
        let seconds = Exhaustive::seconds(model, &self.language, limits.longest_prefix(model.context));
        let left = limits.remaining().map_or(WITHOUT_DEADLINE, |left| left.as_secs_f64());
        self.is_insisted_on(limits) || seconds <= left / 2.0
    }

    /// A quarter of the time if the block or the branch prover may want the rest, half of it if an enumeration may.
    fn search_limits(&self, model: &Model, aim: Aim<'_>, limits: &Limits, enumerates: bool) -> Limits {
        let speaks = || Block::speaks_of(model, &self.outline, limits.longest_prefix(model.context));
        let block = self.members.contains(&Prover::Block) && Block::covers(model) && speaks();
        let deep = self.members.contains(&Prover::Deep)
            && self.gap(aim, limits).is_some()
            && Block::is_only_for_deep(model)
            && speaks();
        let branch = self.members.contains(&Prover::Branch)
            && self.gap(aim, limits).is_some()
            && Branch::new(model, &self.language, limits.longest_prefix(model.context)).is_ok();
        match limits.remaining() {
            Some(left) if block || deep || branch => limits.within(left / 4),
            Some(left) if enumerates => limits.within(left / 2),
            Some(_) | None => limits.clone(),
        }
    }

    /// The block prover on every token whose bounds are still too far apart; the deep one only where bounds are asked for and not
    /// answers alone, which it cannot give.
    fn block_bounds(
        &self,
        prover: Prover,
        tokens: &[TokenId],
        all: &mut [Bounds],
        aim: Aim<'_>,
        limits: &Limits,
        observer: Observer<'_>,
    ) -> Result<(), PortfolioError> {
        let certifies = prover.certifies();
        let gap = self.gap(aim, limits);
        let refine = if certifies { self.refine.filter(|_| limits.deadline.is_some()) } else { gap };
        let attempts = Attempts { prover, aim, refine, limits };
        let silent = !certifies && gap.is_none() || limits.expired();
        if silent || attempts.open(all).is_empty() {
            return Ok(());
        }
        let model = self.folder.load()?;
        // Of another architecture there is nothing to add, and nothing wrong.
        if certifies && !Block::covers(&model) || !certifies && !Block::is_only_for_deep(&model) {
            return Ok(());
        }
        let longest = limits.longest_prefix(model.context);
        // Through several blocks others may know more, who are still to come.
        let others = model.body.layers.len() > 2
            && (self.enumerates(limits)? && self.is_affordable(&model, limits)
                || self.members.contains(&Prover::Branch) && gap.is_some());
        let own = match limits.remaining() {
            Some(left) if others => limits.within(left / 2),
            Some(_) | None => limits.clone(),
        };
        let attempts = Attempts { limits: &own, ..attempts };
        let open = attempts.open(all);
        let block = match certifies {
            true => Block::within(&model, &self.outline, longest, &own),
            false => Block::through(&model, &self.outline, longest, &own).map(|(block, _)| block),
        };
        let Ok(block) = block else { return Ok(()) };
        observer(Event::Stage(if certifies { "block prover" } else { "deep prover" }));
        attempts.run(&open, all, |i, attempt, limits| {
            let (upper, proof) = prove_at(&block, tokens[i], attempt, longest, limits)?;
            attempt.is_met_by(upper).then_some(())?;
            if certifies {
                observer(Event::Upper { token: tokens[i], upper, argument: Argument::Block(&proof) });
            }
            Some(upper)
        });
        Ok(())
    }

    /// The attention prover on every token whose bounds are still too far apart.
    fn attention_bounds(
        &self,
        tokens: &[TokenId],
        all: &mut [Bounds],
        aim: Aim<'_>,
        limits: &Limits,
        observer: Observer<'_>,
    ) -> Result<(), PortfolioError> {
        let attempts = Attempts { prover: Prover::Attention, aim, refine: None, limits };
        let open = attempts.open(all);
        // A model with a final norm is another prover's business, and need not be read here.
        if open.is_empty() || limits.expired() || self.head.norm.is_some() {
            return Ok(());
        }
        let model = self.folder.load()?;
        let Ok(tables) = Tables::new(&model) else { return Ok(()) };
        observer(Event::Stage("attention prover"));
        let longest = limits.longest_prefix(model.context);
        attempts.run(&open, all, |i, attempt, limits| {
            let token = tokens[i];
            let upper = attempt.probability(0.0);
            let proof = prove_ceiling(&tables, token, upper, &self.language, longest, limits)?;
            observer(Event::Upper { token, upper, argument: Argument::Attention(&proof) });
            Some(upper)
        });
        Ok(())
    }

    /// The branch prover, where bounds are asked for and not only answers, on all tokens that are open.
    fn branch_bounds(
        &self,
        tokens: &[TokenId],
        all: &mut [Bounds],
        aim: Aim<'_>,
        limits: &Limits,
        observer: Observer<'_>,
    ) -> Result<(), PortfolioError> {
        let Some(gap) = self.gap(aim, limits) else { return Ok(()) };
        let is_open = |bounds: &Bounds| bounds.upper - bounds.lower() > gap;
        if limits.expired() || !all.iter().any(is_open) {
            return Ok(());
        }
        let model = self.folder.load()?;
        let longest = limits.longest_prefix(model.context);
        let Ok(prover) = Branch::new(&model, &self.language, longest) else { return Ok(()) };
        // The checkpoint is the enumeration's, where there is one.
        let mut own = limits.clone();
        own.checkpoint = own.checkpoint.filter(|_| !self.members.contains(&Prover::Exhaustive));
        let run = format!("{} {longest} {:?}", self.folder.digest(), self.language);
        let session = branch::Session { branch: &prover, run: &run, limits: &own, observer };
        Ok(session.bound(tokens, all, gap)?)
    }

    /// How far apart bounds may stay where they count; `None` where only answers do.
    fn gap(&self, aim: Aim<'_>, limits: &Limits) -> Option<f64> {
        match aim {
            Aim::Narrow { gap } => Some(gap),
            Aim::Exceed(_) => self.refine.filter(|_| limits.deadline.is_some()),
            Aim::Violate(_) => None,
        }
    }

    /// The head theorem: upper bounds for `tokens`, 1 where the model has no final norm.
    fn head_bounds(
        &self,
        tokens: &[TokenId],
        arguments: Arguments,
        limits: &Limits,
        observer: Observer<'_>,
    ) -> Result<Vec<f64>, PortfolioError> {
        observer(Event::Stage("head theorem"));
        let prover = match HeadProver::new(&self.head, Interval::ONE) {
            Err(HeadError::NoFinalNorm) => return Ok(vec![1.0; tokens.len()]),
            other => other?,
        };
        let proofs = prover.bound_all(tokens, &head::Goal::tight(), limits, &|_| {})?;
        Ok(match arguments {
            Arguments::Dropped => proofs.iter().map(|proof| proof.upper).collect(),
            // The certificate's own bound counts: it differs from the solver's by rounding.
            Arguments::Kept => proofs.par_iter().map(|proof| certified(&prover, proof, observer)).collect(),
        })
    }

    /// What is worth a search beyond an aim: thresholds may leave nothing to find where bounds are still apart.
    fn beyond<'b>(&self, aim: Aim<'_>, limits: &Limits) -> Option<Aim<'b>> {
        match aim {
            Aim::Exceed(_) => self.gap(aim, limits).map(|gap| Aim::Narrow { gap }),
            Aim::Narrow { .. } | Aim::Violate(_) => None,
        }
    }

    /// The search for witnesses; they end up in the targets' incumbents. Says what ended the search for the aim itself; what lies
    /// beyond it gets a small part of the time that is left then.
    fn hunt(
        &self,
        model: &Model,
        targets: Vec<Target<'_>>,
        (aim, own): (Aim<'_>, &Limits),
        (beyond, limits): (Option<Aim<'_>>, &Limits),
        observer: Observer<'_>,
    ) -> Result<Option<StopReason>, PortfolioError> {
        observer(Event::Stage("search for witnesses"));
        let leads = Leads::default();
        let mut hunt = Hunt::new(Evaluator::new(model), self.folder.bos(), targets, &leads, limits)
            .within(&self.language);
        let found = |token: TokenId, witness: &Witness| observer(Event::Lower { token, witness });
        let stopped = hunt.run(aim, own, &found)?;
        if let (Some(beyond), Some(left)) = (beyond, limits.remaining()) {
            hunt.run(beyond, &limits.within(left / NARROWING), &found)?;
        }
        Ok(stopped)
    }
}

/// Makes the certificate of a head proof, shows it to the observer, and gives the bound that it proves.
fn certified(prover: &HeadProver<'_>, proof: &HeadProof, observer: Observer<'_>) -> f64 {
    let certificate = prover.certificate(proof);
    let argument = Argument::Head { denominator: certificate.denominator, lambda: &certificate.lambda };
    observer(Event::Upper { token: proof.token, upper: certificate.upper, argument });
    certificate.upper
}
