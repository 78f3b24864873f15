//! Causal attention for a batch of prefixes that share a cached beginning.
//!
//! Scores and mixtures over cached positions are matrix products, since all prefixes share these keys and values; those
//! over the prefixes' own positions differ from column to column and run along columns.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, s};

use super::cache::KeyValues;
use super::kernels;
use crate::model::layer::Attention;

/// Columns of a batch: `len` positions of `batch` prefixes each, position-major.
#[derive(Debug, Clone, Copy)]
pub struct Columns {
    /// Own positions of each prefix.
    pub len: usize,
    /// Prefixes.
    pub batch: usize,
}

impl Columns {
    /// Where one feature at one position stands in a matrix of all columns.
    pub fn range(self, feature: usize, position: usize) -> std::ops::Range<usize> {
        let start = (feature * self.len + position) * self.batch;
        start..start + self.batch
    }
}

/// Mixtures of values, `[n_heads · head_dim, queries · batch]`, where the queries are the last positions.
///
/// `query` is `[n_heads · head_dim, queries · batch]`; `key` and `value` are `[n_kv_heads · head_dim, len · batch]`.
pub fn attend(
    layer: &Attention,
    query: &Array2<f32>,
    own: &KeyValues,
    cached: Option<(ArrayView2<f32>, ArrayView2<f32>)>,
    columns: Columns,
) -> Array2<f32> {
    let Columns { len, batch } = columns;
    let n_cached = cached.as_ref().map_or(0, |(keys, _)| keys.nrows());
    let stride = query.ncols();
    let first_query = len - stride / batch;
    let (scale, dim) = (layer.scale.rounded(), layer.head_dim);
    let mut out = Array2::<f32>::zeros(query.raw_dim());
    let mut scores = Array2::<f32>::zeros((n_cached + len, stride));
    let mut sums = vec![0.0f32; stride];

    for head in 0..layer.n_heads {
        let kv_head = head / (layer.n_heads / layer.n_kv_heads);
        let (rows, kv_rows) = (head * dim..(head + 1) * dim, kv_head * dim..(kv_head + 1) * dim);
        if let Some((keys, _)) = &cached {
            let keys = keys.slice(s![.., kv_rows.clone()]); // [n_cached, dim]
            let query = query.slice(s![rows.clone(), ..]); // [dim, stride]
            general_mat_mul(scale, &keys, &query, 0.0, &mut scores.slice_mut(s![..n_cached, ..]));
        }
        let flat = scores.as_slice_mut().expect("a fresh array is contiguous");
        for (i, position) in (first_query..len).enumerate() {
            let at = i * batch..(i + 1) * batch;
            for j in 0..=position {
                let start = (n_cached + j) * stride + at.start;
                let score = &mut flat[start..start + batch];
                score.fill(0.0);
                for (row, kv_row) in rows.clone().zip(kv_rows.clone()) {
                    let query = &row_of(query, row)[at.clone()];
                    let key = &row_of(&own.keys, kv_row)[j * batch..(j + 1) * batch];
                    kernels::add_product(score, query, key, scale);
                }
            }
            kernels::softmax_weights(flat, stride, n_cached + position + 1, at.start, &mut sums[at]);
        }
        if let Some((_, values)) = &cached {
            let values = values.slice(s![.., kv_rows.clone()]); // [n_cached, dim]
            let weights = scores.slice(s![..n_cached, ..]);
            general_mat_mul(1.0, &values.t(), &weights, 0.0, &mut out.slice_mut(s![rows.clone(), ..]));
        }
        for (row, kv_row) in rows.zip(kv_rows) {
            let out = out.row_mut(row).into_slice().expect("rows of a fresh array are contiguous");
            for (i, position) in (first_query..len).enumerate() {
                let at = i * batch..(i + 1) * batch;
                for j in 0..=position {
                    let weights = &row_of(&scores, n_cached + j)[at.clone()];
                    let value = &row_of(&own.values, kv_row)[j * batch..(j + 1) * batch];
                    kernels::add_product(&mut out[at.clone()], weights, value, 1.0);
                }
            }
            kernels::divide(out, &sums);
        }
    }
    out
}

fn row_of(matrix: &Array2<f32>, row: usize) -> &[f32] {
    let columns = matrix.ncols();
    &matrix.as_slice().expect("activations are contiguous")[row * columns..(row + 1) * columns]
}
