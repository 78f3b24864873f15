//! Tables as batches of functionals: a row each.

use crate::linear::dot;
use crate::reject::Reject;

use super::fixed::{MOST_PLACES, Table, too_large};

impl Table {
    /// The unit vectors of width d.
    pub fn identity(d: usize) -> Result<Table, Reject> {
        let exact: Vec<i128> = (0..d * d).map(|i| i128::from(i % d == i / d)).collect();
        Table::settle(d, &exact, 0, 0, 0)
    }

    /// Some rows, in this order.
    pub fn select(&self, rows: &[usize]) -> Table {
        Table { mids: rows.iter().flat_map(|i| self.row(*i)).copied().collect(), ..*self }
    }

    /// Rows that are exact multiples of the one row of `self`, the factors in units of `2^-places`.
    pub fn multiples(&self, factors: &[i64], places: u32) -> Result<Table, Reject> {
        let exact = factors.iter().flat_map(|f| self.mids.iter().map(|x| i128::from(*x) * i128::from(*f)));
        let largest = factors.iter().map(|f| i128::from(*f).abs()).max().unwrap_or(0);
        let radius = i128::from(self.radius) * largest;
        Table::settle(self.width, &exact.collect::<Vec<_>>(), radius, self.places + places, MOST_PLACES)
    }

    /// The sums of rows in the same places.
    pub fn plus(&self, other: &Table) -> Result<Table, Reject> {
        let places = self.places.max(other.places);
        let up = |table: &Table, x: i64| i128::from(x) << (places - table.places);
        let sum = |(x, y): (&i64, &i64)| up(self, *x) + up(other, *y);
        let exact: Vec<i128> = self.mids.iter().zip(&other.mids).map(sum).collect();
        let radius = up(self, self.radius) + up(other, other.radius);
        Table::settle(self.width, &exact, radius, places, MOST_PLACES)
    }

    /// Each row, then its magnitudes.
    pub fn with_sizes(&self) -> Table {
        let both = |row: &[i64]| [row.to_vec(), row.iter().map(|x| x.abs()).collect()].concat();
        let mids = self.rows().flat_map(both).collect();
        Table { width: 2 * self.width, mids, norm: 2 * self.norm, ..*self }
    }

    /// The magnitudes alone.
    pub fn sizes(&self) -> Table {
        Table { mids: self.mids.iter().map(|x| x.abs()).collect(), ..*self }
    }

    /// The same with the opposite sign.
    pub fn negated(&self) -> Table {
        Table { mids: self.mids.iter().map(|x| -x).collect(), ..*self }
    }

    /// For each row about the multiple of `axis`, one row, that lies nearest to it, in units of `2^-places`: any number will do.
    pub fn parts(&self, axis: &Table, places: u32) -> Result<Vec<i64>, Reject> {
        let size = dot(axis.row(0), axis.row(0));
        // Over the ratio of the units of the axis, of the rows and of the result.
        let up = (places + axis.places).saturating_sub(self.places).min(100);
        let part = |row: &[i64]| {
            let part = (dot(row, axis.row(0)) / (size >> up).max(1)).clamp(-(1 << 60), 1 << 60);
            i64::try_from(part).map_err(|_| too_large())
        };
        self.rows().map(part).collect()
    }
}
