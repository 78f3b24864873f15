//! The model that is trained: a causal transformer over token ids, small enough for one core.
//!
//! `x += attention(norm(x)); x += mlp(norm(x))` per block, then a final norm and the head. [`Family`](crate::shape::Family) says
//! which parts exist. Activations are kept flat, `[batch · length, width]`, so that every linear map is one matrix product.

use anyhow::Result;
use candle_core::{D, Device, Tensor, Var};

use crate::shape::{Gradient, Shape};

/// ε of every norm.
pub const NORM_EPS: f64 = 1e-5;

/// θ of the rotary positions.
pub const ROTARY_BASE: f64 = 10_000.0;

/// `y = x W + b`.
#[derive(Debug)]
pub struct Linear {
    /// `[in, out]`.
    pub weight: Var,
    /// `[out]`; `None` where the family has no biases.
    pub bias: Option<Var>,
}

/// What stands between the residual stream and its readers.
#[derive(Debug)]
pub enum Norm {
    /// `γ ⊙ (x − mean x) / sqrt(var x + ε) + β`.
    Layer {
        /// γ `[width]`.
        gain: Var,
        /// β `[width]`.
        bias: Var,
    },
    /// `γ ⊙ x / sqrt(mean x² + ε)`.
    Rms {
        /// γ `[width]`.
        gain: Var,
    },
    /// Nothing.
    None,
}

/// How positions enter the network.
#[derive(Debug)]
pub enum Positions {
    /// A table added to the embedding, `[context, width]`.
    Learned(Var),
    /// Queries and keys are rotated in their heads (Su et al. 2021), see [`rotated`].
    Rotary,
}

/// One block.
#[derive(Debug)]
pub struct Block {
    /// Norm that attention reads.
    pub attention_norm: Norm,
    /// `[width, width]`, heads side by side, as `key` and `value`.
    pub query: Linear,
    /// `[width, width]`.
    pub key: Linear,
    /// `[width, width]`.
    pub value: Linear,
    /// `[width, width]`.
    pub output: Linear,
    /// The MLP, where the family has one.
    pub mlp: Option<Mlp>,
}

/// `down(gelu(up(norm(x))))` with the tanh GELU, or `down(silu(gate(norm(x))) ⊙ up(norm(x)))` with a gate.
#[derive(Debug)]
pub struct Mlp {
    /// Norm that the MLP reads.
    pub norm: Norm,
    /// `[width, neurons]`; `None` where the family has no gates.
    pub gate: Option<Linear>,
    /// `[width, neurons]`.
    pub up: Linear,
    /// `[neurons, width]`.
    pub down: Linear,
}

/// The network and its weights.
#[derive(Debug)]
pub struct Transformer {
    /// Sizes and kinds.
    pub shape: Shape,
    /// `[vocabulary, width]`.
    pub embedding: Var,
    /// Learned or rotary.
    pub positions: Positions,
    /// Blocks in order.
    pub blocks: Vec<Block>,
    /// Norm that the head reads.
    pub final_norm: Norm,
    /// `[width, vocabulary]`; `None` if tied to the embedding.
    pub head: Option<Var>,
    /// All weight matrices, in the order of their making: what weight decay shrinks.
    pub matrices: Vec<Var>,
    /// All gains and biases: what it does not.
    pub vectors: Vec<Var>,
}

impl Transformer {
    /// Weights in all.
    pub fn parameter_count(&self) -> usize {
        self.matrices.iter().chain(&self.vectors).map(|v| v.elem_count()).sum()
    }

    /// Next-token logits after every prefix, `[batch · length, vocabulary]`, for ids `[batch, length]`.
    pub fn logits(&self, ids: &Tensor) -> Result<Tensor> {
        let (batch, length) = ids.dims2()?;
        let mut x = self.embedding.index_select(&ids.flatten_all()?, 0)?;
        if let Positions::Learned(table) = &self.positions {
            x = (x + table.narrow(0, 0, length)?.repeat((batch, 1))?)?;
        }
        for block in &self.blocks {
            x = (&x + self.attention(block, &x, batch, length)?)?;
            if let Some(mlp) = &block.mlp {
                x = (&x + mlp.apply(&x)?)?;
            }
        }
        let z = self.final_norm.apply(&x)?;
        match &self.head {
            Some(head) => Ok(z.matmul(head)?),
            None => Ok(z.matmul(&self.embedding.t()?)?),
        }
    }

    /// What attention adds to `x`, `[batch · length, width]`.
    fn attention(&self, block: &Block, x: &Tensor, batch: usize, length: usize) -> Result<Tensor> {
        let heads = self.shape.heads;
        let head_width = self.shape.width / heads;
        let own = block.attention_norm.apply(x)?;
        let earlier = match self.shape.gradient {
            Gradient::Full => own.clone(),
            Gradient::ValueMyopic => block.attention_norm.apply(&x.detach())?,
        };
        let split = |flat: Tensor| -> Result<Tensor> {
            Ok(flat.reshape((batch, length, heads, head_width))?.transpose(1, 2)?.contiguous()?)
        };
        let turn = |x: Tensor| match self.positions {
            Positions::Learned(_) => Ok(x),
            Positions::Rotary => rotated(&x),
        };
        let q = turn(split(block.query.apply(&own)?)?)?;
        let k = turn(split(block.key.apply(&earlier)?)?)?;
        let v = split(block.value.apply(&earlier)?)?;
        let scores = (q.matmul(&k.t()?)? / (head_width as f64).sqrt())?;
        let weights = softmax(&scores.broadcast_add(&causal_mask(length)?)?)?;
        let read = weights.matmul(&v)?.transpose(1, 2)?.reshape((batch * length, self.shape.width))?;
        block.output.apply(&read)
    }
}

impl Linear {
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let y = x.matmul(&self.weight)?;
        match &self.bias {
            Some(bias) => Ok(y.broadcast_add(bias)?),
            None => Ok(y),
        }
    }
}

impl Mlp {
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.norm.apply(x)?;
        let up = self.up.apply(&x)?;
        let hidden = match &self.gate {
            None => up.gelu()?,
            Some(gate) => (gate.apply(&x)?.silu()? * up)?,
        };
        self.down.apply(&hidden)
    }
}

impl Norm {
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Layer { gain, bias } => {
                let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
                let deviation = (centred.sqr()?.mean_keepdim(D::Minus1)? + NORM_EPS)?.sqrt()?;
                Ok(centred.broadcast_div(&deviation)?.broadcast_mul(gain)?.broadcast_add(bias)?)
            }
            Self::Rms { gain } => {
                let size = (x.sqr()?.mean_keepdim(D::Minus1)? + NORM_EPS)?.sqrt()?;
                Ok(x.broadcast_div(&size)?.broadcast_mul(gain)?)
            }
            Self::None => Ok(x.clone()),
        }
    }
}

/// Rotary positions on `[batch, heads, length, head width]`: coordinates `i` and `i + half` of position `n` turn by the
/// angle `n · θ^(−i/half)`.
fn rotated(x: &Tensor) -> Result<Tensor> {
    let (_, _, length, width) = x.dims4()?;
    let half = width / 2;
    let table = |of: fn(f64) -> f64| {
        let angle = |i: usize| (i / half) as f64 * ROTARY_BASE.powf(-((i % half) as f64) / half as f64);
        let entries = (0..length * half).map(|i| of(angle(i)) as f32).collect::<Vec<_>>();
        Tensor::from_vec(entries, (length, half), &Device::Cpu)
    };
    let (cos, sin) = (table(f64::cos)?, table(f64::sin)?);
    let (a, b) = (x.narrow(3, 0, half)?, x.narrow(3, half, half)?);
    let first = (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?;
    let second = (b.broadcast_mul(&cos)? + a.broadcast_mul(&sin)?)?;
    Ok(Tensor::cat(&[first, second], 3)?)
}

/// Softmax over the last dimension; the shift by the maximum is a constant to the gradient.
fn softmax(x: &Tensor) -> Result<Tensor> {
    let exp = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?.exp()?;
    Ok(exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?)?)
}

/// `[length, length]`, −∞ where a position would look ahead.
fn causal_mask(length: usize) -> Result<Tensor> {
    let mask = (0..length * length)
        .map(|i| if i % length > i / length { f32::NEG_INFINITY } else { 0.0 })
        .collect::<Vec<_>>();
    Ok(Tensor::from_vec(mask, (length, length), &Device::Cpu)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{Family, Head};
    use crate::task::{self, Batch};

    const FAMILIES: [Family; 4] = [Family::Gpt2, Family::AttentionOnly, Family::Llama, Family::BareAttention];

    fn small(family: Family, gradient: Gradient) -> Transformer {
        let head = Head::Untied;
        let shape = Shape { family, head, gradient, context: 3, layers: 1, width: 4, heads: 2, neurons: 6 };
        Transformer::new(&shape, 5, 11).unwrap()
    }

    fn ids(ids: &[u32]) -> Tensor {
        Tensor::from_slice(ids, (1, ids.len()), &Device::Cpu).unwrap()
    }

    #[test]
    fn later_tokens_change_nothing_earlier() {
        for family in FAMILIES {
            let model = small(family, Gradient::Full);
            let long = model.logits(&ids(&[0, 1, 2])).unwrap().to_vec2::<f32>().unwrap();
            let other = model.logits(&ids(&[0, 1, 4])).unwrap().to_vec2::<f32>().unwrap();
            assert_eq!(long[..2], other[..2], "{family:?}");
            assert_ne!(long[2], other[2], "{family:?}");
        }
    }

    #[test]
    fn a_myopic_model_trains_no_position_for_later_ones() {
        for family in FAMILIES {
            for (gradient, reaches) in [(Gradient::Full, true), (Gradient::ValueMyopic, false)] {
                let model = small(family, gradient);
                // Only the answer after the last token counts; token 0 is seen only before it.
                let batch = Batch {
                    inputs: ids(&[0, 1, 2]),
                    targets: Tensor::from_slice(&[3u32], 1, &Device::Cpu).unwrap(),
                    scored: 1,
                };
                let gradients = task::loss(&model, &batch).unwrap().backward().unwrap();
                let embedding = gradients.get(&model.embedding).unwrap().to_vec2::<f32>().unwrap();
                assert_eq!(embedding[0].iter().any(|&g| g != 0.0), reaches, "{family:?}, {gradient:?}");
                assert!(embedding[2].iter().any(|&g| g != 0.0), "{family:?}, {gradient:?}");
            }
        }
    }

    #[test]
    fn the_gradient_setting_does_not_change_the_function() {
        for family in FAMILIES {
            let of =
                |gradient| small(family, gradient).logits(&ids(&[3, 1])).unwrap().to_vec2::<f32>().unwrap();
            assert_eq!(of(Gradient::Full), of(Gradient::ValueMyopic), "{family:?}");
        }
    }
}
