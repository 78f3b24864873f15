//! Ceilings of several tokens from ceilings of single ones: lists, sets and continuations.
//!
//! Bounds of the head theorem come first, for each token one; where they do not suffice together, one token after the other
//! is put to the stronger provers, as a statement of its own, with the threshold that the others leave to it.

use std::collections::BTreeSet;

use llmprove_proofs as format;

use super::{DecideError, decide};
use crate::certify::{Files, head_proof, part};
use crate::limits::Limits;
use crate::model::ModelFolder;
use crate::num::decimal::{floor, round_up};
use crate::num::{self, Interval};
use crate::prove::head::{Goal, HeadProver};
use crate::prove::{Event, Observer};
use crate::spec::language::TokenSet;
use crate::spec::{Language, Predicate, Statement, Threshold};
use crate::verdict::{Answer, Prover};

/// Significant digits of the thresholds of parts.
const DIGITS: usize = 15;
/// Smaller bounds are rounded up to this.
const LEAST: f64 = 1e-30;

/// Bounds on single tokens that bound the excess of a predicate.
pub struct Parts<'a> {
    predicate: &'a Predicate,
    /// One per token of the predicate; `None` for the bound 1.
    parts: Vec<Option<(Threshold, format::Proof)>>,
}

impl<'a> Parts<'a> {
    /// What the head theorem says of each token; `None` if the predicate is not made of tokens.
    pub fn of_head(
        predicate: &'a Predicate,
        prover: &HeadProver<'_>,
        limits: &Limits,
    ) -> Result<Option<Parts<'a>>, DecideError> {
        let (Predicate::MaxCeiling { tokens, .. }
        | Predicate::SetCeiling { tokens, .. }
        | Predicate::Continuation { tokens, .. }) = predicate
        else {
            return Ok(None);
        };
        let proofs = prover.bound_all(tokens, &Goal::tight(), limits, &|_| {})?;
        let part = |proof| {
            let certificate = prover.certificate(proof);
            let threshold = Threshold::parse(&round_up(certificate.upper.max(LEAST), DIGITS)).ok()?;
            threshold.admits(certificate.upper).then(|| (threshold, head_proof(&certificate)))
        };
        let mut parts = Parts { predicate, parts: proofs.iter().map(part).collect() };
        parts.loosen();
        Ok(Some(parts))
    }

    /// Shares what the statement's threshold leaves among the parts, so that their proofs survive changes of the weights.
    fn loosen(&mut self) {
        let Some(threshold) = self.predicate.threshold().map(Threshold::nearest) else { return };
        let known: Vec<f64> = self.parts.iter().flatten().map(|(p, _)| p.nearest()).collect();
        let n = known.len() as f64;
        let complete = known.len() == self.parts.len();
        let loose = |p: f64| match self.predicate {
            Predicate::Continuation { .. } => p * (threshold / known.iter().product::<f64>()).powf(1.0 / n),
            Predicate::SetCeiling { .. } if complete => p + (threshold - known.iter().sum::<f64>()) / n,
            Predicate::MaxCeiling { .. } => threshold,
            _ => p,
        };
        for (part, _) in self.parts.iter_mut().flatten() {
            // A little less, so that rounding does not spoil it; never below what is proved.
            let p = loose(part.nearest()).min(0.999_999) * (1.0 - 1e-9);
            if p > part.nearest()
                && let Ok(looser) = Threshold::parse(&num::decimal::round_down(p, DIGITS))
                && looser.floor() >= part.floor()
            {
                *part = looser;
            }
        }
    }

    /// The bound on the excess, in nats, that the thresholds prove.
    pub fn excess(&self) -> f64 {
        let bounds = self.parts.iter().map(|part| match part {
            Some((threshold, _)) => threshold.enclosure(),
            None => Interval::ONE,
        });
        let log_odds = |p: Interval| num::ln(p) - num::ln(Interval::ONE - p);
        match self.predicate {
            Predicate::Continuation { .. } => bounds.map(num::ln).sum::<Interval>().hi(),
            Predicate::SetCeiling { .. } => {
                let sum: Interval = bounds.sum();
                if sum.hi() < 1.0 { log_odds(sum).hi() } else { f64::INFINITY }
            }
            _ => bounds.map(|p| log_odds(p).hi()).fold(f64::NEG_INFINITY, f64::max),
        }
    }

    /// The argument for a certificate.
    pub fn proof(&self) -> Result<format::Proof, DecideError> {
        let parts = self.parts.iter().map(|p| p.as_ref().map(|(t, proof)| part(t, proof)).transpose());
        Ok(format::Proof::Parts { parts: parts.collect::<Result<_, _>>()? })
    }

    /// Puts tokens to the stronger provers until the parts prove the statement or nothing is left to try; says whether
    /// they do.
    pub fn strengthen(
        &mut self,
        folder: &ModelFolder,
        statement: &Statement,
        provers: &BTreeSet<Prover>,
        limits: &Limits,
        observer: Observer<'_>,
    ) -> Result<bool, DecideError> {
        let limit = statement.predicate.limit();
        let provers: BTreeSet<Prover> =
            provers.iter().copied().filter(|p| !matches!(p, Prover::Head | Prover::Search)).collect();
        let steps: Vec<usize> = (0..self.parts.len()).collect();
        if provers.is_empty() || self.predicate.temperature_text().is_some() {
            return Ok(false);
        }
        for (done, &step) in steps.iter().enumerate() {
            let Some(wanted) = self.wanted(step) else { continue };
            let share = limits.remaining().map(|left| left / (steps.len() - done) as u32);
            let own = share.map_or_else(|| limits.clone(), |share| limits.within(share));
            let single = part_statement(statement, step, wanted.clone());
            observer(Event::Stage("one token after the other"));
            let decision = decide(folder, &single, provers.clone(), &own, observer)?;
            if let (Answer::Proved, Some(Files { certificate, .. })) = (decision.answer, decision.files)
                && let Ok(certificate) = format::Certificate::from_json_bytes(&certificate)
            {
                self.parts[step] = Some((wanted, certificate.proof));
            }
            if limit.admits(self.excess()) {
                return Ok(true);
            }
            if limits.expired() {
                break;
            }
        }
        Ok(false)
    }

    /// The threshold of one part that lets the others prove the predicate; `None` if it has it, or none would do.
    fn wanted(&self, step: usize) -> Option<Threshold> {
        let bound = |part: &Option<(Threshold, format::Proof)>| part.as_ref().map_or(1.0, |p| p.0.nearest());
        let others =
            || self.parts.iter().enumerate().filter(|(i, _)| *i != step).map(|(_, part)| bound(part));
        let (threshold, room) = match self.predicate {
            Predicate::MaxCeiling { threshold, .. } => (threshold, threshold.nearest()),
            Predicate::SetCeiling { threshold, .. } => {
                (threshold, threshold.nearest() - others().sum::<f64>())
            }
            Predicate::Continuation { threshold, .. } => {
                (threshold, threshold.nearest() / others().product::<f64>())
            }
            _ => return None,
        };
        if bound(&self.parts[step]) <= room {
            return None;
        }
        if let Predicate::MaxCeiling { .. } = self.predicate {
            return Some(threshold.clone());
        }
        // A little less, so that rounding does not spoil it.
        let text = num::decimal::round_down(room * (1.0 - 1e-9), DIGITS);
        (floor(&text) > LEAST).then(|| Threshold::parse(&text).ok()).flatten()
    }
}

/// The ceiling of one token of a compound statement.
fn part_statement(statement: &Statement, step: usize, threshold: Threshold) -> Statement {
    let tokens = statement.predicate.tokens();
    let predicate = Predicate::Ceiling { token: tokens[step], threshold, temperature: None };
    let before = match &statement.predicate {
        Predicate::Continuation { tokens, .. } => &tokens[..step],
        _ => &[],
    };
    if before.is_empty() {
        return Statement { predicate, ..statement.clone() };
    }
    let mut parts = vec![statement.language.clone()];
    parts.extend(before.iter().map(|&token| Language::Set(TokenSet::one(token))));
    let max_len = statement.max_len.map(|n| n + step);
    Statement { language: Language::Seq(parts), max_len, predicate }
}
