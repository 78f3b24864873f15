//! The rows that an attention head makes queries, keys and values with, and what rotations make of these.

use crate::forward::{dot, rotate, turns};
use crate::interval::Interval;
use crate::network::Attention;
use crate::reject::Reject;

use super::fixed::Table;
use super::folded::transposed;

/// Queries or keys `[pairs, head_dim]` as they are at the positions of the pairs.
pub(super) fn turned(attention: &Attention, table: Table, vocabulary: usize) -> Result<Table, Reject> {
    let Some((theta, width)) = &attention.rotary else { return Ok(table) };
    let (mut rows, mut angles) = (table.intervals(), Vec::new());
    for (pair, row) in rows.iter_mut().enumerate() {
        if pair % vocabulary == 0 {
            angles = turns(theta, *width, pair / vocabulary)?;
        }
        rotate(row, &angles);
    }
    Table::new(&rows)
}

/// Rows of head h's queries (scaled), keys and values, biases in the last column.
pub(super) fn parts(attention: &Attention, h: usize) -> Result<[Vec<Vec<Interval>>; 3], Reject> {
    let Attention { n_heads, n_kv_heads, head_dim, .. } = *attention;
    let group = n_heads + h / (n_heads / n_kv_heads);
    let rows: Vec<(usize, usize)> = attention
        .projections
        .iter()
        .enumerate()
        .flat_map(|(p, projection)| (0..projection.rows()).map(move |r| (p, r)))
        .collect();
    let part = |block: usize| -> Vec<Vec<Interval>> {
        let of = |(p, r): &(usize, usize)| {
            let projection = &attention.projections[*p];
            let mut row = projection.row(*r);
            row.push(projection.bias(*r));
            row
        };
        rows[block * head_dim..][..head_dim].iter().map(of).collect()
    };
    let mut query = part(h);
    for entry in query.iter_mut().flatten() {
        *entry = entry.divide(&attention.divisor, "an attention score")?;
    }
    Ok([query, part(group), part(group + n_kv_heads)])
}

/// The same with values after the output projection and what the reader does to it, such as centring.
pub(super) fn projections(
    attention: &Attention,
    h: usize,
    reader: impl Fn(&[Interval]) -> Result<Vec<Interval>, Reject>,
) -> Result<[Vec<Vec<Interval>>; 3], Reject> {
    let [query, key, value] = parts(attention, h)?;
    let head_dim = attention.head_dim;
    // Column i of the output projection belongs to element i of the heads' values in a row.
    let outputs: Vec<Vec<Interval>> = (0..attention.output.rows())
        .map(|r| attention.output.row(r)[h * head_dim..][..head_dim].to_vec())
        .collect();
    let outputs = transposed(&outputs).iter().map(|column| reader(column)).collect::<Result<Vec<_>, _>>()?;
    let inputs = transposed(&value);
    let value = transposed(&outputs).iter().map(|o| inputs.iter().map(|v| dot(o, v)).collect()).collect();
    Ok([query, key, value])
}
