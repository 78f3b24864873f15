//! Recurrent layers for a batch of prefixes that share a beginning: position by position, all prefixes at once.
//!
//! What a layer carries over is a vector, its *state*; the cache holds one per position of the shared beginning, and a
//! batch begins with a copy of the last of them in each column.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};

use super::attention::Columns;
use super::forward::{apply, apply_onto, flat, flat_mut, norm};
use super::kernels::{self, Centre};
use crate::model::layer::Activation;
use crate::model::recurrent::{ChannelMix, LowRank, Shift, Shifted, Wkv4, Wkv7};

/// Score of what does not exist; its exponential is zero beside any other.
const NEVER: f32 = -1e30;

/// Where a batch begins, and where the states of its first column go if they are wanted.
#[derive(Debug)]
pub struct Scan<'a> {
    pub columns: Columns,
    /// The state after the shared beginning; `None` where that is empty.
    pub start: Option<ArrayView1<'a, f32>>,
    /// The state after each position of a batch of one prefix.
    pub trace: Option<&'a mut Vec<Array1<f32>>>,
}

impl Scan<'_> {
    /// `width` features of the state from `first` on, one column per prefix; `fresh` where there is none yet.
    fn begin(&self, first: usize, width: usize, fresh: f32) -> Array2<f32> {
        match self.start {
            Some(state) => {
                Array2::from_shape_fn((width, self.columns.batch), |(feature, _)| state[first + feature])
            }
            None => Array2::from_elem((width, self.columns.batch), fresh),
        }
    }

    /// Every column of `z` replaced by that of the position before, which for the first one is in the state.
    fn previous(&self, z: &Array2<f32>) -> Array2<f32> {
        let (d, n, batch) = (z.nrows(), z.ncols(), self.columns.batch);
        let mut previous = Array2::zeros((d, n));
        previous.slice_mut(s![.., ..batch]).assign(&self.begin(0, d, 0.0));
        previous.slice_mut(s![.., batch..]).assign(&z.slice(s![.., ..n - batch]));
        previous
    }

    /// Columns of position `t`.
    fn at(&self, t: usize) -> std::ops::Range<usize> {
        t * self.columns.batch..(t + 1) * self.columns.batch
    }

    /// Records `parts`, one below the other, as the state after a position.
    fn record(&mut self, parts: &[ArrayView2<f32>]) {
        if let Some(trace) = &mut self.trace {
            trace.push(parts.iter().flat_map(|part| part.column(0).to_vec()).collect());
        }
    }
}

/// Adds the output of RWKV-4's time mixing to `x`. State: `z`, weighted sum of values, sum of weights, and the logarithm
/// of the factor that both sums are to be multiplied by.
pub fn wkv4(layer: &Wkv4, x: &mut Array2<f32>, mut scan: Scan) {
    let z = norm(Some(&layer.norm), x);
    let previous = scan.previous(&z);
    let [key, value, mut gate] =
        [&layer.key, &layer.value, &layer.receptance].map(|map| shifted(map, &z, &previous));
    kernels::sigmoid(flat_mut(&mut gate));
    let (d, a) = (z.nrows(), layer.decay.len());
    let mut sums = scan.begin(d, a, 0.0);
    let mut weights = scan.begin(d + a, a, 0.0);
    let mut tops = scan.begin(d + 2 * a, a, NEVER);
    let mut mixed = Array2::zeros(key.raw_dim());
    for t in 0..scan.columns.len {
        let at = scan.at(t);
        for i in 0..a {
            kernels::average_step(
                row(&key, i, at.clone()),
                row(&value, i, at.clone()),
                (layer.decay[i].exp(), layer.first[i]),
                [row_mut(&mut sums, i), row_mut(&mut weights, i), row_mut(&mut tops, i)],
                &mut row_mut(&mut mixed, i)[at.clone()],
            );
        }
        scan.record(&[z.slice(s![.., at]), sums.view(), weights.view(), tops.view()]);
    }
    kernels::multiply(flat_mut(&mut mixed), flat(&gate));
    apply_onto(&layer.output, &mixed, x);
}

/// Adds the output of RWKV-7's time mixing to `x`. State: `z`, then the matrices of the heads, values in rows.
///
/// `first_value` holds the first layer's values of the batch once that layer has run.
pub fn wkv7(layer: &Wkv7, x: &mut Array2<f32>, first_value: &mut Option<Array2<f32>>, mut scan: Scan) {
    let z = norm(Some(&layer.norm), x);
    let previous = scan.previous(&z);
    let [reading, mut key, mut value] =
        [&layer.receptance, &layer.key, &layer.value].map(|map| shifted(map, &z, &previous));
    let plain = |_: &mut [f32]| {};
    let mut decay = low_rank(&layer.decay, &z, &previous, |x| x.iter_mut().for_each(|x| *x = x.tanh()));
    kernels::sigmoid(flat_mut(&mut decay));
    decay.mapv_inplace(|s| (-s * (-0.5f32).exp()).exp());
    let mut rate = low_rank(&layer.rate, &z, &previous, plain);
    kernels::sigmoid(flat_mut(&mut rate));
    let gate = low_rank(&layer.gate, &z, &previous, kernels::sigmoid);
    match (&layer.first_value, &first_value) {
        (Some(blend), Some(first)) => {
            let mut share = low_rank(blend, &z, &previous, plain);
            kernels::sigmoid(flat_mut(&mut share));
            value = &value + &((first - &value) * share);
        }
        _ => *first_value = Some(value.clone()),
    }
    let mut removed = column_scaled(&key, &layer.key_scale);
    let (d, n_heads) = (z.nrows(), layer.n_heads);
    let size = d / n_heads;
    for mut head in removed.axis_chunks_iter_mut(Axis(0), size) {
        for mut column in head.columns_mut() {
            let length = column.iter().map(|x| x * x).sum::<f32>().sqrt();
            column /= length.max(1e-12);
        }
    }
    key = &key * &(1.0 + column_scaled(&(&rate - 1.0), &layer.key_rate));
    let rate = &rate * &removed;

    let batch = scan.columns.batch;
    let mut state = scan.begin(d, d * size, 0.0);
    let mut mixed = Array2::zeros(z.raw_dim());
    let mut along = vec![0.0f32; batch];
    for t in 0..scan.columns.len {
        let at = scan.at(t);
        for i in 0..d {
            let features = i / size * size..(i / size + 1) * size;
            let cells = |j: usize| i * size + (j - features.start);
            along.fill(0.0);
            for j in features.clone() {
                kernels::add_product(
                    &mut along,
                    row_mut(&mut state, cells(j)),
                    row(&removed, j, at.clone()),
                    -1.0,
                );
            }
            for j in features.clone() {
                let cell = row_mut(&mut state, cells(j));
                kernels::multiply(cell, row(&decay, j, at.clone()));
                kernels::add_product(cell, &along, row(&rate, j, at.clone()), 1.0);
                kernels::add_product(cell, row(&value, i, at.clone()), row(&key, j, at.clone()), 1.0);
                let out = &mut row_mut(&mut mixed, i)[at.clone()];
                kernels::add_product(out, cell, row(&reading, j, at.clone()), 1.0);
            }
        }
        scan.record(&[z.slice(s![.., at]), state.view()]);
    }
    let mut out = Array2::zeros(mixed.raw_dim());
    for head in 0..n_heads {
        let features = head * size..(head + 1) * size;
        let [gain, bias] =
            [&layer.group_gain, &layer.group_bias].map(|v| v.slice(s![features.clone()]).to_vec());
        let cells = features.start * mixed.ncols()..features.end * mixed.ncols();
        let (from, to) = (&flat(&mixed)[cells.clone()], &mut flat_mut(&mut out)[cells]);
        kernels::normalise(Centre::Mean, from, &gain, Some(&bias), layer.group_eps as f32, to);
    }
    let own = column_scaled(&(&reading * &key), &layer.bonus);
    for (feature, mut out) in out.rows_mut().into_iter().enumerate() {
        let features = feature / size * size..(feature / size + 1) * size;
        out += &(own.slice(s![features, ..]).sum_axis(Axis(0)) * value.row(feature));
    }
    kernels::multiply(flat_mut(&mut out), flat(&gate));
    apply_onto(&layer.output, &out, x);
}

/// Adds the output of RWKV's feed-forward layer to `x`. State: `z`.
pub fn channel_mix(layer: &ChannelMix, x: &mut Array2<f32>, mut scan: Scan) {
    let z = norm(Some(&layer.norm), x);
    let previous = scan.previous(&z);
    for t in 0..scan.columns.len {
        let at = scan.at(t);
        scan.record(&[z.slice(s![.., at])]);
    }
    let mut hidden = shifted(&layer.key, &z, &previous);
    kernels::activate(Activation::SquaredRelu, flat_mut(&mut hidden));
    match &layer.receptance {
        None => apply_onto(&layer.value, &hidden, x),
        Some(receptance) => {
            let mut gate = shifted(receptance, &z, &previous);
            kernels::sigmoid(flat_mut(&mut gate));
            *x += &(gate * apply(&layer.value, &hidden));
        }
    }
}

fn shifted(map: &Shifted, z: &Array2<f32>, previous: &Array2<f32>) -> Array2<f32> {
    apply(&map.map, &blend(&map.shift, z, previous))
}

fn low_rank(map: &LowRank, z: &Array2<f32>, previous: &Array2<f32>, act: impl Fn(&mut [f32])) -> Array2<f32> {
    let mut middle = apply(&map.down, &blend(&map.shift, z, previous));
    act(flat_mut(&mut middle));
    apply(&map.up, &middle)
}

fn blend(shift: &Shift, z: &Array2<f32>, previous: &Array2<f32>) -> Array2<f32> {
    match shift {
        Shift::OfCurrent(m) => previous + &column_scaled(&(z - previous), m),
        Shift::OfPrevious(m) => z + &column_scaled(&(previous - z), m),
    }
}

/// Every column of `x` times `factors`, feature by feature.
fn column_scaled(x: &Array2<f32>, factors: &Array1<f32>) -> Array2<f32> {
    x * &factors.view().insert_axis(Axis(1))
}

fn row(x: &Array2<f32>, i: usize, columns: std::ops::Range<usize>) -> &[f32] {
    &flat(x)[i * x.ncols() + columns.start..i * x.ncols() + columns.end]
}

fn row_mut(x: &mut Array2<f32>, i: usize) -> &mut [f32] {
    let n = x.ncols();
    &mut flat_mut(x)[i * n..(i + 1) * n]
}
