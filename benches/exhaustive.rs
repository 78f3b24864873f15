//! Prefixes per second of the exhaustive prover on one thread: all continuations of 64 beginnings by one token, all tokens
//! asked for at once, with a threshold.
//!
//! `cargo bench --bench exhaustive`; each line names the weights that a prefix is multiplied with. Nearly all prefixes take one
//! multiply-add in floats for each of them, so that `2 · weights · prefixes/s` is the rate in operations per second; with
//! 512-bit vectors the peak is thirty-two of them a cycle, with 256-bit ones sixteen.

use std::hint::black_box;
use std::path::PathBuf;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use llmprove::limits::Limits;
use llmprove::model::{ModelFolder, TokenId};
use llmprove::prove::{Arguments, Portfolio};
use llmprove::search::Aim;
use llmprove::spec::language::TokenSet;
use llmprove::spec::{Language, Threshold};
use llmprove::verdict::Prover;

fn continuations(criterion: &mut Criterion) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread can be started");
    let shared =
        std::env::var_os("LLMPROVE_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
    for name in ["stories260K", "leangpt-d32-l2-ctx16", "kjv-char-l2"] {
        let Ok(folder) = ModelFolder::open(shared.join("models").join(name)) else {
            eprintln!("SKIPPED: {name}: no real model; set LLMPROVE_SHARED");
            continue;
        };
        let vocab_size = folder.vocab_size();
        let first = Language::Set(TokenSet::of_ranges([(0, 63)]));
        let language = Language::Seq(vec![first, Language::Set(TokenSet::vocabulary(vocab_size))]);
        let tokens: Vec<TokenId> = (0..vocab_size as TokenId).collect();
        let portfolio =
            Portfolio::open(&folder, &language, [Prover::Exhaustive].into()).expect("the model can be read");
        let mut group = criterion.benchmark_group(name);
        group.sample_size(10).throughput(Throughput::Elements(64 * vocab_size as u64));
        group.bench_function(format!("64 tokens and one more, {} weights", folder.n_weights()), |b| {
            let thresholds = [Threshold::parse("0.2").expect("a number")];
            let aim = Aim::Exceed(&thresholds);
            b.iter(|| {
                let run =
                    || portfolio.bound(&tokens, aim, Arguments::Dropped, &Limits::default(), &|_| {}).is_ok();
                black_box(pool.install(run))
            });
        });
        group.finish();
    }
}

criterion_group!(benches, continuations);
criterion_main!(benches);
