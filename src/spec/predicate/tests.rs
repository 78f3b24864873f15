//! The excess against the definitions.

use proptest::prelude::*;

use super::*;

fn threshold(text: &str) -> Threshold {
    Threshold::parse(text).unwrap()
}

/// One of each kind about token 1 of 4.
fn kinds() -> Vec<Predicate> {
    let (p, temperature) = (threshold("0.3"), Some(Decimal::parse("0.7").unwrap()));
    vec![
        Predicate::Ceiling { token: 1, threshold: p.clone(), temperature: temperature.clone() },
        Predicate::SetCeiling { tokens: vec![1, 3], threshold: p.clone(), temperature: None },
        Predicate::Floor { token: 1, threshold: p.clone(), temperature: temperature.clone() },
        Predicate::MaxCeiling { tokens: vec![0, 1, 3], threshold: p.clone(), temperature: None },
        Predicate::Continuation { tokens: vec![1], threshold: p.clone(), temperature: temperature.clone() },
        Predicate::NeverInNucleus { token: 1, mass: p, temperature },
        Predicate::Dominance { over: 1, under: 2, margin: Decimal::parse("-0.25").unwrap() },
        Predicate::NeverArgmax { token: 1 },
        Predicate::NeverTopK { token: 1, k: 2 },
        Predicate::AlwaysArgmax { token: 1 },
    ]
}

/// The claim by its definition, in `f64`.
fn holds(predicate: &Predicate, l: &[f64]) -> bool {
    let p = |tokens: &[TokenId]| {
        let t = predicate.temperature_text().map_or(1.0, Decimal::nearest);
        let total: f64 = l.iter().map(|l| (l / t).exp()).sum();
        tokens.iter().map(|&j| (l[j as usize] / t).exp() / total).sum::<f64>()
    };
    let above = |token: TokenId| l.iter().filter(|&&x| x > l[token as usize]).count();
    match predicate {
        Predicate::MaxCeiling { tokens, threshold, .. } => {
            tokens.iter().all(|&t| p(&[t]) <= threshold.nearest())
        }
        Predicate::Continuation { tokens, threshold, .. } => p(tokens) <= threshold.nearest(),
        Predicate::NeverInNucleus { token, mass, .. } => {
            let above: Vec<TokenId> = (0..4).filter(|&j| l[j as usize] > l[*token as usize]).collect();
            p(&above) >= mass.nearest()
        }
        Predicate::Ceiling { token, threshold, .. } => p(&[*token]) <= threshold.nearest(),
        Predicate::SetCeiling { tokens, threshold, .. } => p(tokens) <= threshold.nearest(),
        Predicate::Floor { token, threshold, .. } => p(&[*token]) >= threshold.nearest(),
        Predicate::Dominance { over, under, margin } => {
            l[*over as usize] - l[*under as usize] >= margin.nearest()
        }
        Predicate::NeverArgmax { token } => above(*token) >= 1,
        Predicate::NeverTopK { token, k } => above(*token) >= *k,
        Predicate::AlwaysArgmax { token } => {
            l.iter().enumerate().all(|(j, &x)| j == *token as usize || x < l[*token as usize])
        }
    }
}

proptest! {
    #[test]
    fn the_excess_decides_the_claim(l in prop::array::uniform4(-8.0..8.0f64), rounded in any::<bool>()) {
        // Rounded logits have ties.
        let l = if rounded { l.map(f64::round) } else { l };
        for predicate in kinds() {
            let excess = predicate.excess(&[l.map(Interval::point).to_vec()]);
            let limit = predicate.limit();
            prop_assert!(excess.width() < 1e-12 || excess.lo() > 1e300, "{excess}");
            if holds(&predicate, &l) {
                prop_assert!(!limit.exceeded_by(excess.lo()), "{predicate:?} {excess}");
            } else {
                prop_assert!(!limit.admits(excess.hi()), "{predicate:?} {excess}");
            }
            let score = f64::from(predicate.score(&[l.map(|l| l as f32).to_vec()]));
            let near = (score - excess.lo()).abs() < 1e-4 || score > 1e30 && excess.lo() > 1e30;
            prop_assert!(near, "{predicate:?} {score} {excess}");
        }
    }

    #[test]
    fn enclosures_contain_what_they_enclose(
        l in prop::array::uniform4(-40.0..40.0f64), r in prop::array::uniform4(0.0..30.0f64), x in prop::array::uniform4(0.0..1.0f64),
    ) {
        let boxes: Vec<Interval> = (0..4).map(|i| Interval::new(l[i], l[i] + r[i])).collect();
        let inside: Vec<Interval> = (0..4).map(|i| Interval::point(l[i] + r[i] * x[i] * 0.999)).collect();
        for predicate in kinds() {
            let (wide, narrow) = (predicate.excess(std::slice::from_ref(&boxes)), predicate.excess(std::slice::from_ref(&inside)));
            prop_assert!(wide.lo() <= narrow.lo() && narrow.hi() <= wide.hi(), "{predicate:?} {wide} {narrow}");
        }
    }
}

#[test]
fn a_continuation_multiplies_along_its_rows() {
    let rows = [[0.0, 1.0, 2.0, 3.0], [1.0, 1.0, 1.0, 1.0], [3.0, 0.0, 0.0, 0.0]];
    let predicate =
        Predicate::Continuation { tokens: vec![3, 3, 0], threshold: threshold("0.1"), temperature: None };
    assert_eq!(predicate.continuation(), [3, 3]);
    let p = |row: &[f64], t: usize| row[t].exp() / row.iter().map(|l| l.exp()).sum::<f64>();
    let product = p(&rows[0], 3) * 0.25 * p(&rows[2], 0);
    let enclosed = predicate.excess(&rows.map(|row| row.map(Interval::point).to_vec()));
    assert!((enclosed.lo() - product.ln()).abs() < 1e-12 && enclosed.width() < 1e-12, "{enclosed} {product}");
    let quantity = predicate.quantity(enclosed);
    assert!(quantity.lo() <= product && product <= quantity.hi() && quantity.width() < 1e-12);
    let score = predicate.score(&rows.map(|row| row.map(|l| l as f32).to_vec()));
    assert!((f64::from(score) - product.ln()).abs() < 1e-5);
}

#[test]
fn ties_are_for_nobody() {
    let tied = [1.0, 2.0, 2.0, 0.0].map(Interval::point);
    let answer = |predicate: Predicate| {
        let excess = predicate.excess(&[tied.to_vec()]);
        predicate.answer(excess.lo(), excess.hi())
    };
    // Differences of intervals are rounded outward, so that a tie stays open rather than be claimed either way.
    assert_ne!(answer(Predicate::NeverArgmax { token: 1 }), Answer::Proved);
    assert_ne!(answer(Predicate::AlwaysArgmax { token: 1 }), Answer::Proved);
    assert_eq!(answer(Predicate::NeverTopK { token: 3, k: 3 }), Answer::Proved);
    assert_eq!(answer(Predicate::NeverTopK { token: 0, k: 3 }), Answer::Refuted);
}

#[test]
fn extreme_and_unknown_logits_claim_nothing_wrong() {
    let far = [-700.0, 700.0, 0.0, -1e6].map(Interval::point);
    let nothing = [Interval::ENTIRE; 4];
    for predicate in kinds() {
        let excess = predicate.excess(&[far.to_vec()]);
        assert!(!excess.lo().is_nan() && excess.hi() > -1e7, "{predicate:?} {excess}");
        let excess = predicate.excess(&[nothing.to_vec()]);
        assert_eq!(predicate.answer(excess.lo(), excess.hi()), Answer::Unknown, "{predicate:?} {excess}");
    }
}

#[test]
fn nonsense_is_refused() {
    let (p, zero) = (threshold("0.5"), Decimal::parse("0").unwrap());
    let set = |tokens: &[TokenId]| Predicate::SetCeiling {
        tokens: tokens.to_vec(),
        threshold: p.clone(),
        temperature: None,
    };
    assert!(kinds().iter().all(|predicate| predicate.check(4).is_ok()));
    for predicate in [
        Predicate::NeverArgmax { token: 4 },
        set(&[]),
        set(&[0, 1, 2, 3]),
        set(&[1, 0]),
        set(&[1, 1]),
        set(&[1, 4]),
        Predicate::Dominance { over: 2, under: 2, margin: zero.clone() },
        Predicate::Continuation { tokens: vec![], threshold: p.clone(), temperature: None },
        Predicate::Continuation { tokens: vec![4], threshold: p.clone(), temperature: None },
        Predicate::MaxCeiling { tokens: vec![], threshold: p.clone(), temperature: None },
        Predicate::MaxCeiling { tokens: vec![2, 2], threshold: p.clone(), temperature: None },
        Predicate::NeverTopK { token: 0, k: 0 },
        Predicate::NeverTopK { token: 0, k: 4 },
        Predicate::Floor { token: 0, threshold: p.clone(), temperature: Some(zero) },
    ] {
        assert!(predicate.check(4).is_err(), "{predicate:?}");
    }
}
