//! Linear maps with the gain and bias of the norm before them folded in, and their sizes.

use ndarray::{Array1, ArrayView2};

use super::{COVER, Column};
use crate::model::{Linear, Norm};
use crate::num::wide::{self, LANES, Lanes, Number, TINY, Weights, Wide, each};
use crate::num::{nonnegative_sum, spectral_norm};

/// `y = W x + b`. Products of two `f32` are exact.
#[derive(Debug)]
pub struct Map {
    weights: Weights,
    /// As sums of two floats.
    bias: Vec<(f64, f64)>,
    /// Whether the bias is such a product itself.
    shifted: bool,
    /// Per output: upper bound on the length of the row, with the magnitudes of the bias's terms below.
    pub rows: Vec<f64>,
    /// Per block of outputs (a head, or all).
    pub blocks: Vec<Block>,
}

/// Sizes of a block of rows.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    /// Largest singular value, at most.
    pub spectral: f64,
    /// Euclidean length of `rows`, at most.
    pub long: f64,
}

/// How far off a vector may be, and how much of it is rounding rather than the input's error.
#[derive(Debug, Clone, Copy)]
pub struct Radius {
    pub all: Lanes,
    pub rounding: Lanes,
}

impl Map {
    /// Folds `γ` and `β` of a norm into weights `[in, out]`: `W (γ ⊙ z + β) + b`.
    pub fn new(
        weight: ArrayView2<f32>,
        bias: Option<&Array1<f32>>,
        norm: Option<&Norm>,
        n_blocks: usize,
    ) -> Map {
        let (n_in, n_out) = weight.dim();
        let (gain, shift) = match norm {
            None => (None, None),
            Some(Norm::Layer { gain, bias, .. }) => (Some(gain), bias.as_ref()),
            Some(Norm::Rms { gain, .. }) => (Some(gain), None),
        };
        let plain = Weights::new(weight.t().iter().map(|&w| f64::from(w)).collect(), n_in);
        let gain: Vec<f64> = (0..n_in).map(|i| gain.map_or(1.0, |gain| f64::from(gain[i]))).collect();
        let weights: Vec<f64> = plain.rows().iter().zip(gain.iter().cycle()).map(|(w, g)| w * g).collect();
        let own: Vec<(f64, f64)> =
            (0..n_out).map(|o| (bias.map_or(0.0, |bias| f64::from(bias[o])), 0.0)).collect();
        let mut sizes: Vec<f64> = own.iter().map(|b| b.0.abs()).collect();
        let mut bias = own;
        if let Some(shift) = shift {
            let shift: Vec<Wide> = shift.iter().map(|&x| Wide::splat(f64::from(x))).collect();
            bias = wide::map(&plain, &bias, &shift).iter().map(|b| (b.hi[0], b.lo[0])).collect();
            for (size, row) in sizes.iter_mut().zip(plain.rows().chunks_exact(n_in)) {
                *size += row.iter().zip(&shift).map(|(w, x)| (w * x.hi[0]).abs()).sum::<f64>();
            }
        }
        let row = |(row, size): (&[f64], &f64)| {
            nonnegative_sum(row.iter().map(|w| w * w).sum::<f64>() + size * size).sqrt() * COVER
        };
        let rows: Vec<f64> = weights.chunks_exact(n_in).zip(&sizes).map(row).collect();
        let per_block = n_out / n_blocks;
        let block = |b: usize| {
            let part = &weights[b * per_block * n_in..(b + 1) * per_block * n_in];
            let matrix = ArrayView2::from_shape((per_block, n_in), part).expect("as many numbers as that");
            let rows = &rows[b * per_block..(b + 1) * per_block];
            let long = nonnegative_sum(rows.iter().map(|r| r * r).sum()).sqrt() * COVER;
            Block { spectral: spectral_norm(matrix), long }
        };
        let blocks = (0..n_blocks).map(block).collect();
        Map { weights: Weights::new(weights, n_in), bias, shifted: shift.is_some(), rows, blocks }
    }

    /// The same for a layer's map.
    pub fn folded(map: &Linear, norm: Option<&Norm>, n_blocks: usize) -> Map {
        Map::new(map.weight.view(), map.bias.as_ref(), norm, n_blocks)
    }

    /// `[out, in]`.
    pub fn weights(&self) -> ArrayView2<'_, f64> {
        let shape = (self.rows.len(), self.weights.n_inputs());
        ArrayView2::from_shape(shape, self.weights.rows()).expect("a weight for each input and output")
    }

    /// Error of an entry, as a part of its row's length times the input's.
    pub fn eps<N: Number>(&self) -> f64 {
        N::product_eps(self.weights.n_inputs()) * if self.shifted { 2.0 } else { 1.0 }
    }

    /// `W x + b` without radii.
    pub fn middles<N: Number>(&self, x: &Column<N>) -> Vec<N> {
        wide::map(&self.weights, &self.bias, &x.x)
    }

    /// Radius of each block of outputs; `reach` is that of `x`.
    pub fn radii<N: Number>(&self, x: &Column<N>, reach: Lanes) -> Vec<Radius> {
        let eps = self.eps::<N>();
        let of_block = |block: &Block| {
            let rounding: Lanes = each(|l| COVER * eps * block.long * reach[l] + TINY);
            Radius { all: each(|l| COVER * block.spectral * x.radius[l] + rounding[l]), rounding }
        };
        self.blocks.iter().map(of_block).collect()
    }

    /// `W x + b` for a map with one block.
    pub fn apply<N: Number>(&self, x: &Column<N>) -> Column<N> {
        let radius =
            self.radii(x, x.reach()).first().map_or(Lanes::splat(f64::INFINITY), |radius| radius.all);
        Column { x: self.middles(x), radius }
    }
}

impl Radius {
    /// Takes another rounding into account.
    pub fn add_rounding(&mut self, more: Lanes) {
        for radius in [&mut self.all, &mut self.rounding] {
            *radius = each(|l| COVER * (radius[l] + more[l]) + TINY);
        }
    }

    /// Those in these lanes.
    pub fn select(&self, lanes: [usize; LANES]) -> Radius {
        Radius { all: each(|l| self.all[lanes[l]]), rounding: each(|l| self.rounding[lanes[l]]) }
    }
}
