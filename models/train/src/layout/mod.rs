//! Writes a model as a Hugging Face style folder: model.safetensors, config.json, vocab.json.
//!
//! One file per form of the tensors and their configuration; this one writes them.

mod gpt2;
mod hooked;
mod llama;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use serde_json::{Map, Value};

use crate::shape::{Family, Shape};
use crate::transformer::{Linear, Transformer};

/// Tensors by name, sorted as the file has them.
pub type Tensors = BTreeMap<String, Tensor>;

/// Files that [`write()`] makes, in the order of their names.
pub const FILES: [&str; 3] = ["config.json", "model.safetensors", "vocab.json"];

/// Writes the three files; `vocabulary` is the text of each token id.
pub fn write(model: &Transformer, vocabulary: &[String], folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let put = |name: &str, bytes: Vec<u8>| {
        let path = folder.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    };
    let ids =
        vocabulary.iter().enumerate().map(|(id, text)| (text.clone(), id.into())).collect::<Map<_, _>>();
    put("config.json", pretty(&config(&model.shape, vocabulary.len()))?)?;
    put("vocab.json", pretty(&Value::Object(ids))?)?;
    put("model.safetensors", serialized(&tensors(model)?)?)
}

/// The configuration that goes with the tensors of [`tensors`].
fn config(shape: &Shape, vocabulary: usize) -> Value {
    match shape.family {
        Family::Gpt2 | Family::AttentionOnly => gpt2::config(shape, vocabulary),
        Family::Llama => llama::config(shape, vocabulary),
        Family::BareAttention => hooked::config(shape, vocabulary),
    }
}

/// The weights under the names of the family's layout.
pub fn tensors(model: &Transformer) -> Result<Tensors> {
    match model.shape.family {
        Family::Gpt2 | Family::AttentionOnly => gpt2::tensors(model),
        Family::Llama => llama::tensors(model),
        Family::BareAttention => hooked::tensors(model),
    }
}

/// The bias, written as zeros where the family has none, where the layout names one all the same.
fn bias(linear: &Linear) -> Result<Tensor> {
    match &linear.bias {
        Some(bias) => Ok(bias.as_tensor().clone()),
        None => zeros(linear.weight.dim(1)?),
    }
}

fn zeros(shape: impl Into<candle_core::Shape>) -> Result<Tensor> {
    Ok(Tensor::zeros(shape, DType::F32, &Device::Cpu)?)
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
    use crate::shape::{Gradient, Head};

    /// Names and shapes that a small model is written with.
    pub fn listing(family: Family, head: Head) -> Vec<String> {
        let gradient = Gradient::Full;
        let shape = Shape { family, head, gradient, context: 6, layers: 1, width: 4, heads: 2, neurons: 8 };
        let model = Transformer::new(&shape, 5, 1).unwrap();
        let tensors = tensors(&model).unwrap();
        tensors.iter().map(|(name, t)| format!("{name} {:?}", t.dims())).collect()
    }

    #[test]
    fn weights_that_are_not_finite_are_not_written() {
        let tensor = Tensor::from_slice(&[1.0f32, f32::NAN], 2, &Device::Cpu).unwrap();
        let error = serialized(&Tensors::from([("h".to_owned(), tensor)])).unwrap_err();
        assert!(error.to_string().contains("h has weights that are not finite"));
    }
}
