//! Every operation encloses the exact result, which rational arithmetic knows.

use proptest::prelude::*;

use super::*;

/// `n · 2^-256`.
pub(crate) fn exact(n: &IBig) -> RBig {
    RBig::from_parts(n.clone(), UBig::ONE << FRACTION_BITS)
}

/// Whether `q` is a member.
pub(crate) fn contains(x: &Interval, q: &RBig) -> bool {
    exact(x.lo()) <= *q && *q <= exact(x.hi())
}

/// A point and an interval around it, of very different sizes and precisions.
fn member() -> impl Strategy<Value = (RBig, Interval)> {
    (any::<i64>(), 0..120_usize, 0..u32::MAX, 0..u32::MAX).prop_map(|(n, shift, below, above)| {
        let middle = IBig::from(n) << (150 + shift);
        let lo = &middle - (IBig::from(below) << shift);
        let hi = &middle + (IBig::from(above) << shift);
        (exact(&middle), Interval::from_ends(lo, hi))
    })
}

proptest! {
    #[test]
    fn operations_enclose_the_exact_result((p, x) in member(), (q, y) in member()) {
        prop_assert!(contains(&(&x + &y), &(&p + &q)));
        prop_assert!(contains(&(&x - &y), &(&p - &q)));
        prop_assert!(contains(&(&x * &y), &(&p * &q)));
        prop_assert!(contains(&-&x, &-&p));
        prop_assert!(contains(&x.square(), &(&p * &p)));
        prop_assert!(contains(&x.positive_part(), &p.clone().max(RBig::ZERO)));
        let positive = Interval::from_ends(y.lo().clone().max(IBig::ONE), y.hi().clone().max(IBig::ONE));
        let q = q.max(exact(&IBig::ONE));
        prop_assert!(contains(&x.divide(&positive, "").unwrap(), &(&p / &q)));
        prop_assert!(contains(&positive.square().sqrt(), &q));
    }

    #[test]
    fn a_root_of_a_number_encloses_it(n in any::<u64>()) {
        let root = Interval::from_int(n).sqrt();
        prop_assert!(contains(&root.square(), &RBig::from(n)));
        prop_assert!(root.hi() - root.lo() <= IBig::ONE);
    }

    #[test]
    fn rationals_and_dyadics_are_enclosed(n in any::<i64>(), d in 1..u64::MAX, exponent in -400..100_i32) {
        let q = RBig::from_parts(n.into(), d.into());
        let x = Interval::rational(&q);
        prop_assert!(contains(&x, &q));
        prop_assert!(x.hi() - x.lo() <= IBig::ONE);
        let power = RBig::from(2).pow(isize::try_from(exponent).unwrap());
        prop_assert!(contains(&Interval::scaled(&n.into(), exponent), &(RBig::from(n) * power)));
    }

    #[test]
    fn comparisons_with_rationals_are_exact(n in 1..u32::MAX, d in 1..u32::MAX) {
        let q = RBig::from_parts(n.into(), d.into());
        let x = Interval::rational(&q);
        let is_exact = x.lo() == x.hi();
        prop_assert_eq!(x.at_most(&q), is_exact);
        prop_assert!(!x.above(&q));
        let one = Interval::from_ends(IBig::ONE, IBig::ONE);
        prop_assert!((&x - &one).at_most(&q) && (&x + &one).above(&q));
    }
}

#[test]
fn shifts_and_quotients_round_outward() {
    for (n, down, up) in [(7, 3, 4), (-7, -4, -3), (8, 4, 4), (-8, -4, -4), (0, 0, 0), (-1, -1, 0), (1, 0, 1)]
    {
        assert_eq!(shift_down(&n.into(), 1), down.into(), "{n}");
        assert_eq!(shift_up(&n.into(), 1), up.into(), "{n}");
        assert_eq!(divide_up(n.into(), &2.into()), up.into(), "{n}");
    }
    let big = -(IBig::ONE << 200) - IBig::ONE;
    assert_eq!(shift_down(&big, 100), -(IBig::ONE << 100) - IBig::ONE);
    assert_eq!(shift_up(&big, 100), -(IBig::ONE << 100));
}

#[test]
fn decimals_round_outward() {
    let check = |x: Interval, lo: &str, hi: &str| assert_eq!(x.decimals(), (lo.into(), hi.into()));
    check(Interval::from_int(1), "1.000000000000000", "1.000000000000000");
    check(
        Interval::rational(&RBig::from_parts(1.into(), 3_u8.into())),
        "0.333333333333333",
        "0.333333333333334",
    );
    check(Interval::from_ends(IBig::ZERO, IBig::ONE), "0.000000000000000", "0.000000000000001");
}

#[test]
fn a_divisor_that_may_be_zero_gives_no_enclosure() {
    let zero = Interval::from_int(0);
    let around = Interval::from_ends(IBig::NEG_ONE, IBig::ONE);
    for divisor in [&zero, &around, &Interval::from_int(-1)] {
        assert!(matches!(
            Interval::from_int(1).divide(divisor, "x"),
            Err(Reject::NoEnclosure { what: "x", .. })
        ));
    }
}
