//! Bounds for one token, for many, and against thresholds.

use ndarray::{Array1, Array2, ArrayView2, Axis, CowArray, Ix2};
use rayon::prelude::*;

use super::HeadError;
use super::centre::Centre;
use super::certificate::HeadCertificate;
use super::descent::{Best, Descent};
use super::evaluate::evaluate;
use super::goal::Goal;
use super::problem::Problem;
use super::real::Real;
use crate::limits::Limits;
use crate::model::{Head, TokenId};
use crate::num::Interval;

/// Targets that are evaluated together.
const BATCH: usize = 512;
/// Logits held at a time, which bounds the batch for the largest vocabularies.
const LOGITS: usize = 1 << 25;
/// Targets that one task works through where the vocabulary is too small to be split among threads.
const LANE: usize = 32;
/// Largest `|V|·d` that is worked on in `f64`.
const SMALL: usize = 1 << 22;

/// A bound that holds after every prefix.
#[derive(Debug, Clone)]
pub struct HeadProof {
    /// The token bounded.
    pub token: TokenId,
    /// `P(token | x) <= upper` for every prefix `x` of any length; 1 where nothing is known. Rigorous.
    pub upper: f64,
    /// Probability reached at some point of the ball, to the nearest: how far the head alone could ever go down. No
    /// bound on any prefix.
    pub reached: f64,
    /// The point `ẑ` of the ball whose softmax is the `λ` of the bound; a hint for searches.
    pub maximiser: Array1<f64>,
    /// Evaluations of the dual spent.
    pub evaluations: usize,
}

/// The head theorem for one head and temperature.
pub struct HeadProver<'a> {
    problem: Problem<'a>,
    rows: Rows<'a>,
    centre: Centre,
}

/// `U` in the type that the solver calculates in.
enum Rows<'a> {
    Wide(Array2<f64>),
    Narrow(CowArray<'a, f32, Ix2>),
}

impl<'a> HeadProver<'a> {
    /// Prepares a head; `temperature` encloses the number that divides the logits, [`Interval::ONE`] by default.
    ///
    /// # Errors
    /// [`HeadError`] where the theorem does not apply.
    pub fn new(head: &'a Head, temperature: Interval) -> Result<HeadProver<'a>, HeadError> {
        let problem = Problem::new(head, temperature)?;
        let rows = if head.unembed.len() <= SMALL {
            Rows::Wide(head.unembed.mapv(f64::from))
        } else {
            Rows::Narrow(head.unembed.as_standard_layout())
        };
        let centre = Centre::new(&problem);
        Ok(HeadProver { problem, rows, centre })
    }

    /// The same prover with weights only on tokens outside of a set: its bounds then are about the odds of a target against
    /// these alone, `LSE_{j∉S}(l_j − l_t)`, and no longer about its probability.
    ///
    /// # Errors
    /// [`HeadError::Token`] for a token beyond the vocabulary.
    pub(super) fn outside(mut self, tokens: &[TokenId]) -> Result<HeadProver<'a>, HeadError> {
        self.check(tokens)?;
        self.problem.excluded = tokens.iter().map(|&token| token as usize).collect();
        Ok(self)
    }

    /// The data of the theorem.
    pub(super) fn problem(&self) -> &Problem<'a> {
        &self.problem
    }

    /// Refuses tokens beyond the vocabulary.
    pub(super) fn check(&self, tokens: &[TokenId]) -> Result<(), HeadError> {
        let vocab_size = self.problem.vocab_size();
        match tokens.iter().find(|&&t| t as usize >= vocab_size) {
            Some(&token) => Err(HeadError::Token { token, vocab_size }),
            None => Ok(()),
        }
    }

    /// Bounds one token.
    ///
    /// # Errors
    /// [`HeadError::Token`] for a token beyond the vocabulary.
    pub fn bound(&self, token: TokenId, goal: &Goal, limits: &Limits) -> Result<HeadProof, HeadError> {
        let proofs = self.bound_all(&[token], goal, limits, &|_| {})?;
        Ok(proofs.into_iter().next().expect("every token gets a proof"))
    }

    /// The certificate that belongs to a proof made by this prover. Its bound differs from that of the proof by
    /// rounding, so a verdict that is to have a certificate has to be taken from the certificate.
    #[must_use]
    pub fn certificate(&self, proof: &HeadProof) -> HeadCertificate {
        HeadCertificate::at_point(&self.problem, proof.token as usize, &proof.maximiser)
    }

    /// Bounds each of `tokens`; `done` sees every proof as soon as it is there. Stops early when the limits say so:
    /// the tokens not finished then have what was proved so far.
    ///
    /// # Errors
    /// [`HeadError::Token`] for a token beyond the vocabulary.
    pub fn bound_all(
        &self,
        tokens: &[TokenId],
        goal: &Goal,
        limits: &Limits,
        done: &(dyn Fn(&HeadProof) + Sync),
    ) -> Result<Vec<HeadProof>, HeadError> {
        self.check(tokens)?;
        let lane = |rows: &[TokenId]| match &self.rows {
            Rows::Wide(u) => self.lane(u.view(), rows, goal, limits, done),
            Rows::Narrow(u) => self.lane(u.view(), rows, goal, limits, done),
        };
        Ok(match &self.rows {
            Rows::Wide(_) => tokens.par_chunks(LANE).flat_map_iter(lane).collect(),
            Rows::Narrow(_) => lane(tokens),
        })
    }

    /// Works through `tokens` in order, a batch at a time; a finished target makes room for the next.
    fn lane<F: Real>(
        &self,
        rows: ArrayView2<F>,
        tokens: &[TokenId],
        goal: &Goal,
        limits: &Limits,
        done: &(dyn Fn(&HeadProof) + Sync),
    ) -> Vec<HeadProof> {
        let batch = (LOGITS / rows.nrows()).clamp(1, BATCH);
        let metric = |q| self.centre.solve(&self.problem, q);
        let mut proofs: Vec<Option<HeadProof>> = vec![None; tokens.len()];
        let mut waiting = tokens.iter().enumerate();
        let mut active: Vec<(usize, Descent)> = Vec::new();
        loop {
            let room = batch - active.len();
            active.extend(waiting.by_ref().take(room).map(|(slot, &token)| {
                let target = token as usize;
                let start = self.centre.start(&self.problem, target);
                (slot, Descent::new(target, self.problem.radius, start))
            }));
            if active.is_empty() {
                break;
            }
            let expired = limits.expired();
            let finished: Vec<bool> = if expired {
                vec![true; active.len()]
            } else {
                let targets: Vec<usize> = active.iter().map(|(_, descent)| descent.target).collect();
                let points: Vec<_> = active.iter().map(|(_, descent)| descent.trial.view()).collect();
                let points = ndarray::stack(Axis(0), &points).expect("all points have width d");
                let values = evaluate(&self.problem, rows, &targets, &points);
                active
                    .par_iter_mut()
                    .with_min_len(8)
                    .zip(values)
                    .map(|((_, descent), value)| descent.advance(value, goal, &metric))
                    .collect()
            };
            let mut still = Vec::with_capacity(active.len());
            for ((slot, descent), finished) in active.into_iter().zip(finished) {
                if finished {
                    let proof = HeadProof::new(tokens[slot], &descent.best);
                    done(&proof);
                    proofs[slot] = Some(proof);
                } else {
                    still.push((slot, descent));
                }
            }
            active = still;
        }
        proofs.into_iter().flatten().collect()
    }
}

impl HeadProof {
    fn new(token: TokenId, best: &Best) -> HeadProof {
        HeadProof {
            token,
            upper: best.dual.probability(),
            reached: 1.0 / (1.0 + best.log_odds.exp()),
            maximiser: best.point.clone(),
            evaluations: best.evaluations,
        }
    }
}
