//! A matrix in the orders that the kernels read it in.

/// Rows of a tile.
pub(super) const TILE: usize = 6;

/// A matrix `[rows, inputs]`.
#[derive(Debug, Clone)]
pub struct Weights {
    /// One row after another.
    rows: Vec<f64>,
    /// The same, `[tiles, inputs]` with the weights of [`TILE`] rows for each input. Zeros fill up the last tile.
    tiles: Vec<[f64; TILE]>,
    n_inputs: usize,
}

impl Weights {
    /// Takes the rows, one after another; their number of inputs must not be zero.
    #[must_use]
    pub fn new(rows: Vec<f64>, n_inputs: usize) -> Weights {
        let n = rows.len() / n_inputs;
        let mut tiles = vec![[0.0; TILE]; n.div_ceil(TILE) * n_inputs];
        for (r, row) in rows.chunks_exact(n_inputs).enumerate() {
            let tile = &mut tiles[r / TILE * n_inputs..];
            tile.iter_mut().zip(row).for_each(|(column, w)| column[r % TILE] = *w);
        }
        Weights { rows, tiles, n_inputs }
    }

    /// `[rows, inputs]`, one row after another.
    #[must_use]
    pub fn rows(&self) -> &[f64] {
        &self.rows
    }

    /// Number of inputs.
    #[must_use]
    pub fn n_inputs(&self) -> usize {
        self.n_inputs
    }

    /// Number of rows with those that fill up the last tile.
    pub(super) fn n_padded(&self) -> usize {
        self.tiles.len() / self.n_inputs * TILE
    }

    /// `[tiles, inputs]`.
    pub(super) fn tiles(&self) -> &[[f64; TILE]] {
        &self.tiles
    }
}
