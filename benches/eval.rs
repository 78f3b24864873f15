//! Prefixes per second of the concrete evaluation, one thread: whole prefixes, one more token after a shared prefix, and
//! all substitutions of one position (the hot loop of the witness search). Time of a rigorous evaluation.
//!
//! `cargo bench --bench eval`; floating-point operations per prefix stand in each line, so that `elements/s` times that is
//! the rate of arithmetic.

use std::hint::black_box;
use std::path::PathBuf;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use llmprove::model::{Evaluator, Layer, MlpKind, Model, ModelFolder};

/// Multiplications and additions of the matrix products of one position, without the head.
fn flop_per_position(model: &Model) -> usize {
    let weights = model.body.layers.iter().map(|layer| match layer {
        Layer::Attention(a) => {
            a.query.weight.len() + a.key.weight.len() + a.value.weight.len() + a.output.weight.len()
        }
        Layer::Mlp(m) => match &m.kind {
            MlpKind::Plain { up, down } => up.weight.len() + down.weight.len(),
            MlpKind::Gated { gate, up, down } => gate.weight.len() + up.weight.len() + down.weight.len(),
        },
        // No such model is timed here.
        Layer::Parallel(_) | Layer::Norm(_) | Layer::Wkv4(_) | Layer::Wkv7(_) | Layer::ChannelMix(_) => 0,
    });
    2 * weights.sum::<usize>()
}

fn models() -> Vec<(String, Model)> {
    let shared =
        std::env::var_os("LLMPROVE_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
    let names = ["stories260K", "leangpt-d32-l2-ctx16", "leangpt-d16-l1"];
    let open = |name: &&str| {
        Some(((*name).to_owned(), ModelFolder::open(shared.join("models").join(name)).ok()?.load().ok()?))
    };
    let found: Vec<_> = names.iter().filter_map(open).collect();
    if found.is_empty() {
        eprintln!("SKIPPED: no real models; set LLMPROVE_SHARED");
    }
    found
}

fn prefixes(criterion: &mut Criterion) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread can be started");
    for (name, model) in models() {
        let evaluator = Evaluator::new(&model);
        let vocab = u32::try_from(model.head.vocab_size()).expect("token ids are u32");
        let all: Vec<u32> = (0..vocab).collect();
        let head = 2 * model.head.unembed.len();
        let mut group = criterion.benchmark_group(&name);
        group.sample_size(10).throughput(Throughput::Elements(u64::from(vocab)));
        for len in [1, 4, 8, 16] {
            let kflop = (len * flop_per_position(&model) + head) / 1000;
            let prefix: Vec<u32> = (0..len as u32).map(|i| (i * 7919 + 11) % vocab).collect();
            let whole: Vec<Vec<u32>> = all.iter().map(|&t| [&[t], &prefix[1..]].concat()).collect();
            group.bench_function(format!("whole prefix of {len}, {kflop} kFLOP"), |b| {
                b.iter(|| pool.install(|| black_box(evaluator.next_logits(&whole))));
            });
            let cache = evaluator.cache(&prefix[..len - 1]).expect("the prefix fits");
            let kflop = (flop_per_position(&model) + head) / 1000;
            group.bench_function(format!("one token after {}, {kflop} kFLOP", len - 1), |b| {
                b.iter(|| pool.install(|| black_box(evaluator.extend_all(&cache, &all))));
            });
            let kflop = ((len - len / 2) * flop_per_position(&model) + head) / 1000;
            group.bench_function(format!("substitute in the middle of {len}, {kflop} kFLOP"), |b| {
                b.iter(|| pool.install(|| black_box(evaluator.substitute(&prefix, len / 2, &all))));
            });
        }
        group.finish();
    }
}

fn rigorous(criterion: &mut Criterion) {
    for (name, model) in models() {
        let vocab = u32::try_from(model.head.vocab_size()).expect("token ids are u32");
        let prefix: Vec<u32> = (0..16).map(|i| (i * 7919 + 11) % vocab).collect();
        let mut group = criterion.benchmark_group(&name);
        group.sample_size(10).bench_function("rigorous logits after 16", |b| {
            b.iter(|| black_box(llmprove::model::rigorous::logits(&model, &prefix)));
        });
        group.finish();
    }
}

criterion_group!(benches, prefixes, rigorous);
criterion_main!(benches);
