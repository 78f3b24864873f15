//! The block prover against enumeration, and against witnesses it must not overrule.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::sync::Arc;

use llmprove::limits::Limits;
use llmprove::model::{Model, ModelFolder, rigorous};
use llmprove::num::{BallVec, Interval};
use llmprove::prove::block::ascent::Steps;
use llmprove::prove::block::direction::{Columns, Direction};
use llmprove::prove::block::functional::Query;
use llmprove::prove::block::hull::{Free, Hull};
use llmprove::prove::block::{Block, Scope, sound, tree};
use proptest::prelude::*;

/// One block in GPT-2's form, and one in LLaMA's: rotations, gated neurons, no centring.
fn shipped() -> &'static [(Model, Block); 2] {
    static MODELS: std::sync::OnceLock<[(Model, Block); 2]> = std::sync::OnceLock::new();
    MODELS.get_or_init(|| {
        ["moby-l1", "moby-llama"].map(|name| {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name);
            let model = ModelFolder::open(&folder).unwrap().load().unwrap();
            let block = Block::new(&model).unwrap();
            (model, block)
        })
    })
}

/// `τ(p)`, a hair high: asks for a little more than the statement.
fn query(target: usize, p: f64) -> Query {
    Query::ceiling(target, (1.0 / p - 1.0).ln() + 1e-12)
}

fn proves(block: &Block, target: usize, p: f64, longest: usize, nodes: usize) -> bool {
    let scope = Scope { shortest: 1, longest };
    let steps = Steps { most: 60, enough: -5e-5 };
    let goal = |_| query(target, p);
    tree::prove(block, &goal, &scope, steps, &Limits::default(), nodes).proof.is_some()
}

/// Largest rigorous lower end of `P(target)` over all prefixes of one and two tokens.
fn best_short(model: &Model, target: u32) -> f64 {
    let vocab = model.head.vocab_size() as u32;
    let at = |prefix: &[u32]| rigorous::token_probability(model, prefix, target, Interval::ONE).unwrap().lo();
    let ones = (0..vocab).map(|a| at(&[a]));
    let twos = (0..vocab).flat_map(|a| (0..vocab).step_by(9).map(move |b| [a, b])).map(|p| at(&p));
    ones.chain(twos).fold(0.0, f64::max)
}

#[test]
fn never_closes_below_a_known_witness() {
    for (model, block) in shipped() {
        for target in [3, 17, 30, 45, 60, 75] {
            let witness = best_short(model, target);
            let below = witness * (1.0 - 1e-6);
            assert!(!proves(block, target as usize, below, 2, 40), "token {target} at {witness}");
        }
    }
}

#[test]
fn single_tokens_are_proved_close_to_their_maximum() {
    for (model, block) in shipped() {
        for target in [3u32, 33, 75] {
            let at = |u: u32| rigorous::token_probability(model, &[u], target, Interval::ONE).unwrap().lo();
            let greatest = (0..model.head.vocab_size() as u32).map(at).fold(0.0, f64::max);
            assert!(!proves(block, target as usize, greatest * (1.0 - 1e-6), 1, 100), "token {target}");
            assert!(proves(block, target as usize, 0.5 + 0.5 * greatest, 1, 2000), "{target}: {greatest}");
        }
    }
}

/// A node that no split makes smaller is not a closed one.
#[test]
fn a_sliver_that_holds_a_violation_stays_open() {
    for (model, block) in shipped() {
        let network = &block.network;
        for (target, last) in [(3u32, 10u32), (33, 40), (75, 5)] {
            let p = rigorous::token_probability(model, &[last], target, Interval::ONE).unwrap().lo();
            // ρ of the prefix of one token, and the two neighbouring units of the certificate around it.
            let mut r = network.x.row(last as usize).to_vec();
            r.iter_mut().zip(output(block, &[last as usize])).for_each(|(r, o)| *r += o);
            let square = r.iter().map(|r| r * r).sum::<f64>() / network.width as f64;
            let unit = (1u32 << sound::SHIFT) as f64;
            let low = ((square + network.eps).sqrt().recip() * unit).floor() / unit;
            for steps in [1, 100] {
                let steps = Steps { most: steps, enough: -5e-5 };
                let question = query(target as usize, p * (1.0 - 1e-6));
                let closed = tree::closes_undivided(
                    block,
                    question,
                    (1, last as usize),
                    (low, low + 1.0 / unit),
                    steps,
                );
                assert!(!closed, "token {target} after {last} at {p}");
            }
        }
    }
}

/// Attention output of head 0 of a concrete prefix, in floats.
fn output(block: &Block, prefix: &[usize]) -> Vec<f64> {
    let network = &block.network;
    let n = prefix.len();
    let mut out = vec![0.0; network.width];
    for h in 0..network.heads {
        let q = network.query[h].row((n - 1) * network.vocab + prefix[n - 1]);
        let row = |j: usize| j * network.vocab + prefix[j];
        let scores: Vec<f64> =
            (0..n).map(|j| q.iter().zip(network.key[h].row(row(j))).map(|(a, b)| a * b).sum()).collect();
        let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
        let total: f64 = weights.iter().sum();
        for (j, w) in weights.iter().enumerate() {
            for (o, v) in out.iter_mut().zip(network.value[h].row(row(j))) {
                *o += w / total * v;
            }
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_oracle_bounds_every_prefix(
        gated in prop::bool::ANY,
        direction in prop::collection::vec(-2.0f64..2.0, 16),
        last in prop::collection::vec(0usize..81, 1..4),
        prefixes in prop::collection::vec(prop::collection::vec(0usize..81, 16), 50),
        length in 1usize..17,
        slots in prop::collection::vec(
            prop_oneof![Just((0..81).collect()), prop::collection::btree_set(0usize..81, 1..6)],
            15,
        ),
    ) {
        let (_, block) = &shipped()[usize::from(gated)];
        let mut tokens = last.clone();
        tokens.sort_unstable();
        tokens.dedup();
        let free: Vec<Vec<usize>> = slots[..length - 1].iter().map(|set| set.iter().copied().collect()).collect();
        let hull = Hull::new(&block.network, Arc::new(Free::new(free.clone())), &tokens);
        let columns = Columns::new(&block.network);
        let (lo, hi) = sound::attention_range(&block.network, &columns, &hull, &BallVec::exact(direction.clone()));
        for (i, prefix) in prefixes.iter().enumerate() {
            let mut prefix = prefix[..length].to_vec();
            prefix.iter_mut().zip(&free).for_each(|(token, held)| *token = held[*token % held.len()]);
            prefix[length - 1] = tokens[i % tokens.len()];
            let value: f64 = output(block, &prefix).iter().zip(&direction).map(|(a, b)| a * b).sum();
            prop_assert!(lo <= value + 1e-9 && value - 1e-9 <= hi, "{lo} {value} {hi}");
        }
    }
}

#[test]
fn the_oracle_is_exact_for_one_last_token() {
    let (_, block) = &shipped()[0];
    let columns = Columns::new(&block.network);
    let direction: Vec<f64> = (0..block.network.width).map(|i| ((i * 7 % 5) as f64) - 2.0).collect();
    let hull = Hull::new(&block.network, Arc::new(Free::any(&block.network, 2)), &[11]);
    let mut least = f64::INFINITY;
    for a in 0..block.network.vocab {
        for b in 0..block.network.vocab {
            let value: f64 = output(block, &[a, b, 11]).iter().zip(&direction).map(|(x, y)| x * y).sum();
            least = least.min(value);
        }
    }
    let mut table = Direction::default();
    hull.aim(&block.network, &columns, &direction, &mut table);
    let mut mu = vec![0.0; block.network.heads];
    let found = hull.minimise(&block.network, &mut table, &mut mu, None, None);
    if block.network.heads == 1 {
        assert!((found - least).abs() <= 1e-9 * (1.0 + least.abs()), "{found} {least}");
    } else {
        assert!(found <= least + 1e-9);
    }
}
