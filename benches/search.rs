//! The witness search on the shipped character model, all tokens at once: the seeds, and a search of short prefixes to
//! its end.
//!
//! `cargo bench --bench search`

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use llmprove::limits::Limits;
use llmprove::model::{Evaluator, Model, ModelFolder, TokenId};
use llmprove::search::{Aim, Hunt, Incumbent, Leads, Target};

/// Certified lower bounds for all tokens over prefixes of at most `len` tokens, as a sum.
fn search(model: &Model, len: usize) -> f64 {
    let tokens = 0..u32::try_from(model.head.vocab_size()).expect("token ids are u32");
    let incumbents: Vec<Incumbent> = tokens.clone().map(|_| Incumbent::new()).collect();
    let target = |token: TokenId| Target { token, upper: 1.0, incumbent: &incumbents[token as usize] };
    let limits = Limits { max_len: Some(len), ..Limits::default() };
    let leads = Leads::new();
    let mut hunt = Hunt::new(Evaluator::new(model), None, tokens.map(target).collect(), &leads, &limits);
    hunt.run(Aim::Narrow { gap: 0.0 }, &limits, &|_, _| ()).expect("all tokens exist");
    incumbents.iter().map(Incumbent::lower).sum()
}

fn shipped(criterion: &mut Criterion) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/moby-l1");
    let model = ModelFolder::open(folder).and_then(|folder| folder.load()).expect("the shipped model loads");
    let mut group = criterion.benchmark_group("all tokens of moby-l1");
    group.sample_size(10);
    for len in [2, 4] {
        group.bench_function(format!("prefixes of at most {len} tokens"), |b| {
            b.iter(|| black_box(search(&model, len)));
        });
    }
    group.finish();
}

criterion_group!(benches, shipped);
criterion_main!(benches);
