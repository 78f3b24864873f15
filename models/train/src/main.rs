//! Trains the small models shipped under `models/`, from a fixed seed: `cargo run --release -p llmprove-train -- NAME`.
//!
//! [`recipe`] says what is trained, [`shape`], [`transformer`] and [`initial`] are the model, [`text`] and [`maximum`] are the data, [`training`]
//! is the loop, [`layout`] and [`card`] write the folder.

mod card;
mod initial;
mod layout;
mod maximum;
mod recipe;
mod sample;
mod shape;
mod task;
mod text;
mod training;
mod transformer;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::Parser;

use recipe::{Changes, Recipe};
use task::Task;
use transformer::Transformer;

/// Trains a small model and writes model.safetensors, config.json, vocab.json and MODEL.md.
#[derive(Debug, Parser)]
#[command(name = "llmprove-train", after_help = recipe::catalogue())]
struct Args {
    /// Recipe to train.
    name: String,
    /// Folder to write; by default models/NAME. Needed when a flag changes the recipe.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Training text, as models/train/fetch-text.sh writes it.
    #[arg(long, value_name = "FILE", default_value = "target/text/moby-dick.txt")]
    text: PathBuf,
    #[command(flatten)]
    changes: Changes,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let shipped = Recipe::named(&args.name)?;
    let recipe = args.changes.apply(shipped.clone())?;
    ensure!(
        recipe == shipped || args.out.is_some(),
        "the flags change the recipe `{}`: pass --out DIR, so that the shipped model stays as it is",
        args.name
    );
    let out = args.out.unwrap_or_else(|| Path::new("models").join(&args.name));

    let task = Task::load(&recipe, &args.text)?;
    let model = Transformer::new(&recipe.shape, task.vocabulary().len(), recipe.training.seed)?;
    println!("{}: {} parameters", args.name, model.parameter_count());
    training::run(&model, &task, &recipe.training)?;

    let quality = task.measure(&model)?;
    println!("{}", quality.join("\n"));
    layout::write(&model, &task.vocabulary(), &out)?;
    card::write(&out, &args.name, &recipe, &model, &task, &quality)?;
    println!("wrote {}", out.display());
    Ok(())
}
