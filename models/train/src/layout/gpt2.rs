//! The form of `GPT2LMHeadModel`: linear maps are stored `[in, out]`, those of query, key and value side by side.
//!
//! The form knows no block without an MLP. Where the model has none, one of a single neuron with zero weights is written:
//! it adds exactly nothing, and every reader of GPT-2 reads the model.

use anyhow::Result;
use candle_core::{D, DType, Device, Tensor};
use serde_json::{Value, json};

use super::{Tensors, bias, zeros};
use crate::shape::{Head, Shape};
use crate::transformer::{Linear, NORM_EPS, Norm, Positions, Transformer};

/// The configuration that goes with [`tensors`].
pub fn config(shape: &Shape, vocabulary: usize) -> Value {
    json!({
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "n_layer": shape.layers,
        "n_embd": shape.width,
        "n_head": shape.heads,
        "n_inner": if shape.family.has_mlp() { shape.neurons } else { 1 },
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
    })
}

/// The weights by name.
pub fn tensors(model: &Transformer) -> Result<Tensors> {
    let mut out = Tensors::new();
    let mut put = |name: String, tensor: &Tensor| out.insert(name, tensor.clone());
    put("transformer.wte.weight".into(), &model.embedding);
    if let Positions::Learned(table) = &model.positions {
        put("transformer.wpe.weight".into(), table);
    }
    let mut norms = Vec::new();
    let mut linears = Vec::new();
    for (l, block) in model.blocks.iter().enumerate() {
        let at = |part: &str| format!("transformer.h.{l}.{part}");
        let merged = |pick: fn(&Linear) -> Result<Tensor>| -> Result<Tensor> {
            Ok(Tensor::cat(&[pick(&block.query)?, pick(&block.key)?, pick(&block.value)?], D::Minus1)?)
        };
        put(at("attn.c_attn.weight"), &merged(|linear| Ok(linear.weight.as_tensor().clone()))?);
        put(at("attn.c_attn.bias"), &merged(bias)?);
        linears.push((at("attn.c_proj"), &block.output));
        norms.push((at("ln_1"), &block.attention_norm));
        if let Some(mlp) = &block.mlp {
            norms.push((at("ln_2"), &mlp.norm));
            linears.push((at("mlp.c_fc"), &mlp.up));
            linears.push((at("mlp.c_proj"), &mlp.down));
        } else {
            let width = model.shape.width;
            put(at("ln_2.weight"), &Tensor::ones(width, DType::F32, &Device::Cpu)?);
            put(at("ln_2.bias"), &zeros(width)?);
            put(at("mlp.c_fc.weight"), &zeros((width, 1))?);
            put(at("mlp.c_fc.bias"), &zeros(1)?);
            put(at("mlp.c_proj.weight"), &zeros((1, width))?);
            put(at("mlp.c_proj.bias"), &zeros(width)?);
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

#[cfg(test)]
mod tests {
    use crate::layout::tests::listing;
    use crate::shape::{Family, Head};

    #[test]
    fn gpt2_names_and_shapes() {
        let mut expected = [
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
        expected[9] = "transformer.h.0.mlp.c_fc.bias [1]";
        expected[10] = "transformer.h.0.mlp.c_fc.weight [4, 1]";
        expected[12] = "transformer.h.0.mlp.c_proj.weight [1, 4]";
        assert_eq!(listing(Family::AttentionOnly, Head::Untied), expected);
    }
}
