//! The head rule: a bound on the probability of a token after every prefix, whatever the network below the final norm.
//!
//! A final norm puts out `z = γ ⊙ ẑ + β` with `‖ẑ‖ <= √d` (ε >= 0 only shrinks it), and `Σ ẑ = 0` for LayerNorm. So the
//! logits are `l_j = U_j·(γ ⊙ ẑ) + c_j` with `c_j = U_j·β + b_j`. For a temperature T and weights λ >= 0 over the tokens
//! other than t with sum 1, Gibbs' inequality (log-sum-exp is the conjugate of negative entropy) and Cauchy-Schwarz give
//!
//! ```text
//! 1/p_t − 1 = Σ_{j≠t} e^((l_j − l_t)/T)  >=  e^m,
//! m = H(λ) + (Σ_j λ_j (c_j − c_t) − √d ‖Π (γ ⊙ Σ_j λ_j (U_j − U_t))‖) / T
//! ```
//!
//! where Π projects onto Σ = 0 for LayerNorm and is the identity for RMSNorm. Hence `p_t <= 1 / (1 + e^m)`. The part in
//! brackets is the least value of a sum of logits (see `ball`); `odds` has what else follows from
//! such margins m.

use dashu_ratio::RBig;

use crate::ball::Ball;
use crate::elementary::ln;
use crate::family::Head;
use crate::format::MAX_DENOMINATOR;
use crate::interval::Interval;
use crate::reject::Reject;

/// Encloses the margin `m` that `lambda` proves for `target`: `ln Σ_j e^((l_j − l_t)/T) >= m` after every prefix of any
/// length, the sum over the tokens that `lambda` holds.
pub(crate) fn head_margin(
    head: &Head,
    target: u32,
    temperature: &RBig,
    denominator: u64,
    lambda: &[(u32, u64)],
) -> Result<Interval, Reject> {
    let ball = Ball::new(head)?;
    check_lambda(head.vocabulary(), target, denominator, lambda)?;

    // Everything below is D times its namesake above.
    let signed = |n: u64| i64::try_from(n).expect("numerators are at most 2^53");
    let mut weights: Vec<(u32, i64)> = lambda.iter().map(|(token, n)| (*token, signed(*n))).collect();
    weights.push((target, -signed(denominator)));
    let least = ball.least(&weights);

    // H(λ) = ln D − Σ n ln n / D.
    let d = Interval::from_int(denominator);
    let mut n_ln_n = Interval::from_int(0);
    for (_, n) in lambda {
        let n = Interval::from_int(*n);
        n_ln_n = n_ln_n + &n * &ln(&n)?;
    }
    let entropy = &ln(&d)? - &n_ln_n.divide(&d, "an entropy")?;
    Ok(&entropy + &least.divide(&(&d * &Interval::rational(temperature)), "a margin")?)
}

/// Checks that `lambda / denominator` is a probability vector over tokens other than the target, in canonical form.
pub(crate) fn check_lambda(
    vocabulary: usize,
    target: u32,
    denominator: u64,
    lambda: &[(u32, u64)],
) -> Result<(), Reject> {
    if denominator == 0 || denominator > MAX_DENOMINATOR {
        return Err(Reject::DenominatorRange { found: denominator, limit: MAX_DENOMINATOR });
    }
    let mut sum = 0;
    let mut previous = None;
    for (token, numerator) in lambda.iter().copied() {
        if let Some(previous) = previous.filter(|previous| token <= *previous) {
            return Err(Reject::LambdaOrder { previous, token });
        }
        if index(token) >= vocabulary {
            return Err(Reject::LambdaOutOfVocabulary { token, vocabulary });
        }
        if token == target {
            return Err(Reject::LambdaTarget { token });
        }
        if numerator == 0 {
            return Err(Reject::LambdaZero { token });
        }
        sum += u128::from(numerator);
        previous = Some(token);
    }
    if sum != u128::from(denominator) {
        return Err(Reject::LambdaSum { sum, denominator });
    }
    Ok(())
}

/// A token id as an index.
pub(crate) fn index(token: u32) -> usize {
    usize::try_from(token).expect("a 32-bit id fits an index")
}
