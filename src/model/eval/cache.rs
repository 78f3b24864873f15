//! Keys and values of a prefix, so that what follows it need not run it again.

use ndarray::{Array2, ArrayView2, s};

use crate::model::TokenId;

/// Keys and values of every attention layer at every position of one prefix, which may be empty.
#[derive(Debug, Clone)]
pub struct Cache {
    pub(super) prefix: Vec<TokenId>,
    /// Per attention layer `(keys, values)`, each `[positions, n_kv_heads · head_dim]`.
    pub(super) layers: Vec<(Array2<f32>, Array2<f32>)>,
}

/// Keys (rotated) and values of the own positions of a batch, each `[n_kv_heads · head_dim, len · batch]`.
#[derive(Debug)]
pub struct KeyValues {
    pub keys: Array2<f32>,
    pub values: Array2<f32>,
}

impl Cache {
    /// The prefix it belongs to.
    #[must_use]
    pub fn prefix(&self) -> &[TokenId] {
        &self.prefix
    }

    /// Keys and values of an attention layer at the first `n` positions; `None` for `n = 0`.
    pub(super) fn layer(&self, layer: usize, n: usize) -> Option<(ArrayView2<'_, f32>, ArrayView2<'_, f32>)> {
        let (keys, values) = self.layers.get(layer)?;
        (n > 0).then(|| (keys.slice(s![..n, ..]), values.slice(s![..n, ..])))
    }
}
