"""Reference logits for the models of a folder, with 60 decimal digits, straight from the papers' formulas.

Nothing here is shared with the Rust code: safetensors are read by hand, each family is computed one
prefix at a time. Each recorded number is the float64 nearest to the real one, so that an interval with float64 ends
that holds the real number holds the recorded one.

    python -m venv /tmp/venv && /tmp/venv/bin/pip install numpy mpmath gmpy2
    /tmp/venv/bin/python tests/reference/make.py MODELS_DIR tests/fixtures/reference
    /tmp/venv/bin/python tests/reference/make.py models tests/fixtures/reference
"""

import json
import pathlib
import struct
import sys

import mpmath as mp
import numpy as np

mp.mp.dps = 60


def widen(data, dtype):
    """Exact values of little-endian floats; bf16 is the upper half of f32."""
    if dtype == "BF16":
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    return np.frombuffer(data, {"F32": "<f4", "F16": "<f2"}[dtype])


def read_safetensors(path):
    blob = path.read_bytes()
    (n,) = struct.unpack("<Q", blob[:8])
    header = json.loads(blob[8 : 8 + n])
    header.pop("__metadata__", None)
    tensors = {}
    for name, info in header.items():
        lo, hi = info["data_offsets"]
        values = widen(blob[8 + n + lo : 8 + n + hi], info["dtype"]).reshape(info["shape"])
        # A bare body is stored without these prefixes.
        name = name.removeprefix("transformer.").removeprefix("model.").removeprefix("gpt_neox.")
        tensors[name] = pointwise(lambda x: mp.mpf(float(x)))(values)
    return tensors


def read_weights(folder):
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return read_safetensors(folder / "model.safetensors")
    shards = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    return {name: x for shard in shards for name, x in read_safetensors(folder / shard).items()}


def pointwise(f):
    return lambda x: np.vectorize(f, otypes=[object])(x)


exp, sqrt, tanh, erf, sin, cos = map(pointwise, (mp.exp, mp.sqrt, mp.tanh, mp.erf, mp.sin, mp.cos))


def mean(x):
    return x.sum(-1, keepdims=True) / mp.mpf(x.shape[-1])


def softmax(s):
    e = exp(s - s.max())
    return e / e.sum()


def layer_norm(x, g, b, eps):
    c = x - mean(x)
    return c / sqrt(mean(c * c) + eps) * g + b


def rms_norm(x, g, eps):
    return x / sqrt(mean(x * x) + eps) * g


# Decimal constants of a formula are taken as decimals; settings as the f64 that JSON gives.
ACTIVATIONS = {
    "gelu_new": lambda x: x / 2 * (1 + tanh(mp.sqrt(2 / mp.pi) * (x + mp.mpf("0.044715") * x * x * x))),
    "gelu_pytorch_tanh": lambda x: ACTIVATIONS["gelu_new"](x),
    "gelu": lambda x: x / 2 * (1 + erf(x / mp.sqrt(2))),
    "relu": pointwise(lambda x: max(x, mp.mpf(0))),
    "relu2": pointwise(lambda x: max(x, mp.mpf(0)) ** 2),
    "silu": lambda x: x / (1 + exp(-x)),
}


def attend(q, k, v, scale):
    """q, k, v: [heads, n, head_dim]; causal; returns [n, heads * head_dim]."""
    heads, n, _ = q.shape
    rows = []
    for i in range(n):
        parts = [softmax(k[h, : i + 1] @ q[h, i] * scale) @ v[h, : i + 1] for h in range(heads)]
        rows.append(np.concatenate(parts))
    return np.array(rows)


def split(x, heads):
    return x.reshape(x.shape[0], heads, -1).transpose(1, 0, 2)


def linear(x, w, name):
    """torch.nn.Linear: weight [out, in], bias if stored."""
    return x @ w[name + ".weight"].T + w.get(name + ".bias", 0)


def conv1d(x, w, name):
    """GPT-2's transposed linear map: weight [in, out], bias if stored."""
    return x @ w[name + ".weight"] + w.get(name + ".bias", 0)


def gpt2(config, w, tokens):
    d, heads, eps = config["n_embd"], config["n_head"], config.get("layer_norm_epsilon", 1e-5)
    act = ACTIVATIONS[config.get("activation_function", "gelu_new")]

    def norm(x, name):
        return layer_norm(x, w[name + ".weight"], w.get(name + ".bias", 0), eps)

    x = w["wte.weight"][tokens] + w["wpe.weight"][: len(tokens)]
    for i in range(config["n_layer"]):
        p = f"h.{i}."
        scale = 1 / mp.sqrt(d // heads) if config.get("scale_attn_weights", True) else mp.mpf(1)
        if config.get("scale_attn_by_inverse_layer_idx", False):
            scale = scale / (i + 1)
        qkv = conv1d(norm(x, p + "ln_1"), w, p + "attn.c_attn")
        q, k, v = (split(part, heads) for part in np.split(qkv, 3, axis=1))
        x = x + conv1d(attend(q, k, v, scale), w, p + "attn.c_proj")
        g = act(conv1d(norm(x, p + "ln_2"), w, p + "mlp.c_fc"))
        x = x + conv1d(g, w, p + "mlp.c_proj")
    head = "wte.weight" if config.get("tie_word_embeddings", True) else "lm_head.weight"
    return norm(x, "ln_f")[-1] @ w[head].T + w.get("lm_head.bias", 0)


def rope(x, theta):
    """Rotate halves; x: [heads, n, head_dim]."""
    half = x.shape[2] // 2
    frequency = np.array([mp.power(theta, mp.mpf(-2 * i) / x.shape[2]) for i in range(half)])
    angle = np.arange(x.shape[1])[:, None] * frequency
    a, b = x[:, :, :half], x[:, :, half:]
    return np.concatenate([a * cos(angle) - b * sin(angle), b * cos(angle) + a * sin(angle)], axis=2)


def llama(config, w, tokens):
    heads, kv_heads, eps = config["num_attention_heads"], config["num_key_value_heads"], config["rms_norm_eps"]
    act = ACTIVATIONS[config["hidden_act"]]
    theta = (config.get("rope_parameters") or config)["rope_theta"]
    x = w["embed_tokens.weight"][tokens]
    for i in range(config["num_hidden_layers"]):
        p = f"layers.{i}."
        z = rms_norm(x, w[p + "input_layernorm.weight"], eps)
        q = split(linear(z, w, p + "self_attn.q_proj"), heads)
        k = split(linear(z, w, p + "self_attn.k_proj"), kv_heads)
        if config["model_type"] == "qwen3":
            q = rms_norm(q, w[p + "self_attn.q_norm.weight"], eps)
            k = rms_norm(k, w[p + "self_attn.k_norm.weight"], eps)
        q, k = rope(q, theta), rope(k, theta)
        v = split(linear(z, w, p + "self_attn.v_proj"), kv_heads)
        k, v = (np.repeat(t, heads // kv_heads, axis=0) for t in (k, v))
        x = x + linear(attend(q, k, v, 1 / mp.sqrt(q.shape[2])), w, p + "self_attn.o_proj")
        z = rms_norm(x, w[p + "post_attention_layernorm.weight"], eps)
        g = act(linear(z, w, p + "mlp.gate_proj")) * linear(z, w, p + "mlp.up_proj")
        x = x + linear(g, w, p + "mlp.down_proj")
    z = rms_norm(x, w["norm.weight"], eps)
    head = "embed_tokens.weight" if config["tie_word_embeddings"] else "lm_head.weight"
    return z[-1] @ w[head].T


def gpt_neox(config, w, tokens):
    d, heads, eps = config["hidden_size"], config["num_attention_heads"], config["layer_norm_eps"]
    act = ACTIVATIONS[config["hidden_act"]]
    rotated = int(d // heads * config["rotary_pct"])

    def norm(x, name):
        return layer_norm(x, w[name + ".weight"], w[name + ".bias"], eps)

    def partial_rope(x):
        turned = rope(x[:, :, :rotated], config.get("rotary_emb_base", 10000))
        return np.concatenate([turned, x[:, :, rotated:]], axis=2)

    x = w["embed_in.weight"][tokens]
    for i in range(config["num_hidden_layers"]):
        p = f"layers.{i}."
        qkv = linear(norm(x, p + "input_layernorm"), w, p + "attention.query_key_value")
        # [n, heads, (query, key, value), head_dim]
        q, k, v = (t.transpose(1, 0, 2) for t in np.moveaxis(qkv.reshape(len(tokens), heads, 3, -1), 2, 0))
        o = attend(partial_rope(q), partial_rope(k), v, 1 / mp.sqrt(d // heads))
        o = linear(o, w, p + "attention.dense")
        z = x if config["use_parallel_residual"] else x + o
        g = act(linear(norm(z, p + "post_attention_layernorm"), w, p + "mlp.dense_h_to_4h"))
        x = x + o + linear(g, w, p + "mlp.dense_4h_to_h")
    head = "embed_in" if config["tie_word_embeddings"] else "embed_out"
    return norm(x, "final_layer_norm")[-1] @ w[head + ".weight"].T


def hooked_transformer(config, w, tokens):
    x = w["embed.W_E"][tokens] + w["pos_embed.W_pos"][: len(tokens)]
    for i in range(config["n_layers"]):
        p = f"blocks.{i}.attn."
        q, k, v = (np.einsum("nd,hdc->hnc", x, w[p + "W_" + s]) + w[p + "b_" + s][:, None] for s in "QKV")
        scale = config.get("attn_scale")
        o = attend(q, k, v, 1 / (mp.mpf(scale) if scale else mp.sqrt(config["d_head"])))
        heads, c, d = w[p + "W_O"].shape
        x = x + o @ w[p + "W_O"].reshape(heads * c, d) + w[p + "b_O"]
    return x[-1] @ w["unembed.W_U"] + w["unembed.b_U"]


def shifted(x):
    """Every row is the one before it; the first is zero."""
    return np.concatenate([0 * x[:1], x[:-1]])


def sigmoid(x):
    return 1 / (1 + exp(-x))


def rwkv(config, w, tokens):
    """RWKV-4 (Peng et al. 2023), the weighted averages summed directly."""
    eps, relu2 = config.get("layer_norm_epsilon", 1e-5), ACTIVATIONS["relu2"]

    def norm(x, name):
        return layer_norm(x, w[name + ".weight"], w[name + ".bias"], eps)

    def mixed(x, p, which):
        mix = w[p + "time_mix_" + which][0, 0]
        return x * mix + shifted(x) * (1 - mix)

    x = norm(w["rwkv.embeddings.weight"][tokens], "rwkv.blocks.0.pre_ln")
    for i in range(config["num_hidden_layers"]):
        p = f"rwkv.blocks.{i}."
        z, a = norm(x, p + "ln1"), p + "attention."
        k = linear(mixed(z, a, "key"), w, a + "key")
        v = linear(mixed(z, a, "value"), w, a + "value")
        r = sigmoid(linear(mixed(z, a, "receptance"), w, a + "receptance"))
        decay, first = exp(w[a + "time_decay"]), w[a + "time_first"]
        rows = []
        for t in range(len(tokens)):
            e = np.array([exp(k[j] - (t - 1 - j) * decay) for j in range(t)] + [exp(k[t] + first)])
            rows.append((e * v[: t + 1]).sum(0) / e.sum(0))
        x = x + linear(r * np.array(rows), w, a + "output")
        z, f = norm(x, p + "ln2"), p + "feed_forward."
        g = linear(relu2(linear(mixed(z, f, "key"), w, f + "key")), w, f + "value")
        x = x + sigmoid(linear(mixed(z, f, "receptance"), w, f + "receptance")) * g
    head = "rwkv.embeddings" if config.get("tie_word_embeddings", False) else "head"
    return linear(norm(x, "rwkv.ln_out"), w, head)[-1]


def rwkv7(config, w, tokens):
    """RWKV-7 (Peng et al. 2025) with the weight names of its authors."""
    eps, group_eps = config.get("layer_norm_epsilon", 1e-5), config.get("group_norm_epsilon", 64e-5)
    heads, relu2 = config["num_attention_heads"], ACTIVATIONS["relu2"]

    def norm(x, name):
        return layer_norm(x, w[name + ".weight"], w[name + ".bias"], eps)

    def mixed(x, name):
        return x + (shifted(x) - x) * w[name][0, 0]

    x = w["emb.weight"][tokens]
    if config.get("use_ln0", True):
        x = norm(x, "blocks.0.ln0")
    for i in range(config["num_hidden_layers"]):
        p = f"blocks.{i}.att."
        z = norm(x, f"blocks.{i}.ln1")
        xr, xw, xk, xv, xa, xg = (mixed(z, p + "x_" + c) for c in "rwkvag")

        def low_rank(x, c, act):
            return w[p + c + "0"][0, 0] + act(x @ w[p + c + "1"]) @ w[p + c + "2"]

        r, k, v = linear(xr, w, p + "receptance"), linear(xk, w, p + "key"), linear(xv, w, p + "value")
        decay = exp(-sigmoid(low_rank(xw, "w", tanh)) * mp.exp(mp.mpf(-1) / 2))
        if i == 0:
            v_first = v
        else:
            v = v + (v_first - v) * sigmoid(low_rank(xv, "v", lambda x: x))
        a = sigmoid(low_rank(xa, "a", lambda x: x))
        g = sigmoid(xg @ w[p + "g1"]) @ w[p + "g2"]
        kk = k * w[p + "k_k"][0, 0]
        k = k * (1 + (a - 1) * w[p + "k_a"][0, 0])
        r, decay, k, v, kk, a = (t.reshape(len(tokens), heads, -1) for t in (r, decay, k, v, kk, a))
        length = sqrt((kk * kk).sum(-1, keepdims=True))
        kk = kk / pointwise(lambda n: max(n, mp.mpf("1e-12")))(length)
        rows = []
        state = np.zeros((heads, v.shape[2], k.shape[2]), dtype=object)
        for t in range(len(tokens)):
            parts = []
            for h in range(heads):
                s = state[h]
                removed = np.outer(s @ kk[t, h], kk[t, h] * a[t, h])
                s = state[h] = s * decay[t, h] - removed + np.outer(v[t, h], k[t, h])
                y = layer_norm(s @ r[t, h], mp.mpf(1), mp.mpf(0), group_eps)
                parts.append(y)
            y = np.concatenate(parts) * w[p + "ln_x.weight"] + w[p + "ln_x.bias"]
            bonus = (r[t] * k[t] * w[p + "r_k"]).sum(-1, keepdims=True) * v[t]
            rows.append(y + bonus.reshape(-1))
        x = x + linear(np.array(rows) * g, w, p + "output")
        f = f"blocks.{i}.ffn."
        z = mixed(norm(x, f"blocks.{i}.ln2"), f + "x_k")
        x = x + linear(relu2(linear(z, w, f + "key")), w, f + "value")
    return linear(norm(x, "ln_out"), w, "head")[-1]


FAMILIES = {
    "gpt2": (gpt2, "vocab_size", "n_positions"),
    "llama": (llama, "vocab_size", "max_position_embeddings"),
    "qwen2": (llama, "vocab_size", "max_position_embeddings"),
    "qwen3": (llama, "vocab_size", "max_position_embeddings"),
    "gpt_neox": (gpt_neox, "vocab_size", "max_position_embeddings"),
    "hooked_transformer": (hooked_transformer, "d_vocab", "n_ctx"),
    "rwkv": (rwkv, "vocab_size", "context_length"),
    "rwkv7": (rwkv7, "vocab_size", "context_length"),
}


def prefixes(vocab, context):
    """A few fixed pseudo-random prefixes of several lengths, the longest one the context or 40 tokens."""
    rng = np.random.default_rng(20260101)
    lengths = sorted({1, 2, 3, min(5, context), min(16, context), min(40, context)})
    return [[int(t) for t in rng.integers(0, vocab, n)] for n in lengths]


def main():
    models, out = map(pathlib.Path, sys.argv[1:3])
    for folder in sorted(p.parent for p in models.glob("*/config.json")):
        config = json.loads((folder / "config.json").read_text())
        if config["model_type"] not in FAMILIES:
            continue
        forward, vocab, context = FAMILIES[config["model_type"]]
        weights = read_weights(folder)
        cases = []
        for prefix in prefixes(config[vocab], config[context]):
            logits = forward(config, weights, np.array(prefix))
            p = softmax(logits)
            some = sorted({0, len(p) // 2, len(p) - 1, int(np.argmax(p))})
            cases.append(
                {
                    "prefix": prefix,
                    "logits": [float(x) for x in logits],
                    "probabilities": [[t, float(p[t])] for t in some],
                }
            )
        (out / f"{folder.name}.json").write_text(json.dumps({"cases": cases}) + "\n")
        print(folder.name, len(cases), "prefixes")


if __name__ == "__main__":
    main()
