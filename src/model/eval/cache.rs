//! What the layers keep of a prefix, so that what follows it need not run it again.

use ndarray::{Array2, ArrayView1, ArrayView2, s};

use crate::model::TokenId;

/// What every layer keeps of every position of one prefix, which may be empty.
#[derive(Debug, Clone)]
pub struct Cache {
    pub(super) prefix: Vec<TokenId>,
    /// One per layer; none for an empty prefix.
    pub(super) layers: Vec<Kept>,
}

/// What one layer keeps, one row per position.
#[derive(Debug, Clone)]
pub enum Kept {
    /// Attention: keys and values, each `[positions, n_kv_heads · head_dim]`.
    KeysAndValues(Array2<f32>, Array2<f32>),
    /// A recurrent layer: its state after the position, `[positions, state]`.
    States(Array2<f32>),
    /// A layer that reads one position at a time.
    Nothing,
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
    pub(super) fn keys_and_values(
        &self,
        layer: usize,
        n: usize,
    ) -> Option<(ArrayView2<'_, f32>, ArrayView2<'_, f32>)> {
        match self.layers.get(layer)? {
            Kept::KeysAndValues(keys, values) if n > 0 => {
                Some((keys.slice(s![..n, ..]), values.slice(s![..n, ..])))
            }
            Kept::KeysAndValues(..) | Kept::States(_) | Kept::Nothing => None,
        }
    }

    /// State of a recurrent layer after the first `n` positions; `None` for `n = 0`.
    pub(super) fn state(&self, layer: usize, n: usize) -> Option<ArrayView1<'_, f32>> {
        match self.layers.get(layer)? {
            Kept::States(states) if n > 0 => Some(states.row(n - 1)),
            Kept::KeysAndValues(..) | Kept::States(_) | Kept::Nothing => None,
        }
    }
}
