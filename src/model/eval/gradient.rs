//! First-order gains of substitutions: reverse-mode differentiation of `ln P(target | prefix)` by the embeddings.
//!
//! With `g_i` the gradient by the input at position `i`, replacing token `u` there by `v` changes the log-probability by
//! about `(E_v − E_u)·g_i` (HotFlip, Ebrahimi et al. 2018; GCG, Zou et al. 2023). One run forth and one back rank all
//! substitutions in all positions. These are hints for a search: how far they reach, only an evaluation tells.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, Axis, s};
use rayon::prelude::*;

use super::attention::Columns;
use super::backward::{Tape, through_norm};
use super::forward::{self, Batch};
use super::{Cache, Evaluator};
use crate::model::{Head, PrefixError, TokenId};

/// Prefixes that run together.
const BATCH: usize = 16;

impl Evaluator<'_> {
    /// For each prefix, all of the same length, the estimated gain in `ln P(target | prefix)`, in nats, of every
    /// substitution: `[positions, vocabulary]`, zero for the token that is there. `None` for models with recurrent layers,
    /// through which nothing is differentiated here.
    ///
    /// # Errors
    /// A prefix that the model does not accept, or a target that does not exist.
    pub fn substitution_gains(
        &self,
        prefixes: &[&[TokenId]],
        targets: &[TokenId],
    ) -> Result<Option<Vec<Array2<f32>>>, PrefixError> {
        prefixes.iter().try_for_each(|prefix| self.model.check_prefix(prefix))?;
        self.model.check_tokens(targets)?;
        let jobs: Vec<_> = prefixes.chunks(BATCH).zip(targets.chunks(BATCH)).collect();
        let gains = |(prefixes, targets): (&[&[TokenId]], &[TokenId])| self.gains(prefixes, targets);
        let gains: Option<Vec<_>> = jobs.into_par_iter().map(gains).collect();
        Ok(gains.map(|gains| gains.into_iter().flatten().collect()))
    }

    fn gains(&self, prefixes: &[&[TokenId]], targets: &[TokenId]) -> Option<Vec<Array2<f32>>> {
        let (batch, len) = (prefixes.len(), prefixes[0].len());
        let tokens: Vec<TokenId> =
            (0..len).flat_map(|p| prefixes.iter().map(move |prefix| prefix[p])).collect();
        let gradient = self.embedding_gradient(&tokens, Columns { len, batch }, targets)?;
        let embed = &self.model.body.embed;
        let mut products = Array2::zeros((embed.nrows(), tokens.len())); // [vocabulary, len · batch]
        general_mat_mul(1.0, embed, &gradient, 0.0, &mut products);
        let gains = |b: usize| {
            let mut gains = Array2::zeros((len, embed.nrows()));
            for (p, mut row) in gains.axis_iter_mut(Axis(0)).enumerate() {
                let column = products.column(p * batch + b);
                let here = column[prefixes[b][p] as usize];
                row.iter_mut().zip(column).for_each(|(gain, product)| *gain = product - here);
            }
            gains
        };
        Some((0..batch).map(gains).collect())
    }

    /// Gradient of each sequence's `ln P(target)` by its inputs, `[d, len · batch]`, position-major.
    fn embedding_gradient(
        &self,
        tokens: &[TokenId],
        columns: Columns,
        targets: &[TokenId],
    ) -> Option<Array2<f32>> {
        let model = self.model;
        let cache = Cache { prefix: Vec::new(), layers: Vec::new() };
        let mut x = forward::embed(model, Batch { cache: &cache, keep: 0, tokens, columns });
        let positions = &model.body.positions;
        let tapes: Vec<Tape> = model
            .body
            .layers
            .iter()
            .map(|l| Tape::record(l, positions, columns, &mut x))
            .collect::<Option<_>>()?;
        let last = x.ncols() - columns.batch;
        let mut gradient = Array2::zeros(x.raw_dim());
        let at_last = through_head(&model.head, &x.slice(s![.., last..]).to_owned(), targets);
        gradient.slice_mut(s![.., last..]).assign(&at_last);
        tapes.iter().rev().for_each(|tape| tape.play_back(&mut gradient));
        Some(gradient)
    }
}

/// Gradient of `ln P(target)` of each column by its final residual, `[d, batch]`.
fn through_head(head: &Head, x: &Array2<f32>, targets: &[TokenId]) -> Array2<f32> {
    let z = forward::norm(head.norm.as_ref(), x);
    let mut logits = Array2::zeros((x.ncols(), head.vocab_size()));
    forward::logits(head, &z, logits.view_mut());
    super::log_softmax(&mut logits);
    // The gradient by the logits is the unit vector of the target less all probabilities.
    let mut by_logits = logits.mapv(|log_p| -log_p.exp());
    for (mut row, &target) in by_logits.axis_iter_mut(Axis(0)).zip(targets) {
        row[target as usize] += 1.0;
    }
    let mut by_z = Array2::zeros(x.raw_dim());
    general_mat_mul(1.0, &head.unembed.t(), &by_logits.t(), 0.0, &mut by_z);
    let mut by_x = Array2::zeros(x.raw_dim());
    through_norm(head.norm.as_ref(), x, &by_z, &mut by_x);
    by_x
}
