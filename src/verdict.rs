//! What a run ends with: certified bounds on the largest probability, and PROVED, REFUTED or UNKNOWN for a threshold.

use serde::{Deserialize, Serialize};

use crate::limits::StopReason;
use crate::model::TokenId;
use crate::spec::Threshold;

/// Answer to a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// The statement holds for every prefix of the language.
    Proved,
    /// A concrete prefix violates the statement.
    Refuted,
    /// Neither was established within the limits.
    Unknown,
}

impl Answer {
    /// Process exit code of a deciding command: 0 proved, 1 refuted, 3 unknown (2 is kept for errors).
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Answer::Proved => 0,
            Answer::Refuted => 1,
            Answer::Unknown => 3,
        }
    }

    /// The word for it, in lower case.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Answer::Proved => "proved",
            Answer::Refuted => "refuted",
            Answer::Unknown => "unknown",
        }
    }
}

/// Whose argument a bound or a decision rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Prover {
    /// Nobody's: a probability is at most 1.
    None,
    /// The head theorem: final norm and head only, every prefix of every length.
    Head,
    /// The block prover: every prefix of a one-block model up to the longest length spoken of.
    Block,
    /// The attention prover: the prefixes spoken of, in a one-layer attention-only model without norms.
    Attention,
    /// The exhaustive prover: every prefix of a finite language, evaluated rigorously.
    Exhaustive,
    /// The branch prover: every prefix of a finite language, by bounds on token sets. It writes no certificates, so that no
    /// answer rests on it.
    Branch,
    /// The deep prover: every prefix spoken of, through several blocks, whatever its free positions hold; without certificates
    /// too.
    Deep,
    /// A concrete prefix, evaluated rigorously.
    Search,
}

impl Prover {
    /// Those that can be asked to work.
    pub const WORKERS: [Prover; 7] = [
        Prover::Head,
        Prover::Exhaustive,
        Prover::Block,
        Prover::Attention,
        Prover::Deep,
        Prover::Branch,
        Prover::Search,
    ];

    /// Whether its proofs can be checked by others, so that answers may rest on them.
    #[must_use]
    pub fn certifies(self) -> bool {
        !matches!(self, Prover::Branch | Prover::Deep)
    }

    /// The name that reports print.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Prover::None => "none",
            Prover::Head => "head",
            Prover::Block => "block",
            Prover::Attention => "attention",
            Prover::Exhaustive => "exhaustive",
            Prover::Branch => "branch",
            Prover::Deep => "deep",
            Prover::Search => "search",
        }
    }
}

/// A concrete prefix with a rigorous enclosure of the target's probability after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Witness {
    /// Token ids of the prefix, first token first.
    pub prefix: Vec<TokenId>,
    /// Probability of the target after the prefix: the exact real value lies in `[lower, upper]`.
    pub lower: f64,
    /// See `lower`.
    pub upper: f64,
}

/// Certified bounds on `max P(token | prefix)` over the prefixes of a language.
#[derive(Debug, Clone, PartialEq)]
pub struct Bounds {
    /// The prefix that attains at least `lower`; `None` leaves `lower` at zero.
    pub witness: Option<Witness>,
    /// Proved for every prefix.
    pub upper: f64,
    /// The least such bound whose proof can be checked by others; answers rest on this one.
    pub checkable: f64,
    /// Whose proof `upper` is.
    pub prover: Prover,
    /// Why the run ended before it was finished, if it did.
    pub stopped: Option<StopReason>,
}

impl Bounds {
    /// What holds before anything was computed.
    #[must_use]
    pub fn trivial() -> Bounds {
        Bounds { witness: None, upper: 1.0, checkable: 1.0, prover: Prover::None, stopped: None }
    }

    /// Certified lower bound on the maximum.
    #[must_use]
    pub fn lower(&self) -> f64 {
        self.witness.as_ref().map_or(0.0, |w| w.lower)
    }

    /// Takes over a tighter upper bound; a looser one, or NaN, changes nothing.
    pub fn tighten(&mut self, upper: f64, prover: Prover) {
        if prover.certifies() && upper < self.checkable {
            self.checkable = upper;
        }
        if upper < self.upper {
            (self.upper, self.prover) = (upper, prover);
        }
    }

    /// The answer to "`P <= threshold` after every prefix".
    #[must_use]
    pub fn answer(&self, threshold: &Threshold) -> Answer {
        match (threshold.admits(self.checkable), threshold.exceeded_by(self.lower())) {
            (true, false) => Answer::Proved,
            (false, true) => Answer::Refuted,
            // Both at once cannot happen with sound bounds; if it does, nothing is claimed.
            (false, false) | (true, true) => Answer::Unknown,
        }
    }

    /// Whose argument the answer rests on.
    #[must_use]
    pub fn decided_by(&self, threshold: &Threshold) -> Prover {
        match self.answer(threshold) {
            Answer::Refuted => Prover::Search,
            Answer::Proved | Answer::Unknown => self.prover,
        }
    }

    /// Whether a certified lower bound lies above a certified upper one, which sound code never produces.
    #[must_use]
    pub fn contradict(&self) -> bool {
        self.lower() > self.upper
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(lower: f64, upper: f64) -> Bounds {
        let witness = Some(Witness { prefix: vec![1], lower, upper: 1.0 });
        Bounds { witness, upper, checkable: upper, prover: Prover::Head, stopped: None }
    }

    #[test]
    fn answers_follow_the_bounds() {
        let threshold = Threshold::parse("0.5").unwrap();
        for (lower, upper, answer) in [
            (0.1, 0.5, Answer::Proved),
            (0.1, 0.5_f64.next_up(), Answer::Unknown),
            (0.5, 0.9, Answer::Unknown),
            (0.5_f64.next_up(), 0.9, Answer::Refuted),
            (0.1, f64::NAN, Answer::Unknown),
            (0.6, 0.4, Answer::Unknown),
        ] {
            assert_eq!(bounds(lower, upper).answer(&threshold), answer, "[{lower}, {upper}]");
        }
    }

    #[test]
    fn only_tighter_bounds_are_taken_over() {
        let mut bounds = Bounds::trivial();
        for (upper, kept) in [(f64::NAN, 1.0), (1.0, 1.0), (0.4, 0.4), (0.6, 0.4), (0.3, 0.3)] {
            bounds.tighten(upper, Prover::Head);
            assert_eq!(bounds.upper, kept);
        }
    }

    #[test]
    fn no_answer_rests_on_a_bound_without_a_certificate() {
        let threshold = Threshold::parse("0.5").unwrap();
        let mut bounds = bounds(0.1, 0.8);
        bounds.tighten(0.3, Prover::Branch);
        assert_eq!((bounds.upper, bounds.prover), (0.3, Prover::Branch));
        // Nor does this one count for answers.
        bounds.tighten(0.29, Prover::Deep);
        assert!(bounds.checkable > 0.3 && bounds.upper < 0.3);
        assert_eq!(bounds.answer(&threshold), Answer::Unknown);
        // A certificate for a weaker bound counts all the same.
        bounds.tighten(0.4, Prover::Block);
        assert_eq!((bounds.upper, bounds.answer(&threshold)), (0.29, Answer::Proved));
    }
}
