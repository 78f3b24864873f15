//! What is trained: the named recipes of the shipped models, and the flags that vary them.

use anyhow::{Result, anyhow, bail};
use clap::Args;

use crate::shape::{Family, Gradient, Head, Shape};
use crate::training::Training;

/// The data a model learns from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// The next character of a text.
    Text,
    /// The greatest of the tokens read, numbers below `vocabulary`.
    Maximum {
        /// Numbers `0..vocabulary`.
        vocabulary: usize,
    },
}

/// Everything that decides the weights, besides the text itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// One line for MODEL.md.
    pub summary: &'static str,
    /// What it learns.
    pub data: Data,
    /// The network.
    pub shape: Shape,
    /// The optimisation.
    pub training: Training,
}

const NAMES: [&str; 4] = ["moby-l1", "moby-l2", "moby-llama", "max-of-4"];

impl Recipe {
    /// The recipe of a shipped model; an unknown name lists the known ones.
    pub fn named(name: &str) -> Result<Self> {
        let text = Shape {
            family: Family::Gpt2,
            head: Head::Untied,
            gradient: Gradient::Full,
            context: 16,
            layers: 1,
            width: 16,
            heads: 1,
            neurons: 64,
        };
        let on_text = Training { steps: 20_000, batch: 64, rate: 4e-3, decay: 0.5, seed: 1851 };
        match name {
            "moby-l1" => Ok(Self {
                summary: "A one-layer character model of Moby-Dick in GPT-2's form, small so that statements about \
                          every prefix are decided quickly. `llmprove` uses it where no other model is named.",
                data: Data::Text,
                shape: text,
                training: on_text,
            }),
            "moby-l2" => Ok(Self {
                summary: "A two-layer character model of Moby-Dick in GPT-2's form, the deeper sibling of `moby-l1`.",
                data: Data::Text,
                shape: Shape { layers: 2, heads: 2, ..text },
                training: on_text,
            }),
            "moby-llama" => Ok(Self {
                summary: "A one-layer character model of Moby-Dick in LLaMA's form, of the size of `moby-l1`.",
                data: Data::Text,
                shape: Shape { family: Family::Llama, neurons: 40, ..text },
                training: on_text,
            }),
            "max-of-4" => Ok(Self {
                summary: "A one-layer attention-only transformer that reads four numbers below 64 and says the \
                          greatest; no norms, no MLP, no biases, so that its margins are linear in what attention \
                          reads.",
                data: Data::Maximum { vocabulary: 64 },
                shape: Shape { family: Family::BareAttention, context: 4, width: 32, neurons: 0, ..text },
                training: Training { steps: 3_000, batch: 256, rate: 3e-3, decay: 0.0, seed: 64 },
            }),
            _ => Err(anyhow!("no recipe is named `{name}`; there are {}", NAMES.join(", "))),
        }
    }
}

/// The text under `--help`.
pub fn catalogue() -> String {
    format!("Recipes: {}", NAMES.join(", "))
}

/// Flags that change a recipe, for experiments on what makes a model provable.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Changes to the recipe")]
pub struct Changes {
    /// Residual width.
    #[arg(long, value_name = "N")]
    width: Option<usize>,
    /// Blocks.
    #[arg(long, value_name = "N")]
    layers: Option<usize>,
    /// Attention heads per block; they divide the width.
    #[arg(long, value_name = "N")]
    heads: Option<usize>,
    /// Neurons per MLP.
    #[arg(long, value_name = "N")]
    neurons: Option<usize>,
    /// Longest prefix.
    #[arg(long, value_name = "N")]
    context: Option<usize>,
    /// Leave out the MLPs.
    #[arg(long)]
    attention_only: bool,
    /// Read keys and values with a stop-gradient on the residual stream, so that no position is trained to serve later
    /// ones.
    #[arg(long)]
    value_myopic: bool,
    /// Use the embedding as the head.
    #[arg(long)]
    tied: bool,
    /// Optimiser steps.
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Sequences per step.
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Peak learning rate.
    #[arg(long, value_name = "RATE")]
    rate: Option<f64>,
    /// Weight decay of matrices.
    #[arg(long, value_name = "RATE")]
    decay: Option<f64>,
    /// Seed of the initial weights and of the batches.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

impl Changes {
    /// The recipe with these flags on top; a flag that its family cannot follow is an error.
    pub fn apply(&self, recipe: Recipe) -> Result<Recipe> {
        let Recipe { summary, data, shape, training } = recipe;
        let family = match (shape.family, self.attention_only) {
            (family, false) | (family @ (Family::AttentionOnly | Family::BareAttention), true) => family,
            (Family::Gpt2, true) => Family::AttentionOnly,
            (Family::Llama, true) => {
                bail!("--attention-only goes with moby-l1 and moby-l2: LLaMA's form has MLPs")
            }
        };
        Ok(Recipe {
            summary,
            data,
            shape: Shape {
                family,
                head: if self.tied { Head::Tied } else { shape.head },
                gradient: if self.value_myopic { Gradient::ValueMyopic } else { shape.gradient },
                context: self.context.unwrap_or(shape.context),
                layers: self.layers.unwrap_or(shape.layers),
                width: self.width.unwrap_or(shape.width),
                heads: self.heads.unwrap_or(shape.heads),
                neurons: self.neurons.unwrap_or(shape.neurons),
            },
            training: Training {
                steps: self.steps.unwrap_or(training.steps),
                batch: self.batch.unwrap_or(training.batch),
                rate: self.rate.unwrap_or(training.rate),
                decay: self.decay.unwrap_or(training.decay),
                seed: self.seed.unwrap_or(training.seed),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        changes: Changes,
    }

    fn changed(flags: &[&str]) -> Recipe {
        let flags = Flags::parse_from([&["train"], flags].concat());
        flags.changes.apply(Recipe::named("moby-l1").unwrap()).unwrap()
    }

    #[test]
    fn every_listed_recipe_exists_and_makes_a_network() {
        for name in NAMES {
            Recipe::named(name).unwrap().shape.check().unwrap();
        }
        let error = Recipe::named("moby").unwrap_err().to_string();
        assert!(error.contains("moby-l1, moby-l2, moby-llama, max-of-4"), "{error}");
    }

    #[test]
    fn flags_change_the_recipe() {
        assert_eq!(changed(&[]), Recipe::named("moby-l1").unwrap());
        let shape =
            changed(&["--attention-only", "--value-myopic", "--tied", "--width=8", "--layers=3"]).shape;
        assert_eq!((shape.family, shape.gradient), (Family::AttentionOnly, Gradient::ValueMyopic));
        assert_eq!((shape.head, shape.width, shape.layers), (Head::Tied, 8, 3));
        assert_eq!(changed(&["--steps=7"]).training.steps, 7);
    }

    #[test]
    fn shapes_that_make_no_network_are_refused_with_the_way_out() {
        for (flags, expected) in [
            (vec!["--heads=3"], "choose --heads among its divisors"),
            (vec!["--heads=0"], "choose --heads among its divisors"),
            (vec!["--neurons=0"], "use --attention-only"),
            (vec!["--layers=0"], "at least one layer"),
        ] {
            let error = changed(&flags).shape.check().unwrap_err().to_string();
            assert!(error.contains(expected), "{flags:?}: {error}");
        }
    }
}
