//! The block prover on the shipped character model: preparing the model, and one proof over every prefix of all lengths. Through
//! two blocks, on a real model: the enclosures of what the lower one leaves, and a proof over four free tokens and a suffix.
//!
//! `cargo bench --bench block`

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{Criterion, criterion_group, criterion_main};
use llmprove::limits::Limits;
use llmprove::model::ModelFolder;
use llmprove::prove::Attempt;
use llmprove::prove::block::{Block, prove_at};
use llmprove::spec::Language;
use llmprove::spec::language::Automaton;

fn shipped(criterion: &mut Criterion) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/moby-l1");
    let model = ModelFolder::open(folder).and_then(|folder| folder.load()).expect("the shipped model loads");
    let mut group = criterion.benchmark_group("block prover on moby-l1");
    group.sample_size(10);
    group.bench_function("preparing the model", |b| b.iter(|| black_box(Block::new(&model).is_ok())));
    let block = Block::new(&model).expect("the shipped model has one block");
    // The head theorem ends at 0.1413 for this token, "X".
    group.bench_function("token X at 0.13, prefixes of at most 2 tokens", |b| {
        let attempt = Attempt::at(0.13);
        b.iter(|| black_box(prove_at(&block, 49, &attempt, 2, &Limits::default()).is_some()));
    });
    group.finish();
}

fn two_blocks(criterion: &mut Criterion) {
    let shared =
        std::env::var_os("LLMPROVE_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
    let Ok(folder) = ModelFolder::open(shared.join("models/leangpt-d32-l2-ctx16")) else {
        eprintln!("SKIPPED: two blocks: no real model; set LLMPROVE_SHARED");
        return;
    };
    let (model, vocab) =
        (folder.load().expect("the model loads"), folder.vocab().expect("it has a vocabulary"));
    let language = Language::parse("any{4} · \"and then th\"", vocab).expect("a language");
    let language = Automaton::new(&language, model.head.vocab_size()).expect("a small one");
    let limits = Limits::default();
    let prepare = || Block::within(&model, &language, model.context, &limits);
    let mut group = criterion.benchmark_group("block prover through two blocks");
    group.sample_size(10);
    group.bench_function("preparing four free tokens and a suffix", |b| {
        b.iter(|| black_box(prepare().is_ok()))
    });
    let block = prepare().expect("two blocks are covered");
    // The best prefix that is known has 0.0104.
    group.bench_function("token n at 0.15", |b| {
        let attempt = Attempt::at(0.15);
        let token = u32::from(b'n');
        b.iter(|| black_box(prove_at(&block, token, &attempt, model.context, &limits).is_some()));
    });
    group.finish();
}

criterion_group!(benches, shipped, two_blocks);
criterion_main!(benches);
