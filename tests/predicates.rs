//! Every predicate: refuted exactly where enumeration says so, head bounds above every point of the ball, certificates that
//! the independent checker accepts.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;
mod head {
    pub mod heads;
}

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use head::heads::{Kind, point_of_the_ball, probabilities, random_head, rng};
use llmprove::decide::{Decision, decide};
use llmprove::limits::Limits;
use llmprove::model::{Evaluator, ModelFolder, TokenId, Vocab};
use llmprove::num::Interval;
use llmprove::prove::head::{Goal, HeadProver};
use llmprove::spec::language::Automaton;
use llmprove::spec::{Decimal, Language, Predicate, Statement, Threshold};
use llmprove::verdict::{Answer, Prover};
use llmprove_proofs::{Verdict, check};

/// A decimal near `x`.
fn decimal(x: f64) -> Decimal {
    Decimal::parse(&format!("{x:.12}")).unwrap()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// A threshold near `p`, if it is one.
fn threshold(p: f64) -> Option<Threshold> {
    Threshold::parse(&format!("{p:.15}")).ok()
}

/// A predicate whose limit is near a given excess, in nats; or of any limit where it has none to choose.
type WithLimit = (&'static str, Box<dyn Fn(f64) -> Option<Predicate>>);

/// Every kind, about the first tokens of a vocabulary, at a temperature.
fn kinds(temperature: Option<f64>) -> Vec<WithLimit> {
    let t = move || temperature.map(decimal);
    vec![
        (
            "ceiling",
            Box::new(move |e| {
                Some(Predicate::Ceiling { token: 3, threshold: threshold(sigmoid(e))?, temperature: t() })
            }),
        ),
        (
            "set-ceiling",
            Box::new(move |e| {
                let tokens = vec![0, 2, 3];
                Some(Predicate::SetCeiling { tokens, threshold: threshold(sigmoid(e))?, temperature: t() })
            }),
        ),
        (
            "max-ceiling",
            Box::new(move |e| {
                let tokens = vec![1, 3];
                Some(Predicate::MaxCeiling { tokens, threshold: threshold(sigmoid(e))?, temperature: t() })
            }),
        ),
        (
            "floor",
            Box::new(move |e| {
                Some(Predicate::Floor { token: 2, threshold: threshold(sigmoid(-e))?, temperature: t() })
            }),
        ),
        (
            "continuation",
            Box::new(move |e| {
                let tokens = vec![3, 1, 3];
                Some(Predicate::Continuation { tokens, threshold: threshold(e.exp())?, temperature: t() })
            }),
        ),
        (
            "never-in-nucleus",
            Box::new(move |e| {
                Some(Predicate::NeverInNucleus { token: 1, mass: threshold(sigmoid(-e))?, temperature: t() })
            }),
        ),
        ("dominance", Box::new(|e| Some(Predicate::Dominance { over: 3, under: 1, margin: decimal(-e) }))),
        ("never-argmax", Box::new(|_| Some(Predicate::NeverArgmax { token: 2 }))),
        ("never-top-k", Box::new(|_| Some(Predicate::NeverTopK { token: 2, k: 3 }))),
        ("always-argmax", Box::new(|_| Some(Predicate::AlwaysArgmax { token: 0 }))),
    ]
}

fn tiny(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("proofs/tests/models").join(name)
}

/// All prefixes of a language of at most `longest` tokens.
fn prefixes(language: &Language, vocab_size: usize, longest: usize) -> Vec<Vec<TokenId>> {
    let automaton = Automaton::new(language, vocab_size).unwrap();
    let lengths = automaton.lengths(longest);
    lengths.into_iter().flat_map(|n| automaton.slice(n).unwrap().members().collect::<Vec<_>>()).collect()
}

/// The excess after each of the prefixes, by the fast evaluation.
fn scores(evaluator: Evaluator, predicate: &Predicate, prefixes: &[Vec<TokenId>]) -> Vec<f64> {
    let continuation = predicate.continuation();
    let rows: Vec<_> = (0..=continuation.len())
        .map(|n| {
            let longer: Vec<_> = prefixes.iter().map(|x| [x, &continuation[..n]].concat()).collect();
            evaluator.next_logits(&longer).unwrap()
        })
        .collect();
    let of = |i: usize| predicate.score(&rows.iter().map(|l| l.row(i).to_vec()).collect::<Vec<_>>());
    (0..prefixes.len()).map(|i| f64::from(of(i))).collect()
}

/// Decides, and has the answer checked.
fn decided(folder: &ModelFolder, statement: &Statement, provers: &[Prover]) -> Decision {
    let provers: BTreeSet<Prover> = provers.iter().copied().collect();
    let decision = decide(folder, statement, provers, &Limits::default(), &|_| {}).unwrap();
    match (&decision.files, decision.answer) {
        (None, Answer::Unknown) => {}
        (Some(files), answer) => {
            let theorem = check(folder.dir(), &files.statement, &files.certificate)
                .unwrap_or_else(|e| panic!("{statement:?} {answer:?}: {e}"));
            let expected = if answer == Answer::Proved { Verdict::Proved } else { Verdict::Refuted };
            assert_eq!(theorem.verdict, expected, "{statement:?}");
        }
        (None, answer) => panic!("{statement:?}: {answer:?} without a certificate"),
    }
    decision
}

#[test]
fn answers_agree_with_enumeration() {
    for (model, max_len) in [("tiny-gpt2", 3), ("tiny-llama", 2)] {
        let folder = ModelFolder::open(tiny(model)).unwrap();
        let network = folder.load().unwrap();
        let (evaluator, vocab_size) = (Evaluator::new(&network), folder.vocab_size());
        for language in ["any", "[id:1-3] · any{0,1} · [id:2]"] {
            let language = Language::parse(language, &Vocab::numbered(vocab_size)).unwrap();
            let all = prefixes(&language, vocab_size, max_len);
            for temperature in [None, Some(0.7)] {
                for (name, with_limit) in kinds(temperature) {
                    let some = with_limit(-0.5).or_else(|| with_limit(0.5)).unwrap();
                    let most = scores(evaluator, &some, &all).into_iter().fold(f64::NEG_INFINITY, f64::max);
                    for (gap, refuted) in [(-0.01, true), (0.01, false)] {
                        let Some(predicate) = with_limit(most + gap) else { continue };
                        // Some kinds have no limit to choose.
                        let refuted = match name {
                            "never-argmax" | "never-top-k" | "always-argmax" => most >= 0.0,
                            _ => refuted,
                        };
                        let statement =
                            Statement { language: language.clone(), max_len: Some(max_len), predicate };
                        let found = decided(&folder, &statement, &[Prover::Head, Prover::Search]);
                        let answer = found.answer;
                        assert_eq!(
                            answer == Answer::Refuted,
                            refuted,
                            "{model} {statement:?}: {most} {found:?}"
                        );
                        if let Some(witness) = found.extreme.witness {
                            assert!(all.contains(&witness.prefix), "{statement:?}: {witness:?}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn what_the_head_proves_is_true_and_accepted() {
    let mut proved = BTreeSet::new();
    for model in ["tiny-gpt2", "tiny-llama"] {
        let folder = ModelFolder::open(tiny(model)).unwrap();
        let network = folder.load().unwrap();
        let (evaluator, vocab_size) = (Evaluator::new(&network), folder.vocab_size());
        let all = prefixes(&Language::Any, vocab_size, 2);
        for temperature in [None, Some(0.6), Some(4.0)] {
            for (name, with_limit) in kinds(temperature) {
                // Generous limits first, until one is not proved.
                for excess in [8.0, 4.0, 2.0, 1.0, 0.5, 0.0, -0.5, -1.0, -2.0, -4.0] {
                    let Some(predicate) = with_limit(excess) else { continue };
                    let statement = Statement { language: Language::Any, max_len: None, predicate };
                    let found = decided(&folder, &statement, &[Prover::Head]);
                    if found.answer != Answer::Proved {
                        break;
                    }
                    proved.insert(name);
                    let most = scores(evaluator, &statement.predicate, &all);
                    let most = most.into_iter().fold(f64::NEG_INFINITY, f64::max);
                    assert!(most <= excess + 1e-4, "{model} {statement:?}: proved, but {most} occurs");
                }
            }
        }
    }
    for name in ["ceiling", "set-ceiling", "max-ceiling", "floor", "continuation"] {
        assert!(proved.contains(name), "nothing was proved about a {name}: {proved:?}");
    }
}

/// A head whose token 0 lies far below a crowd of others, everywhere.
fn crowd() -> llmprove::model::Head {
    let unembed = ndarray::Array2::from_shape_fn((9, 3), |(j, k)| ((j * 5 + k * 3) % 7) as f32 * 0.05);
    let bias = ndarray::Array1::from_shape_fn(9, |j| if j == 0 { -9.0 } else { 0.0 });
    let norm = llmprove::model::Norm::Rms { gain: ndarray::Array1::ones(3), eps: 1e-5 };
    llmprove::model::Head { norm: Some(norm), unembed, bias: Some(bias) }
}

#[test]
fn no_point_of_the_ball_exceeds_a_bound_on_an_excess() {
    let mut rng = rng(7);
    let (mut trials, mut finite) = (0, [0; 3]);
    for case in 0..160 {
        let kind = [Kind::Plain, Kind::DuplicatedRows, Kind::ZeroGains, Kind::Interior][case % 4];
        let scale = [1.0, 0.1, 0.02, 1e4, 1e-30][case / 4 % 5];
        let head = if case % 8 == 0 { crowd() } else { random_head(&mut rng, kind, scale) };
        let n = head.vocab_size();
        let temperature = [1.0, 0.5, 3.0][case % 3];
        let prover = || HeadProver::new(&head, Interval::point(temperature)).unwrap();
        let limits = Limits::default();
        let set: Vec<TokenId> = (0..n as TokenId).filter(|j| j % 3 == 0).take(n - 1).collect();
        let bounds = [
            prover().set(&set, &limits).unwrap().excess,
            prover().others(0).unwrap().excess,
            prover().not_above(0, &limits).unwrap().excess,
        ];
        bounds.iter().zip(&mut finite).for_each(|(bound, n)| *n += usize::from(bound.is_finite()));
        let maximiser = prover().bound(0, &Goal::tight(), &limits).unwrap().maximiser;
        for sample in 0..150 {
            let near = (sample % 2 == 0).then_some(&maximiser);
            let point = point_of_the_ball(&mut rng, &head, near);
            let p = probabilities(&head, &point, temperature);
            let odds = |own: &dyn Fn(usize) -> bool| {
                let part = |side: bool| (0..n).filter(|&j| own(j) == side).map(|j| p[j]).sum::<f64>();
                part(true).ln() - part(false).ln()
            };
            let excess =
                [odds(&|j| set.contains(&(j as TokenId))), odds(&|j| j != 0), odds(&|j| p[j] <= p[0])];
            for ((excess, bound), what) in excess.iter().zip(bounds).zip(["set", "others", "not above"]) {
                // Odds are infinite where a probability underflows: such a sample says nothing.
                if !excess.is_finite() {
                    continue;
                }
                // The slack covers the rounding of the sampled value alone.
                let below = *excess <= bound || excess - bound <= 1e-9 * (1.0 + excess.abs().min(1e9));
                assert!(below, "case {case} {what} of {kind:?} {scale}: {excess} > {bound}");
                trials += 1;
            }
        }
    }
    assert!(trials >= 40_000 && finite.iter().all(|&n| n >= 20), "{trials} trials, finite bounds {finite:?}");
}
