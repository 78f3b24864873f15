//! Law of the room that rounds: the exact real result lies in the enclosure. Arithmetic is compared with exact rationals,
//! functions with 400-bit balls, at random and at extreme floats.

use dashu_int::UBig;
use dashu_ratio::RBig;
use llmprove::model::rigorous::softmax_at;
use llmprove::num::precise::{Gelu, Precise};
use llmprove::num::{self, Interval};
use ndarray::Array2;
use proptest::prelude::*;

/// The exact value of a finite float.
fn exact(x: f64) -> RBig {
    RBig::try_from(x).expect("a finite float is a rational")
}

/// Whether an interval holds a rational; infinite ends hold everything on their side.
fn holds(x: Interval, value: &RBig) -> bool {
    (x.lo() == f64::NEG_INFINITY || exact(x.lo()) <= *value)
        && (x.hi() == f64::INFINITY || *value <= exact(x.hi()))
}

/// Any finite float: every exponent, subnormal numbers, zeros, the ends of the range.
fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("finite", |x| x.is_finite()),
        -10.0..10.0f64,
        prop::sample::select(vec![
            0.0,
            -0.0,
            1.0,
            f64::MAX,
            f64::MIN,
            f64::MIN_POSITIVE,
            5e-324,
            -5e-324,
            1.0 + f64::EPSILON
        ]),
    ]
}

/// An interval of finite floats with one member.
fn member() -> impl Strategy<Value = (Interval, f64)> {
    (float(), float(), float()).prop_map(|(a, b, c)| {
        let mut ends = [a, b, c];
        ends.sort_by(f64::total_cmp);
        (Interval::new(ends[0], ends[2]), ends[1])
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn arithmetic_encloses_exact_rationals((x, a) in member(), (y, b) in member()) {
        let (p, q) = (exact(a), exact(b));
        prop_assert!(holds(x + y, &(&p + &q)));
        prop_assert!(holds(x - y, &(&p - &q)));
        prop_assert!(holds(x * y, &(&p * &q)));
        prop_assert!(holds(x * b, &(&p * &q)));
        prop_assert!(holds(x.square(), &(&p * &p)));
        prop_assert!(x.square().lo() >= 0.0);
        prop_assert!(holds(-x, &-p.clone()));
        if b != 0.0 {
            prop_assert!(holds(x / y, &(&p / &q)));
            prop_assert!(holds(y.recip(), &(RBig::ONE / &q)));
        }
        prop_assert!(holds(x.max(y), &exact(a.max(b))) && holds(x.min(y), &exact(a.min(b))));
        prop_assert!(holds(x.hull(y), &p) && holds(x.hull(y), &q));
        let (mid, rad) = x.mid_rad();
        if rad.is_finite() {
            prop_assert!(exact(mid) - exact(rad) <= p && p <= exact(mid) + exact(rad));
        }
        // The root r of a lies in [lo, hi] iff lo² <= a <= hi².
        let root = x.sqrt();
        if a >= 0.0 && root.hi().is_finite() {
            prop_assert!(exact(root.lo()).pow(2) <= p && p <= exact(root.hi()).pow(2));
        }
    }

    #[test]
    fn products_of_vectors_enclose_exact_rationals(
        pairs in prop::collection::vec((member(), member(), prop_oneof![any::<f32>().prop_filter("finite", |w| w.is_finite()), -1.0..1.0f32, Just(0.0)]), 1..9),
    ) {
        let x: Vec<Interval> = pairs.iter().map(|((x, _), _, _)| *x).collect();
        let y: Vec<Interval> = pairs.iter().map(|(_, (y, _), _)| *y).collect();
        let weight = Array2::from_shape_vec((x.len(), 1), pairs.iter().map(|(_, _, w)| *w).collect()).unwrap();
        let sum = |terms: &mut dyn Iterator<Item = RBig>| terms.fold(RBig::ZERO, |a, b| a + b);
        let dot = sum(&mut pairs.iter().map(|((_, a), (_, b), _)| exact(*a) * exact(*b)));
        prop_assert!(holds(num::dot(&x, &y), &dot));
        let weighted = sum(&mut pairs.iter().map(|((_, a), _, w)| exact(*a) * exact(f64::from(*w))));
        prop_assert!(holds(num::vec_mat(&x, weight.view())[0], &weighted));
        // The same with points, where the enclosure is nothing but rounding error.
        let points: Vec<Interval> = pairs.iter().map(|((_, a), _, _)| Interval::point(*a)).collect();
        prop_assert!(holds(num::vec_mat(&points, weight.view())[0], &weighted));
    }
}

/// A fine ball that lies in an interval; a ball that overflowed says nothing.
fn inside(fine: Precise<8>, x: Interval) -> bool {
    let fine = fine.enclose();
    // Both are rounded outward, so neighbouring ends may cross by a step.
    !fine.is_finite() || (x.lo() <= fine.hi() && fine.lo() <= x.hi())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn functions_enclose_high_precision_values(a in -45.0..27.0f64, b in -9.0..9.0f64, width in prop_oneof![Just(0.0), 0.0..3.0f64]) {
        let gelu = Gelu::<8>::default();
        let around = |x: f64| Interval::new(x - width, x + width / 2.0);
        let (x, y) = (Precise::float(a), Precise::float(b));
        prop_assert!(inside(x.exp(), num::exp(around(a))));
        prop_assert!(inside(x.sigmoid(), num::sigmoid(around(a))));
        prop_assert!(inside(x.silu(), num::silu(around(a))));
        prop_assert!(inside(x.relu(), num::relu(around(a))));
        prop_assert!(inside(gelu.tanh_form(y), num::gelu_tanh(around(b))));
        prop_assert!(inside(gelu.erf_form(y), num::gelu_erf(around(b))));
        // tanh y = 2 σ(2y) − 1
        let tanh = (y + y).sigmoid() + (y + y).sigmoid() - Precise::int(1);
        prop_assert!(inside(tanh, num::tanh(around(b))));
        // e^(ln e^x) = e^x
        let log = num::ln(x.exp().enclose());
        prop_assert!(log.contains(a), "ln e^{} = {}", a, log);
        prop_assert!(num::ln_1p(y.square().enclose()).contains((b * b).ln_1p()) || b.abs() < 1e-3);
    }

    #[test]
    fn rotations_enclose_high_precision_values(position in 0u32..200_000, i in 0usize..8, theta in prop::sample::select(vec![10_000.0, 500_000.0, 1e6, 10.0])) {
        let (sin, cos) = llmprove::num::precise::rotation::<8>(theta, 16, position..position + 1)[0][i];
        let exponent = Interval::point(-2.0 * i as f64) / Interval::point(16.0);
        let angle = Interval::point(f64::from(position)) * num::pow(theta, exponent);
        prop_assert!(inside(sin, num::sin(angle)) && inside(cos, num::cos(angle)));
        prop_assert!(num::sin(angle).width() < 1e-9);
    }
}

#[test]
fn functions_at_the_ends_of_the_range() {
    let point = Interval::point;
    assert!(num::exp(point(-1e300)).lo() == 0.0 && num::exp(point(-1e300)).hi() > 0.0);
    assert!(num::exp(point(1e300)).hi() == f64::INFINITY && num::exp(point(1e300)).lo() > 1e308);
    assert!(num::exp(Interval::new(f64::NEG_INFINITY, 0.0)).contains(1.0));
    assert!(
        num::tanh(point(1e300)).contains(1.0 - f64::EPSILON / 4.0) && num::tanh(point(1e300)).hi() == 1.0
    );
    assert!(num::erf(point(-1e300)).lo() == -1.0 && num::erf(point(-1e300)).hi() > -1.0);
    assert!(num::ln(point(0.0)).lo() == f64::NEG_INFINITY);
    assert!(num::ln(Interval::new(0.0, 5e-324)).hi() < -744.0);
    assert!(num::ln_1p(Interval::new(-1.0, 0.0)).lo() == f64::NEG_INFINITY);
    assert!(num::sigmoid(point(-1e300)).lo() == 0.0 && num::sigmoid(point(-1e300)).hi() > 0.0);
    assert!(num::sigmoid(point(1e300)).hi() == 1.0 && num::sigmoid(point(1e300)).lo() < 1.0);
    for f in [num::gelu_tanh, num::gelu_erf, num::silu] {
        assert!(f(point(-1e300)).contains(-5e-324) && f(point(1e300)).contains(1e300), "{}", f(point(1e300)));
        assert!(f(Interval::ENTIRE).hi() == f64::INFINITY && f(Interval::ENTIRE).lo() < -0.16);
    }
    assert_eq!(num::sin(Interval::ENTIRE), Interval::new(-1.0, 1.0));
    assert_eq!(num::cos(point(f64::MAX)), num::cos(point(f64::MAX)).min(point(1.0)).max(point(-1.0)));
}

#[test]
fn what_is_not_a_number_becomes_the_whole_line() {
    for x in [Interval::new(f64::NAN, 1.0), Interval::new(0.0, f64::NAN), Interval::point(f64::NAN)] {
        assert!(!x.is_finite());
    }
    assert_eq!(Interval::new(2.0, 1.0), Interval::ENTIRE);
    let all = Interval::ENTIRE;
    for x in [
        all + all,
        all - all,
        all * all,
        all / all,
        all.recip(),
        all * Interval::ZERO + all,
        num::dot(&[all], &[all]),
    ] {
        assert!(x.lo() == f64::NEG_INFINITY && x.hi() == f64::INFINITY, "{x}");
    }
    assert!(num::dot(&[Interval::point(1e308); 4], &[Interval::point(1e308); 4]).hi() == f64::INFINITY);
    let huge = ndarray::arr2(&[[f32::MAX], [f32::MAX], [-f32::MAX]]);
    let sums = num::vec_mat(&[Interval::point(f64::MAX); 3], huge.view());
    assert_eq!(sums, [Interval::ENTIRE], "an overflow on the way says nothing about the end");
}

/// Score boxes on which auto_LiRPA 0.7.1 is unsound: an epsilon in a denominator and a logarithm shifted away from zero.
#[test]
fn softmax_over_wide_boxes_loses_no_member() {
    let p = softmax_at(&[Interval::point(-30.0), Interval::new(-90.0, 0.0)], 0, Interval::ONE);
    assert!(p.hi() > 1.0 - 1e-15 && p.lo() < 1e-13, "{p}");
    // f = softmax_0 − 0.05 x0 + 0.1 x1 is at least 1.5 at (−70, −20).
    let (x0, x1) = (Interval::new(-70.0, -40.0), Interval::new(-60.0, -20.0));
    let p = softmax_at(&[x0, x1], 0, Interval::ONE);
    let f = p - Interval::point(0.05) * x0 + Interval::point(0.1) * x1;
    assert!(f.hi() >= 1.5 && p.contains(1.0 / (1.0 + 50f64.exp())), "{p} {f}");
    let nothing = softmax_at(&[Interval::ENTIRE, Interval::ZERO], 1, Interval::ONE);
    assert!(nothing.lo() == 0.0 && nothing.hi() == 1.0, "{nothing}");
    let cold = softmax_at(&[Interval::ZERO, Interval::ONE], 1, Interval::new(0.0, 1.0));
    assert!(cold.lo() == 0.0 && cold.hi() == 1.0, "{cold}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn softmax_of_members_is_a_member(
        boxes in prop::collection::vec((-200.0..200.0f64, 0.0..200.0f64, 0.0..=1.0f64), 2..8),
        temperature in 0.1..4.0f64,
    ) {
        let scores: Vec<Interval> = boxes.iter().map(|&(lo, width, _)| Interval::new(lo, lo + width)).collect();
        let member: Vec<f64> = boxes.iter().map(|&(lo, width, t)| (lo + t * width).min(lo + width)).collect();
        let odds: f64 = member[1..].iter().map(|x| ((x - member[0]) / temperature).exp()).sum();
        let value = 1.0 / (1.0 + odds);
        let p = softmax_at(&scores, 0, Interval::point(temperature));
        // The float value has a relative error of some 1e-13 (an exponent of 800 rounds by that).
        prop_assert!(p.lo() <= value * (1.0 + 1e-12) && value * (1.0 - 1e-12) <= p.hi(), "{value} and {p}");
    }
}

#[test]
fn rationals_in_these_tests_are_exact() {
    assert_eq!(exact(0.375), RBig::from_parts(3.into(), UBig::from(8u8)));
}
