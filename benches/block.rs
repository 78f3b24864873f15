//! The block prover on the shipped character model: preparing the model, and one proof over every prefix of all lengths.
//!
//! `cargo bench --bench block`

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use llmprove::limits::Limits;
use llmprove::model::ModelFolder;
use llmprove::prove::Attempt;
use llmprove::prove::block::{Block, prove_at};

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

criterion_group!(benches, shipped);
criterion_main!(benches);
