"""Tiny random models, one for each corner of the families that no trained model at hand has: element types, shards,
missing or extra biases, names without prefix, scale settings, activations.

    /tmp/venv/bin/python tests/reference/variants.py tests/fixtures/models
    /tmp/venv/bin/python tests/reference/make.py tests/fixtures/models tests/fixtures/reference
"""

import json
import pathlib
import struct
import sys

import numpy as np

RNG = np.random.default_rng(7)


def encode(x, dtype):
    """Bytes of an f32 array in a storage type; bf16 keeps the upper half of f32."""
    x = np.asarray(x, "<f4")
    if dtype == "BF16":
        return (x.view("<u4") >> 16).astype("<u2").tobytes()
    return x.astype({"F32": "<f4", "F16": "<f2"}[dtype]).tobytes()


def write_safetensors(path, tensors, dtype):
    header, data = {}, b""
    for name, x in tensors.items():
        blob = encode(x, dtype)
        header[name] = {"dtype": dtype, "shape": list(x.shape), "data_offsets": [len(data), len(data) + len(blob)]}
        data += blob
    head = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + data)


def random(*shape):
    return RNG.normal(0, 0.6, shape).astype("f4")


def write(folder, config, tensors, dtype="F32", shards=1):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    if shards == 1:
        return write_safetensors(folder / "model.safetensors", tensors, dtype)
    weight_map = {}
    for i in range(shards):
        file = f"model-{i + 1:05}-of-{shards:05}.safetensors"
        part = dict(list(tensors.items())[i::shards])
        write_safetensors(folder / file, part, dtype)
        weight_map.update({name: file for name in part})
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def gpt2(vocab, context, d, inner, layers, prefix, bias):
    t = {f"{prefix}wte.weight": random(vocab, d), f"{prefix}wpe.weight": random(context, d)}

    def conv1d(name, n_in, n_out):
        t[name + ".weight"] = random(n_in, n_out)
        if bias:
            t[name + ".bias"] = random(n_out)

    def norm(name):
        t[name + ".weight"] = 1 + random(d)
        if bias:
            t[name + ".bias"] = random(d)

    for i in range(layers):
        p = f"{prefix}h.{i}."
        norm(p + "ln_1")
        conv1d(p + "attn.c_attn", d, 3 * d)
        conv1d(p + "attn.c_proj", d, d)
        norm(p + "ln_2")
        conv1d(p + "mlp.c_fc", d, inner)
        conv1d(p + "mlp.c_proj", inner, d)
    norm(f"{prefix}ln_f")
    return t


def llama(vocab, d, inner, layers, heads, kv_heads, head_dim, biased):
    t = {"model.embed_tokens.weight": random(vocab, d)}

    def linear(name, n_in, n_out):
        t[name + ".weight"] = random(n_out, n_in)
        if name.rsplit(".", 1)[1] in biased:
            t[name + ".bias"] = random(n_out)

    for i in range(layers):
        p = f"model.layers.{i}."
        t[p + "input_layernorm.weight"] = 1 + random(d)
        linear(p + "self_attn.q_proj", d, heads * head_dim)
        linear(p + "self_attn.k_proj", d, kv_heads * head_dim)
        linear(p + "self_attn.v_proj", d, kv_heads * head_dim)
        linear(p + "self_attn.o_proj", heads * head_dim, d)
        t[p + "post_attention_layernorm.weight"] = 1 + random(d)
        linear(p + "mlp.gate_proj", d, inner)
        linear(p + "mlp.up_proj", d, inner)
        linear(p + "mlp.down_proj", inner, d)
    t["model.norm.weight"] = 1 + random(d)
    return t


def neox(vocab, d, inner, layers):
    t = {"gpt_neox.embed_in.weight": random(vocab, d)}
    norms(t, d, "gpt_neox.final_layer_norm")
    for i in range(layers):
        p = f"gpt_neox.layers.{i}."
        norms(t, d, p + "input_layernorm", p + "post_attention_layernorm")
        shapes = {"attention.query_key_value": (3 * d, d), "attention.dense": (d, d)}
        shapes |= {"mlp.dense_h_to_4h": (inner, d), "mlp.dense_4h_to_h": (d, inner)}
        for name, (n_out, n_in) in shapes.items():
            t[p + name + ".weight"], t[p + name + ".bias"] = random(n_out, n_in), random(n_out)
    t["embed_out.weight"] = random(vocab, d)
    return t


def hooked(vocab, context, d, layers, heads, head_dim):
    t = {"embed.W_E": random(vocab, d), "pos_embed.W_pos": random(context, d)}
    for i in range(layers):
        p = f"blocks.{i}.attn."
        for which in "QKV":
            t[p + "W_" + which] = random(heads, d, head_dim)
            t[p + "b_" + which] = random(heads, head_dim)
        t[p + "W_O"] = random(heads, head_dim, d)
        t[p + "b_O"] = random(d)
    t["unembed.W_U"] = random(d, vocab)
    t["unembed.b_U"] = random(vocab)
    return t


def norms(t, d, *names):
    for name in names:
        t[name + ".weight"], t[name + ".bias"] = 1 + random(d), random(d)


def rwkv4(vocab, d, a, inner, layers):
    t = {"rwkv.embeddings.weight": random(vocab, d)}
    norms(t, d, "rwkv.blocks.0.pre_ln", "rwkv.ln_out")
    for i in range(layers):
        p = f"rwkv.blocks.{i}."
        norms(t, d, p + "ln1", p + "ln2")
        t[p + "attention.time_decay"], t[p + "attention.time_first"] = random(a), random(a)
        t[p + "attention.output.weight"] = random(d, a)
        parts = {"attention": {"key": a, "value": a, "receptance": a}, "feed_forward": {"key": inner, "receptance": d}}
        for layer, sizes in parts.items():
            for part, size in sizes.items():
                t[f"{p}{layer}.time_mix_{part}"] = random(1, 1, d)
                t[f"{p}{layer}.{part}.weight"] = random(size, d)
        t[p + "feed_forward.value.weight"] = random(d, inner)
    return t


def rwkv7(vocab, d, heads, rank, inner, layers):
    t = {"emb.weight": random(vocab, d)}
    norms(t, d, "blocks.0.ln0", "ln_out")
    for i in range(layers):
        p = f"blocks.{i}."
        norms(t, d, p + "ln1", p + "ln2", p + "att.ln_x")
        for name in ("x_r", "x_w", "x_k", "x_v", "x_a", "x_g", "w0", "a0", "v0", "k_k", "k_a"):
            t[p + "att." + name] = random(1, 1, d)
        for part in "wavg":
            t[f"{p}att.{part}1"], t[f"{p}att.{part}2"] = random(d, rank), random(rank, d)
        t[p + "att.r_k"] = random(heads, d // heads)
        for part in ("receptance", "key", "value", "output"):
            t[f"{p}att.{part}.weight"] = random(d, d)
        t[p + "ffn.x_k"] = random(1, 1, d)
        t[p + "ffn.key.weight"], t[p + "ffn.value.weight"] = random(inner, d), random(d, inner)
    return t


def main():
    out = pathlib.Path(sys.argv[1])

    # No prefix, no biases but the head's, half precision, a stored mask, 4·d neurons, scores divided by the layer number.
    tensors = gpt2(vocab=11, context=6, d=8, inner=32, layers=2, prefix="", bias=False)
    tensors |= {"h.0.attn.bias": np.tril(np.ones((1, 1, 6, 6), "f4"))}
    tensors |= {"lm_head.weight": random(11, 8), "lm_head.bias": random(11)}
    config = {"model_type": "gpt2", "n_layer": 2, "n_head": 2, "n_embd": 8, "n_inner": None, "vocab_size": 11}
    config |= {"n_positions": 6, "activation_function": "relu", "tie_word_embeddings": False}
    config |= {"scale_attn_by_inverse_layer_idx": True, "_name_or_path": "x", "attn_pdrop": 0.1}
    write(out / "gpt2-bare-f16", config, tensors, "F16")

    # Shards in bfloat16, unscaled scores, settings left to their defaults.
    tensors = gpt2(vocab=9, context=5, d=6, inner=10, layers=1, prefix="transformer.", bias=True)
    config = {"model_type": "gpt2", "n_layer": 1, "n_head": 3, "n_embd": 6, "n_inner": 10, "vocab_size": 9}
    config |= {"n_positions": 5, "activation_function": "relu2", "scale_attn_weights": False}
    write(out / "gpt2-shards-bf16", config, tensors, "BF16", shards=2)

    # All biases, heads wider than d / n_heads, an untied head, the newer form of the rotary settings.
    all_maps = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    tensors = llama(vocab=10, d=8, inner=12, layers=2, heads=4, kv_heads=2, head_dim=4, biased=all_maps)
    tensors |= {"lm_head.weight": random(10, 8)}
    config = {"model_type": "llama", "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2}
    config |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4, "vocab_size": 10}
    config |= {"max_position_embeddings": 64, "rms_norm_eps": 1e-6, "hidden_act": "gelu_pytorch_tanh"}
    config |= {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}, "rope_scaling": None}
    config |= {"tie_word_embeddings": False, "attention_bias": True, "mlp_bias": True}
    write(out / "llama-biased", config, tensors)

    # Qwen2: biases on queries, keys and values only.
    qkv = {"q_proj", "k_proj", "v_proj"}
    tensors = llama(vocab=10, d=8, inner=12, layers=2, heads=2, kv_heads=1, head_dim=4, biased=qkv)
    config = {"model_type": "qwen2", "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2}
    config |= {"num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 10, "hidden_act": "silu"}
    config |= {"max_position_embeddings": 32, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "rope_scaling": None}
    config |= {"tie_word_embeddings": True, "use_sliding_window": False, "sliding_window": None}
    config |= {"max_window_layers": 2, "layer_types": ["full_attention", "full_attention"]}
    write(out / "qwen2", config, tensors)

    # Several heads, biases, the default scale.
    tensors = hooked(vocab=7, context=5, d=6, layers=2, heads=2, head_dim=3)
    config = {"model_type": "hooked_transformer", "attn_only": True, "n_layers": 2, "n_heads": 2, "d_model": 6}
    config |= {"d_head": 3, "d_vocab": 7, "d_vocab_out": 7, "n_ctx": 5, "normalization_type": None, "act_fn": None}
    config |= {"positional_embedding_type": "standard", "attention_dir": "causal", "use_attn_scale": True}
    write(out / "hooked-heads", config, tensors)

    # RWKV-4 with averages narrower than the residual and a tied head.
    tensors = rwkv4(vocab=7, d=8, a=6, inner=10, layers=2)
    config = {"model_type": "rwkv", "vocab_size": 7, "hidden_size": 8, "num_hidden_layers": 2, "rescale_every": 0}
    config |= {"attention_hidden_size": 6, "intermediate_size": 10, "context_length": 20, "tie_word_embeddings": True}
    write(out / "rwkv4-tied", config, tensors)

    # RWKV-7 with a norm of the embeddings, in half precision, with the unused tensors that checkpoints keep.
    tensors = rwkv7(vocab=6, d=8, heads=2, rank=3, inner=10, layers=2)
    tensors |= {"head.weight": random(6, 8)}
    config = {"model_type": "rwkv7", "vocab_size": 6, "hidden_size": 8, "num_hidden_layers": 2, "head_size": 4}
    config |= {"num_attention_heads": 2, "intermediate_size": 10, "context_length": 20}
    write(out / "rwkv7-norm-f16", config, tensors, "F16")

    # Qwen3: norms of query and key heads, grouped, heads wider than d / n_heads, in bfloat16.
    tensors = llama(vocab=10, d=8, inner=12, layers=2, heads=4, kv_heads=2, head_dim=4, biased=set())
    for i in range(2):
        for name in ("q_norm", "k_norm"):
            tensors[f"model.layers.{i}.self_attn.{name}.weight"] = 1 + random(4)
    config = {"model_type": "qwen3", "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2}
    config |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4, "vocab_size": 10}
    config |= {"max_position_embeddings": 32, "rms_norm_eps": 1e-6, "rope_theta": 1000000, "rope_scaling": None}
    config |= {"hidden_act": "silu", "tie_word_embeddings": True, "attention_bias": False}
    config |= {"use_sliding_window": False, "sliding_window": None, "max_window_layers": 2}
    write(out / "qwen3", config, tensors, "BF16")

    # GPT-NeoX: part of each head rotated, with the tables that old checkpoints keep; once as Pythia is, once one after
    # the other.
    for name, side_by_side in (("neox", True), ("neox-sequential", False)):
        tensors = neox(vocab=9, d=16, inner=16, layers=2)
        tensors |= {"gpt_neox.layers.0.attention.bias": np.tril(np.ones((1, 1, 24, 24), "f4"))}
        tensors |= {"gpt_neox.layers.0.attention.rotary_emb.inv_freq": random(1)}
        config = {"model_type": "gpt_neox", "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2}
        config |= {"num_attention_heads": 2, "vocab_size": 9, "max_position_embeddings": 24, "hidden_act": "gelu"}
        config |= {"layer_norm_eps": 1e-5, "rotary_pct": 0.25 if side_by_side else 0.75, "rotary_emb_base": 10000}
        config |= {"use_parallel_residual": side_by_side, "tie_word_embeddings": False}
        write(out / name, config, tensors, "F16")


if __name__ == "__main__":
    main()
