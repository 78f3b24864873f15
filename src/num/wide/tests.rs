//! Against balls of 192 bits.

use super::*;
use proptest::prelude::*;

type Ball = Precise<4>;

fn ball((hi, lo): (f64, f64)) -> Ball {
    Precise::float(hi) + Precise::float(lo)
}

fn lane(x: &Wide, l: usize) -> Ball {
    ball((x.hi[l], x.lo[l]))
}

/// Asserts that `x` lies within `error` of the reference, whatever member of its ball that is.
fn close(x: Ball, reference: Ball, error: f64, what: &str) {
    let apart = (x - reference).magnitude();
    assert!(apart <= error + 1e-50, "{what}: {apart:e} apart, {error:e} allowed");
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
        Wide { hi: from_fn(|l| parts[l].0), lo: from_fn(|l| parts[l].1) }
    })
}

proptest! {
    #[test]
    fn operations_err_by_at_most_eps(x in wides(), y in wides()) {
        for l in 0..LANES {
            let (a, b) = (lane(&x, l), lane(&y, l));
            let check = |z: Wide, reference: Ball, what: &str| {
                close(lane(&z, l), reference, EPS * reference.magnitude(), what);
            };
            check(x.plus(y), a + b, "sum");
            check(x.times(y), a * b, "product");
            check(x.times_float(y.hi), a * ball((y.hi[l], 0.0)), "product with a float");
            if x.hi[l].abs() > 1e-3 {
                check(x.recip(), a.recip(), "reciprocal");
                check(x.times(x).rsqrt(), lane(&x.times(x), l).rsqrt(), "root");
            }
        }
    }

    #[test]
    fn exponentials_and_activations(x in wides(), y in wides()) {
        let mut scores = [x, y];
        let total = exp(&mut scores);
        let waves = [Wave::Step, Wave::Sigmoid, Wave::Cubic((1.5, 1e-17), (0.07, 1e-19))];
        let active = waves.map(|wave| {
            let mut x = [x];
            activate(wave, &mut x);
            x[0]
        });
        for l in 0..LANES {
            let (a, b) = (lane(&x, l), lane(&y, l));
            let top = ball((x.hi[l].max(y.hi[l]), 0.0));
            let exps = [(a - top).exp(), (b - top).exp()];
            for (s, e) in scores.iter().zip(exps) {
                // The shift itself errs by EPS of its size.
                close(lane(s, l), e, (EXP_EPS + 40.0 * EPS) * e.magnitude(), "exponential");
            }
            close(lane(&total, l), exps[0] + exps[1], 40.0 * EXP_EPS, "their sum");
            let cubic = a * (ball((1.5, 1e-17)) + ball((0.07, 1e-19)) * a * a);
            let [step, sigmoid, gelu] = [a.relu(), a * a.sigmoid(), a * cubic.sigmoid()];
            for (y, reference) in active.iter().zip([step, sigmoid, gelu]) {
                close(lane(y, l), reference, 4.0 * EXP_EPS * a.magnitude(), "activation");
            }
        }
    }

    #[test]
    fn maps_and_norms(
        x in prop::collection::vec(wides(), 30),
        w in prop::collection::vec(-2.0f64..2.0, 60),
        bias in -3.0f64..3.0,
    ) {
        let y = map(&w, &[(bias, bias * 1e-17), (0.0, 0.0)], &x);
        let sizes = length(&x);
        for centred in [false, true] {
            let normed = norm(&x, centred, 1e-5);
            for (l, &size) in sizes.iter().enumerate() {
                let column: Vec<Ball> = x.iter().map(|x| lane(x, l)).collect();
                let n = column.len() as u64;
                let mean = if centred { column.iter().copied().sum::<Ball>().div_int(n) } else { Precise::ZERO };
                let squares: Ball = column.iter().map(|&x| (x - mean).square()).sum();
                let inverse = (squares.div_int(n) + Precise::float(1e-5)).rsqrt();
                for (out, &x) in normed.out.iter().zip(&column) {
                    close(lane(out, l), (x - mean) * inverse, 40.0 * EPS * (6.0 + size), "norm");
                }
                let root = normed.root[l] * inverse.enclose().mid_rad().0;
                prop_assert!((root - 1.0).abs() < 1e-9);
            }
        }
        for (l, &size) in sizes.iter().enumerate() {
            let row = |r: usize| -> Ball {
                w[30 * r..30 * (r + 1)].iter().zip(&x).map(|(&w, x)| Ball::float(w) * lane(x, l)).sum()
            };
            let long = w[..30].iter().map(|w| w * w).sum::<f64>().sqrt();
            close(lane(&y[0], l), row(0) + ball((bias, bias * 1e-17)), product_eps(30) * (long + 3.0) * (size + 1.0), "map");
            close(lane(&y[1], l), row(1), product_eps(30) * 20.0 * size, "map");
        }
    }
}

#[test]
fn extreme_arguments() {
    let mut scores =
        [Wide::floats([0.0, 900.0, -900.0, 5.0, f64::NAN, f64::INFINITY, 1.0, 1.0]), Wide::splat(0.0)];
    let total = exp(&mut scores);
    assert!((total.hi[0] - 2.0).abs() < 1e-15 && (total.hi[1] - 1.0).abs() < 1e-15);
    assert!((total.hi[2] - 1.0).abs() < 1e-15);
    assert!(total.hi[4].is_nan() && total.hi[5].is_nan(), "what is lost stays lost");
    let mut x = [Wide::floats([-800.0, 800.0, f64::NAN, f64::INFINITY, -1e300, 0.0, -0.0, 1e-310])];
    activate(Wave::Sigmoid, &mut x);
    assert!(x[0].hi[0].abs() < 1e-280 && x[0].hi[1] == 800.0 && x[0].hi[5] == 0.0);
    assert!(!x[0].hi[2].is_finite());
}

#[test]
fn constants_come_from_balls() {
    let third = Precise::<3>::int(3).recip();
    let (parts, error) = nearest(third);
    assert!(error < 1e-31);
    close(ball(parts), Ball::int(3).recip(), error, "a third");
}
