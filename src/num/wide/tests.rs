//! Against balls of 192 bits.

use super::*;
use crate::num::precise::Gelu;
use proptest::prelude::*;

type Ball = Precise<4>;

fn ball((hi, lo): (f64, f64)) -> Ball {
    Precise::float(hi) + Precise::float(lo)
}

/// What the tests need of a kind of number.
trait Tested: Number {
    fn of(x: Wide) -> Self;
    fn lane(&self, l: usize) -> Ball;
}

impl Tested for Wide {
    fn of(x: Wide) -> Wide {
        x
    }

    fn lane(&self, l: usize) -> Ball {
        ball((self.hi[l], self.lo[l]))
    }
}

impl Tested for Lanes {
    fn of(x: Wide) -> Lanes {
        x.hi
    }

    fn lane(&self, l: usize) -> Ball {
        Ball::float(self[l])
    }
}

/// Asserts that `x` lies within `error` of the reference, whatever member of its ball that is.
fn close(x: Ball, reference: Ball, error: f64, what: &str) {
    let apart = (x - reference).magnitude();
    assert!(apart <= error + 1e-50, "{what}: {apart:e} apart, {error:e} allowed");
}

/// Eight numbers, twice.
fn again(x: [f64; 8]) -> Lanes {
    each(|l| x[l % 8])
}

fn wides() -> impl Strategy<Value = Wide> {
    let one = (-4.0f64..4.0, -1.0f64..1.0, -3i32..4);
    prop::collection::vec(one, LANES).prop_map(|all| {
        let parts: Vec<(f64, f64)> = all
            .into_iter()
            .map(|(hi, lo, e)| {
                let (hi, lo) = (hi * 2f64.powi(e), lo * hi.abs() * 2f64.powi(e - 54));
                let sum = hi + lo;
                (sum, lo - (sum - hi))
            })
            .collect();
        Wide { hi: each(|l| parts[l].0), lo: each(|l| parts[l].1) }
    })
}

fn operations<N: Tested>(x: N, y: N) {
    for l in 0..LANES {
        let (a, b) = (x.lane(l), y.lane(l));
        let check = |z: N, reference: Ball, what: &str| {
            close(z.lane(l), reference, N::EPS * reference.magnitude(), what);
        };
        check(x.plus(y), a + b, "sum");
        check(x.times(y), a * b, "product");
        check(x.times_float(*y.hi()), a * Ball::float(y.hi()[l]), "product with a float");
        if x.hi()[l].abs() > 1e-3 {
            check(x.recip(), a.recip(), "reciprocal");
            check(x.times(x).rsqrt(), x.times(x).lane(l).rsqrt(), "root");
        }
    }
}

fn exponentials<N: Tested>(x: N, y: N) {
    let mut scores = [x, y];
    let total = exp(&mut scores);
    let (a, b, c, d) = (1.5, 1e-17, 0.07, 1e-19);
    let active =
        [Wave::Step, Wave::Sigmoid, Wave::Cubic((a, b), (c, d)), Wave::Normal].map(|wave| activated(wave, x));
    let gelu = Gelu::<4>::default();
    for l in 0..LANES {
        let (x, y) = (x.lane(l), y.lane(l));
        let top = if (x - y).enclose().lo() > 0.0 { x } else { y };
        let top = Ball::float(top.enclose().mid_rad().0);
        let exps = [(x - top).exp(), (y - top).exp()];
        for (s, e) in scores.iter().zip(exps) {
            // The shift itself errs by EPS of its size.
            close(s.lane(l), e, (N::EXP_EPS + 90.0 * N::EPS) * e.magnitude(), "exponential");
        }
        close(total.lane(l), exps[0] + exps[1], 100.0 * N::EXP_EPS, "their sum");
        let cubic = x * (ball((a, b)) + ball((c, d)) * x * x);
        let references = [x.relu(), x * x.sigmoid(), x * cubic.sigmoid(), gelu.erf_form(x)];
        for ((value, slope), reference) in active.iter().zip(references) {
            close(value.lane(l), reference, 4.0 * N::EXP_EPS * x.magnitude(), "activation");
            assert!(slope[l].is_finite());
        }
    }
}

fn maps_and_norms<N: Tested>(x: &[N], w: &[f64], bias: f64) {
    let n = x.len();
    let rows = w.len() / n;
    let biases: Vec<(f64, f64)> =
        (0..rows).map(|r| if r == 1 { (0.0, 0.0) } else { (bias, bias * 1e-17) }).collect();
    let y = map(&Weights::new(w.to_vec(), n), &biases, x);
    let sizes = length(x);
    for centred in [false, true] {
        let normed = norm(x, centred, 1e-5);
        for (l, &size) in sizes.iter().enumerate() {
            let column: Vec<Ball> = x.iter().map(|x| x.lane(l)).collect();
            let mean =
                if centred { column.iter().copied().sum::<Ball>().div_int(n as u64) } else { Precise::ZERO };
            let squares: Ball = column.iter().map(|&x| (x - mean).square()).sum();
            let inverse = (squares.div_int(n as u64) + Precise::float(1e-5)).rsqrt();
            for (out, &x) in normed.out.iter().zip(&column) {
                close(out.lane(l), (x - mean) * inverse, 40.0 * N::EPS * (6.0 + size), "norm");
            }
            let root = normed.root[l] * inverse.enclose().mid_rad().0;
            assert!((root - 1.0).abs() < 1e-9);
        }
    }
    for (l, &size) in sizes.iter().enumerate() {
        for (r, (row, &bias)) in w.chunks_exact(n).zip(&biases).enumerate() {
            let sum: Ball = row.iter().zip(x).map(|(&w, x)| Ball::float(w) * x.lane(l)).sum();
            let long = row.iter().map(|w| w * w).sum::<f64>().sqrt();
            let error = N::product_eps(n) * (long + bias.0.abs()) * size.hypot(1.0) * 1.001;
            close(y[r].lane(l), sum + ball(bias), error, "map");
        }
    }
}

proptest! {
    #[test]
    fn operations_err_by_at_most_eps(x in wides(), y in wides()) {
        operations(x, y);
        operations(Lanes::of(x), Lanes::of(y));
    }

    #[test]
    fn exponentials_and_activations(x in wides(), y in wides()) {
        exponentials(x, y);
        exponentials(Lanes::of(x), Lanes::of(y));
    }

    #[test]
    fn maps_and_norms_err_as_they_say(
        x in prop::collection::vec(wides(), 30),
        w in prop::collection::vec(-2.0f64..2.0, 30 * 13),
        bias in -3.0f64..3.0,
    ) {
        maps_and_norms(&x, &w, bias);
        let floats: Vec<Lanes> = x.into_iter().map(Lanes::of).collect();
        // Tiles of six, four, two and one rows.
        maps_and_norms(&floats, &w, bias);
    }
}

/// Processors with other registers take other numbers of rows at a time.
#[test]
fn rows_do_not_depend_on_how_many_are_taken_at_once() {
    let weights: Vec<f64> = (0..13 * 37).map(|i| f64::from(i * i % 101 - 50) / 7.0).collect();
    let x: Vec<Lanes> = (0..37).map(|i| each(|l| ((i * LANES + l) as f64).sin())).collect();
    let (weights, bias) = (Weights::new(weights, 37), [(0.5, 0.0); 13]);
    let (mut six, mut two) = (vec![Lanes::ZERO; 18], vec![Lanes::ZERO; 18]);
    Lanes::rows::<6>(&weights, &bias, &x, &mut six);
    Lanes::rows::<2>(&weights, &bias, &x, &mut two);
    assert_eq!(six[..13], two[..13]);
    assert_eq!(six[..13], map(&weights, &bias, &x));
}

/// All arguments that are not cut, densely.
#[test]
fn exponentials_of_floats() {
    let mut worst = 0.0f64;
    for i in -70_000..=70_000 {
        // No lattice: the step is not a simple fraction of ln 2.
        let x = f64::from(i) * 0.009_999_7;
        let y = Lanes::splat(x).exp()[0];
        let reference = Ball::float(x % 10.0).exp();
        if x.abs() < 10.0 {
            worst = worst.max((Ball::float(y) - reference).magnitude() / reference.enclose().lo());
        }
        let near = core_math::exp(x);
        assert!((y - near).abs() <= (Lanes::EXP_EPS + 2.0 * f64::EPSILON) * near, "exp({x})");
    }
    assert!(worst <= Lanes::EXP_EPS / 2.0, "{worst:e}");
}

fn extremes<N: Tested>() {
    let mut scores =
        [N::floats(again([0.0, 900.0, -900.0, 5.0, f64::NAN, f64::INFINITY, 1.0, 1.0])), N::splat(0.0)];
    let total = *exp(&mut scores).hi();
    assert!((total[0] - 2.0).abs() < 1e-15 && (total[1] - 1.0).abs() < 1e-15);
    assert!((total[2] - 1.0).abs() < 1e-15);
    assert!(total[4].is_nan() && total[5].is_nan(), "what is lost stays lost");
    let x = N::floats(again([-800.0, 800.0, f64::NAN, f64::INFINITY, -1e300, 0.0, -0.0, 1e-310]));
    for (wave, least) in [(Wave::Sigmoid, 1e-280), (Wave::Normal, 1e-26)] {
        let x = *activated(wave, x).0.hi();
        assert!(x[0].abs() < least && (x[1] - 800.0).abs() < 1e-12 && x[5] == 0.0);
        assert!(!x[2].is_finite());
    }
}

#[test]
fn extreme_arguments() {
    extremes::<Wide>();
    extremes::<Lanes>();
}

#[test]
fn constants_come_from_balls() {
    let third = Precise::<3>::int(3).recip();
    let (parts, error) = nearest(third);
    assert!(error < 1e-31);
    close(ball(parts), Ball::int(3).recip(), error, "a third");
}
