//! The layers of RWKV-4 and RWKV-7 (Peng et al. 2023, 2025): their formulas, and which tensors they are.
//!
//! `z_t` is the normalised residual at position `t`, with `z_0 = 0` before the first.

use crate::family::{Family, Norm};
use crate::folder::Folder;
use crate::interval::Interval;
use crate::linear::Linear;
use crate::network::{Layer, quotient};
use crate::reject::InputError;
use crate::tensor::Tensor;

/// How `z_t` and `z_{t−1}` are blended: `m z_t + (1 − m) z_{t−1}`, or with the two exchanged.
#[derive(Debug)]
pub(crate) struct Blend {
    pub share: Vec<Interval>,
    pub is_of_current: bool,
}

/// A linear map of a blend.
#[derive(Debug)]
pub(crate) struct Shifted(pub Blend, pub Linear);

/// `up(act(down(blend)))`.
#[derive(Debug)]
pub(crate) struct Narrow(pub Blend, pub Linear, pub Linear);

/// `y_t = σ(r_t) ⊙ (Σ_{i<t} e^{k_i − (t−1−i) w} v_i + e^{k_t + u} v_t) / (the same without v)`, `w = e^decay`.
#[derive(Debug)]
pub(crate) struct Wkv4<'a> {
    pub norm: Norm<'a>,
    /// Receptance r, key k, value v.
    pub maps: [Shifted; 3],
    pub decay: Vec<Interval>,
    pub first: Vec<Interval>,
    pub output: Linear,
}

/// `S_t = S_{t−1} (diag(w_t) − κ_t (a_t ⊙ κ_t)ᵀ) + v_t k'_tᵀ` per head, `w = exp(−e^{−1/2} σ(decay))`, `a = σ(rate)`,
/// `κ = k ⊙ key_scale / max(length, 10^−12)`, `k' = k ⊙ (1 + (a − 1) ⊙ key_rate)`; out comes
/// `(GroupNorm(S_t r) + (Σ r ⊙ k' ⊙ bonus) v) ⊙ gate`.
#[derive(Debug)]
pub(crate) struct Wkv7<'a> {
    pub norm: Norm<'a>,
    /// Receptance r, key k, value v.
    pub maps: [Shifted; 3],
    pub decay: Narrow,
    pub rate: Narrow,
    pub gate: Narrow,
    pub first_value: Option<Narrow>,
    pub key_scale: Vec<Interval>,
    pub key_rate: Vec<Interval>,
    pub bonus: Vec<Interval>,
    pub head_dim: usize,
    /// Gain, shift and ε of the norm over each head.
    pub group: (Vec<Interval>, Vec<Interval>, Interval),
    pub output: Linear,
}

/// `relu(key)² · value`, times `σ(receptance)` where there is one.
#[derive(Debug)]
pub(crate) struct ChannelMix<'a> {
    pub norm: Norm<'a>,
    pub key: Shifted,
    pub value: Linear,
    pub receptance: Option<Shifted>,
}

impl Folder {
    /// The norm of the embeddings of a recurrent model, if it has one.
    pub fn embedding_norm(&self) -> Result<Option<Norm<'_>>, InputError> {
        let [_, d] = self.vocabulary_and_width()?;
        match self.family {
            Family::Rwkv4 => self.layer_norm("blocks.0.pre_ln", d).map(Some),
            Family::Rwkv7 if self.config.get("use_ln0")?.unwrap_or(true) => {
                self.layer_norm("blocks.0.ln0", d).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn blend(&self, name: &str, is_of_current: bool) -> Result<Blend, InputError> {
        let [_, d] = self.vocabulary_and_width()?;
        Ok(Blend { share: self.tensor(name, &[1, 1, d])?.intervals(), is_of_current })
    }

    /// A map whose weights are stored `[out, in]`.
    fn map(
        &self,
        name: &str,
        [rows, columns]: [usize; 2],
        bias: Option<&Tensor>,
    ) -> Result<Linear, InputError> {
        let weight = self.tensor(&format!("{name}.weight"), &[rows, columns])?;
        Ok(Linear::new(weight, [rows, columns], |r, c| r * columns + c, bias))
    }

    pub(crate) fn rwkv4_block(&self, i: usize) -> Result<Vec<Layer<'_>>, InputError> {
        let [_, d] = self.vocabulary_and_width()?;
        let size = |key: &str, default| Ok::<usize, InputError>(self.config.get(key)?.unwrap_or(default));
        let (a, inner) = (size("attention_hidden_size", d)?, size("intermediate_size", 4 * d)?);
        let shifted = |name: &str, part: &str, rows| {
            let blend = self.blend(&format!("blocks.{i}.{name}.time_mix_{part}"), true)?;
            Ok::<_, InputError>(Shifted(
                blend,
                self.map(&format!("blocks.{i}.{name}.{part}"), [rows, d], None)?,
            ))
        };
        let vector = |part: &str| {
            Ok::<_, InputError>(self.tensor(&format!("blocks.{i}.attention.{part}"), &[a])?.intervals())
        };
        let time = Wkv4 {
            norm: self.layer_norm(&format!("blocks.{i}.ln1"), d)?,
            maps: [
                shifted("attention", "receptance", a)?,
                shifted("attention", "key", a)?,
                shifted("attention", "value", a)?,
            ],
            decay: vector("time_decay")?,
            first: vector("time_first")?,
            output: self.map(&format!("blocks.{i}.attention.output"), [d, a], None)?,
        };
        let channels = ChannelMix {
            norm: self.layer_norm(&format!("blocks.{i}.ln2"), d)?,
            key: shifted("feed_forward", "key", inner)?,
            value: self.map(&format!("blocks.{i}.feed_forward.value"), [d, inner], None)?,
            receptance: Some(shifted("feed_forward", "receptance", d)?),
        };
        Ok(vec![Layer::Wkv4(time), Layer::ChannelMix(channels)])
    }

    pub(crate) fn rwkv7_block(&self, i: usize) -> Result<Vec<Layer<'_>>, InputError> {
        let [_, d] = self.vocabulary_and_width()?;
        let n_heads = self.config.size("num_attention_heads")?;
        let head_dim = quotient(d, n_heads, "hidden_size", "num_attention_heads")?;
        if self.config.get("head_size")?.is_some_and(|size: usize| size != head_dim) {
            return Err(InputError::Config("head_size is not hidden_size / num_attention_heads".into()));
        }
        let inner = self.config.get("intermediate_size")?.unwrap_or(4 * d);
        let at = |part: &str| format!("blocks.{i}.att.{part}");
        let shifted = |mix: &str, part: &str| {
            Ok::<_, InputError>(Shifted(self.blend(&at(mix), false)?, self.map(&at(part), [d, d], None)?))
        };
        let wide = |part: &str| self.tensor(&at(part), &[1, 1, d]);
        let narrow = |mix: &str, part: &str, offset: Option<&Tensor>| {
            let rank = self.columns(&at(&format!("{part}1")));
            let down = self.tensor(&at(&format!("{part}1")), &[d, rank])?;
            let up = self.tensor(&at(&format!("{part}2")), &[rank, d])?;
            let down = Linear::new(down, [rank, d], |r, c| c * rank + r, None);
            let up = Linear::new(up, [d, rank], |r, c| c * d + r, offset);
            Ok::<_, InputError>(Narrow(self.blend(&at(mix), false)?, down, up))
        };
        let has_bias = self.config.get("attention_output_bias")?.unwrap_or(false);
        let bias = if has_bias { Some(self.tensor(&at("output.bias"), &[d])?) } else { None };
        let time = Wkv7 {
            norm: self.layer_norm(&format!("blocks.{i}.ln1"), d)?,
            maps: [shifted("x_r", "receptance")?, shifted("x_k", "key")?, shifted("x_v", "value")?],
            decay: narrow("x_w", "w", Some(wide("w0")?))?,
            rate: narrow("x_a", "a", Some(wide("a0")?))?,
            gate: narrow("x_g", "g", None)?,
            first_value: if i == 0 { None } else { Some(narrow("x_v", "v", Some(wide("v0")?))?) },
            key_scale: wide("k_k")?.intervals(),
            key_rate: wide("k_a")?.intervals(),
            bonus: self.tensor(&at("r_k"), &[n_heads, head_dim])?.intervals(),
            head_dim,
            group: (
                self.tensor(&at("ln_x.weight"), &[d])?.intervals(),
                self.tensor(&at("ln_x.bias"), &[d])?.intervals(),
                self.epsilon("group_norm_epsilon", "0.00064")?,
            ),
            output: self.map(&at("output"), [d, d], bias)?,
        };
        let channels = ChannelMix {
            norm: self.layer_norm(&format!("blocks.{i}.ln2"), d)?,
            key: Shifted(
                self.blend(&format!("blocks.{i}.ffn.x_k"), false)?,
                self.map(&format!("blocks.{i}.ffn.key"), [inner, d], None)?,
            ),
            value: self.map(&format!("blocks.{i}.ffn.value"), [d, inner], None)?,
            receptance: None,
        };
        Ok(vec![Layer::Wkv7(Box::new(time)), Layer::ChannelMix(channels)])
    }
}
