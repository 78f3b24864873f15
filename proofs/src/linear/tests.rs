//! Affine maps against exact rational arithmetic.

use dashu_ratio::RBig;
use proptest::prelude::*;

use super::*;
use crate::interval::tests::{contains, exact};
use crate::tensor::tests::tensor;

/// F32 values of all magnitudes, subnormal ones included.
fn weight() -> impl Strategy<Value = f32> {
    prop_oneof![-2.0..2.0_f32, any::<i16>().prop_map(|n| f32::from(n) * 1e-42), -1e20..1e20_f32, Just(0.0)]
}

proptest! {
    #[test]
    fn products_enclose_every_member(
        weights in prop::collection::vec(weight(), 12),
        bias in prop::collection::vec(weight(), 3),
        inputs in prop::collection::vec((any::<i64>(), 0..u32::MAX, 0..300_usize, any::<bool>()), 4),
        wider in 0..260_usize,
    ) {
        let mut members = Vec::new();
        let mut x = Vec::new();
        for (n, radius, shift, is_upper) in inputs {
            let n = IBig::from(n) << shift;
            let radius = IBig::from(radius) << wider;
            let (lo, hi) = (&n - &radius, &n + &radius);
            members.push(exact(if is_upper { &hi } else { &lo }));
            x.push(Interval::from_ends(lo, hi));
        }
        let (stored, shift) = (tensor(&[3, 4], &weights), tensor(&[3], &bias));
        let map = Linear::new(&stored, [3, 4], |r, c| r * 4 + c, Some(&shift));
        let transposed = Linear::new(&stored.transposed(), [3, 4], |r, c| c * 3 + r, Some(&shift));
        let vector = Vector::new(&x);
        let y = map.apply(&vector);
        prop_assert_eq!(&y, &transposed.apply(&vector));
        for (r, y) in y.iter().enumerate() {
            let q = |w: f32| RBig::try_from(w).unwrap();
            let sum = (0..4).map(|c| q(weights[r * 4 + c]) * &members[c]).fold(q(bias[r]), |a, b| a + b);
            prop_assert!(contains(y, &sum));
        }
    }
}

#[test]
fn long_rows_do_not_overflow() {
    let n = 3 * CHUNK + 5;
    let stored = tensor(&[1, n], &vec![f32::MAX; n]);
    let x: Vec<Interval> =
        (0..n).map(|_| Interval::scaled(&((IBig::ONE << 112) - IBig::ONE), -256)).collect();
    let y = Linear::new(&stored, [1, n], |_, c| c, None).apply(&Vector::new(&x));
    let expected =
        RBig::try_from(f32::MAX).unwrap() * exact(&((IBig::ONE << 112) - IBig::ONE)) * RBig::from(n);
    assert!(contains(&y[0], &expected));
}
