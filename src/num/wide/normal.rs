//! `Φ(x)`, the distribution function of the normal law, which GELU multiplies its argument by.
//!
//! Around the nearest multiple `c` of 1/8, `Φ(c + h) = Σ_k a_k h^k` with `a_0 = Φ(c)` and `a_(k+1) = d_k / (k + 1)`, where `d_k` are the
//! coefficients of the density: `d_0 = φ(c)` and `(k + 1) d_(k+1) = −c d_k − d_(k−1)`, as `φ' = −xφ`. Since `|Φ⁽ⁿ⁺¹⁾| = φ |He_n| <= 0.44 √n!`
//! (Cramér's inequality for Hermite polynomials) and `|h| <= 1/16`, what is left out after degree 20 is less than `2^−119`, and after
//! degree 10 less than `2^−59`. Beyond 11.5 in size, Φ is within `2^−100` of 0 or 1.

use std::array::from_fn;
use std::sync::LazyLock;

use super::{LANES, Lanes, Number, each, nearest};
use crate::num::precise::{Gelu, Precise};

/// Arguments are cut to this magnitude.
const MOST: f64 = 11.5;
/// Multiples of 1/8 on either side of zero.
const SIDE: i32 = 92;
/// Coefficients for all digits, and for floats.
const TERMS: [usize; 2] = [21, 11];

/// Coefficients around one point, as sums of two floats.
type Series = [(f64, f64); TERMS[0]];

/// Of all points.
static TABLE: LazyLock<Vec<Series>> = LazyLock::new(|| {
    let gelu = Gelu::<8>::default();
    (-SIDE..=SIDE).map(|i| series(&gelu, i).map(|(parts, _)| parts)).collect()
});

/// Coefficients around `i/8` and how far off they may be, by less than `EPS/64` of 31 digits: a test looks at all of them.
fn series(gelu: &Gelu<8>, i: i32) -> [((f64, f64), f64); TERMS[0]] {
    let c = Precise::float(f64::from(i) / 8.0);
    let (whole, density) = gelu.normal(c);
    let (mut before, mut d) = (Precise::int(0), density);
    let mut a = whole;
    from_fn(|k| {
        let found = nearest(a);
        a = d.div_int(k as u64 + 1);
        (before, d) = (d, (-(c * d) - before).div_int(k as u64 + 1));
        found
    })
}

/// `Φ(x)` to within `2 EPS`, and roughly (to `1e-12`) the density.
///
/// The difference `h` from the point errs by half of `EPS` of itself at most. Horner's steps multiply what they have by `|h| <= 1/16`
/// and add at most `EPS` of their result, which is at most one: less than `1.1 EPS` in all.
#[inline(always)]
pub(super) fn normal<N: Number>(x: N) -> (N, Lanes) {
    let table: &[Series] = &TABLE;
    let terms = if N::EPS < 1e-20 { TERMS[0] } else { TERMS[1] };
    let at = *x.hi();
    // A NaN stays one.
    let cut: Lanes = each(|l| at[l].clamp(-MOST, MOST));
    let steps: Lanes = each(|l| (cut[l] * 8.0).round());
    // At most SIDE in size; a NaN is zero here.
    let points: [usize; LANES] = from_fn(|l| (steps[l] as i32 + SIDE) as usize);
    let inside: Lanes = each(|l| if at[l].abs() <= MOST { 1.0 } else { 0.0 });
    let h = x.within(cut, inside).plus(N::floats(each(|l| -steps[l] / 8.0)));
    let coefficient = |k: usize| {
        let of: [(f64, f64); LANES] = from_fn(|l| table[points[l]][k]);
        N::sums(each(|l| of[l].0), each(|l| of[l].1))
    };
    let mut sum = coefficient(terms - 1);
    let mut density = Lanes::ZERO;
    for k in (0..terms - 1).rev() {
        let (step, value) = (*h.hi(), *sum.hi());
        density = each(|l| density[l] * step[l] + value[l]);
        sum = sum.times(h).plus(coefficient(k));
    }
    (sum, density)
}

#[cfg(test)]
mod tests {
    use super::super::Wide;
    use super::*;

    #[test]
    fn coefficients_have_all_their_digits() {
        let gelu = Gelu::<8>::default();
        let off = |i| series(&gelu, i).iter().map(|(_, error)| *error).fold(0.0, f64::max);
        assert!((-SIDE..=SIDE).all(|i| off(i) < Wide::EPS / 64.0));
    }

    #[test]
    fn values_next_to_the_cut_and_to_both_sides_of_a_step() {
        let gelu = Gelu::<8>::default();
        let some = [-11.5f64, 11.5, -11.4375, 0.0625, 0.0625f64.next_up(), -0.0625, 6.1875, 1e-300];
        let at = each(|l| some[l % some.len()]);
        let (wide, (floats, density)) = (normal(Wide::floats(at)).0, normal::<Lanes>(at));
        for (l, x) in at.into_iter().enumerate() {
            let (whole, slope) = gelu.normal(Precise::float(x));
            let exact = Precise::float(wide.hi[l]) + Precise::float(wide.lo[l]);
            assert!((exact - whole).magnitude() <= 2.0 * Wide::EPS, "{x}");
            assert!((Precise::float(floats[l]) - whole).magnitude() <= 2.0 * f64::EPSILON, "{x}");
            assert!((Precise::float(density[l]) - slope).magnitude() <= 1e-12, "{x}");
        }
    }
}
