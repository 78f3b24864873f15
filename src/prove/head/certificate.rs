//! From a maximiser to a certificate: `λ` as integers over a common denominator, and the bound that they prove.

use ndarray::Array1;
use rayon::prelude::*;

use super::dual::{Dual, SumError, Sums};
use super::problem::Problem;
use super::real::{Real, exponent};
use crate::model::TokenId;

/// `λ` is rounded to multiples of about `2^−50`, so that the denominator stays below `2^53`.
const SCALE: f64 = (1u64 << 50) as f64;
/// Tokens are left out as long as they have no more than this mass together: less than `10^−9` nats in the entropy.
const NEGLIGIBLE: f64 = 1.0 / (1u64 << 36) as f64;
/// Rows of `U` that one task adds up.
const CHUNK: usize = 512;

/// A point `λ` of the simplex over the tokens other than `token`, and what it proves.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadCertificate {
    /// The token bounded.
    pub token: TokenId,
    /// `P(token | x) <= upper` for every prefix `x` of any length, by this `λ`. Rigorous.
    pub upper: f64,
    /// Lower bound on `LSE_{j≠t}(l_j − l_t)`, in nats, at the prover's temperature; `upper` is what follows from it.
    pub log_odds: f64,
    /// Lower bound on `Σλ_j c_j − c_t − √d ‖Π Σλ_j (a_j − a_t)‖`. If it is positive, some other token beats this one
    /// after every prefix, so it is never the argmax.
    pub margin: f64,
    /// Sum of all numerators, at most `2^53`.
    pub denominator: u64,
    /// `(j, n_j)` with `λ_j = n_j / denominator`, `n_j >= 1`, in increasing order of tokens.
    pub lambda: Vec<(TokenId, u64)>,
}

impl HeadCertificate {
    /// Rounds the softmax at `point` without the target to integers and evaluates what they prove.
    pub fn at_point(problem: &Problem, target: usize, point: &Array1<f64>) -> HeadCertificate {
        let n = problem.vocab_size();
        let temperature = problem.near_temperature();
        let scaled = point * &problem.gain / temperature;
        let mut weights: Vec<f64> = (0..n)
            .into_par_iter()
            .with_min_len(CHUNK)
            .map(|j| {
                let row = problem.unembed.row(j);
                let product: f64 = row.iter().zip(&scaled).map(|(&u, z)| f64::from(u) * z).sum();
                product + problem.constant(j).mid_rad().0 / temperature
            })
            .collect();
        weights[target] = f64::NEG_INFINITY;
        problem.excluded.iter().for_each(|&e| weights[e] = f64::NEG_INFINITY);
        let unit = exponent(f64::largest(&weights));
        f64::exponentials(&mut weights, unit);
        let total: f64 = weights.iter().sum();
        let least = NEGLIGIBLE / n as f64;
        let numerator = |w: f64| if w / total >= least { (w / total * SCALE).round() } else { 0.0 };
        // Casts saturate and send NaN to 0: without usable weights there is no λ and nothing is proved.
        let numerators: Vec<u64> = weights.iter().map(|&w| numerator(w) as u64).collect();
        HeadCertificate::evaluate(problem, target, &numerators)
    }

    /// Evaluates given numerators, one per token.
    pub fn evaluate(problem: &Problem, target: usize, numerators: &[u64]) -> HeadCertificate {
        let lambda: Vec<(TokenId, u64)> = numerators
            .iter()
            .enumerate()
            .filter(|&(j, &n)| n > 0 && j != target)
            .map(|(j, &n)| (j as TokenId, n))
            .collect();
        let denominator = lambda.iter().fold(0u64, |sum, &(_, n)| sum.saturating_add(n));
        let mut weights: Vec<f64> = numerators.iter().map(|&n| n as f64).collect();
        weights[target] = 0.0;
        let sums = Sums::of_block(problem, 0, &weights);
        let parts: Vec<Array1<f64>> = lambda
            .par_chunks(CHUNK)
            .map(|lambda| {
                let mut sum = Array1::<f64>::zeros(problem.width());
                for &(j, n) in lambda {
                    let row = problem.unembed.row(j as usize);
                    sum.zip_mut_with(&row, |sum, &u| *sum += n as f64 * f64::from(u));
                }
                sum
            })
            .collect();
        let vector = parts.iter().fold(Array1::<f64>::zeros(problem.width()), |sum, part| sum + part);
        // Numerators and entries of U are integer multiples of 2^−149, so nothing underflows.
        let error = SumError { relative: 0.0, wide: CHUNK + parts.len() + 1, absolute: 0.0 };
        let dual = Dual::evaluate(problem, target, &sums, vector.view(), error);
        // Numerators beyond 2^53 are no exact floats, and no certificate.
        let dual = if denominator <= 1 << 53 { dual } else { Dual::NOTHING };
        let token = target as TokenId;
        HeadCertificate {
            token,
            upper: dual.probability(),
            log_odds: dual.log_odds,
            margin: dual.margin,
            denominator,
            lambda,
        }
    }
}
