//! Balls of high precision against recorded digits, exact rationals and each other.

use std::sync::LazyLock;

use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;
use ndarray::Array2;
use proptest::prelude::*;

use super::super::fixed::tests::{rational, value};
use super::*;

/// Digits of the recorded values after the first non-zero one.
const DIGITS: usize = 75;

/// A decimal fraction.
fn decimal(text: &str) -> RBig {
    let (whole, fraction) = text.split_once('.').unwrap();
    let n: IBig = format!("{whole}{fraction}").parse().unwrap();
    RBig::from_parts(n, UBig::from(10u8).pow(fraction.len()))
}

fn abs(x: RBig) -> RBig {
    if x < RBig::ZERO { -x } else { x }
}

/// The ball holds a value that is known up to `slack`, and its radius is at most `widest`.
fn check<const L: usize>(what: &str, ball: Precise<L>, expected: &RBig, slack: &RBig, widest: f64) {
    assert!(ball.rad <= widest, "{what} at {L} limbs has radius {:e}", ball.rad);
    let distance = abs(value(&ball.mid) - expected.clone());
    assert!(distance <= rational(ball.rad) + slack.clone(), "{what} at {L} limbs misses the value");
}

fn check_recorded<const L: usize>(lost_bits: i32) {
    let gelu = Gelu::<L>::default();
    for line in include_str!("../../../tests/fixtures/functions.txt").lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let number = |i: usize| fields[i].parse::<f64>().unwrap();
        let widest = |y: f64| Fixed::<L>::ULP * 2f64.powi(lost_bits) * y.abs().max(1.0).powi(2);
        let slack = |y: f64| rational(y.abs().max(1e-60)) / RBig::from(UBig::from(10u8).pow(DIGITS - 2));
        if fields[0] == "sin_cos" {
            let [theta, dim, position, i] = [1, 2, 3, 4].map(number);
            let at = position as u32;
            let (sin, cos) = rotation::<L>(theta, dim as usize, at..at + 1)[0][i as usize];
            check(line, sin, &decimal(fields[5]), &slack(1.0), widest(position));
            check(line, cos, &decimal(fields[6]), &slack(1.0), widest(position));
            continue;
        }
        let (x, expected) = (number(1), number(2));
        let ball = Precise::<L>::float(x);
        let y = match fields[0] {
            "exp" => ball.exp(),
            "silu" => ball.silu(),
            "gelu_tanh" => gelu.tanh_form(ball),
            "gelu_erf" => gelu.erf_form(ball),
            "recip" => ball.recip(),
            "rsqrt" => ball.rsqrt(),
            other => panic!("unknown function {other}"),
        };
        // Large arguments of erf lose up to half of the bits, by design.
        let widest =
            if fields[0] == "gelu_erf" { Fixed::<L>::ULP.sqrt() * 64.0 } else { widest(expected.max(x)) };
        check(line, y, &decimal(fields[2]), &slack(expected), widest);
    }
}

#[test]
fn functions_enclose_recorded_digits() {
    check_recorded::<3>(40);
    check_recorded::<4>(40);
    check_recorded::<6>(40);
    check_recorded::<10>(40);
}

/// A middle, a radius, and a member at `position` of the way from one end to the other.
fn member<const L: usize>(mid: f64, rad: f64, position: f64) -> (Precise<L>, Precise<8>) {
    let ball = Precise::float(mid).widen(rad);
    // The offset is below the radius, and the sum is exact with eight limbs.
    let member = Precise::float(mid) + Precise::float((2.0 * position - 1.0) * rad * 0.999);
    (ball, member)
}

/// The fine ball, far narrower, must lie in the coarse one.
fn inside<const L: usize>(fine: Precise<8>, coarse: Precise<L>) -> Result<(), TestCaseError> {
    if coarse.rad < f64::INFINITY {
        prop_assert!(fine.rad < f64::INFINITY);
        let distance = abs(value(&fine.mid) - value(&coarse.mid));
        prop_assert!(
            distance <= rational(coarse.rad) + rational(fine.rad),
            "{fine:?} is not inside {coarse:?}"
        );
    }
    Ok(())
}

static COARSE: LazyLock<Gelu<3>> = LazyLock::new(Gelu::default);
static FINE: LazyLock<Gelu<8>> = LazyLock::new(Gelu::default);

fn radius() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), (-120.0..3.0f64).prop_map(f64::exp2)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn members_stay_members(a in -40.0..27.0f64, b in -9.0..9.0f64, ra in radius(), rb in radius(), t in 0.0..1.0f64, s in 0.0..1.0f64) {
        let ((x, x0), (y, y0)) = (member::<3>(a, ra, t), member::<3>(b, rb, s));
        let (coarse, fine) = (&*COARSE, &*FINE);
        inside(x0 + y0, x + y)?;
        inside(x0 - y0, x - y)?;
        inside(x0 * y0, x * y)?;
        inside(y0.recip(), y.recip())?;
        inside(y0.square().rsqrt(), y.square().rsqrt())?;
        inside(y0.relu(), y.relu())?;
        inside(x0.div_int(7), x.div_int(7))?;
        inside(x0.exp(), x.exp())?;
        inside(x0.silu(), x.silu())?;
        inside(fine.tanh_form(y0), coarse.tanh_form(y))?;
        inside(fine.erf_form(y0), coarse.erf_form(y))?;
    }

    #[test]
    fn matrix_products_are_exact_up_to_the_last_place(
        weights in prop::collection::vec(prop_oneof![-2.0..2.0f32, Just(0.0), Just(-127.5), Just(1e-12), Just(-3e5), Just(f32::MIN_POSITIVE)], 12),
        xs in prop::collection::vec(-1e5..1e5f64, 4),
        rad in radius(),
    ) {
        let weight = Array2::from_shape_vec((4, 3), weights).unwrap();
        let balls: Vec<Precise<4>> = xs.iter().map(|&x| Precise::float(x).widen(rad)).collect();
        for (o, y) in Digits::new(weight.view()).apply(&balls).into_iter().enumerate() {
            let exact: RBig = xs.iter().zip(weight.column(o)).map(|(&x, &w)| rational(x) * rational(f64::from(w))).fold(RBig::ZERO, |a, b| a + b);
            let size: f64 = weight.column(o).iter().map(|w| f64::from(w.abs())).sum();
            prop_assert!(abs(value(&y.mid) - exact) <= rational(6.0 * Fixed::<4>::ULP));
            prop_assert!(y.rad >= size * rad * 0.999_999 && y.rad <= size * rad * 1.000_001 + 8.0 * Fixed::<4>::ULP);
        }
        let dots: RBig = xs.iter().map(|&x| rational(x) * rational(x)).fold(RBig::ZERO, |a, b| a + b);
        let y = dot(&balls, &balls);
        prop_assert!(abs(value(&y.mid) - dots) <= rational(y.rad));
    }
}

#[test]
fn nothing_finite_comes_from_what_is_not() {
    let (all, one) = (Precise::<4>::ENTIRE, Precise::<4>::int(1));
    let gelu = Gelu::default();
    let results = [
        all + one,
        all * one,
        all * Precise::ZERO,
        all.exp(),
        all.recip(),
        all.rsqrt(),
        all.silu(),
        all.div_int(3),
        all.middle(),
        gelu.tanh_form(all),
        gelu.erf_form(all),
        Precise::float(1e30),
        Precise::float(f64::NAN),
        Precise::float(1e12) * Precise::float(1e3),
        Precise::float(40.0).exp(),
        Precise::ZERO.recip(),
        Precise::float(-1.0).rsqrt(),
        one.widen(f64::NAN),
        Digits::new(ndarray::arr2(&[[0.0f32]]).view()).apply(&[all])[0],
        Digits::new(ndarray::arr2(&[[1e20f32]]).view()).apply(&[one])[0],
    ];
    for (i, result) in results.iter().enumerate() {
        assert_eq!(result.rad, f64::INFINITY, "case {i}: {result:?}");
        assert!(!result.enclose().is_finite());
    }
}
