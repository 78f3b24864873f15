//! Reports about one concrete prefix whose embeddings may move: text and JSON.

use std::fmt::Write as _;

use serde::Serialize;

use crate::domain::logits::Outlook;
use crate::domain::region::{EmbeddingBall, Norm};
use crate::model::{TokenId, Vocab};
use crate::num::decimal::{round_down, round_up};

/// Significant digits in text.
const DIGITS: usize = 5;
/// Margins listed in text.
const LISTED: usize = 8;

/// The answer to a local question.
#[derive(Debug, Serialize)]
pub struct Local {
    /// Token ids.
    prefix: Vec<TokenId>,
    /// Positions that move, counted from zero.
    positions: Vec<usize>,
    /// `inf` or `2`.
    norm: &'static str,
    radius: f64,
    token: TokenId,
    /// Whether the token stays more likely than each of those it is compared with.
    stays: bool,
    /// Certified enclosure of the token's probability.
    probability: [f64; 2],
    /// Smallest lower bound first.
    margins: Vec<Margin>,
}

/// The margin over another token.
#[derive(Debug, Serialize)]
struct Margin {
    token: TokenId,
    text: String,
    /// Certified bounds on `l_token − l_other`, nats; `null` where nothing is known.
    lower: Option<f64>,
    upper: Option<f64>,
}

impl Local {
    /// What the domains found for a ball; `versus` names the one token to compare with, all others without it.
    #[must_use]
    pub fn new(
        ball: &EmbeddingBall<'_>,
        token: TokenId,
        versus: Option<TokenId>,
        outlook: &Outlook,
        vocab: &Vocab,
    ) -> Local {
        let others = (0..).zip(&outlook.margins).filter(|(j, _)| *j != token);
        let compared = others.filter(|(j, _)| versus.is_none_or(|versus| versus == *j));
        let mut margins: Vec<Margin> = compared
            .map(|(j, margin)| Margin {
                token: j,
                text: vocab.text(j),
                lower: Some(-margin.hi()).filter(|x| x.is_finite()),
                upper: Some(-margin.lo()).filter(|x| x.is_finite()),
            })
            .collect();
        let stays = margins.iter().all(|m| m.lower.is_some_and(|lower| lower > 0.0));
        let key = |m: &Margin| m.lower.unwrap_or(f64::NEG_INFINITY);
        margins.sort_by(|a, b| key(a).total_cmp(&key(b)));
        Local {
            prefix: ball.prefix.to_vec(),
            positions: ball.positions.to_vec(),
            norm: match ball.norm {
                Norm::Linf => "inf",
                Norm::L2 => "2",
            },
            radius: ball.radius,
            token,
            stays,
            probability: [outlook.probability.lo(), outlook.probability.hi()],
            margins,
        }
    }

    /// Whether the token is certain to stay ahead.
    #[must_use]
    pub fn stays(&self) -> bool {
        self.stays
    }

    /// For people.
    #[must_use]
    pub fn text(&self, vocab: &Vocab) -> String {
        let verdict = match self.stays {
            true => "PROVED: the token stays ahead",
            false => "UNKNOWN: the token may fall behind",
        };
        let (low, high) = (below(Some(self.probability[0])), above(Some(self.probability[1])));
        let mut text = format!(
            "{verdict}\n\n  token       {} {}\n  prefix      {:?}\n  ball        radius {} (norm {}) around the embeddings at {:?}\n  \
             probability {low} to {high}\n  margins     logit of the token less that of another, smallest first\n",
            self.token,
            vocab.text(self.token),
            self.prefix,
            self.radius,
            self.norm,
            self.positions,
        );
        for m in self.margins.iter().take(LISTED) {
            // A string takes everything that is written to it.
            let _ = writeln!(
                text,
                "              {} to {}  over {} {}",
                below(m.lower),
                above(m.upper),
                m.token,
                m.text
            );
        }
        if self.margins.len() > LISTED {
            let _ =
                writeln!(text, "              and {} more; --json lists all", self.margins.len() - LISTED);
        }
        text
    }
}

/// A decimal at or below.
fn below(x: Option<f64>) -> String {
    match x {
        None => "?".to_owned(),
        Some(x) if x < 0.0 => format!("-{}", round_up(-x, DIGITS)),
        Some(x) => round_down(x, DIGITS),
    }
}

/// A decimal at or above.
fn above(x: Option<f64>) -> String {
    match x {
        None => "?".to_owned(),
        Some(x) if x < 0.0 => format!("-{}", round_down(-x, DIGITS)),
        Some(x) => round_up(x, DIGITS),
    }
}
