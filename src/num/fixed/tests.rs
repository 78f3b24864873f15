//! Fixed-point numbers against exact integers.

use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;
use proptest::prelude::*;

use super::*;

/// The whole number that the limbs stand for.
pub fn units<const L: usize>(x: &Fixed<L>) -> IBig {
    let magnitude = x.abs().limbs.iter().rev().fold(IBig::ZERO, |n, &limb| (n << 64) + IBig::from(limb));
    if x.is_negative() { -magnitude } else { magnitude }
}

/// The exact value of a finite float.
pub fn rational(x: f64) -> RBig {
    RBig::try_from(x).unwrap()
}

/// The exact value of the number.
pub fn value<const L: usize>(x: &Fixed<L>) -> RBig {
    RBig::from_parts(units(x), UBig::ONE << Fixed::<L>::FRACTION_BITS as usize)
}

/// Numbers of every size: few significant limbs, both signs, patterns that carry.
fn number<const L: usize>() -> impl Strategy<Value = Fixed<L>> {
    let limb = prop_oneof![Just(0u64), Just(u64::MAX), Just(1u64 << 63), any::<u64>()];
    (prop::collection::vec(limb, L), 0..=40u32, 0..L, any::<bool>()).prop_map(
        |(limbs, bits, zeros, negative)| {
            let mut limbs: [u64; L] = limbs.try_into().unwrap();
            limbs[L - 1] &= (1 << bits) - 1;
            limbs.iter_mut().rev().take(zeros).for_each(|limb| *limb = 0);
            let x = Fixed { limbs };
            if negative { x.neg() } else { x }
        },
    )
}

/// `⌊|n| / d⌋` with the sign of `n`.
fn cut(n: &IBig, d: &IBig) -> IBig {
    n / d
}

fn check_pair<const L: usize>(x: Fixed<L>, y: Fixed<L>) -> Result<(), TestCaseError> {
    let unit = IBig::ONE << Fixed::<L>::FRACTION_BITS as usize;
    let (a, b) = (units(&x), units(&y));
    // The integer part of a negative number is rounded down, so that its last unit may or may not be in range.
    let last = (IBig::ONE << RANGE_BITS as usize) - 1;
    let fits = |n: &IBig| n.clone() < &last * &unit && -n.clone() < &last * &unit;
    match x.add(y) {
        Some(z) => prop_assert_eq!(units(&z), &a + &b),
        None => prop_assert!(!fits(&(&a + &b))),
    }
    let product = cut(&(&a * &b), &unit);
    match x.mul(y) {
        Some(z) => prop_assert_eq!(units(&z), product),
        None => prop_assert!(!fits(&product)),
    }
    prop_assert_eq!(units(&x.neg()), -a);
    Ok(())
}

fn check_one<const L: usize>(x: Fixed<L>, n: u64, bits: u32) -> Result<(), TestCaseError> {
    prop_assert_eq!(units(&x.div_int(n)), cut(&units(&x), &IBig::from(n)));
    prop_assert_eq!(units(&x.div_pow2(bits)), cut(&units(&x), &(IBig::ONE << bits as usize)));
    let (enclosure, exact) = (x.enclose(), value(&x));
    prop_assert!(rational(enclosure.lo()) <= exact && exact <= rational(enclosure.hi()));
    let size = value(&x.abs());
    prop_assert!(size <= rational(x.magnitude()) && size <= rational(x.coarse_magnitude()));
    prop_assert!(x.coarse_magnitude() <= x.magnitude() * (1.0 + 1e-15) + 2f64.powi(-62));
    prop_assert!(enclosure.width() <= x.magnitude() * 1e-15 + f64::MIN_POSITIVE);
    Ok(())
}

proptest! {
    #[test]
    fn sums_and_products_are_those_of_integers(x in number::<3>(), y in number::<3>(), z in number::<5>(), w in number::<5>()) {
        check_pair(x, y)?;
        check_pair(z, w)?;
    }

    #[test]
    fn quotients_and_enclosures_are_those_of_integers(x in number::<3>(), y in number::<15>(), n in 1u64.., bits in 0u32..1000) {
        check_one(x, n, bits)?;
        check_one(y, n, bits)?;
    }

    #[test]
    fn floats_are_cut_below_the_last_place(bits in any::<u64>()) {
        let x = f64::from_bits(bits);
        match Fixed::<4>::from_f64(x) {
            Some(fixed) => {
                let error = value(&fixed) - rational(x);
                let error = if x < 0.0 { error } else { -error };
                prop_assert!(error >= RBig::ZERO && error < rational(Fixed::<4>::ULP));
            }
            None => prop_assert!(!x.is_finite() || x.abs() >= 2f64.powi(40)),
        }
    }
}

#[test]
fn what_grows_beyond_the_range_is_none() {
    let big = Fixed::<3>::from_f64(2f64.powi(39)).unwrap();
    assert_eq!(big.add(big), None);
    assert_eq!(big.neg().add(big.neg()), None);
    assert_eq!(big.mul(Fixed::from_int(2)), None);
    assert!(big.mul(Fixed::from_int(1)).is_some());
    // Just below 2^64, which would be a small negative number.
    let [x, y] = [29, 35].map(|bits| Fixed::<3>::from_f64(2f64.powi(bits) - 1.0).unwrap());
    assert_eq!((x.mul(y), x.neg().mul(y)), (None, None));
    assert_eq!(Fixed::<3>::from_f64(f64::NAN), None);
    assert_eq!(Fixed::<3>::from_f64(f64::INFINITY), None);
}
