//! What share of all 64⁴ inputs does a trained model provably get right, and at what price?
//!
//! For each M one theorem about all inputs whose greatest number is M, with a certificate that the checker accepts, against
//! running the model on every input. `cargo run --release --example max_of_four [-- MODEL] [--enumerate]`
use std::error::Error;
use std::time::Instant;

use dashu_int::UBig;
use llmprove::certify::{attention_proof, settled};
use llmprove::limits::Limits;
use llmprove::model::{Evaluator, Model, ModelFolder, TokenId};
use llmprove::prove::attention::{Outcome, Tables, prove, tally, tree::Effort};
use llmprove::spec::language::Automaton;
use llmprove::spec::{Language, Predicate, Statement};
use rayon::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let model = arguments.iter().find(|a| !a.starts_with("--")).map_or("models/max-of-4", String::as_str);
    let folder = ModelFolder::open(model)?;
    let model = folder.load()?;
    let start = Instant::now();
    let tables = Tables::new(&model)?;
    let (vocab, length) = (tables.vocab, tables.context);
    let limits = Limits::default();
    let mut effort = Effort::default();
    let (mut right, mut wrong, mut proved) = (UBig::ZERO, UBig::ZERO, 0);
    let mut proofs = Vec::new();
    for m in 0..vocab as TokenId {
        let language = Language::parse(&greatest_is(m, length), folder.vocab()?)?;
        let automaton = Automaton::new(&language, vocab)?;
        let predicate = Predicate::AlwaysArgmax { token: m };
        let (found, own) = tally(&tables, &predicate, &automaton, length, &limits).ok_or("not covered")?;
        (right, wrong) = (right + &found.holds, wrong + &found.fails);
        effort.add(own);
        // The theorem itself repeats the same bounds.
        if let (Outcome::Proved(proof), _) = prove(&tables, &predicate, &automaton, length, &limits) {
            let statement = Statement { language, max_len: Some(length), predicate };
            proofs.push(settled(folder.digest(), &statement, attention_proof(&proof))?);
            proved += 1;
        }
    }
    let time = start.elapsed();
    let inputs = vocab.pow(length as u32) as u64;
    println!("theorems proved          {proved} of {vocab}");
    println!("certified right, wrong   {right}, {wrong} of {inputs} inputs");
    let products = tables.products() + effort.products;
    println!("parts                    {}", effort.nodes);
    println!("multiplications          {products}, and {} exponentials", effort.exponentials);
    println!("time, with certificates  {time:.1?}");

    // The cheapest enumeration reads the same tables: per input and position, one product for each logit; with partial sums
    // shared between inputs that begin alike, for the last free position only.
    let each = inputs * (length * vocab) as u64;
    let shared = inputs * vocab as u64;
    println!("enumeration              {each} multiplications, {} times as many", each / products);
    println!("  with shared sums       {shared} multiplications, {} times as many", shared / products);

    let start = Instant::now();
    let accepted = |files: &llmprove::certify::Files| {
        llmprove_proofs::check(folder.dir(), &files.statement, &files.certificate).is_ok()
    };
    let accepted = proofs.par_iter().filter(|files| accepted(files)).count();
    let bytes: usize = proofs.iter().map(|files| files.certificate.len()).sum();
    println!(
        "certificates             {accepted} accepted, {bytes} bytes together, in {:.1?}",
        start.elapsed()
    );

    if arguments.iter().any(|a| a == "--enumerate") {
        let start = Instant::now();
        let right = enumerate(&model, vocab as TokenId, length)?;
        println!("enumerated               {right} right in f32, in {:.1?}", start.elapsed());
    }
    Ok(())
}

/// All inputs of `length` numbers up to `m` with an `m` among them.
fn greatest_is(m: TokenId, length: usize) -> String {
    let with = |at: usize| {
        let rest = |n: usize| if n > 0 { format!("[id:0-{m}]{{{n}}}") } else { "()".into() };
        format!("{} · [id:{m}] · {}", rest(at), rest(length - 1 - at))
    };
    (0..length).map(with).collect::<Vec<_>>().join(" | ")
}

/// Runs the model on every input.
fn enumerate(model: &Model, vocab: TokenId, length: usize) -> Result<usize, Box<dyn Error>> {
    let evaluator = Evaluator::new(model);
    let all: Vec<TokenId> = (0..vocab).collect();
    let beginnings = (vocab as usize).pow(length as u32 - 1);
    let right = |i: usize| -> Option<usize> {
        let beginning: Vec<TokenId> =
            (0..length as u32 - 1).map(|k| (i / (vocab as usize).pow(k)) as TokenId % vocab).collect();
        let logits = evaluator.extend_all(&evaluator.cache(&beginning).ok()?, &all).ok()?;
        let greatest = beginning.iter().copied().max().unwrap_or(0);
        let is_right = |(last, row): (TokenId, ndarray::ArrayView1<'_, f32>)| {
            let m = greatest.max(last) as usize;
            row.iter().enumerate().all(|(j, l)| j == m || *l < row[m])
        };
        Some((0..).zip(logits.rows()).filter(|(last, row)| is_right((*last, *row))).count())
    };
    (0..beginnings).into_par_iter().map(right).sum::<Option<usize>>().ok_or_else(|| "cannot run".into())
}
