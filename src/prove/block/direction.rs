//! A functional `D·o` along the values of every head, position and token: long sums over tables that are stored transposed.

use multiversion::multiversion;

use super::dual::dot;
use super::hull::Hull;
use super::network::{Network, Rows};

/// Rows are summed one by one where no more than one in so many is held.
pub(super) const FEW: usize = 4;

/// `D·value` of every head, position and token, with one error bound.
#[derive(Debug, Clone, Default)]
pub struct Direction {
    /// Per head `[positions · vocab]`.
    pub r: Vec<Vec<f64>>,
    /// Through several blocks: `D`, and `D·out` per head.
    pub(super) whole: Vec<f64>,
    pub(super) along: Vec<Vec<f64>>,
}

impl Direction {
    /// Fills `r` for positions `0..length` in floats.
    pub fn set(&mut self, network: &Network, columns: &Columns, direction: &[f64], length: usize) {
        Direction::set_all([self], network, columns, [direction], length);
    }

    /// The same for what a hull's positions may hold.
    pub(super) fn set_held(&mut self, network: &Network, columns: &Columns, direction: &[f64], hull: &Hull) {
        let (stride, vocab) = (network.context * network.vocab, network.vocab);
        self.r.resize(network.heads, Vec::new());
        for ((r, columns), value) in self.r.iter_mut().zip(&columns.heads).zip(&network.value) {
            r.resize(stride, 0.0);
            for (j, held) in hull.held().enumerate() {
                let start = j * vocab;
                if FEW * held.len() >= vocab {
                    let out = &mut r[start..start + vocab];
                    combine_columns(&mut [out], &columns[start..], stride, &[direction]);
                } else {
                    held.iter().for_each(|v| r[start + v] = dot(value.row(start + v), direction));
                }
            }
        }
    }

    /// The same for several at once, which reads the tables once.
    pub fn set_all<const N: usize>(
        all: [&mut Direction; N],
        network: &Network,
        columns: &Columns,
        directions: [&[f64]; N],
        length: usize,
    ) {
        let stride = network.context * network.vocab;
        let mut rest = all.map(|table| {
            table.r.resize(network.heads, Vec::new());
            table.r.iter_mut()
        });
        for head in &columns.heads {
            let mut out = rest.each_mut().map(|rest| {
                let r = rest.next().expect("one table per head");
                r.resize(stride, 0.0);
                &mut r[..length * network.vocab]
            });
            combine_columns(&mut out, head, stride, &directions);
        }
    }
}

/// Value tables transposed: per head `[d][context · vocab]`, so that a direction is a few long vector sums.
#[derive(Debug, Clone)]
pub struct Columns {
    heads: Vec<Vec<f64>>,
}

impl Columns {
    /// Transposes the value tables.
    #[must_use]
    pub fn new(network: &Network) -> Columns {
        let rows = network.context * network.vocab;
        let transpose = |table: &Rows| {
            let mut columns = vec![0.0; rows * network.width];
            for (i, row) in table.iter().enumerate() {
                for (k, &x) in row.iter().enumerate() {
                    columns[k * rows + i] = x;
                }
            }
            columns
        };
        Columns { heads: network.value.iter().map(transpose).collect() }
    }
}

/// `out = Σ_k direction_k · columns[k][..out.len()]` for each pair of the two.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2", "aarch64+neon"))]
pub(super) fn combine_columns<const N: usize>(
    out: &mut [&mut [f64]; N],
    columns: &[f64],
    stride: usize,
    direction: &[&[f64]; N],
) {
    const BLOCK: usize = 512;
    /// Columns that are added at once.
    const GROUP: usize = 4;
    let len = out[0].len();
    for start in (0..len).step_by(BLOCK) {
        let end = (start + BLOCK).min(len);
        out.iter_mut().for_each(|out| out[start..end].fill(0.0));
        let column = |k: usize| &columns[k * stride + start..k * stride + end];
        let whole = direction[0].len() / GROUP * GROUP;
        for k in (0..whole).step_by(GROUP) {
            let group = [column(k), column(k + 1), column(k + 2), column(k + 3)];
            for (out, d) in out.iter_mut().zip(direction) {
                let d = &d[k..k + GROUP];
                for (i, o) in out[start..end].iter_mut().enumerate() {
                    *o += d[0] * group[0][i] + d[1] * group[1][i] + d[2] * group[2][i] + d[3] * group[3][i];
                }
            }
        }
        for k in whole..direction[0].len() {
            for (out, d) in out.iter_mut().zip(direction) {
                for (o, &c) in out[start..end].iter_mut().zip(column(k)) {
                    *o += d[k] * c;
                }
            }
        }
    }
}
