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
//! where Π projects onto Σ = 0 for LayerNorm and is the identity for RMSNorm. Hence `p_t <= 1 / (1 + e^m)`. With λ = n/D
//! everything but H, the root and the last exponential is computed exactly, in integers; and `√d ‖Π v‖` is
//! `√(d Σv² − (Σv)²)` for LayerNorm, `√(d Σv²)` for RMSNorm. `odds` has what else follows from such margins m.

use dashu_int::IBig;
use dashu_ratio::RBig;

use crate::elementary::ln;
use crate::family::{Centring, Head};
use crate::format::MAX_DENOMINATOR;
use crate::interval::Interval;
use crate::reject::Reject;
use crate::tensor::{DIGIT_BITS, Tensor};

/// Encloses the margin `m` that `lambda` proves for `target`: `ln Σ_j e^((l_j − l_t)/T) >= m` after every prefix of any
/// length, the sum over the tokens that `lambda` holds.
pub(crate) fn head_margin(
    head: &Head,
    target: u32,
    temperature: &RBig,
    denominator: u64,
    lambda: &[(u32, u64)],
) -> Result<Interval, Reject> {
    let norm = head.norm.as_ref().ok_or(Reject::NoFinalNorm)?;
    check_lambda(head.vocabulary(), target, denominator, lambda)?;

    // Everything below is D times its namesake above.
    let difference = weighted_difference(&head.unembed, target, denominator, lambda);
    let unit = head.unembed.unit();
    let dot = |weights: &Tensor| -> Interval {
        let unit_w = weights.unit();
        let sum: IBig = weights.values.iter().zip(&difference).map(|(w, g)| w.in_units(unit_w) * g).sum();
        Interval::scaled(&sum, i32::from(unit) + i32::from(unit_w))
    };
    let mut shift = norm.shift.map_or(Interval::from_int(0), dot);
    if let Some(bias) = head.bias {
        let unit = bias.unit();
        let of = |token: u32| bias.values[index(token)].in_units(unit);
        let sum: IBig =
            lambda.iter().map(|(token, n)| of(*token) * *n).sum::<IBig>() - of(target) * denominator;
        shift = shift + Interval::scaled(&sum, i32::from(unit));
    }

    let unit_g = norm.gain.unit();
    let v: Vec<IBig> =
        norm.gain.values.iter().zip(&difference).map(|(w, g)| w.in_units(unit_g) * g).collect();
    let squares: IBig = v.iter().map(|x| x * x).sum::<IBig>() * v.len();
    let radicand = match norm.centring {
        Centring::Mean => {
            let sum: IBig = v.iter().sum();
            squares - &sum * &sum
        }
        Centring::None => squares,
    };
    let root = Interval::scaled(&radicand, 2 * (i32::from(unit) + i32::from(unit_g))).sqrt();

    // H(λ) = ln D − Σ n ln n / D.
    let d = Interval::from_int(denominator);
    let mut n_ln_n = Interval::from_int(0);
    for (_, n) in lambda {
        let n = Interval::from_int(*n);
        n_ln_n = n_ln_n + &n * &ln(&n)?;
    }
    let entropy = &ln(&d)? - &n_ln_n.divide(&d, "an entropy")?;
    Ok(&entropy + &(&shift - &root).divide(&(&d * &Interval::rational(temperature)), "a margin")?)
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

/// `Σ_j n_j U_j − D U_t` in units of `2^unit` of the matrix `[vocabulary, d]`, exactly.
fn weighted_difference(unembed: &Tensor, target: u32, denominator: u64, lambda: &[(u32, u64)]) -> Vec<IBig> {
    let (unit, width, n_digits) = (unembed.unit(), unembed.shape[1], unembed.n_digits());
    let mut sums = vec![0_i128; n_digits * width];
    let mut add_row = |token: u32, factor: i64| {
        let row = &unembed.values[index(token) * width..][..width];
        for (i, value) in row.iter().enumerate() {
            // |factors| sum to 2 D <= 2^54 and a digit is below 2^56, so a sum stays below 2^110.
            let (digit, low, high) = value.digits(unit);
            sums[digit * width + i] += i128::from(factor) * i128::from(low);
            sums[(digit + 1) * width + i] += i128::from(factor) * i128::from(high);
        }
    };
    let signed = |n: u64| i64::try_from(n).expect("numerators are at most 2^53");
    for (token, numerator) in lambda {
        add_row(*token, signed(*numerator));
    }
    add_row(target, -signed(denominator));
    let element = |i: usize| {
        (0..n_digits).map(|digit| IBig::from(sums[digit * width + i]) << (DIGIT_BITS * digit)).sum()
    };
    (0..width).map(element).collect()
}

/// A token id as an index.
pub(crate) fn index(token: u32) -> usize {
    usize::try_from(token).expect("a 32-bit id fits an index")
}
