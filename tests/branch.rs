//! The branch prover against enumeration, sampling, and models with a known witness.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;
#[allow(dead_code, reason = "this file uses a part of it")]
#[path = "exhaustive/oracle.rs"]
mod oracle;

use std::sync::Mutex;

use llmprove::limits::Limits;
use llmprove::model::{Model, ModelFolder, TokenId, Vocab, rigorous};
use llmprove::num::Interval;
use llmprove::prove::branch::{BestFirst, Branch, Found, Goal, Queue, State, Watch};
use llmprove::spec::Language;
use llmprove::spec::language::Automaton;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Keeps the last state.
struct Keeper {
    state: Mutex<Option<State>>,
}

impl Watch for Keeper {
    fn progress(&self, _: usize, _: u64, _: f64) {}
    fn store(&self, state: State) -> bool {
        *self.state.lock().unwrap() = Some(state);
        true
    }
}

fn language(text: &str, model: &Model) -> Language {
    Language::parse(text, &Vocab::numbered(model.head.vocab_size())).unwrap()
}

fn automaton(text: &str, model: &Model) -> Automaton {
    Automaton::new(&language(text, model), model.head.vocab_size()).unwrap()
}

fn run(branch: &Branch<'_>, tokens: &[TokenId], gap: f64, limits: &Limits) -> (Found, State) {
    let (upper, lower) = (vec![1.0; tokens.len()], vec![0.0; tokens.len()]);
    let goal = Goal { tokens, upper: &upper, lower: &lower, gap };
    let keeper = Keeper { state: Mutex::default() };
    let found = branch.run(goal, branch.start(goal), limits, &keeper).unwrap();
    (found, keeper.state.into_inner().unwrap().unwrap())
}

fn shipped(name: &str) -> Model {
    let root = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models").join(name);
    ModelFolder::open(root).unwrap().load().unwrap()
}

/// Bounds of a finished run hold the oracle's maximum, and are as narrow as was asked for.
fn compare(name: &str, model: &Model, text: &str, longest: usize, tokens: &[TokenId]) {
    let automaton = automaton(text, model);
    let branch = Branch::new(model, &automaton, longest).unwrap().evaluating(6.0);
    let maxima = tokens.iter().map(|&token| oracle::maximum(model, &language(text, model), longest, token));
    let maxima: Vec<(f64, f64)> = maxima.collect();
    for gap in [0.0, 0.02] {
        let (found, _) = run(&branch, tokens, gap, &Limits::default());
        assert!(found.complete && found.stopped.is_none());
        for (i, &token) in tokens.iter().enumerate() {
            let (lo, hi) = maxima[i];
            let best = found.closed.all[i].best.as_ref();
            let lower = best.map_or(0.0, |best| best.lower);
            let what = format!("{name} {text} {token} {gap}: [{lower}, {}] and [{lo}, {hi}]", found.upper[i]);
            assert!(found.upper[i] >= lo && lower <= hi, "{what}");
            assert!(found.upper[i] - lower <= gap + 1e-6, "{what}");
            if let Some(best) = best {
                let p = rigorous::token_probability(model, &best.prefix, token, Interval::ONE).unwrap();
                assert!(automaton.accepts(&best.prefix) && p.lo() <= best.upper && best.lower <= p.hi());
            }
        }
    }
}

#[test]
fn bounds_are_those_of_enumeration() {
    compare("moby-l2", &shipped("moby-l2"), "[id:0-4]{0,2} · [id:40-42]", 3, &[0, 17]);
    compare("moby-llama", &shipped("moby-llama"), "[id:0-4]{0,2} · [id:40-42]", 3, &[0, 17]);
    for folder in common::fixture_models() {
        let model = folder.load().unwrap();
        let name = folder.dir().display().to_string();
        let vocab = model.head.vocab_size() as TokenId;
        if Branch::new(&model, &automaton("any{1}", &model), 1).is_err() || vocab > 40 || model.context < 3 {
            continue;
        }
        compare(&name, &model, "any{0,2} · [id:1]", 3, &[0, vocab / 2, vocab - 1]);
    }
}

#[test]
fn sorted_letters_are_bounded_as_by_enumeration() {
    let Some(models) = common::shared_models("branch: nanogpt-sort-abc") else { return };
    let model = ModelFolder::open(models.join("nanogpt-sort-abc")).unwrap().load().unwrap();
    compare("nanogpt-sort-abc", &model, "any{1,3}", 3, &[0, 2]);
}

/// Bounds of open nodes hold every prefix of theirs, however early the run ends.
#[test]
fn no_prefix_of_a_node_exceeds_its_bound() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for (name, model) in common::reference_models("branch") {
        let vocab = model.head.vocab_size() as TokenId;
        if model.context < 5 || !(4..100).contains(&vocab) {
            continue;
        }
        let text = format!("[id:0-3]{{2}} · any · [id:{}] · [id:1-2]", vocab / 2);
        let automaton = automaton(&text, &model);
        let Ok(branch) = Branch::new(&model, &automaton, 5) else { continue };
        let branch = branch.evaluating(4.0);
        let tokens: Vec<TokenId> = (0..4).map(|_| rng.random_range(0..vocab)).collect();
        let (found, state) = run(&branch, &tokens, 1e-9, &moment());
        assert!(!state.open.is_empty() || found.complete, "{name}");
        for node in state.open.iter().rev().take(8) {
            for _ in 0..4 {
                let prefix: Vec<TokenId> =
                    node.sets.iter().map(|set| set[rng.random_range(0..set.len())]).collect();
                let logits = rigorous::logits(&model, &prefix).unwrap();
                for open in &node.open {
                    let p = rigorous::softmax_at(&logits, tokens[open.target], Interval::ONE);
                    assert!(p.lo() <= open.upper, "{name} {prefix:?}: {p} above {}", open.upper);
                    assert!(open.upper <= found.upper[open.target]);
                }
            }
        }
    }
}

/// Limits that end a run after some time; where it ends does not matter.
fn moment() -> Limits {
    Limits::default().within(std::time::Duration::from_millis(100))
}

#[test]
fn a_run_that_is_cut_goes_on_to_the_same_bounds() {
    let model = shipped("moby-l2");
    let automaton = automaton("[id:0-5]{3} · [id:1]", &model);
    let branch = Branch::new(&model, &automaton, 4).unwrap().evaluating(20.0);
    let tokens = [0, 1];
    let (whole, _) = run(&branch, &tokens, 0.0, &Limits::default());
    assert!(whole.complete);
    let (upper, lower) = (vec![1.0; 2], vec![0.0; 2]);
    let goal = Goal { tokens: &tokens, upper: &upper, lower: &lower, gap: 0.0 };
    // No time at all: what is stored is the start, and the bound is what was known.
    let (cut, state) = run(&branch, &tokens, 0.0, &Limits::default().within(std::time::Duration::ZERO));
    assert!(!cut.complete && cut.upper == [1.0, 1.0]);
    let text = serde_json::to_string(&state).unwrap();
    let state: State = serde_json::from_str(&text).unwrap();
    assert!(branch.fits(&state, 2) && !branch.fits(&state, 1));
    let keeper = Keeper { state: Mutex::default() };
    let resumed = branch.run(goal, state, &Limits::default(), &keeper).unwrap();
    assert_eq!((resumed.upper, resumed.closed, resumed.bounds), (whole.upper, whole.closed, whole.bounds));
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let model = shipped("moby-l2");
    let automaton = automaton("[id:0-9]{2,3}", &model);
    let branch = Branch::new(&model, &automaton, 3).unwrap().evaluating(50.0);
    let results = [1, 3].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (found, _) = pool.install(|| run(&branch, &[0, 2], 0.001, &Limits::default()));
        (found.upper.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), found.closed, found.bounds)
    });
    assert_eq!(results[0], results[1]);
}

#[test]
fn languages_that_are_too_large_are_refused() {
    let model = shipped("moby-l2");
    let mut queue = BestFirst::default();
    assert!(queue.pop().is_none() && queue.waiting() == 0);
    queue.push(llmprove::prove::branch::Node { sets: vec![vec![0]], open: vec![] }, &[]);
    assert_eq!(queue.nodes().len(), 1);
    // As many products of sets as there are ways to go through pairs of classes.
    let text = "([id:0] · [id:1] | [id:1] · [id:0] | [id:2] · [id:3])*";
    let automaton = automaton(text, &model);
    assert!(Branch::new(&model, &automaton, model.context).is_err());
    assert!(Branch::new(&model, &automaton, 4).is_ok());
    // 81^16 prefixes.
    let every = Automaton::new(&language("any", &model), model.head.vocab_size()).unwrap();
    assert!(Branch::new(&model, &every, 16).is_err());
}
