//! Enclosures against published digits, against f64, and against identities at full precision.

use dashu_ratio::RBig;
use proptest::prelude::*;

use super::*;
use crate::decimal::Decimal;

/// The exact value of a float.
fn point(x: f64) -> Interval {
    let q = RBig::try_from(x).unwrap();
    let x = Interval::rational(&q);
    assert_eq!(x.lo(), x.hi(), "more than 256 fractional bits");
    x
}

fn to_f64(n: &IBig) -> f64 {
    n.to_f64().value() / 2f64.powi(256)
}

/// Whether two enclosures of the same number overlap, as they must, and are `2^bits` units wide at most.
fn agree(x: &Interval, y: &Interval, bits: usize) -> bool {
    let narrow = |x: &Interval| x.lo() <= x.hi() && x.hi() - x.lo() <= IBig::ONE << bits;
    x.lo() <= y.hi() && y.lo() <= x.hi() && narrow(x) && narrow(y)
}

/// Within a few ulps of what std computes, and narrow.
fn near(x: &Interval, expected: f64) -> bool {
    let slack = 1e-15 + 4e-16 * expected.abs();
    agree(x, x, 8) && (to_f64(x.lo()) - expected).abs() <= slack
}

#[test]
fn published_digits() {
    let check = |x: Interval, digits: &str| {
        let last = RBig::from_parts(1.into(), dashu_int::UBig::from(10_u8).pow(digits.len() - 2));
        let q = Decimal::parse(digits).unwrap().value().clone();
        let low = Interval::rational(&q);
        let high = Interval::rational(&(q + last));
        assert!(low.lo() <= x.lo() && x.hi() <= high.hi(), "{digits}: {:?}", x.decimals());
    };
    let one = Interval::from_int(1);
    check(pi(), "3.1415926535897932384626433832795028841971693993751058209749445923078164062");
    check(
        ln(&Interval::from_int(2)).unwrap(),
        "0.6931471805599453094172321214581765680755001343602552541206800094933936",
    );
    check(
        ln(&Interval::from_int(10)).unwrap(),
        "2.302585092994045684017991454684364207601101488628772976033327900967572609",
    );
    check(exp_nonpositive(&-&one), "0.36787944117144232159552377016146086744581113103176783450783680169746");
    check(sin_cos(&one).unwrap().0, "0.8414709848078965066525023216302989996225630607983710656727517");
    check(sin_cos(&one).unwrap().1, "0.5403023058681397174009366074429766037323104206179222276700972");
    check(erf(&one), "0.842700792949714869341220635082609259296066997966302908459937");
    check(erf(&Interval::from_int(3)), "0.999977909503001414558627223870417679620152292912600750");
}

#[test]
fn extreme_arguments() {
    for x in [-200.0, -181.0, -180.0, -179.9, -700.0, -1e30] {
        let e = exp_nonpositive(&point(x));
        assert!(*e.lo() >= IBig::ZERO && *e.hi() <= IBig::from(64), "{x}");
        assert!(*e.hi() >= IBig::ONE, "{x}: e^x is positive");
    }
    assert!(agree(&exp_nonpositive(&point(0.0)), &Interval::from_int(1), 1));
    for x in [13.9, 14.0, 14.1, 1e20] {
        for (f, limit) in [(erf(&point(x)), 1), (erf(&point(-x)), -1)] {
            assert!(agree(&f, &Interval::from_int(limit), 2), "{x}");
        }
    }
    assert!(agree(&sigmoid(&point(1e20)), &Interval::from_int(1), 2));
    assert!(agree(&sigmoid(&point(-1e20)), &Interval::from_int(0), 2));
    assert!(sin_cos(&point(1e9)).is_err());
    assert!(ln(&point(0.999)).is_err());
}

proptest! {
    #[test]
    fn floats_agree(x in -40.0..40.0_f64) {
        prop_assert!(near(&exp_nonpositive(&point(-x.abs())), (-x.abs()).exp()));
        prop_assert!(near(&ln(&point(1.0 + x.abs())).unwrap(), (1.0 + x.abs()).ln()));
        prop_assert!(near(&sigmoid(&point(x)), 1.0 / (1.0 + (-x).exp())));
        let (sin, cos) = sin_cos(&point(x)).unwrap();
        prop_assert!(near(&sin, x.sin()) && near(&cos, x.cos()));
    }

    #[test]
    fn identities_hold_at_full_precision(x in 0.0..60.0_f64, y in 0.0..60.0_f64) {
        let (p, q) = (point(x), point(y));
        let product = exp_nonpositive(&-&p) * exp_nonpositive(&-&q);
        prop_assert!(agree(&product, &exp_nonpositive(&-(&p + &q)), 4));
        let one = Interval::from_int(1);
        let (p1, q1) = (&p + &one, &q + &one);
        let sum = ln(&p1).unwrap() + ln(&q1).unwrap();
        prop_assert!(agree(&sum, &ln(&(&p1 * &q1)).unwrap(), 8));
        // ln and exp are inverse to each other.
        let inverse = exp_nonpositive(&-ln(&p1).unwrap());
        prop_assert!(agree(&(&inverse * &p1), &one, 12));
        prop_assert!(agree(&(sigmoid(&p) + sigmoid(&-&p)), &one, 4));
        prop_assert!(agree(&(erf(&p) + erf(&-&p)), &Interval::from_int(0), 4));
        let (sin, cos) = sin_cos(&p).unwrap();
        let (sin_q, cos_q) = sin_cos(&q).unwrap();
        prop_assert!(agree(&(sin.square() + cos.square()), &one, 4));
        let sine_of_sum = &(&sin * &cos_q) + &(&cos * &sin_q);
        prop_assert!(agree(&sine_of_sum, &sin_cos(&(&p + &q)).unwrap().0, 8));
    }

    /// `erf(b) − erf(a)` is the integral of a decreasing function, which lies between its end values times the width.
    #[test]
    fn erf_has_its_derivative(a in 0.0..6.0_f64, width in 1e-3..0.5_f64) {
        let (p, q) = (point(a), point(a + width));
        let difference = erf(&q) - erf(&p);
        let slope = |x: &Interval| (Interval::from_int(2) * exp_nonpositive(&-x.square())).divide(&pi().sqrt(), "").unwrap();
        let step = &q - &p;
        prop_assert!(*difference.lo() <= *(slope(&p) * step.clone()).hi());
        prop_assert!(*difference.hi() >= *(slope(&q) * step).lo());
    }

    #[test]
    fn wide_arguments_enclose_every_member(a in -30.0..30.0_f64, width in 0.0..4.0_f64, part in 0.0..1.0_f64) {
        let member = a + width * part;
        let x = Interval::from_ends(point(a).lo().clone(), point(a + width).hi().clone());
        let within = |wide: Interval, narrow: Interval| wide.lo() <= narrow.hi() && narrow.lo() <= wide.hi()
            && wide.lo() <= narrow.lo() && narrow.hi() <= wide.hi();
        let p = point(member);
        let down = point(40.0);
        // The enclosure of a member may itself be a few units wide.
        let grown = |x: Interval| Interval::from_ends(x.lo() - IBig::from(256), x.hi() + IBig::from(256));
        prop_assert!(within(grown(exp_nonpositive(&(&x - &down))), exp_nonpositive(&(&p - &down))));
        prop_assert!(within(grown(ln(&(&x + &down)).unwrap()), ln(&(&p + &down)).unwrap()));
        prop_assert!(within(grown(sigmoid(&x)), sigmoid(&p)));
        prop_assert!(within(grown(erf(&x)), erf(&p)));
        let (wide, narrow) = (sin_cos(&x).unwrap(), sin_cos(&p).unwrap());
        prop_assert!(within(grown(wide.0), narrow.0) && within(grown(wide.1), narrow.1));
    }
}
