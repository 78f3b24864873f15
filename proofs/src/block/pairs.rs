//! What enters the block: of every token at every position the residual, and what the norm before the attention makes of it.
//!
//! In fixed-point numbers, as in intervals of big integers it would take longer than the rest of a short proof. Let a row be given
//! as integers within `r` of `2^P x`. Less their mean, rounded down, they are integers `c` within `e = 2r + 1` of what they stand
//! for (`e = r` for RMSNorm). With `D₀ = ⌊√(‖c‖²/d + ε)⌋` in the same unit the exact divisor lies within `e + 2` of `D₀`, since a root
//! of a mean square moves by no more than the entries do. So `c_i / D₀` is off by at most
//!
//! ```text
//! (e + |c_i / D₀| (e + 2)) / (D₀ − e − 2).
//! ```

use crate::family::{Centring, Norm};
use crate::forward::row;
use crate::interval::{FRACTION_BITS, Interval, shift_down};
use crate::reject::Reject;
use crate::tensor::Tensor;

use super::fixed::{MOST_PLACES, Table, too_large};

/// Fractional bits of a normalised entry before it is rounded.
const UNIT: u32 = 56;

/// Tables `[pairs, ·]`, row `position · vocabulary + token`.
pub(super) struct Inputs {
    /// The residual with the bias of the attention's output, centred where the norms centre.
    pub residual: Table,
    /// What the attention reads, with a 1 in the last column.
    pub read: Table,
}

impl Inputs {
    /// Of all tokens at the first `longest` positions.
    pub fn new(
        embed: &Tensor,
        positions: Option<&Tensor>,
        longest: usize,
        norm: Option<&Norm>,
        (output_bias, centring): (&[Interval], Centring),
    ) -> Result<Inputs, Reject> {
        let zeros = vec![Interval::from_int(0); output_bias.len()];
        let at = |position| positions.map_or(zeros.clone(), |table| row(table, position));
        let tokens: Vec<_> = (0..embed.shape[0]).map(|token| row(embed, token)).collect();
        let entries = Table::new(&(0..longest).map(at).collect::<Vec<_>>())?.sums(&Table::new(&tokens)?)?;
        let biased = Table::new(&[output_bias.to_vec()])?.sums(&entries)?;
        let read = norm.map_or_else(|| Ok(entries.clone()), |norm| normalised(norm, &entries))?;
        Ok(Inputs { residual: projected(centring, &biased)?, read: with_ones(&read)? })
    }
}

/// Rows less their means where norms centre.
fn projected(centring: Centring, x: &Table) -> Result<Table, Reject> {
    if centring == Centring::None {
        return Ok(x.clone());
    }
    let d = i128::try_from(x.width()).map_err(|_| too_large())?;
    let less_mean = |row: &[i64]| {
        let mean = row.iter().map(|x| i128::from(*x)).sum::<i128>().div_euclid(d);
        row.iter().map(|x| i128::from(*x) - mean).collect::<Vec<_>>()
    };
    let exact: Vec<i128> = x.rows().flat_map(less_mean).collect();
    Table::settle(x.width(), &exact, 2 * i128::from(x.radius()) + 1, x.places(), MOST_PLACES)
}

/// The norm of every row.
fn normalised(norm: &Norm, x: &Table) -> Result<Table, Reject> {
    let centred = projected(norm.centring, x)?;
    let (d, e) = (u128::try_from(x.width()).map_err(|_| too_large())?, i128::from(centred.radius()));
    let places = usize::try_from(2 * centred.places()).expect("at most 120");
    // Rounded down, and its upper end is less than one above.
    let epsilon = shift_down(norm.epsilon.lo(), FRACTION_BITS - places);
    let epsilon = u128::try_from(epsilon).ok().filter(|n| *n < 1 << 126).ok_or_else(too_large)?;
    let (mut exact, mut radius) = (Vec::new(), 0);
    for row in centred.rows() {
        let squares: u128 = row.iter().map(|x| u128::from(x.unsigned_abs()).pow(2)).sum();
        let root = i128::try_from((squares / d + epsilon).isqrt()).map_err(|_| too_large())?;
        let least = root - e - 2;
        if least < 1 {
            return Err(Reject::NoEnclosure { what: "a norm", why: "a divisor may be zero" });
        }
        let quotients: Vec<i128> = row.iter().map(|c| (i128::from(*c) << UNIT).div_euclid(root)).collect();
        let size = quotients.iter().map(|z| (z.abs() >> UNIT) + 1).max().unwrap_or(0);
        let error = size.checked_mul(e + 2).and_then(|n| (n + e).checked_mul(1 << UNIT));
        radius = radius.max(error.ok_or_else(too_large)?.div_euclid(least) + 2);
        exact.extend(quotients);
    }
    let z = Table::settle(x.width(), &exact, radius, UNIT, MOST_PLACES)?;
    let scaled = z.scaled(&Table::new(&[norm.gain.intervals()])?)?;
    norm.shift.map_or(Ok(scaled.clone()), |shift| Table::new(&[shift.intervals()])?.sums(&scaled))
}

/// The rows with a 1 behind.
fn with_ones(x: &Table) -> Result<Table, Reject> {
    let one = 1 << x.places();
    let longer = |row: &[i64]| row.iter().map(|x| i128::from(*x)).chain([one]).collect::<Vec<_>>();
    let exact: Vec<i128> = x.rows().flat_map(longer).collect();
    Table::settle(x.width() + 1, &exact, x.radius().into(), x.places(), MOST_PLACES)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::forward;
    use crate::tensor::tests::tensor;

    const D: usize = 5;

    fn encloses(found: &[Interval], exact: &[Interval]) -> bool {
        found.len() == exact.len()
            && found.iter().zip(exact).all(|(f, e)| f.lo() <= e.lo() && e.hi() <= f.hi())
    }

    proptest! {
        #[test]
        fn tables_enclose_what_intervals_say(
            values in prop::collection::vec(-1.0f32..1.0, 7 * D),
            scale in -60..20i32,
            mean in any::<bool>(),
            kind in 0..3usize,
        ) {
            // Two tokens at three positions, with a gain and a shift.
            let scaled: Vec<f32> = values.iter().map(|x| x * 2f32.powi(scale)).collect();
            let (embed, positions) = (tensor(&[2, D], &scaled[..2 * D]), tensor(&[3, D], &scaled[2 * D..5 * D]));
            let (gain, shift) = (tensor(&[D], &values[5 * D..6 * D]), tensor(&[D], &values[6 * D..]));
            let centring = if mean { Centring::Mean } else { Centring::None };
            let epsilon = Interval::scaled(&1.into(), [-7, -17, -40][kind]);
            let norm = Norm { centring, gain: &gain, shift: Some(&shift), epsilon };
            let bias = shift.intervals();
            let found = Inputs::new(&embed, Some(&positions), 3, Some(&norm), (&bias, centring)).unwrap();
            let (residual, read) = (found.residual.intervals(), found.read.intervals());
            for pair in 0..6 {
                let entry = forward::sum(&row(&embed, pair % 2), &row(&positions, pair / 2));
                let mut exact = forward::normalised(Some(&norm), &entry).unwrap();
                exact.push(Interval::from_int(1));
                prop_assert!(encloses(&read[pair], &exact));
                let mut exact = forward::sum(&entry, &bias);
                if mean {
                    let sum = exact.iter().cloned().sum::<Interval>();
                    let mean = sum.divide(&Interval::from_int(D), "a mean").unwrap();
                    exact.iter_mut().for_each(|x| *x = &*x - &mean);
                }
                prop_assert!(encloses(&residual[pair], &exact));
            }
            // Entries of the size that models have lose next to nothing, unless a row is far shorter than they are.
            if scale.abs() < 8 && kind < 2 {
                prop_assert!(found.read.radius() < 1 << (found.read.places() - 40));
                prop_assert!(found.residual.radius() < 1 << (found.residual.places() - 42));
            }
        }
    }

    #[test]
    fn rows_of_zeros_have_a_norm_as_far_as_epsilon_allows() {
        let (embed, gain) = (tensor(&[1, D], &[0.0; D]), tensor(&[D], &[1.0; D]));
        let bias = vec![Interval::from_int(0); D];
        for (exponent, known) in [(-17, true), (-200, false)] {
            let epsilon = Interval::scaled(&1.into(), exponent);
            let norm = Norm { centring: Centring::Mean, gain: &gain, shift: None, epsilon };
            let found = Inputs::new(&embed, None, 1, Some(&norm), (&bias, Centring::Mean));
            assert_eq!(found.is_ok(), known);
        }
    }
}
