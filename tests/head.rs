//! The head theorem on random, planted and real heads.

mod common;
mod head {
    pub mod heads;
    pub mod reference;
}

use common::shared_models;
use head::heads::{Kind, point_of_the_ball, probabilities, random_head, rng};
use head::reference;
use llmprove::limits::Limits;
use llmprove::model::{Head, ModelFolder, Norm, TokenId};
use llmprove::num::Interval;
use llmprove::prove::head::{Goal, HeadError, HeadProof, HeadProver};
use llmprove_proofs::{Certificate, Decimal, Language, Predicate, Proof, Statement};
use ndarray::{Array1, Array2, array};
use rand::Rng;

fn bounds(head: &Head, goal: &Goal) -> Vec<HeadProof> {
    let tokens: Vec<TokenId> = (0..head.vocab_size() as TokenId).collect();
    let prover = HeadProver::new(head, Interval::ONE).expect("the head is sound");
    prover.bound_all(&tokens, goal, &Limits::default(), &|_| {}).expect("all tokens exist")
}

#[test]
fn no_point_of_the_ball_exceeds_a_bound() {
    let mut rng = rng(1);
    let mut trials = 0;
    for case in 0..600 {
        let kind = [Kind::Plain, Kind::DuplicatedRows, Kind::ZeroGains, Kind::Interior][case % 4];
        let scale = [1.0, 0.1, 10.0, 1e4, 1e-30][case / 4 % 5];
        let head = random_head(&mut rng, kind, scale);
        let temperature = [1.0, 0.5, 3.0][case % 3];
        let prover = HeadProver::new(&head, Interval::point(temperature)).unwrap();
        let tokens: Vec<TokenId> = (0..head.vocab_size() as TokenId).collect();
        let goal = Goal { tolerance: [1e-6, 0.3][case % 2], thresholds: Vec::new() };
        let proofs = prover.bound_all(&tokens, &goal, &Limits::default(), &|_| {}).unwrap();
        let certificates: Vec<_> = proofs.iter().map(|proof| prover.certificate(proof)).collect();
        let maximisers: Vec<_> = proofs.iter().map(|proof| &proof.maximiser).collect();
        for sample in 0..200 {
            let near = (sample % 2 == 0).then(|| maximisers[rng.random_range(0..maximisers.len())]);
            let point = point_of_the_ball(&mut rng, &head, near);
            for (token, p) in probabilities(&head, &point, temperature).into_iter().enumerate() {
                // The slack covers the rounding of the sampled value alone.
                let p = p * (1.0 - 1e-9);
                assert!(p <= proofs[token].upper, "{kind:?} {scale} token {token}: {p} {:?}", proofs[token]);
                assert!(p <= certificates[token].upper, "{kind:?} {scale} token {token}: {p} certificate");
                trials += 1;
            }
        }
    }
    assert!(trials >= 1_000_000, "only {trials} trials");
}

#[test]
fn the_dual_meets_the_primal() {
    let mut rng = rng(2);
    for case in 0..120 {
        let kind = [Kind::Plain, Kind::DuplicatedRows, Kind::ZeroGains, Kind::Interior][case % 4];
        let head = random_head(&mut rng, kind, [1.0, 0.1, 3.0][case % 3]);
        for proof in bounds(&head, &Goal::tight()) {
            let gap = proof.upper - proof.reached;
            assert!(gap <= 2e-6 * proof.upper, "{kind:?}: gap {gap:e} of {proof:?}");
        }
    }
}

#[test]
fn the_fast_solver_agrees_with_the_obvious_one() {
    let mut rng = rng(3);
    for case in 0..24 {
        let head = random_head(&mut rng, [Kind::Plain, Kind::Interior][case % 2], 0.5);
        let prover = HeadProver::new(&head, Interval::ONE).unwrap();
        for proof in bounds(&head, &Goal::tight()) {
            let slow = reference::upper_bound(&head, proof.token as usize);
            assert!(proof.upper <= slow + 1e-6, "the obvious solver finds {slow}, better than {proof:?}");
            let certificate = prover.certificate(&proof);
            let exact = reference::bound_of(&head, proof.token as usize, &certificate.lambda);
            assert!(exact.lo() <= certificate.upper && certificate.upper <= exact.hi() + 1e-7, "{exact}");
        }
    }
}

#[test]
fn planted_optima_are_found() {
    let rms = |rows: Array2<f32>| {
        let gain = Array1::ones(rows.ncols());
        Head { norm: Some(Norm::Rms { gain, eps: 1e-5 }), unembed: rows, bias: None }
    };
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let close = |found: f64, exact: f64| exact <= found && found <= exact * (1.0 + 3e-6);
    // Two opposite rows ±u: p = sigmoid(2 u·ẑ), at most sigmoid(2 √d ‖u‖).
    let head = rms(array![[0.25, -0.5, 0.125, 0.0], [-0.25, 0.5, -0.125, 0.0]]);
    let exact = sigmoid(2.0 * 2.0 * (0.25f64 * 0.25 + 0.5 * 0.5 + 0.125 * 0.125).sqrt());
    assert!(bounds(&head, &Goal::tight()).iter().all(|proof| close(proof.upper, exact)));
    // A bias of b on the other token shifts the log-odds by b.
    let biased = Head { bias: Some(array![0.0, 1.5]), ..head };
    let shifted = sigmoid(4.0 * (0.25f64 * 0.25 + 0.5 * 0.5 + 0.125 * 0.125).sqrt() - 1.5);
    assert!(close(bounds(&biased, &Goal::tight())[0].upper, shifted));
    // Equal rows are equally likely at every point; a row at the centre of the others is most likely at ẑ = 0.
    assert!(close(bounds(&rms(array![[1.0, 2.0], [1.0, 2.0]]), &Goal::tight())[0].upper, 0.5));
    let simplex = rms(array![[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]);
    assert!(close(bounds(&simplex, &Goal::tight())[0].upper, 0.2));
    // A row between two far ones never beats both: its margin shows that it is never the argmax.
    let hull = rms(array![[0.0, 0.0], [9.0, 0.0], [-8.0, 0.0]]);
    let hull = Head { bias: Some(array![0.0, 1.0, 1.0]), ..hull };
    let prover = HeadProver::new(&hull, Interval::point(0.01)).unwrap();
    let proof = prover.bound(0, &Goal::tight(), &Limits::default()).unwrap();
    assert!(prover.certificate(&proof).margin > 0.9);
}

#[test]
fn what_is_not_finite_proves_nothing() {
    let mut rng = rng(4);
    let good = random_head(&mut rng, Kind::Plain, 1.0);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut head = good.clone();
        head.unembed[[1, 0]] = bad;
        assert!(matches!(HeadProver::new(&head, Interval::ONE), Err(HeadError::NotFinite { token: 1 })));
        let mut head = good.clone();
        head.bias = Some(Array1::from_elem(head.vocab_size(), bad));
        assert!(matches!(HeadProver::new(&head, Interval::ONE), Err(HeadError::NotFinite { token: 0 })));
    }
    // The largest weights overflow the logits' differences in some places; bounds stay valid or trivial.
    let mut head = good.clone();
    head.unembed.mapv_inplace(|u| if u > 0.0 { f32::MAX } else { f32::MIN });
    for proof in bounds(&head, &Goal::tight()) {
        assert!(proof.upper >= proof.reached * (1.0 - 1e-9) && proof.upper <= 1.0, "{proof:?}");
    }
    let without_norm = Head { norm: None, ..good.clone() };
    assert_eq!(HeadProver::new(&without_norm, Interval::ONE).err(), Some(HeadError::NoFinalNorm));
    for temperature in [Interval::ZERO, Interval::ENTIRE, Interval::new(-1.0, 1.0)] {
        assert!(matches!(HeadProver::new(&good, temperature), Err(HeadError::Temperature { .. })));
    }
    let prover = HeadProver::new(&good, Interval::ONE).unwrap();
    let beyond = good.vocab_size() as TokenId;
    assert!(matches!(
        prover.bound(beyond, &Goal::tight(), &Limits::default()),
        Err(HeadError::Token { token, .. }) if token == beyond
    ));
    let short = Head { bias: Some(Array1::zeros(1)), ..good };
    assert!(matches!(HeadProver::new(&short, Interval::ONE), Err(HeadError::Shape { found: 1, .. })));
}

#[test]
fn deciding_gives_the_same_answers_as_bounding() {
    let mut rng = rng(5);
    for _ in 0..40 {
        let head = random_head(&mut rng, Kind::Plain, 0.5);
        let tight = bounds(&head, &Goal::tight());
        let decided = bounds(&head, &Goal::decide(&[0.3]));
        for (tight, decided) in tight.iter().zip(&decided) {
            assert_eq!(tight.upper <= 0.3, decided.upper <= 0.3, "{tight:?} {decided:?}");
            assert!(decided.evaluations <= tight.evaluations);
        }
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let mut rng = rng(6);
    // The second head is beyond the size up to which the solver works in f64.
    let unembed = Array2::from_shape_fn((8_200, 520), |_| rng.random_range(-0.2f32..0.2));
    let norm = Some(Norm::Rms { gain: Array1::ones(520), eps: 1e-5 });
    let heads = [random_head(&mut rng, Kind::Plain, 1.0), Head { norm, unembed, bias: None }];
    for head in &heads {
        let tokens: Vec<TokenId> = (0..head.vocab_size().min(6) as TokenId).collect();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let prover = HeadProver::new(head, Interval::ONE).unwrap();
                let goal = Goal { tolerance: 1e-3, thresholds: Vec::new() };
                let proofs = prover.bound_all(&tokens, &goal, &Limits::default(), &|_| {}).unwrap();
                let certificates: Vec<_> = proofs.iter().map(|proof| prover.certificate(proof)).collect();
                let uppers: Vec<f64> = proofs.iter().map(|proof| proof.upper).collect();
                (uppers, certificates)
            })
        };
        let one = run(1);
        assert_eq!(one, run(3));
        for (upper, certificate) in one.0.iter().zip(&one.1) {
            // Exact weights in f64 lose less to rounding than the solver's f32.
            assert!(certificate.upper <= upper * (1.0 + 1e-9), "{upper} {}", certificate.upper);
            assert!(*upper <= certificate.upper * 1.01, "{upper} {}", certificate.upper);
        }
    }
}

#[test]
fn a_raised_stop_flag_ends_with_what_is_known() {
    let head = random_head(&mut rng(7), Kind::Plain, 1.0);
    let limits = Limits::default();
    limits.request_stop();
    let prover = HeadProver::new(&head, Interval::ONE).unwrap();
    assert_eq!(prover.bound(0, &Goal::tight(), &limits).unwrap().upper, 1.0);
}

#[test]
fn real_models_keep_their_counts_and_their_certificates_are_accepted() {
    let Some(models) = shared_models("head theorem") else { return };
    let table = [
        ("stories260K", 261),
        ("leangpt-d16-l1", 190),
        ("leangpt-d32-l2-ctx16", 165),
        ("gpt-by-hand", 31),
        ("kjv-char-l1", 1),
    ];
    for (name, expected) in table {
        let folder = ModelFolder::open(models.join(name)).unwrap();
        let head = folder.load_head().unwrap();
        let prover = HeadProver::new(&head, Interval::ONE).unwrap();
        let proofs = bounds(&head, &Goal::tight());
        let proved: Vec<_> = proofs.iter().filter(|proof| proof.upper <= 0.2f64.next_down()).collect();
        assert!(proved.len() >= expected, "{name}: {} tokens proved, {expected} before", proved.len());
        assert!(proofs.iter().all(|proof| proof.upper - proof.reached <= 2e-6 * proof.upper), "{name}");
        for proof in proved.iter().step_by(proved.len() / 15 + 1) {
            let certificate = prover.certificate(proof);
            assert!(certificate.upper <= 0.2f64.next_down());
            let threshold = Decimal::parse("0.2").unwrap();
            let predicate = Predicate::Ceiling { token: proof.token, threshold, temperature: None };
            let digest = folder.digest().to_owned();
            let statement = Statement::new(digest.clone(), Language::Any, None, predicate).to_json_bytes();
            let argument = Proof::Head { denominator: certificate.denominator, lambda: certificate.lambda };
            let certificate = Certificate::new(digest, &statement, argument).to_json_bytes();
            llmprove_proofs::check(&models.join(name), &statement, &certificate).unwrap();
        }
    }
}
