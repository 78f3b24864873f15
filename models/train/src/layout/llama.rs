//! The form of `LlamaForCausalLM`: linear maps are stored `[out, in]`.

use anyhow::Result;
use serde_json::{Value, json};

use super::Tensors;
use crate::shape::{Head, Shape};
use crate::transformer::{NORM_EPS, Norm, ROTARY_BASE, Transformer};

/// The configuration that goes with [`tensors`].
pub fn config(shape: &Shape, vocabulary: usize) -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": shape.width,
        "intermediate_size": shape.neurons,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "head_dim": shape.width / shape.heads,
        "vocab_size": vocabulary,
        "max_position_embeddings": shape.context,
        "rms_norm_eps": NORM_EPS,
        "rope_theta": ROTARY_BASE,
        "rope_scaling": null,
        "attention_bias": false,
        "mlp_bias": false,
        "tie_word_embeddings": shape.head == Head::Tied,
        "torch_dtype": "float32",
    })
}

/// The weights by name.
pub fn tensors(model: &Transformer) -> Result<Tensors> {
    let mut out = Tensors::new();
    let mut put = |name: String, tensor| out.insert(format!("{name}.weight"), tensor);
    put("model.embed_tokens".into(), model.embedding.as_tensor().clone());
    let mut norms = Vec::new();
    let mut linears = Vec::new();
    for (l, block) in model.blocks.iter().enumerate() {
        let at = |part: &str| format!("model.layers.{l}.{part}");
        norms.push((at("input_layernorm"), &block.attention_norm));
        linears.push((at("self_attn.q_proj"), &block.query));
        linears.push((at("self_attn.k_proj"), &block.key));
        linears.push((at("self_attn.v_proj"), &block.value));
        linears.push((at("self_attn.o_proj"), &block.output));
        if let Some(mlp) = &block.mlp {
            norms.push((at("post_attention_layernorm"), &mlp.norm));
            linears.extend(mlp.gate.iter().map(|gate| (at("mlp.gate_proj"), gate)));
            linears.push((at("mlp.up_proj"), &mlp.up));
            linears.push((at("mlp.down_proj"), &mlp.down));
        }
    }
    norms.push(("model.norm".into(), &model.final_norm));
    for (name, norm) in norms {
        if let Norm::Rms { gain } = norm {
            put(name, gain.as_tensor().clone());
        }
    }
    for (name, linear) in linears {
        put(name, linear.weight.t()?);
    }
    if let Some(head) = &model.head {
        put("lm_head".into(), head.t()?);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use crate::layout::tests::listing;
    use crate::shape::{Family, Head};

    #[test]
    fn llama_names_and_shapes() {
        let expected = [
            "lm_head.weight [5, 4]",
            "model.embed_tokens.weight [5, 4]",
            "model.layers.0.input_layernorm.weight [4]",
            "model.layers.0.mlp.down_proj.weight [4, 8]",
            "model.layers.0.mlp.gate_proj.weight [8, 4]",
            "model.layers.0.mlp.up_proj.weight [8, 4]",
            "model.layers.0.post_attention_layernorm.weight [4]",
            "model.layers.0.self_attn.k_proj.weight [4, 4]",
            "model.layers.0.self_attn.o_proj.weight [4, 4]",
            "model.layers.0.self_attn.q_proj.weight [4, 4]",
            "model.layers.0.self_attn.v_proj.weight [4, 4]",
            "model.norm.weight [4]",
        ];
        assert_eq!(listing(Family::Llama, Head::Untied), expected);
        assert_eq!(listing(Family::Llama, Head::Tied), expected[1..]);
    }
}
