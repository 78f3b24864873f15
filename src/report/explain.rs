//! The report of `explain`: bars in nats, and the same as JSON.

use serde::Serialize;

use super::style::{self, line, paint};
use super::subject::Subject;
use crate::explain::{Profile, Stage, log_odds};
use crate::num::decimal::{round_down, round_up};
use crate::verdict::Bounds;

/// Width of the longest bar.
const CELLS: f64 = 40.0;
const DIGITS: usize = 4;

/// Document of `explain`.
#[derive(Debug, Serialize)]
pub struct ExplainDocument<'a> {
    model: &'a str,
    token: u32,
    text: String,
    /// Certified, by all provers.
    lower: f64,
    upper: f64,
    prover: &'static str,
    stages: Vec<StageDocument>,
    /// `null` where the block prover does not apply.
    relaxation: Option<RelaxationDocument>,
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct StageDocument {
    name: &'static str,
    what: &'static str,
    probability: f64,
    log_odds: f64,
    certified: bool,
    /// Nats between this stage and the next; `null` at the last one.
    lost: Option<f64>,
}

/// Nats that the block prover's relaxation loses at one pair before anything is split.
#[derive(Debug, Serialize)]
struct RelaxationDocument {
    length: usize,
    last_token: u32,
    /// Least probabilities that one vector proves of the pair, for every norm and for the norm of the best mixture; certified.
    undivided: f64,
    norm_known: f64,
    lost_to_norm: f64,
    lost_to_neurons: f64,
}

impl RelaxationDocument {
    fn new(profile: &Profile) -> Option<RelaxationDocument> {
        let relaxation = profile.relaxation?;
        let (undivided, norm_known) = (relaxation.undivided, relaxation.norm_known);
        let mixture = profile.stages.iter().find(|stage| stage.name == "attention")?;
        Some(RelaxationDocument {
            length: relaxation.pair.0,
            last_token: relaxation.pair.1,
            undivided,
            norm_known,
            lost_to_norm: log_odds(undivided) - log_odds(norm_known),
            lost_to_neurons: log_odds(norm_known) - mixture.log_odds(),
        })
    }
}

/// The JSON document.
#[must_use]
pub fn document<'a>(subject: &Subject<'a>, bounds: &Bounds, profile: &Profile) -> ExplainDocument<'a> {
    let stages = &profile.stages;
    let lost = |i: usize| stages.get(i + 1).map(|next| stages[i].log_odds() - next.log_odds());
    let stage = |(i, s): (usize, &Stage)| StageDocument {
        name: s.name,
        what: s.what,
        probability: s.probability,
        log_odds: s.log_odds(),
        certified: s.certified,
        lost: lost(i),
    };
    ExplainDocument {
        model: subject.model,
        token: subject.token,
        text: subject.quoted(),
        lower: bounds.lower(),
        upper: bounds.upper,
        prover: bounds.prover.name(),
        stages: stages.iter().enumerate().map(stage).collect(),
        relaxation: RelaxationDocument::new(profile),
        seconds: subject.seconds,
    }
}

/// The text.
#[must_use]
pub fn text(subject: &Subject<'_>, bounds: &Bounds, profile: &Profile) -> String {
    let stages = &profile.stages;
    let (lower, upper) = (round_down(bounds.lower(), DIGITS), round_up(bounds.upper, DIGITS));
    let headline = format!("{lower} <= max P({}) <= {upper}: where the rest is lost", subject.quoted());
    let mut text = paint(style::STRONG, &headline) + "\n\n" + &line("model", subject.model);
    let lowest = stages.last().map_or(0.0, Stage::log_odds);
    let span = stages.first().map_or(0.0, |first| first.log_odds() - lowest).max(1e-9);
    for (i, stage) in stages.iter().enumerate() {
        let above = stage.log_odds() - lowest;
        let bar = "█".repeat((above / span * CELLS).round().clamp(0.0, CELLS) as usize);
        let kind = if stage.certified { "certified" } else { "estimate" };
        let p = if stage.name == "prefix" {
            round_down(stage.probability, DIGITS)
        } else {
            round_up(stage.probability, DIGITS)
        };
        text += &line(
            stage.name,
            &format!("P {p:<10} {above:>7.3} nats above the last stage, {kind}: {}", stage.what),
        );
        if let Some(next) = stages.get(i + 1) {
            let lost = stage.log_odds() - next.log_odds();
            text += &line("", &format!("{bar:<40}  {lost:.3} nats to the next"));
        }
    }
    let odds = (bounds.upper / (1.0 - bounds.upper)).ln() - lowest;
    text += &line(
        "proved",
        &format!("P {upper:<10} {odds:>7.3} nats above the last stage, by {}", bounds.prover.name()),
    );
    if let Some(lost) = RelaxationDocument::new(profile) {
        text += &format!(
            "\nUndivided, the block prover has P <= {} for all prefixes of the length and last token of that mixture ({}, token {}):\n\
             {:.3} nats lost below neurons, {:.3} to the norm's freedom. Branching wins them back as far as time goes.\n",
            round_up(lost.undivided, DIGITS),
            lost.length,
            lost.last_token,
            lost.lost_to_neurons,
            lost.lost_to_norm,
        );
    }
    text + "\nEstimates are the best points found in a set, so its true maximum, and any proof over it, lies above them.\n"
}
