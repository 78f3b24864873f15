"""Reference logits for the models of a folder, with 60 decimal digits, straight from the papers' formulas.

Nothing here is shared with the Rust code: safetensors are read by hand, gpt2 / llama / hooked_transformer are computed
one prefix at a time. Each recorded number is the float64 nearest to the real one, so that an interval with float64 ends
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


def read_safetensors(path):
    blob = path.read_bytes()
    (n,) = struct.unpack("<Q", blob[:8])
    header = json.loads(blob[8 : 8 + n])
    data = blob[8 + n :]
    tensors = {}
    for name, info in header.items():
        if name == "__metadata__":
            continue
        assert info["dtype"] == "F32", (name, info["dtype"])
        lo, hi = info["data_offsets"]
        tensors[name] = np.frombuffer(data[lo:hi], "<f4").reshape(info["shape"])
        tensors[name] = pointwise(lambda x: mp.mpf(float(x)))(tensors[name])
    return tensors


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
    "gelu": lambda x: x / 2 * (1 + erf(x / mp.sqrt(2))),
    "relu": pointwise(lambda x: max(x, mp.mpf(0))),
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


def gpt2(config, w, tokens):
    d, heads, eps = config["n_embd"], config["n_head"], config["layer_norm_epsilon"]
    act = ACTIVATIONS[config["activation_function"]]
    x = w["transformer.wte.weight"][tokens] + w["transformer.wpe.weight"][: len(tokens)]
    for i in range(config["n_layer"]):
        p = f"transformer.h.{i}."
        z = layer_norm(x, w[p + "ln_1.weight"], w[p + "ln_1.bias"], eps)
        qkv = z @ w[p + "attn.c_attn.weight"] + w[p + "attn.c_attn.bias"]
        q, k, v = (split(part, heads) for part in np.split(qkv, 3, axis=1))
        o = attend(q, k, v, 1 / mp.sqrt(d // heads))
        x = x + o @ w[p + "attn.c_proj.weight"] + w[p + "attn.c_proj.bias"]
        z = layer_norm(x, w[p + "ln_2.weight"], w[p + "ln_2.bias"], eps)
        g = act(z @ w[p + "mlp.c_fc.weight"] + w[p + "mlp.c_fc.bias"])
        x = x + g @ w[p + "mlp.c_proj.weight"] + w[p + "mlp.c_proj.bias"]
    z = layer_norm(x, w["transformer.ln_f.weight"], w["transformer.ln_f.bias"], eps)
    head = "transformer.wte.weight" if config["tie_word_embeddings"] else "lm_head.weight"
    return z[-1] @ w[head].T


def rope(x, theta):
    """Rotate halves; x: [heads, n, head_dim]."""
    half = x.shape[2] // 2
    frequency = np.array([mp.power(theta, mp.mpf(-2 * i) / x.shape[2]) for i in range(half)])
    angle = np.arange(x.shape[1])[:, None] * frequency
    a, b = x[:, :, :half], x[:, :, half:]
    return np.concatenate([a * cos(angle) - b * sin(angle), b * cos(angle) + a * sin(angle)], axis=2)


def llama(config, w, tokens):
    heads, kv_heads, eps = config["num_attention_heads"], config["num_key_value_heads"], config["rms_norm_eps"]
    act, theta = ACTIVATIONS[config["hidden_act"]], config["rope_theta"]
    x = w["model.embed_tokens.weight"][tokens]
    for i in range(config["num_hidden_layers"]):
        p = f"model.layers.{i}."
        z = rms_norm(x, w[p + "input_layernorm.weight"], eps)
        q = rope(split(z @ w[p + "self_attn.q_proj.weight"].T, heads), theta)
        k = rope(split(z @ w[p + "self_attn.k_proj.weight"].T, kv_heads), theta)
        v = split(z @ w[p + "self_attn.v_proj.weight"].T, kv_heads)
        k, v = (np.repeat(t, heads // kv_heads, axis=0) for t in (k, v))
        o = attend(q, k, v, 1 / mp.sqrt(q.shape[2]))
        x = x + o @ w[p + "self_attn.o_proj.weight"].T
        z = rms_norm(x, w[p + "post_attention_layernorm.weight"], eps)
        g = act(z @ w[p + "mlp.gate_proj.weight"].T) * (z @ w[p + "mlp.up_proj.weight"].T)
        x = x + g @ w[p + "mlp.down_proj.weight"].T
    z = rms_norm(x, w["model.norm.weight"], eps)
    head = "model.embed_tokens.weight" if config["tie_word_embeddings"] else "lm_head.weight"
    return z[-1] @ w[head].T


def hooked_transformer(config, w, tokens):
    x = w["embed.W_E"][tokens] + w["pos_embed.W_pos"][: len(tokens)]
    for i in range(config["n_layers"]):
        p = f"blocks.{i}.attn."
        q, k, v = (np.einsum("nd,hdc->hnc", x, w[p + "W_" + s]) + w[p + "b_" + s][:, None] for s in "QKV")
        o = attend(q, k, v, 1 / mp.mpf(config["attn_scale"]))
        heads, c, d = w[p + "W_O"].shape
        x = x + o @ w[p + "W_O"].reshape(heads * c, d) + w[p + "b_O"]
    return x[-1] @ w["unembed.W_U"] + w["unembed.b_U"]


FAMILIES = {
    "gpt2": (gpt2, "vocab_size", "n_positions"),
    "llama": (llama, "vocab_size", "max_position_embeddings"),
    "hooked_transformer": (hooked_transformer, "d_vocab", "n_ctx"),
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
        weights = read_safetensors(folder / "model.safetensors")
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
