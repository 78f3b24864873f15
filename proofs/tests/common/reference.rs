//! A plain f64 forward pass, written against the papers and not against the checker: what the enclosures must contain.

use std::collections::BTreeMap;
use std::f64::consts::PI;
use std::path::Path;

use serde_json::Value;

/// A model folder with its weights in one or several files.
pub struct Reference {
    config: Value,
    tensors: BTreeMap<String, Vec<f64>>,
}

impl Reference {
    pub fn load(dir: &Path) -> Reference {
        let config = serde_json::from_slice(&std::fs::read(dir.join("config.json")).unwrap()).unwrap();
        let mut tensors = BTreeMap::new();
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "safetensors") {
                let bytes = std::fs::read(path).unwrap();
                let size = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
                let header: BTreeMap<String, Value> = serde_json::from_slice(&bytes[8..8 + size]).unwrap();
                for (name, entry) in header.into_iter().filter(|(name, _)| name != "__metadata__") {
                    let at = |i: usize| {
                        8 + size + usize::try_from(entry["data_offsets"][i].as_u64().unwrap()).unwrap()
                    };
                    let name =
                        name.trim_start_matches("transformer.").trim_start_matches("model.").to_string();
                    tensors.insert(name, floats(entry["dtype"].as_str().unwrap(), &bytes[at(0)..at(1)]));
                }
            }
        }
        Reference { config, tensors }
    }

    fn size(&self, key: &str) -> usize {
        usize::try_from(self.config[key].as_u64().unwrap_or_else(|| panic!("{key}"))).unwrap()
    }

    fn tensor(&self, name: &str) -> &[f64] {
        self.tensors.get(name).unwrap_or_else(|| panic!("{name}"))
    }

    /// Logits after the prefix, of a model of any family.
    pub fn logits(&self, prefix: &[u32]) -> Vec<f64> {
        match self.config["model_type"].as_str().unwrap() {
            "gpt2" => self.gpt2(prefix),
            "llama" | "qwen2" => self.llama(prefix),
            _ => self.hooked(prefix),
        }
    }

    /// `P(target | prefix)` at a temperature.
    pub fn probability(&self, prefix: &[u32], target: u32, temperature: f64) -> f64 {
        let logits: Vec<f64> = self.logits(prefix).iter().map(|l| l / temperature).collect();
        softmax(&logits)[usize::try_from(target).unwrap()]
    }

    /// The head theorem's bound for weights λ over other tokens, straight from its formula.
    pub fn head_bound(&self, target: usize, lambda: &[(usize, f64)], temperature: f64) -> f64 {
        let is_gpt2 = self.config["model_type"] == "gpt2";
        let gain = self.tensor(if is_gpt2 { "ln_f.weight" } else { "norm.weight" });
        let shift = self.tensors.get("ln_f.bias");
        let embed = if is_gpt2 { "wte.weight" } else { "embed_tokens.weight" };
        let unembed =
            self.tensor(if self.tensors.contains_key("lm_head.weight") { "lm_head.weight" } else { embed });
        let d = gain.len();
        let row = |j: usize| &unembed[j * d..(j + 1) * d];
        let constant = |j: usize| {
            let of_shift = shift.map_or(0.0, |b| row(j).iter().zip(b).map(|(u, b)| u * b).sum());
            of_shift + self.tensors.get("lm_head.bias").map_or(0.0, |b| b[j])
        };
        let (mut g, mut c, mut entropy) = (vec![0.0; d], 0.0, 0.0);
        for (j, weight) in lambda {
            c += weight * (constant(*j) - constant(target));
            entropy -= weight * weight.ln();
            for i in 0..d {
                g[i] += weight * gain[i] * (row(*j)[i] - row(target)[i]);
            }
        }
        if is_gpt2 {
            let mean = g.iter().sum::<f64>() / d as f64;
            g.iter_mut().for_each(|g| *g -= mean);
        }
        let norm = g.iter().map(|g| g * g).sum::<f64>().sqrt();
        1.0 / (1.0 + (entropy + (c - (d as f64).sqrt() * norm) / temperature).exp())
    }

    /// `y = x W (+ b)`, `W [in, out]`.
    fn conv1d(&self, x: &[f64], name: &str) -> Vec<f64> {
        let (weight, n_out) =
            (self.tensor(&format!("{name}.weight")), self.tensor(&format!("{name}.weight")).len() / x.len());
        let bias = self.tensors.get(&format!("{name}.bias"));
        (0..n_out)
            .map(|o| {
                x.iter().enumerate().map(|(i, x)| x * weight[i * n_out + o]).sum::<f64>()
                    + bias.map_or(0.0, |b| b[o])
            })
            .collect()
    }

    /// `y = W x`, `W [out, in]`.
    fn linear(&self, x: &[f64], name: &str) -> Vec<f64> {
        self.tensor(name).chunks(x.len()).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
    }

    fn layer_norm(&self, x: &[f64], name: &str) -> Vec<f64> {
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
        let scale = 1.0 / (variance + self.config["layer_norm_epsilon"].as_f64().unwrap()).sqrt();
        let (gain, shift) =
            (self.tensor(&format!("{name}.weight")), self.tensors.get(&format!("{name}.bias")));
        (0..x.len()).map(|i| (x[i] - mean) * scale * gain[i] + shift.map_or(0.0, |b| b[i])).collect()
    }

    fn rms_norm(&self, x: &[f64], name: &str) -> Vec<f64> {
        let mean_square = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
        let scale = 1.0 / (mean_square + self.config["rms_norm_eps"].as_f64().unwrap()).sqrt();
        x.iter().zip(self.tensor(name)).map(|(x, g)| x * scale * g).collect()
    }

    fn gpt2(&self, prefix: &[u32]) -> Vec<f64> {
        let (d, n_heads) = (self.size("n_embd"), self.size("n_head"));
        let mut x = self.embed(prefix, "wte.weight", Some("wpe.weight"), d);
        for layer in 0..self.size("n_layer") {
            let name = format!("h.{layer}");
            let qkv: Vec<Vec<f64>> = x
                .iter()
                .map(|x| {
                    self.conv1d(&self.layer_norm(x, &format!("{name}.ln_1")), &format!("{name}.attn.c_attn"))
                })
                .collect();
            let part = |i: usize| qkv.iter().map(|row| row[i * d..(i + 1) * d].to_vec()).collect::<Vec<_>>();
            let by_layer = self.config["scale_attn_by_inverse_layer_idx"].as_bool().unwrap_or(false);
            let scale = ((d / n_heads) as f64).sqrt() * if by_layer { layer as f64 + 1.0 } else { 1.0 };
            let mixed = attention(&part(0), &part(1), &part(2), n_heads, n_heads, scale);
            for (x, mixed) in x.iter_mut().zip(&mixed) {
                add(x, &self.conv1d(mixed, &format!("{name}.attn.c_proj")));
                let mut hidden =
                    self.conv1d(&self.layer_norm(x, &format!("{name}.ln_2")), &format!("{name}.mlp.c_fc"));
                hidden.iter_mut().for_each(|h| *h = self.activation("activation_function", *h));
                add(x, &self.conv1d(&hidden, &format!("{name}.mlp.c_proj")));
            }
        }
        let last = self.layer_norm(x.last().unwrap(), "ln_f");
        let head = if self.tensors.contains_key("lm_head.weight") { "lm_head.weight" } else { "wte.weight" };
        let mut logits = self.linear(&last, head);
        if let Some(bias) = self.tensors.get("lm_head.bias") {
            add(&mut logits, bias);
        }
        logits
    }

    fn llama(&self, prefix: &[u32]) -> Vec<f64> {
        let (d, n_heads, n_kv) =
            (self.size("hidden_size"), self.size("num_attention_heads"), self.size("num_key_value_heads"));
        let head_dim = self.size("head_dim");
        let theta = self.config["rope_theta"].as_f64().unwrap();
        let mut x = self.embed(prefix, "embed_tokens.weight", None, d);
        for layer in 0..self.size("num_hidden_layers") {
            let name = format!("layers.{layer}");
            let normed: Vec<Vec<f64>> =
                x.iter().map(|x| self.rms_norm(x, &format!("{name}.input_layernorm.weight"))).collect();
            let part = |p: &str| -> Vec<Vec<f64>> {
                let name = format!("{name}.self_attn.{p}_proj");
                let project = |x: &Vec<f64>| {
                    let mut y = self.linear(x, &format!("{name}.weight"));
                    if let Some(bias) = self.tensors.get(&format!("{name}.bias")) {
                        add(&mut y, bias);
                    }
                    y
                };
                normed.iter().map(project).collect()
            };
            let turned = |rows: Vec<Vec<f64>>| -> Vec<Vec<f64>> {
                let turn = |(position, row): (usize, Vec<f64>)| rotary(&row, position, head_dim, theta);
                rows.into_iter().enumerate().map(turn).collect()
            };
            let (q, k) = (turned(part("q")), turned(part("k")));
            let mixed = attention(&q, &k, &part("v"), n_heads, n_kv, (head_dim as f64).sqrt());
            for (x, mixed) in x.iter_mut().zip(&mixed) {
                add(x, &self.linear(mixed, &format!("{name}.self_attn.o_proj.weight")));
                let y = self.rms_norm(x, &format!("{name}.post_attention_layernorm.weight"));
                let gate = self.linear(&y, &format!("{name}.mlp.gate_proj.weight"));
                let up = self.linear(&y, &format!("{name}.mlp.up_proj.weight"));
                let hidden: Vec<f64> =
                    gate.iter().zip(&up).map(|(g, u)| self.activation("hidden_act", *g) * u).collect();
                add(x, &self.linear(&hidden, &format!("{name}.mlp.down_proj.weight")));
            }
        }
        let last = self.rms_norm(x.last().unwrap(), "norm.weight");
        let tied = self.config["tie_word_embeddings"].as_bool().unwrap();
        self.linear(&last, if tied { "embed_tokens.weight" } else { "lm_head.weight" })
    }

    fn hooked(&self, prefix: &[u32]) -> Vec<f64> {
        let (d, n_heads, head_dim) = (self.size("d_model"), self.size("n_heads"), self.size("d_head"));
        let mut x = self.embed(prefix, "embed.W_E", Some("pos_embed.W_pos"), d);
        for layer in 0..self.size("n_layers") {
            let name = format!("blocks.{layer}.attn");
            let part = |p: &str| -> Vec<Vec<f64>> {
                let (weight, bias) =
                    (self.tensor(&format!("{name}.W_{p}")), self.tensor(&format!("{name}.b_{p}")));
                let element = |x: &[f64], o: usize| -> f64 {
                    let (head, e) = (o / head_dim, o % head_dim);
                    (0..d).map(|i| x[i] * weight[(head * d + i) * head_dim + e]).sum::<f64>() + bias[o]
                };
                x.iter().map(|x| (0..n_heads * head_dim).map(|o| element(x, o)).collect()).collect()
            };
            let scale = self.config["attn_scale"].as_f64().unwrap();
            let mixed = attention(&part("Q"), &part("K"), &part("V"), n_heads, n_heads, scale);
            let (weight, bias) = (self.tensor(&format!("{name}.W_O")), self.tensor(&format!("{name}.b_O")));
            for (x, mixed) in x.iter_mut().zip(&mixed) {
                let out: Vec<f64> = (0..d)
                    .map(|o| (0..mixed.len()).map(|i| mixed[i] * weight[i * d + o]).sum::<f64>() + bias[o])
                    .collect();
                add(x, &out);
            }
        }
        let (weight, bias, n) =
            (self.tensor("unembed.W_U"), self.tensor("unembed.b_U"), self.size("d_vocab"));
        let last = x.last().unwrap();
        (0..n).map(|o| (0..d).map(|i| last[i] * weight[i * n + o]).sum::<f64>() + bias[o]).collect()
    }

    fn embed(&self, prefix: &[u32], tokens: &str, positions: Option<&str>, d: usize) -> Vec<Vec<f64>> {
        let row = |name: &str, i: usize| self.tensor(name)[i * d..(i + 1) * d].to_vec();
        let embed = |(i, token): (usize, &u32)| {
            let mut x = row(tokens, usize::try_from(*token).unwrap());
            if let Some(positions) = positions {
                add(&mut x, &row(positions, i));
            }
            x
        };
        prefix.iter().enumerate().map(embed).collect()
    }

    fn activation(&self, key: &str, x: f64) -> f64 {
        match self.config[key].as_str().unwrap() {
            "gelu_new" => 0.5 * x * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044715 * x * x * x)).tanh()),
            "gelu" => 0.5 * x * (1.0 + erf(x / 2f64.sqrt())),
            "relu" => x.max(0.0),
            "silu" => x / (1.0 + (-x).exp()),
            other => panic!("{other}"),
        }
    }
}

/// Causal attention; rows are `[heads * head_dim]`.
fn attention(
    q: &[Vec<f64>],
    k: &[Vec<f64>],
    v: &[Vec<f64>],
    n_heads: usize,
    n_kv: usize,
    scale: f64,
) -> Vec<Vec<f64>> {
    let head_dim = q[0].len() / n_heads;
    let mut out = Vec::new();
    for (n, q) in q.iter().enumerate() {
        let mut row = Vec::new();
        for head in 0..n_heads {
            let (at, kv) = (head * head_dim, head / (n_heads / n_kv) * head_dim);
            let score = |j: usize| (0..head_dim).map(|i| q[at + i] * k[j][kv + i]).sum::<f64>() / scale;
            let weights = softmax(&(0..=n).map(score).collect::<Vec<_>>());
            row.extend((0..head_dim).map(|i| (0..=n).map(|j| weights[j] * v[j][kv + i]).sum::<f64>()));
        }
        out.push(row);
    }
    out
}

fn rotary(row: &[f64], position: usize, head_dim: usize, theta: f64) -> Vec<f64> {
    let mut out = row.to_vec();
    for (i, y) in out.iter_mut().enumerate() {
        let (head, e) = (i / head_dim * head_dim, i % head_dim);
        let half = head_dim / 2;
        let angle = position as f64 * theta.powf(-2.0 * (e % half) as f64 / head_dim as f64);
        let partner = if e < half { -row[head + e + half] } else { row[head + e - half] };
        *y = row[i] * angle.cos() + partner * angle.sin();
    }
    out
}

pub fn softmax(logits: &[f64]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f64::MIN, f64::max);
    let total: f64 = logits.iter().map(|l| (l - most).exp()).sum();
    logits.iter().map(|l| (l - most).exp() / total).collect()
}

/// Maclaurin series up to 3, continued fraction beyond.
pub fn erf(x: f64) -> f64 {
    if x.abs() < 3.0 {
        let (mut term, mut sum, mut i) = (x, 0.0, 0.0);
        while term.abs() > 1e-20 {
            sum += term / (2.0 * i + 1.0);
            i += 1.0;
            term *= -x * x / i;
        }
        return 2.0 / PI.sqrt() * sum;
    }
    let a = x.abs();
    let fraction = (1..60).rev().fold(0.0, |f, i| f64::from(i) / 2.0 / (a + f));
    x.signum() * (1.0 - (-a * a).exp() / PI.sqrt() / (a + fraction))
}

fn add(x: &mut [f64], y: &[f64]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

fn floats(dtype: &str, bytes: &[u8]) -> Vec<f64> {
    match dtype {
        "F32" => bytes.chunks(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect(),
        "BF16" => bytes.chunks(2).map(|b| f64::from(f32::from_le_bytes([0, 0, b[0], b[1]]))).collect(),
        "F16" => bytes.chunks(2).map(|b| half(u16::from_le_bytes(b.try_into().unwrap()))).collect(),
        other => panic!("{other}"),
    }
}

fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(-24),
        e => (1.0 + fraction / 1024.0) * 2f64.powi(e - 15),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}
