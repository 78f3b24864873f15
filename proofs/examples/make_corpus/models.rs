//! Models of a few hundred weights: every family, storage type and option of a head.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::AnyError;

/// Writes all models into folders of their own.
pub fn write(models: &Path) -> Result<(), AnyError> {
    tiny_gpt2().write(&models.join("tiny-gpt2"))?;
    tiny_gpt2_erf().write(&models.join("tiny-gpt2-erf"))?;
    tiny_llama().write(&models.join("tiny-llama"))?;
    tiny_qwen2().write(&models.join("tiny-qwen2"))?;
    tiny_neox().write(&models.join("tiny-neox"))?;
    tiny_hooked().write(&models.join("tiny-hooked"))?;
    tiny_ranks().write(&models.join("tiny-ranks"))
}

/// Tensors in the order of generation, per weight file.
struct TinyModel {
    config: Value,
    files: Vec<(&'static str, Vec<Tensor>)>,
}

struct Tensor {
    name: String,
    dtype: &'static str,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// A linear congruential generator (Knuth's MMIX constants): numbers on a grid of 1/64 within a range.
struct Random(u64);

impl Random {
    fn step(&mut self) -> i32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i32::from((self.0 >> 56) as u8) - 128
    }

    /// Values within `centre ± spread`, on a grid that BF16 and F16 hold exactly.
    fn tensor(
        &mut self,
        name: &str,
        dtype: &'static str,
        shape: &[usize],
        centre: f32,
        spread: f32,
    ) -> Tensor {
        let mut bytes = Vec::new();
        for _ in 0..shape.iter().product() {
            let x = centre + (self.step() as f32 / 128.0 * spread * 64.0).round() / 64.0;
            match dtype {
                "F32" => bytes.extend(x.to_le_bytes()),
                "BF16" => bytes.extend(&x.to_le_bytes()[2..]),
                _ => bytes.extend(half(x).to_le_bytes()),
            }
        }
        Tensor { name: name.into(), dtype, shape: shape.to_vec(), bytes }
    }
}

/// The F16 pattern of a number on the grid.
fn half(x: f32) -> u16 {
    let bits = x.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let exponent = (bits >> 23 & 255) as i32 - 127 + 15;
    if x == 0.0 { sign } else { sign | (exponent as u16) << 10 | (bits >> 13 & 1023) as u16 }
}

impl TinyModel {
    fn write(&self, dir: &Path) -> Result<(), AnyError> {
        fs::create_dir_all(dir)?;
        fs::write(dir.join("config.json"), serde_json::to_string_pretty(&self.config)? + "\n")?;
        let mut weight_map = serde_json::Map::new();
        for (file, tensors) in &self.files {
            let (mut header, mut data) = (serde_json::Map::new(), Vec::<u8>::new());
            for t in tensors {
                let offsets = [data.len(), data.len() + t.bytes.len()];
                header.insert(
                    t.name.clone(),
                    json!({"dtype": t.dtype, "shape": t.shape, "data_offsets": offsets}),
                );
                data.extend(&t.bytes);
                weight_map.insert(t.name.clone(), json!(file));
            }
            let mut header = serde_json::to_vec(&header)?;
            header.resize(header.len().next_multiple_of(8), b' ');
            let mut bytes = u64::try_from(header.len())?.to_le_bytes().to_vec();
            bytes.extend(header);
            bytes.extend(data);
            fs::write(dir.join(file), bytes)?;
        }
        if self.files.len() > 1 {
            let index = json!({"metadata": {}, "weight_map": weight_map});
            fs::write(
                dir.join("model.safetensors.index.json"),
                serde_json::to_string_pretty(&index)? + "\n",
            )?;
        }
        Ok(())
    }
}

/// One block, tied head, all biases, `gelu_new`, F32, names with `transformer.` in front.
fn tiny_gpt2() -> TinyModel {
    let (v, d, inner, context) = (8, 4, 8, 6);
    let mut r = Random(1);
    let mut t = |name: &str, shape: &[usize], centre, spread| {
        r.tensor(&format!("transformer.{name}"), "F32", shape, centre, spread)
    };
    let tensors = vec![
        t("wte.weight", &[v, d], 0.0, 1.0),
        t("wpe.weight", &[context, d], 0.0, 0.5),
        t("h.0.ln_1.weight", &[d], 1.0, 0.25),
        t("h.0.ln_1.bias", &[d], 0.0, 0.25),
        t("h.0.attn.c_attn.weight", &[d, 3 * d], 0.0, 1.0),
        t("h.0.attn.c_attn.bias", &[3 * d], 0.0, 0.25),
        t("h.0.attn.c_proj.weight", &[d, d], 0.0, 1.0),
        t("h.0.attn.c_proj.bias", &[d], 0.0, 0.25),
        t("h.0.ln_2.weight", &[d], 1.0, 0.25),
        t("h.0.ln_2.bias", &[d], 0.0, 0.25),
        t("h.0.mlp.c_fc.weight", &[d, inner], 0.0, 1.0),
        t("h.0.mlp.c_fc.bias", &[inner], 0.0, 0.25),
        t("h.0.mlp.c_proj.weight", &[inner, d], 0.0, 1.0),
        t("h.0.mlp.c_proj.bias", &[d], 0.0, 0.25),
        t("ln_f.weight", &[d], 1.0, 0.25),
        t("ln_f.bias", &[d], 0.0, 0.25),
    ];
    let config = json!({
        "model_type": "gpt2", "vocab_size": v, "n_embd": d, "n_inner": inner, "n_layer": 1, "n_head": 2,
        "n_positions": context, "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new",
        "tie_word_embeddings": true
    });
    TinyModel { config, files: vec![("model.safetensors", tensors)] }
}

/// Two blocks with mild weights, rotations of half of each head, all biases, `gelu`, F32: what the lower block leaves varies little.
fn tiny_neox() -> TinyModel {
    let (v, d, inner, context) = (7, 8, 8, 6);
    let mut r = Random(11);
    let mut t = |name: &str, shape: &[usize], centre, spread| r.tensor(name, "F32", shape, centre, spread);
    let mut tensors = vec![t("gpt_neox.embed_in.weight", &[v, d], 0.0, 1.0)];
    for layer in 0..2 {
        for (name, shape, centre, spread) in [
            ("input_layernorm.weight", &[d][..], 1.0, 0.25),
            ("input_layernorm.bias", &[d], 0.0, 0.25),
            ("post_attention_layernorm.weight", &[d], 1.0, 0.25),
            ("post_attention_layernorm.bias", &[d], 0.0, 0.25),
            ("attention.query_key_value.weight", &[3 * d, d], 0.0, 0.5),
            ("attention.query_key_value.bias", &[3 * d], 0.0, 0.25),
            ("attention.dense.weight", &[d, d], 0.0, 0.25),
            ("attention.dense.bias", &[d], 0.0, 0.25),
            ("mlp.dense_h_to_4h.weight", &[inner, d], 0.0, 0.5),
            ("mlp.dense_h_to_4h.bias", &[inner], 0.0, 0.25),
            ("mlp.dense_4h_to_h.weight", &[d, inner], 0.0, 0.5),
            ("mlp.dense_4h_to_h.bias", &[d], 0.0, 0.25),
        ] {
            tensors.push(t(&format!("gpt_neox.layers.{layer}.{name}"), shape, centre, spread));
        }
    }
    for (name, shape, centre, spread) in [
        ("gpt_neox.final_layer_norm.weight", &[d][..], 1.0, 0.25),
        ("gpt_neox.final_layer_norm.bias", &[d], 0.0, 0.25),
        ("embed_out.weight", &[v, d], 0.0, 1.0),
    ] {
        tensors.push(t(name, shape, centre, spread));
    }
    let config = json!({
        "model_type": "gpt_neox", "vocab_size": v, "hidden_size": d, "intermediate_size": inner,
        "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": context,
        "layer_norm_eps": 1e-5, "hidden_act": "gelu", "rotary_pct": 0.5, "rotary_emb_base": 10000,
        "use_parallel_residual": false, "tie_word_embeddings": false
    });
    TinyModel { config, files: vec![("model.safetensors", tensors)] }
}

/// Two blocks, own head with bias, no other biases, `gelu`, F16, scores scaled by layer, names without a prefix.
fn tiny_gpt2_erf() -> TinyModel {
    let (v, d, context) = (6, 4, 4);
    let mut r = Random(2);
    let mut t = |name: &str, shape: &[usize], centre, spread| r.tensor(name, "F16", shape, centre, spread);
    let mut tensors = vec![t("wte.weight", &[v, d], 0.0, 1.0), t("wpe.weight", &[context, d], 0.0, 0.5)];
    for i in 0..2 {
        tensors.extend([
            t(&format!("h.{i}.ln_1.weight"), &[d], 1.0, 0.25),
            t(&format!("h.{i}.attn.c_attn.weight"), &[d, 3 * d], 0.0, 1.0),
            t(&format!("h.{i}.attn.c_proj.weight"), &[d, d], 0.0, 1.0),
            t(&format!("h.{i}.ln_2.weight"), &[d], 1.0, 0.25),
            t(&format!("h.{i}.mlp.c_fc.weight"), &[d, 4 * d], 0.0, 1.0),
            t(&format!("h.{i}.mlp.c_proj.weight"), &[4 * d, d], 0.0, 1.0),
        ]);
    }
    tensors.extend([
        t("ln_f.weight", &[d], 1.0, 0.25),
        t("lm_head.weight", &[v, d], 0.0, 1.0),
        t("lm_head.bias", &[v], 0.0, 0.5),
    ]);
    let config = json!({
        "model_type": "gpt2", "vocab_size": v, "n_embd": d, "n_layer": 2, "n_head": 2, "n_positions": context,
        "layer_norm_epsilon": 1e-5, "activation_function": "gelu", "tie_word_embeddings": false,
        "scale_attn_by_inverse_layer_idx": true
    });
    TinyModel { config, files: vec![("model.safetensors", tensors)] }
}

/// One block under a head whose order of logits is known: see `order.rs`.
fn tiny_ranks() -> TinyModel {
    let (v, d, context) = (5, 3, 4);
    let mut r = Random(6);
    let mut t = |name: &str, shape: &[usize], centre, spread| r.tensor(name, "F32", shape, centre, spread);
    let tensors = vec![
        t("wte.weight", &[v, d], 0.0, 1.0),
        t("wpe.weight", &[context, d], 0.0, 0.5),
        t("h.0.ln_1.weight", &[d], 1.0, 0.25),
        t("h.0.attn.c_attn.weight", &[d, 3 * d], 0.0, 1.0),
        t("h.0.attn.c_proj.weight", &[d, d], 0.0, 1.0),
        t("h.0.ln_2.weight", &[d], 1.0, 0.25),
        t("h.0.mlp.c_fc.weight", &[d, 4 * d], 0.0, 1.0),
        t("h.0.mlp.c_proj.weight", &[4 * d, d], 0.0, 1.0),
        planted("ln_f.weight", &[d], &[1.0, 1.0, 1.0]),
        planted(
            "lm_head.weight",
            &[v, d],
            &[0.5, -0.25, -0.25, -0.25, 0.5, -0.25, -0.25, -0.25, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        ),
        planted("lm_head.bias", &[v], &[0.6, 0.6, 0.6, 0.0, 5.0]),
    ];
    let config = json!({
        "model_type": "gpt2", "vocab_size": v, "n_embd": d, "n_layer": 1, "n_head": 1, "n_positions": context,
        "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new", "tie_word_embeddings": false
    });
    TinyModel { config, files: vec![("model.safetensors", tensors)] }
}

/// A tensor of given numbers.
fn planted(name: &str, shape: &[usize], values: &[f32]) -> Tensor {
    let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    Tensor { name: name.into(), dtype: "F32", shape: shape.to_vec(), bytes }
}

/// Two query heads on one key/value head, own head, two shards of different types.
fn tiny_llama() -> TinyModel {
    let (v, d, inner, head_dim) = (8, 6, 8, 4);
    let mut r = Random(3);
    let mut t = |name: &str, dtype, shape: &[usize], centre| {
        r.tensor(name, dtype, shape, centre, if centre == 0.0 { 1.0 } else { 0.25 })
    };
    let one = vec![
        t("model.embed_tokens.weight", "BF16", &[v, d], 0.0),
        t("model.layers.0.input_layernorm.weight", "BF16", &[d], 1.0),
        t("model.layers.0.self_attn.q_proj.weight", "BF16", &[2 * head_dim, d], 0.0),
        t("model.layers.0.self_attn.k_proj.weight", "BF16", &[head_dim, d], 0.0),
        t("model.layers.0.self_attn.v_proj.weight", "BF16", &[head_dim, d], 0.0),
        t("model.layers.0.self_attn.o_proj.weight", "BF16", &[d, 2 * head_dim], 0.0),
    ];
    let two = vec![
        t("model.layers.0.post_attention_layernorm.weight", "F16", &[d], 1.0),
        t("model.layers.0.mlp.gate_proj.weight", "F16", &[inner, d], 0.0),
        t("model.layers.0.mlp.up_proj.weight", "F16", &[inner, d], 0.0),
        t("model.layers.0.mlp.down_proj.weight", "F16", &[d, inner], 0.0),
        t("model.norm.weight", "F32", &[d], 1.0),
        t("lm_head.weight", "F16", &[v, d], 0.0),
    ];
    let config = json!({
        "model_type": "llama", "vocab_size": v, "hidden_size": d, "intermediate_size": inner, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": head_dim, "max_position_embeddings": 16,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": null, "hidden_act": "silu",
        "tie_word_embeddings": false, "torch_dtype": "bfloat16"
    });
    let [first, second] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    TinyModel { config, files: vec![(first, one), (second, two)] }
}

/// Tied head, biases on queries, keys and values.
fn tiny_qwen2() -> TinyModel {
    let (v, d, inner, head_dim) = (7, 4, 6, 2);
    let mut r = Random(4);
    let mut t = |name: &str, shape: &[usize], centre| {
        r.tensor(&format!("model.{name}"), "F32", shape, centre, if centre == 0.0 { 1.0 } else { 0.25 })
    };
    let mut tensors =
        vec![t("embed_tokens.weight", &[v, d], 0.0), t("layers.0.input_layernorm.weight", &[d], 1.0)];
    for part in ["q", "k", "v"] {
        tensors.push(t(&format!("layers.0.self_attn.{part}_proj.weight"), &[2 * head_dim, d], 0.0));
        tensors.push(t(&format!("layers.0.self_attn.{part}_proj.bias"), &[2 * head_dim], 0.0));
    }
    tensors.extend([
        t("layers.0.self_attn.o_proj.weight", &[d, 2 * head_dim], 0.0),
        t("layers.0.post_attention_layernorm.weight", &[d], 1.0),
        t("layers.0.mlp.gate_proj.weight", &[inner, d], 0.0),
        t("layers.0.mlp.up_proj.weight", &[inner, d], 0.0),
        t("layers.0.mlp.down_proj.weight", &[d, inner], 0.0),
        t("norm.weight", &[d], 1.0),
    ]);
    let config = json!({
        "model_type": "qwen2", "vocab_size": v, "hidden_size": d, "intermediate_size": inner, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": head_dim, "max_position_embeddings": 16,
        "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "hidden_act": "silu", "tie_word_embeddings": true,
        "use_sliding_window": false
    });
    TinyModel { config, files: vec![("model.safetensors", tensors)] }
}

/// Two heads, no norm, no MLP.
fn tiny_hooked() -> TinyModel {
    let (v, d, heads, head_dim, context) = (6, 4, 2, 2, 4);
    let mut r = Random(5);
    let mut t = |name: &str, shape: &[usize], spread| r.tensor(name, "F32", shape, 0.0, spread);
    let mut tensors = vec![t("embed.W_E", &[v, d], 1.0), t("pos_embed.W_pos", &[context, d], 0.5)];
    for part in ["Q", "K", "V"] {
        tensors.push(t(&format!("blocks.0.attn.W_{part}"), &[heads, d, head_dim], 1.0));
        tensors.push(t(&format!("blocks.0.attn.b_{part}"), &[heads, head_dim], 0.25));
    }
    tensors.extend([
        t("blocks.0.attn.W_O", &[heads, head_dim, d], 1.0),
        t("blocks.0.attn.b_O", &[d], 0.25),
        t("unembed.W_U", &[d, v], 1.0),
        t("unembed.b_U", &[v], 0.25),
    ]);
    let config = json!({
        "model_type": "hooked_transformer", "attn_only": true, "n_layers": 1, "n_heads": heads, "d_model": d,
        "d_head": head_dim, "d_vocab": v, "n_ctx": context, "normalization_type": null,
        "positional_embedding_type": "standard", "attention_dir": "causal", "attn_scale": 1.5
    });
    TinyModel { config, files: vec![("model.safetensors", tensors)] }
}
