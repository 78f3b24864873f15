//! Cost of the head theorem per token, on a synthetic head of GPT-2's size and on the real models that are at hand.
//!
//! `cargo bench --bench head` prints one line per job. Arguments after `--`: a number of tokens for the large audit
//! (default 1024, `all` for the whole vocabulary), then a tolerance.

#[path = "head/synthetic.rs"]
mod synthetic;

use std::path::{Path, PathBuf};
use std::time::Instant;

use llmprove::limits::Limits;
use llmprove::model::{Head, ModelFolder, TokenId};
use llmprove::num::Interval;
use llmprove::prove::head::{Goal, HeadProof, HeadProver};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    for name in ["stories260K", "leangpt-d16-l1", "leangpt-d32-l2-ctx16", "gpt-by-hand", "kjv-char-l1"] {
        let models =
            std::env::var_os("LLMPROVE_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
        let folder = models.join("models").join(name);
        if folder.is_dir() {
            let head = ModelFolder::open(&folder)?.load_head()?;
            audit(name, &head, head.vocab_size(), &Goal::tight())?;
        }
    }

    let (vocab_size, width) = (50_257, 768);
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("synthetic-head");
    if !dir.join("model.safetensors").exists() {
        synthetic::write(&dir, vocab_size, width)?;
    }
    let start = Instant::now();
    let head = ModelFolder::open(&dir)?.load_head()?;
    println!("synthetic {vocab_size} x {width}: loaded in {:.2?}", start.elapsed());
    for token in [11, 4_000, 33_755] {
        let start = Instant::now();
        let prover = HeadProver::new(&head, Interval::ONE)?;
        let proof = prover.bound(token, &Goal::tight(), &Limits::default())?;
        let (bounded, start) = (start.elapsed(), Instant::now());
        let certificate = prover.certificate(&proof);
        println!(
            "token {token}: {:.6} <= max <= {:.6} in {bounded:.2?}, {} evaluations; certificate of {} tokens, bound {:.6}, in {:.2?}",
            proof.reached,
            proof.upper,
            proof.evaluations,
            certificate.lambda.len(),
            certificate.upper,
            start.elapsed()
        );
    }
    let n = match arguments.first().map(String::as_str) {
        Some("all") => vocab_size,
        Some(n) => n.parse()?,
        None => 1024,
    };
    let tolerance = arguments.get(1).map_or(Ok(1e-3), |t| t.parse())?;
    let stride = vocab_size / n;
    println!("every {stride}th token, tolerance {tolerance}:");
    audit("synthetic", &head, n, &Goal { tolerance, thresholds: Vec::new() })?;
    audit("synthetic, at 0.2", &head, n, &Goal { tolerance, thresholds: vec![0.2f64.next_down()] })
}

/// Bounds `n` tokens spread over the vocabulary.
fn audit(name: &str, head: &Head, n: usize, goal: &Goal) -> Result<(), Box<dyn std::error::Error>> {
    let stride = head.vocab_size() / n;
    let tokens: Vec<TokenId> = (0..n).map(|i| (i * stride) as TokenId).collect();
    let start = Instant::now();
    let prover = HeadProver::new(head, Interval::ONE)?;
    let proofs = prover.bound_all(&tokens, goal, &Limits::default(), &|_| {})?;
    let seconds = start.elapsed().as_secs_f64();
    let evaluations: usize = proofs.iter().map(|proof| proof.evaluations).sum();
    let count = |threshold: f64| proofs.iter().filter(|proof| proof.upper <= threshold).count();
    let gap = |proof: &HeadProof| (proof.upper - proof.reached) / proof.upper;
    println!(
        "{name}: {n} tokens in {seconds:.3} s, {:.1} us each, {:.1} evaluations each (most {}); bounds <= 0.2: {}, <= 0.9: {}; \
         gap mean {:.1e}, worst {:.1e}; {:.0} GFLOP/s; {} MiB resident",
        seconds / n as f64 * 1e6,
        evaluations as f64 / n as f64,
        proofs.iter().map(|proof| proof.evaluations).max().unwrap_or(0),
        count(0.2),
        count(0.9),
        proofs.iter().map(gap).sum::<f64>() / n as f64,
        proofs.iter().map(gap).fold(0.0, f64::max),
        4e-9 * (evaluations * head.unembed.len()) as f64 / seconds,
        resident_mib(),
    );
    Ok(())
}

/// Largest resident set so far, where /proc tells it.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok()).map_or(0, |kib| kib / 1024)
}
