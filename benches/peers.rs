//! The domains against auto_LiRPA 0.7.1 on the same questions, one thread: widths, what is proved, seconds.
//!
//! `cargo bench --bench peers`, with ` -- A` for one kind of question and ` -- A 0.001` for one radius; `LLMPROVE_SHARED` names the folder
//! with the questions.
#![allow(clippy::unwrap_used, reason = "a failure here ends the measurement")]

#[path = "../tests/common/peers.rs"]
mod peers;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use peers::{Ball, File, Networks};

fn main() {
    llmprove::heap::keep_freed();
    let shared =
        std::env::var_os("LLMPROVE_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
    let Some((file, models)) = peers::load("peers", &shared) else { return };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        let networks = peers::networks(&models);
        let args = || std::env::args().skip(1).filter(|arg| !arg.starts_with('-'));
        let (radii, kinds): (Vec<String>, Vec<String>) = args().partition(|arg| arg.parse::<f64>().is_ok());
        let asked = |kind: &str| kinds.is_empty() || kinds.iter().any(|k| k == kind);
        let radii: Vec<f64> = radii.iter().filter_map(|arg| arg.parse().ok()).collect();
        if asked("A") {
            println!("A: ball around the embedding at position n - 2");
            balls(&file, &networks, (&file.a, &radii), |n| vec![n - 2]);
        }
        if asked("D") {
            println!("D: ball around the embedding at every position");
            balls(&file, &networks, (&file.d, &radii), |n| (0..n).collect());
        }
        if asked("B") {
            println!("B: position n - 2 holds one of k tokens; l_target - l_j against the exact maximum");
            sets(&file, &networks);
        }
        if asked("C") {
            println!(
                "C: every position but the last holds any token; l_target - l_j against the norm's ball"
            );
            free(&file, &networks);
        }
    });
}

/// What a question is answered with, and the seconds that takes: the least of three times.
fn timed<T>(answer: impl Fn() -> T) -> (T, f64) {
    let once = || {
        let start = Instant::now();
        let answer = answer();
        (answer, start.elapsed().as_secs_f64())
    };
    (0..2).map(|_| once()).fold(once(), |a, b| if b.1 < a.1 { b } else { a })
}

fn median(mut x: Vec<f64>) -> f64 {
    x.iter_mut().for_each(|x| *x = if x.is_nan() { f64::INFINITY } else { *x });
    x.sort_by(f64::total_cmp);
    let n = x.len();
    if n == 0 { f64::NAN } else { (x[(n - 1) / 2] + x[n / 2]) / 2.0 }
}

/// All questions of one kind, by layers, length and radius: the peer's best answer to each against ours.
fn balls(
    file: &File,
    networks: &Networks<'_>,
    (rows, radii): (&[Ball], &[f64]),
    positions: impl Fn(usize) -> Vec<usize>,
) {
    let mut groups: BTreeMap<(usize, usize, u64), BTreeMap<usize, Vec<&Ball>>> = BTreeMap::new();
    for row in rows.iter().filter(|row| radii.is_empty() || radii.contains(&row.eps)) {
        let key = (row.layers, row.n, row.eps.to_bits());
        groups.entry(key).or_default().entry(row.prefix).or_default().push(row);
    }
    println!("layers  n    eps   width ours      peer   proved ours peer   ms ours    peer   faster");
    for ((layers, n, eps), questions) in groups {
        let (mut ours, mut theirs, mut seconds, mut walls) = (vec![], vec![], vec![], vec![]);
        let (mut proved, mut proved_peer) = (0, 0);
        for (&prefix, answers) in &questions {
            let ((margin, _), took) =
                timed(|| answers[0].answer(&networks[&layers], file.ids(prefix, n), &positions(n)));
            seconds.push(took);
            ours.push(margin.width());
            proved += usize::from(margin.lo() > 0.0);
            let best = answers.iter().min_by(|a, b| width(a).total_cmp(&width(b))).unwrap();
            theirs.push(width(best));
            // The time of the method whose answers are of use.
            walls.push(answers.iter().map(|a| a.wall).fold(0.0, f64::max));
            proved_peer += usize::from(answers.iter().any(|a| a.proved));
        }
        let (own, peer) = (median(seconds), median(walls));
        println!(
            "{layers:6} {n:2} {:6} {:12.4} {:9.3e} {proved:8}/{} {proved_peer:4} {:9.2} {:7.0} {:8.0}",
            f64::from_bits(eps),
            median(ours),
            median(theirs),
            questions.len(),
            own * 1e3,
            peer * 1e3,
            peer / own
        );
    }
}

fn width(answer: &Ball) -> f64 {
    if answer.width.is_nan() { f64::INFINITY } else { answer.width }
}

/// Token sets: every member on its own.
fn sets(file: &File, networks: &Networks<'_>) {
    let mut groups: BTreeMap<(usize, usize, usize), Vec<&peers::Set>> = BTreeMap::new();
    for row in &file.b {
        groups.entry((row.layers, row.n, row.set.len())).or_default().push(row);
    }
    println!("layers  n   k   questions   farthest from exact   ms ours    peer   faster");
    for ((layers, n, k), rows) in groups {
        let (mut off, mut seconds, mut walls) = (0.0f64, vec![], vec![]);
        // Methods answered the same questions: each once.
        let mut seen = std::collections::BTreeSet::new();
        for row in rows {
            walls.push(row.wall);
            if seen.insert((row.prefix, row.target.clone(), row.set.clone())) {
                let (best, took) = timed(|| row.answer(&networks[&layers], file));
                seconds.push(took);
                off = off.max((best.hi() - row.exact_max).abs()).max((best.lo() - row.exact_max).abs());
            }
        }
        let (questions, own, peer) =
            (seconds.len(), median(seconds), walls.iter().copied().fold(0.0, f64::max));
        let (own_ms, peer_ms) = (own * 1e3, peer * 1e3);
        println!(
            "{layers:6} {n:2} {k:3} {questions:11} {off:21.2e} {own_ms:9.2} {peer_ms:7.0} {:8.0}",
            peer / own
        );
    }
}

/// Nothing known but the last token.
fn free(file: &File, networks: &Networks<'_>) {
    println!("layers  n target   upper ours   norm ball    seconds");
    let mut seen = std::collections::BTreeSet::new();
    for row in &file.c {
        if row.prefix == 0 && seen.insert((row.layers, row.n, row.target.clone())) {
            let start = Instant::now();
            let found = row.answer(&networks[&row.layers], file);
            let (upper, ball, seconds) = (found.hi(), row.triv[1], start.elapsed().as_secs_f64());
            println!("{:6} {:2} {:6} {upper:12.3} {ball:11.3} {seconds:10.2}", row.layers, row.n, row.target);
        }
    }
}
