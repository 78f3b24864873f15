//! The form of TransformerLens' `HookedTransformer` for bare attention: heads are stored apart, `[head, width, head
//! width]`.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Tensors, bias, zeros};
use crate::shape::Shape;
use crate::transformer::{NORM_EPS, Positions, Transformer};

/// The configuration that goes with [`tensors`].
pub fn config(shape: &Shape, vocabulary: usize) -> Value {
    json!({
        "model_type": "hooked_transformer",
        "attn_only": true,
        "n_layers": shape.layers,
        "n_heads": shape.heads,
        "d_model": shape.width,
        "d_head": shape.width / shape.heads,
        "d_vocab": vocabulary,
        "n_ctx": shape.context,
        "normalization_type": null,
        "eps": NORM_EPS,
        "positional_embedding_type": "standard",
        "attention_dir": "causal",
        "attn_scale": ((shape.width / shape.heads) as f64).sqrt(),
        "d_mlp": null,
        // The unembedding is stored even where it equals the embedding.
        "tie_word_embeddings": false,
        "torch_dtype": "float32",
    })
}

/// The weights by name.
pub fn tensors(model: &Transformer) -> Result<Tensors> {
    let Shape { width, heads, .. } = model.shape;
    let head_width = width / heads;
    let mut out = Tensors::new();
    let mut put = |name: String, tensor| out.insert(name, tensor);
    put("embed.W_E".into(), model.embedding.as_tensor().clone());
    if let Positions::Learned(table) = &model.positions {
        put("pos_embed.W_pos".into(), table.as_tensor().clone());
    }
    for (l, block) in model.blocks.iter().enumerate() {
        for (letter, linear) in [("Q", &block.query), ("K", &block.key), ("V", &block.value)] {
            let apart = linear.weight.reshape((width, heads, head_width))?.transpose(0, 1)?;
            put(format!("blocks.{l}.attn.W_{letter}"), apart);
            put(format!("blocks.{l}.attn.b_{letter}"), bias(linear)?.reshape((heads, head_width))?);
        }
        let apart = block.output.weight.reshape((heads, head_width, width))?;
        put(format!("blocks.{l}.attn.W_O"), apart);
        put(format!("blocks.{l}.attn.b_O"), bias(&block.output)?);
    }
    let unembedding = match &model.head {
        Some(head) => head.as_tensor().clone(),
        None => model.embedding.t()?,
    };
    let vocabulary = unembedding.dim(1)?;
    put("unembed.W_U".into(), unembedding);
    put("unembed.b_U".into(), zeros(vocabulary)?);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::serialized;
    use crate::layout::tests::listing;
    use crate::shape::{Family, Gradient, Head};

    #[test]
    fn hooked_transformer_names_and_shapes() {
        let expected = [
            "blocks.0.attn.W_K [2, 4, 2]",
            "blocks.0.attn.W_O [2, 2, 4]",
            "blocks.0.attn.W_Q [2, 4, 2]",
            "blocks.0.attn.W_V [2, 4, 2]",
            "blocks.0.attn.b_K [2, 2]",
            "blocks.0.attn.b_O [4]",
            "blocks.0.attn.b_Q [2, 2]",
            "blocks.0.attn.b_V [2, 2]",
            "embed.W_E [5, 4]",
            "pos_embed.W_pos [6, 4]",
            "unembed.W_U [4, 5]",
            "unembed.b_U [5]",
        ];
        assert_eq!(listing(Family::BareAttention, Head::Untied), expected);
    }

    #[test]
    fn the_file_holds_the_weights_of_the_heads_apart() {
        let shape = Shape {
            family: Family::BareAttention,
            head: Head::Untied,
            gradient: Gradient::Full,
            context: 6,
            layers: 1,
            width: 4,
            heads: 2,
            neurons: 0,
        };
        let model = Transformer::new(&shape, 5, 1).unwrap();
        let bytes = serialized(&tensors(&model).unwrap()).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let stored = file.tensor("blocks.0.attn.W_Q").unwrap();
        let stored =
            stored.data().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect::<Vec<_>>();
        let own = model.blocks[0].query.weight.to_vec2::<f32>().unwrap();
        for head in 0..2 {
            for row in 0..4 {
                for column in 0..2 {
                    assert_eq!(stored[(head * 4 + row) * 2 + column], own[row][head * 2 + column]);
                }
            }
        }
    }
}
