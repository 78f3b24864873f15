//! The layers of GPT-NeoX: attention and MLP side by side, and a rotation of a part of each head.

use dashu_ratio::RBig;

use crate::folder::Folder;
use crate::interval::Interval;
use crate::linear::Linear;
use crate::network::{Attention, Layer, Mlp, quotient};
use crate::reject::InputError;

impl Folder {
    /// Weights are stored `[out, in]`; the query, key and value of a head lie together.
    pub fn neox_block(&self, i: usize) -> Result<Vec<Layer<'_>>, InputError> {
        let config = &self.config;
        let (d, inner) = (config.size("hidden_size")?, config.size("intermediate_size")?);
        let n_heads = config.size("num_attention_heads")?;
        let head_dim = quotient(d, n_heads, "hidden_size", "num_attention_heads")?;
        let is_set = |key: &str| Ok::<bool, InputError>(config.get(key)?.unwrap_or(true));
        let tensors = |part: &str, shape: [usize; 2], has_bias: bool| {
            let weight = self.tensor(&format!("layers.{i}.{part}.weight"), &shape)?;
            let bias = format!("layers.{i}.{part}.bias");
            let bias = if has_bias { Some(self.tensor(&bias, &shape[..1])?) } else { None };
            Ok::<_, InputError>((weight, bias))
        };
        let linear =
            |part: &str, [rows, columns]: [usize; 2], has_bias: bool| -> Result<Linear, InputError> {
                let (weight, bias) = tensors(part, [rows, columns], has_bias)?;
                Ok(Linear::new(weight, [rows, columns], |r, c| r * columns + c, bias))
            };
        let has_bias = is_set("attention_bias")?;
        let (joint, bias) = tensors("attention.query_key_value", [3 * d, d], has_bias)?;
        let mut projections = Vec::with_capacity(3 * n_heads);
        for part in 0..3 {
            for head in 0..n_heads {
                let rows = (3 * head + part) * head_dim..(3 * head + part + 1) * head_dim;
                let bias = bias.map(|bias| bias.rows(rows.clone()));
                let at = |r: usize, c: usize| r * d + c;
                projections.push(Linear::new(&joint.rows(rows), [head_dim, d], at, bias.as_ref()));
            }
        }
        let attention = Attention {
            norm: Some(self.layer_norm(&format!("layers.{i}.input_layernorm"), d)?),
            projections,
            output: linear("attention.dense", [d, d], has_bias)?,
            n_heads,
            n_kv_heads: n_heads,
            head_dim,
            divisor: Interval::from_int(head_dim).sqrt(),
            head_norms: None,
            rotary: Some(self.partial_rotation(head_dim)?),
        };
        let mlp = Mlp {
            norm: Some(self.layer_norm(&format!("layers.{i}.post_attention_layernorm"), d)?),
            gate: None,
            up: linear("mlp.dense_h_to_4h", [inner, d], true)?,
            down: linear("mlp.dense_4h_to_h", [d, inner], true)?,
            activation: self.activation("hidden_act", "gelu")?,
        };
        if is_set("use_parallel_residual")? {
            Ok(vec![Layer::Parallel(Box::new((attention, mlp)))])
        } else {
            Ok(vec![Layer::Attention(attention), Layer::Mlp(mlp)])
        }
    }

    /// θ, and how many elements of a head are rotated: `head_dim · rotary_pct`, which must be a whole even number.
    fn partial_rotation(&self, head_dim: usize) -> Result<(Interval, usize), InputError> {
        let share = self
            .config
            .decimal("rotary_pct")?
            .map_or_else(|| RBig::from_parts(1.into(), 4u8.into()), |s| s.value().clone());
        let rotated = RBig::from(head_dim) * share;
        let is_rotated = |n: &usize| RBig::from(*n) == rotated;
        match (2..=head_dim).step_by(2).find(is_rotated) {
            Some(n) => {
                let theta = self.config.decimal("rotary_emb_base")?;
                Ok((theta.map_or(Interval::from_int(10_000), |theta| Interval::rational(theta.value())), n))
            }
            None => Err(InputError::Config("rotary_pct does not choose an even part of each head".into())),
        }
    }
}
