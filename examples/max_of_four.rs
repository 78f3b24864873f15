//! How many of the 64⁴ inputs does a trained model provably get right, and at what price? For each M one theorem about all inputs
//! whose greatest number is M, against running the model on every one of them.
use std::error::Error;

use dashu_int::UBig;
use llmprove::limits::Limits;
use llmprove::model::ModelFolder;
use llmprove::prove::attention::{Tables, tally, tree::Effort};
use llmprove::spec::language::Automaton;
use llmprove::spec::{Language, Predicate};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = ModelFolder::open(std::env::args().nth(1).unwrap_or("models/max-of-4".into()))?;
    let model = folder.load()?;
    let tables = Tables::new(&model)?;
    let (vocab, length) = (tables.vocab, tables.context);
    let mut effort = Effort { products: tables.products, ..Effort::default() };
    let mut holds = UBig::ZERO;
    for m in 0..vocab {
        let text = format!("[id:0-{m}]{{0,3}} ~ [id:{m}] ~ [id:0-{m}]{{0,3}}");
        let language = Automaton::new(&Language::parse(&text, folder.vocab()?)?, vocab)?;
        let predicate = Predicate::AlwaysArgmax { token: m as u32 };
        let limits = Limits::default();
        let (found, own) = tally(&tables, &predicate, &language, length, &limits).ok_or("not covered")?;
        println!("{m} {found:?} {own:?}");
        holds += &found.holds;
        effort.add(own);
    }
    println!("{holds} {effort:?}");
    Ok(())
}
