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
    /// Minima of the heads at another direction, where to start from.
    pub(super) guess: Vec<f64>,
    /// Room for the block below.
    pub(super) below: Vec<Direction>,
}

impl Direction {
    /// Fills `r` of several tables in floats, for what a hull's positions may hold.
    pub(super) fn set_held<const N: usize>(
        all: [&mut Direction; N],
        network: &Network,
        columns: &Columns,
        directions: [&[f64]; N],
        hull: &Hull,
    ) {
        let (stride, vocab) = (network.context * network.vocab, network.vocab);
        let mut rest = all.map(|table| {
            table.r.resize(network.heads, Vec::new());
            table.r.iter_mut()
        });
        for (columns, value) in columns.heads.iter().zip(&network.value) {
            let mut out = rest.each_mut().map(|rest| {
                let r = rest.next().expect("one table per head");
                r.resize(stride, 0.0);
                r.as_mut_slice()
            });
            for (j, held) in hull.held().enumerate() {
                let start = j * vocab;
                if FEW * held.len() >= vocab {
                    let mut here = out.each_mut().map(|out| &mut out[start..start + vocab]);
                    combine_columns(&mut here, &columns[start..], stride, &directions);
                    continue;
                }
                for row in held.iter().map(|v| start + v) {
                    for (out, direction) in out.iter_mut().zip(directions) {
                        out[row] = dot(value.row(row), direction);
                    }
                }
            }
        }
    }

    /// The same for all tokens at positions `0..length`, whatever hull may read it.
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
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "aarch64+neon"))]
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
                    let first = d[0].mul_add(group[0][i], d[1] * group[1][i]);
                    let second = d[2].mul_add(group[2][i], d[3].mul_add(group[3][i], first));
                    *o += second;
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
