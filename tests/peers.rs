//! The domains against another tool on the same questions, a sample; `cargo bench --bench peers` prints all of them.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;
#[path = "common/peers.rs"]
mod peers;

use std::collections::BTreeMap;
use std::path::PathBuf;

use llmprove::model::Evaluator;
use peers::Ball;

/// What the peer's floats may be off by in a margin.
const FLOAT: f64 = 1e-3;

fn load(test: &str) -> Option<(peers::File, peers::Models)> {
    let models = common::shared_models(test)?;
    peers::load(test, &PathBuf::from(models.parent().unwrap()))
}

/// The answers to each question of a kind, for some prefixes.
fn questions(rows: &[Ball], prefixes: usize) -> BTreeMap<(usize, usize, u64, usize), Vec<&Ball>> {
    let mut all: BTreeMap<_, Vec<&Ball>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.prefix < prefixes) {
        all.entry((row.layers, row.n, row.eps.to_bits(), row.prefix)).or_default().push(row);
    }
    all
}

#[test]
fn balls_are_narrower_than_the_peers_and_hold_the_margin() {
    let Some((file, models)) = load("balls of peers") else { return };
    let networks = peers::networks(&models);
    let (mut asked, mut narrower, mut proved, mut proved_by_peer) = (0, 0, 0, 0);
    for (rows, everywhere) in [(&file.a, false), (&file.d, true)] {
        for ((layers, n, _, prefix), answers) in questions(rows, if everywhere { 1 } else { 2 }) {
            let question = answers[0];
            let positions: Vec<usize> = if everywhere { (0..n).collect() } else { vec![n - 2] };
            let (margin, stays) = question.answer(&networks[&layers], file.ids(prefix, n), &positions);
            let what = format!("{layers} layers, n {n}, eps {}, prefix {prefix}: {margin}", question.eps);
            let centre = question.margin;
            assert!(margin.lo() <= centre + FLOAT && centre - FLOAT <= margin.hi(), "{what}, not {centre}");
            let best = answers.iter().map(|a| a.width).filter(|w| !w.is_nan()).fold(f64::INFINITY, f64::min);
            assert!(margin.lo() > 0.0 || !stays, "{what}: stays ahead of all, but not of one");
            if !everywhere && question.eps <= 0.003 {
                assert!(margin.lo() > 0.0, "{what}: not proved");
            }
            asked += 1;
            narrower += usize::from(margin.width() < best);
            proved += usize::from(margin.lo() > 0.0);
            proved_by_peer += usize::from(answers.iter().any(|a| a.proved));
        }
    }
    // A few single answers of the peer are narrower.
    assert!(narrower * 4 >= asked * 3, "{narrower} of {asked} are narrower than the peer's");
    assert!(proved >= proved_by_peer, "{proved} proved, by the peer {proved_by_peer}");
}

#[test]
fn token_sets_have_their_exact_maximum() {
    let Some((file, models)) = load("token sets of peers") else { return };
    let networks = peers::networks(&models);
    for row in file.b.iter().filter(|row| row.prefix == 0 && row.n == 8) {
        let best = row.answer(&networks[&row.layers], &file);
        let exact = row.exact_max;
        assert!(best.width() < 1e-6 && (best.lo() - exact).abs() < FLOAT, "{best}, not {exact}");
    }
}

#[test]
fn free_positions_get_no_more_than_the_ball_and_no_less_than_a_prefix() {
    let Some((file, models)) = load("free positions of peers") else { return };
    let row = file.c.iter().find(|row| row.layers == 1 && row.n == 8).unwrap();
    let found = row.answer(&peers::networks(&models)[&1], &file);
    assert!(found.hi() <= row.triv[1] + FLOAT && found.hi().is_finite(), "{found} beyond the ball");
    let (ids, t) = (file.ids(row.prefix, row.n), file.inputs.targets[&row.target] as usize);
    let logits = Evaluator::new(&models[&1]).next_logits(&[ids.to_vec()]).unwrap();
    let margin = f64::from(logits[[0, t]] - logits[[0, row.j as usize]]);
    assert!(found.lo() <= margin + FLOAT && margin - FLOAT <= found.hi(), "{found} misses {margin}");
}
