//! Writes a model as a Hugging Face style folder: model.safetensors, config.json, vocab.json.
//!
//! Models with MLPs take the names of `GPT2LMHeadModel`, whose linear maps are stored `[in, out]`; attention-only models
//! take those of TransformerLens' `HookedTransformer`, whose heads are stored apart.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use serde_json::{Map, Value, json};

use crate::shape::{Family, Head, Shape};
use crate::transformer::{Linear, NORM_EPS, Norm, Transformer};

/// Tensors by name, sorted as the file has them.
pub type Tensors = BTreeMap<String, Tensor>;

/// Files that [`write`] makes, in the order of their names.
pub const FILES: [&str; 3] = ["config.json", "model.safetensors", "vocab.json"];

/// Writes the three files; `vocabulary` is the text of each token id.
pub fn write(model: &Transformer, vocabulary: &[String], folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let put = |name: &str, bytes: Vec<u8>| {
        let path = folder.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    };
    let ids =
        vocabulary.iter().enumerate().map(|(id, text)| (text.clone(), json!(id))).collect::<Map<_, _>>();
    put("config.json", pretty(&config(&model.shape, vocabulary.len()))?)?;
    put("vocab.json", pretty(&Value::Object(ids))?)?;
    put("model.safetensors", serialized(&tensors(model)?)?)
}

/// The configuration that goes with the tensors of [`tensors`].
pub fn config(shape: &Shape, vocabulary: usize) -> Value {
    match shape.family {
        Family::Gpt2 => json!({
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "activation_function": "gelu_new",
            "n_layer": shape.layers,
            "n_embd": shape.width,
            "n_head": shape.heads,
            "n_inner": shape.neurons,
            "n_positions": shape.context,
            "n_ctx": shape.context,
            "vocab_size": vocabulary,
            "layer_norm_epsilon": NORM_EPS,
            "scale_attn_weights": true,
            "tie_word_embeddings": shape.head == Head::Tied,
            "attn_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "resid_pdrop": 0.0,
            "torch_dtype": "float32",
        }),
        Family::AttentionOnly | Family::BareAttention => json!({
            "model_type": "hooked_transformer",
            "attn_only": true,
            "n_layers": shape.layers,
            "n_heads": shape.heads,
            "d_model": shape.width,
            "d_head": shape.width / shape.heads,
            "d_vocab": vocabulary,
            "n_ctx": shape.context,
            "normalization_type": if shape.family.has_norms() { json!("LN") } else { Value::Null },
            "eps": NORM_EPS,
            "positional_embedding_type": "standard",
            "attention_dir": "causal",
            "attn_scale": ((shape.width / shape.heads) as f64).sqrt(),
            "d_mlp": null,
            // The unembedding is stored even where it equals the embedding.
            "tie_word_embeddings": false,
            "torch_dtype": "float32",
        }),
    }
}

/// The weights under the names of the family's layout.
pub fn tensors(model: &Transformer) -> Result<Tensors> {
    match model.shape.family {
        Family::Gpt2 => gpt2(model),
        Family::AttentionOnly | Family::BareAttention => hooked(model),
    }
}

fn gpt2(model: &Transformer) -> Result<Tensors> {
    let mut out = Tensors::new();
    let mut put = |name: String, tensor: &Tensor| out.insert(name, tensor.clone());
    put("transformer.wte.weight".into(), &model.embedding);
    put("transformer.wpe.weight".into(), &model.positions);
    let mut norms = Vec::new();
    let mut linears = Vec::new();
    for (l, block) in model.blocks.iter().enumerate() {
        let at = |part: &str| format!("transformer.h.{l}.{part}");
        let merged = |pick: fn(&Linear) -> Result<Tensor>| -> Result<Tensor> {
            Ok(Tensor::cat(
                &[pick(&block.query)?, pick(&block.key)?, pick(&block.value)?],
                candle_core::D::Minus1,
            )?)
        };
        put(at("attn.c_attn.weight"), &merged(|linear| Ok(linear.weight.as_tensor().clone()))?);
        put(at("attn.c_attn.bias"), &merged(bias)?);
        linears.push((at("attn.c_proj"), &block.output));
        norms.push((at("ln_1"), &block.attention_norm));
        if let Some(mlp) = &block.mlp {
            norms.push((at("ln_2"), &mlp.norm));
            linears.push((at("mlp.c_fc"), &mlp.up));
            linears.push((at("mlp.c_proj"), &mlp.down));
        }
    }
    norms.push(("transformer.ln_f".into(), &model.final_norm));
    for (name, norm) in norms {
        if let Norm::Layer { gain, bias } = norm {
            put(format!("{name}.weight"), gain);
            put(format!("{name}.bias"), bias);
        }
    }
    for (name, linear) in linears {
        put(format!("{name}.weight"), &linear.weight);
        put(format!("{name}.bias"), &bias(linear)?);
    }
    if let Some(head) = &model.head {
        put("lm_head.weight".into(), &head.t()?);
    }
    Ok(out)
}

fn hooked(model: &Transformer) -> Result<Tensors> {
    let Shape { width, heads, .. } = model.shape;
    let head_width = width / heads;
    let mut out = Tensors::new();
    let mut put = |name: String, tensor: Tensor| out.insert(name, tensor);
    put("embed.W_E".into(), model.embedding.as_tensor().clone());
    put("pos_embed.W_pos".into(), model.positions.as_tensor().clone());
    let mut norms = Vec::new();
    for (l, block) in model.blocks.iter().enumerate() {
        for (letter, linear) in [("Q", &block.query), ("K", &block.key), ("V", &block.value)] {
            let apart = linear.weight.reshape((width, heads, head_width))?.transpose(0, 1)?;
            put(format!("blocks.{l}.attn.W_{letter}"), apart);
            put(format!("blocks.{l}.attn.b_{letter}"), bias(linear)?.reshape((heads, head_width))?);
        }
        let apart = block.output.weight.reshape((heads, head_width, width))?;
        put(format!("blocks.{l}.attn.W_O"), apart);
        put(format!("blocks.{l}.attn.b_O"), bias(&block.output)?);
        norms.push((format!("blocks.{l}.ln1"), &block.attention_norm));
    }
    norms.push(("ln_final".into(), &model.final_norm));
    for (name, norm) in norms {
        if let Norm::Layer { gain, bias } = norm {
            put(format!("{name}.w"), gain.as_tensor().clone());
            put(format!("{name}.b"), bias.as_tensor().clone());
        }
    }
    let unembedding = match &model.head {
        Some(head) => head.as_tensor().clone(),
        None => model.embedding.t()?,
    };
    let vocabulary = unembedding.dim(1)?;
    put("unembed.W_U".into(), unembedding);
    put("unembed.b_U".into(), zeros(vocabulary)?);
    Ok(out)
}

/// The bias, written as zeros where the family has none, since both layouts name one.
fn bias(linear: &Linear) -> Result<Tensor> {
    match &linear.bias {
        Some(bias) => Ok(bias.as_tensor().clone()),
        None => zeros(linear.weight.dim(1)?),
    }
}

fn zeros(len: usize) -> Result<Tensor> {
    Ok(Tensor::zeros(len, candle_core::DType::F32, &Device::Cpu)?)
}

/// The file's bytes: tensors sorted by name, with the metadata that `transformers` asks for.
fn serialized(tensors: &Tensors) -> Result<Vec<u8>> {
    let tensors = tensors.iter().map(|(name, t)| Ok((name, t.contiguous()?))).collect::<Result<Vec<_>>>()?;
    let metadata = [("format".to_owned(), "pt".to_owned())].into_iter().collect();
    for (name, tensor) in &tensors {
        let finite = tensor.flatten_all()?.to_vec1::<f32>()?.iter().all(|w| w.is_finite());
        ensure!(finite, "{name} has weights that are not finite: lower --rate");
    }
    Ok(safetensors::serialize(tensors.iter().map(|(name, t)| (name, t)), Some(metadata))?)
}

fn pretty(value: &Value) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Gradient;

    fn listing(family: Family, head: Head) -> Vec<String> {
        let gradient = Gradient::Full;
        let shape = Shape { family, head, gradient, context: 6, layers: 1, width: 4, heads: 2, neurons: 8 };
        let model = Transformer::new(&shape, 5, 1).unwrap();
        let tensors = tensors(&model).unwrap();
        tensors.iter().map(|(name, t)| format!("{name} {:?}", t.dims())).collect()
    }

    #[test]
    fn gpt2_names_and_shapes() {
        let expected = [
            "lm_head.weight [5, 4]",
            "transformer.h.0.attn.c_attn.bias [12]",
            "transformer.h.0.attn.c_attn.weight [4, 12]",
            "transformer.h.0.attn.c_proj.bias [4]",
            "transformer.h.0.attn.c_proj.weight [4, 4]",
            "transformer.h.0.ln_1.bias [4]",
            "transformer.h.0.ln_1.weight [4]",
            "transformer.h.0.ln_2.bias [4]",
            "transformer.h.0.ln_2.weight [4]",
            "transformer.h.0.mlp.c_fc.bias [8]",
            "transformer.h.0.mlp.c_fc.weight [4, 8]",
            "transformer.h.0.mlp.c_proj.bias [4]",
            "transformer.h.0.mlp.c_proj.weight [8, 4]",
            "transformer.ln_f.bias [4]",
            "transformer.ln_f.weight [4]",
            "transformer.wpe.weight [6, 4]",
            "transformer.wte.weight [5, 4]",
        ];
        assert_eq!(listing(Family::Gpt2, Head::Untied), expected);
        assert_eq!(listing(Family::Gpt2, Head::Tied), expected[1..]);
    }

    #[test]
    fn hooked_transformer_names_and_shapes() {
        let expected = [
            "blocks.0.attn.W_K [2, 4, 2]",
            "blocks.0.attn.W_O [2, 2, 4]",
            "blocks.0.attn.W_Q [2, 4, 2]",
            "blocks.0.attn.W_V [2, 4, 2]",
            "blocks.0.attn.b_K [2, 2]",
            "blocks.0.attn.b_O [4]",
            "blocks.0.attn.b_Q [2, 2]",
            "blocks.0.attn.b_V [2, 2]",
            "embed.W_E [5, 4]",
            "pos_embed.W_pos [6, 4]",
            "unembed.W_U [4, 5]",
            "unembed.b_U [5]",
        ];
        assert_eq!(listing(Family::BareAttention, Head::Untied), expected);
        let normed = listing(Family::AttentionOnly, Head::Untied);
        let norms = normed.iter().filter(|line| !expected.contains(&line.as_str())).collect::<Vec<_>>();
        assert_eq!(norms, ["blocks.0.ln1.b [4]", "blocks.0.ln1.w [4]", "ln_final.b [4]", "ln_final.w [4]"]);
    }

    #[test]
    fn the_file_holds_the_weights_of_the_heads_apart() {
        let shape = Shape {
            family: Family::BareAttention,
            head: Head::Untied,
            gradient: Gradient::Full,
            context: 6,
            layers: 1,
            width: 4,
            heads: 2,
            neurons: 0,
        };
        let model = Transformer::new(&shape, 5, 1).unwrap();
        let bytes = serialized(&tensors(&model).unwrap()).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let stored = file.tensor("blocks.0.attn.W_Q").unwrap();
        let stored =
            stored.data().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect::<Vec<_>>();
        let own = model.blocks[0].query.weight.to_vec2::<f32>().unwrap();
        for head in 0..2 {
            for row in 0..4 {
                for column in 0..2 {
                    assert_eq!(stored[(head * 4 + row) * 2 + column], own[row][head * 2 + column]);
                }
            }
        }
    }

    #[test]
    fn weights_that_are_not_finite_are_not_written() {
        let tensor = Tensor::from_slice(&[1.0f32, f32::NAN], 2, &Device::Cpu).unwrap();
        let error = serialized(&Tensors::from([("h".to_owned(), tensor)])).unwrap_err();
        assert!(error.to_string().contains("h has weights that are not finite"));
    }
}
