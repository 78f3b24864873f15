//! Tables of fixed-point numbers with a common error bound, for what would be too slow in intervals of big integers.
//!
//! An entry `mid` of a table stands for a real number within `(mid ± radius) / 2^places`. Sums of products are exact in
//! i128; what is rounded is the result, to at most [`BITS`] bits, and the radius covers it.

use std::ops::Range;

use dashu_base::{Abs, BitTest};
use dashu_int::IBig;

use crate::interval::{FRACTION_BITS, Interval, shift_down, shift_up};
use crate::linear::dot;
use crate::parallel::each;
use crate::reject::Reject;

/// Bits of an entry.
const BITS: u32 = 56;
/// Most fractional bits of an entry.
pub(super) const MOST_PLACES: u32 = 60;
/// Fractional bits of a sum of several tables' entries.
pub(super) const SUM_PLACES: u32 = 64;

/// Rows of one width.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) width: usize,
    pub(super) mids: Vec<i64>,
    pub(super) radius: i64,
    pub(super) places: u32,
    /// Largest `|mid|`.
    pub(super) largest: i128,
    /// Largest `Σ |mid|` of a row.
    pub(super) norm: i128,
}

/// The error of a number that does not fit.
pub(super) fn too_large() -> Reject {
    Reject::NoEnclosure {
        what: "a number of a block proof",
        why: "it is too large for fixed-point arithmetic",
    }
}

/// A lower bound in units of `2^-SUM_PLACES`.
pub(super) fn floor(x: &Interval) -> Result<i128, Reject> {
    let places = usize::try_from(SUM_PLACES).expect("64 fits");
    let n = shift_down(x.lo(), FRACTION_BITS - places);
    i128::try_from(n).ok().filter(|n| n.unsigned_abs() < 1 << 120).ok_or_else(too_large)
}

impl Table {
    /// Rounds exact sums in units of `2^-places`, each off by at most `radius`.
    pub fn settle(
        width: usize,
        exact: &[i128],
        radius: i128,
        places: u32,
        most_places: u32,
    ) -> Result<Table, Reject> {
        let bits = exact.iter().map(|x| 128 - x.unsigned_abs().leading_zeros()).max().unwrap_or(0);
        let shift = bits.saturating_sub(BITS).max(places.saturating_sub(most_places));
        let places = places.checked_sub(shift).ok_or_else(too_large)?;
        let mids: Result<Vec<i64>, _> = exact.iter().map(|x| i64::try_from(x >> shift)).collect();
        let mids = mids.map_err(|_| too_large())?;
        // A shift rounds an entry down by less than one unit, and the radius too.
        let radius = if shift == 0 { radius } else { (radius >> shift) + 2 };
        let radius = i64::try_from(radius).ok().filter(|r| *r < 1 << BITS).ok_or_else(too_large)?;
        let size = |x: &i64| i128::from(*x).abs();
        let largest = mids.iter().map(size).max().unwrap_or(0);
        let norm = mids.chunks(width.max(1)).map(|row| row.iter().map(size).sum()).max().unwrap_or(0);
        Ok(Table { width, mids, radius, places, largest, norm })
    }

    /// Encloses rows of intervals, all of one length.
    pub fn new(rows: &[Vec<Interval>]) -> Result<Table, Reject> {
        let width = rows.first().map_or(0, Vec::len);
        let entries = || rows.iter().flatten();
        let bits = |x: &IBig| x.clone().abs().bit_len();
        let bits = entries().map(|x| bits(x.lo()).max(bits(x.hi()))).max().unwrap_or(0);
        let shift = bits.saturating_sub(100).max(FRACTION_BITS - 60);
        let places = FRACTION_BITS.checked_sub(shift).ok_or_else(too_large)?;
        let mut radius = 0;
        let mut exact = Vec::with_capacity(rows.len() * width);
        for x in entries() {
            let lo = i128::try_from(shift_down(x.lo(), shift)).map_err(|_| too_large())?;
            let hi = i128::try_from(shift_up(x.hi(), shift)).map_err(|_| too_large())?;
            let mid = (lo + hi) >> 1;
            radius = radius.max(hi - mid).max(mid - lo);
            exact.push(mid);
        }
        Table::settle(width, &exact, radius, u32::try_from(places).map_err(|_| too_large())?, MOST_PLACES)
    }

    /// One row of exact numbers in units of `2^-places`.
    pub fn exact(row: &[i64], places: u32) -> Result<Table, Reject> {
        let row: Vec<i128> = row.iter().map(|x| i128::from(*x)).collect();
        Table::settle(row.len(), &row, 0, places, MOST_PLACES)
    }

    /// The same entries with `places` fractional bits.
    pub fn fixed(&self, places: u32) -> Result<Table, Reject> {
        let up = places.saturating_sub(self.places);
        let exact: Vec<i128> = self.mids.iter().map(|x| i128::from(*x) << up).collect();
        let table =
            Table::settle(self.width, &exact, i128::from(self.radius) << up, self.places + up, places)?;
        if table.places == places { Ok(table) } else { Err(too_large()) }
    }

    /// `[i][j]`: the product of row `i` and row `j` of `other`, `j` in `rows`.
    pub fn products(&self, other: &Table, rows: Range<usize>) -> Result<Table, Reject> {
        /// Multiplications that are worth a thread.
        const MANY: usize = 1 << 16;
        let radius = self.product_radius(other)?;
        let theirs = &other.mids[rows.start * other.width..rows.end * other.width];
        let theirs = || theirs.chunks_exact(other.width.max(1));
        let of = |ours: &&[i64]| -> Vec<i128> {
            ours.chunks(self.width.max(1)).flat_map(|x| theirs().map(move |y| dot(x, y))).collect()
        };
        let together = MANY / (rows.len() * self.width).max(1) + 1;
        let parts: Vec<&[i64]> = self.mids.chunks(together * self.width.max(1)).collect();
        let exact = each(&parts, of).concat();
        Table::settle(rows.len(), &exact, radius, self.places + other.places, MOST_PLACES)
    }

    /// A lower bound on the product of row 0 and row `i` of `other`, in units of `2^-SUM_PLACES`.
    pub fn product_floor(&self, other: &Table, i: usize, radius: i128) -> Result<i128, Reject> {
        let lower = dot(&self.mids, other.row(i)) - radius;
        let places = self.places + other.places;
        let scaled = match SUM_PLACES.checked_sub(places) {
            Some(up) => lower.checked_mul(1 << up).ok_or_else(too_large)?,
            None => lower >> (places - SUM_PLACES),
        };
        if scaled.unsigned_abs() < 1 << 120 { Ok(scaled) } else { Err(too_large()) }
    }

    /// Error bound of any product of rows, in the unit of exact sums of products; an error if these may not fit an i128.
    pub fn product_radius(&self, other: &Table) -> Result<i128, Reject> {
        let width = i128::try_from(self.width).map_err(|_| too_large())?;
        let [r, s] = [self, other].map(|t| i128::from(t.radius));
        let size = self.norm.checked_mul(other.largest).filter(|n| *n < 1 << 126);
        let radius = || {
            let one = self.norm.checked_mul(s)?.checked_add(other.norm.checked_mul(r)?)?;
            one.checked_add(width.checked_mul(r * s)?).filter(|n| *n < 1 << 125)
        };
        size.and_then(|_| radius()).ok_or_else(too_large)
    }

    /// `Σ factor / 2^places · row` of one-row tables, with exact factors.
    pub fn combine(terms: &[(i64, u32, &Table)]) -> Result<Table, Reject> {
        let places = terms.iter().map(|(_, p, t)| p + t.places).max().unwrap_or(0);
        let width = terms.first().map_or(0, |(_, _, t)| t.width);
        let (mut exact, mut radius) = (vec![0_i128; width], 0_i128);
        for (factor, factor_places, table) in terms {
            let unit = i128::from(*factor) << (places - factor_places - table.places);
            // A sum of few terms below 2^120 fits, and so do their radii.
            let fits =
                |n: i128| unit.unsigned_abs().checked_mul(n.unsigned_abs()).is_some_and(|n| n < 1 << 120);
            if unit.unsigned_abs() >= 1 << 120 || !fits(table.largest) || !fits(table.radius.into()) {
                return Err(too_large());
            }
            for (sum, mid) in exact.iter_mut().zip(&table.mids) {
                *sum += unit * i128::from(*mid);
            }
            radius += unit.abs() * i128::from(table.radius);
        }
        Table::settle(width, &exact, radius, places, MOST_PLACES)
    }

    /// Column `i` times `factors[i] / 2^places`.
    pub fn times(&self, factors: &[i64], places: u32) -> Result<Table, Reject> {
        let factors = || factors.iter().map(|f| i128::from(*f)).cycle();
        let exact: Vec<i128> = self.mids.iter().zip(factors()).map(|(x, f)| i128::from(*x) * f).collect();
        let largest = factors().take(self.width).map(i128::abs).max().unwrap_or(0);
        Table::settle(
            self.width,
            &exact,
            i128::from(self.radius) * largest,
            self.places + places,
            MOST_PLACES,
        )
    }

    /// Every row times the row of `factors`, entry by entry.
    pub fn scaled(&self, factors: &Table) -> Result<Table, Reject> {
        let exact: Vec<i128> = self
            .mids
            .iter()
            .zip(factors.mids.iter().cycle())
            .map(|(x, f)| i128::from(*x) * i128::from(*f))
            .collect();
        let [r, s] = [self, factors].map(|t| i128::from(t.radius));
        let radius = self.largest * s + factors.largest * r + r * s;
        Table::settle(self.width, &exact, radius, self.places + factors.places, MOST_PLACES)
    }

    /// The sum of each row and each row of `other`, whose rows come one after another for each of these.
    pub fn sums(&self, other: &Table) -> Result<Table, Reject> {
        let places = self.places.max(other.places);
        let [of_self, of_other] = [self, other].map(|t| move |x: i64| i128::from(x) << (places - t.places));
        let sum = |x: &[i64], y: &[i64]| -> Vec<i128> {
            x.iter().zip(y).map(|(x, y)| of_self(*x) + of_other(*y)).collect()
        };
        let exact: Vec<i128> = self.rows().flat_map(|x| other.rows().flat_map(move |y| sum(x, y))).collect();
        let radius = of_self(self.radius) + of_other(other.radius);
        Table::settle(self.width, &exact, radius, places, MOST_PLACES)
    }

    /// Upper bound on the Euclidean length of row 0.
    pub fn length(&self) -> Interval {
        let size = |x: &i64| IBig::from(*x).abs() + self.radius;
        let square = self.mids[..self.width].iter().map(|x| size(x) * size(x)).sum::<IBig>();
        Interval::scaled(&square, -2 * i32::try_from(self.places).expect("at most 60")).sqrt()
    }

    /// Rows and columns exchanged.
    pub fn transposed(&self) -> Table {
        let columns = 0..self.width;
        let mids: Vec<i64> =
            columns.flat_map(|c| self.mids.iter().skip(c).step_by(self.width).copied()).collect();
        let width = mids.len() / self.width.max(1);
        let norm = self.largest * i128::try_from(width).expect("a length fits");
        Table { width, mids, norm, ..*self }
    }

    /// Column `j` of the result is column `from(j)`, or zero.
    pub fn columns(&self, from: impl Fn(usize) -> Option<usize>) -> Table {
        let source: Vec<Option<usize>> = (0..self.width).map(from).collect();
        let rows = self.mids.chunks(self.width.max(1));
        let mids: Vec<i64> = rows.flat_map(|row| source.iter().map(|i| i.map_or(0, |i| row[i]))).collect();
        let norm = self.largest * i128::try_from(self.width).expect("a length fits");
        Table { mids, norm, ..*self }
    }

    /// The rows.
    pub fn intervals(&self) -> Vec<Vec<Interval>> {
        let end = |n: i64| Interval::scaled(&IBig::from(n), -i32::try_from(self.places).expect("at most 60"));
        let around = |x: &i64| {
            let (lo, hi) = (end(x - self.radius), end(x + self.radius));
            Interval::from_ends(lo.lo().clone(), hi.hi().clone())
        };
        self.mids.chunks(self.width.max(1)).map(|row| row.iter().map(around).collect()).collect()
    }

    /// Midpoints of all rows.
    pub fn rows(&self) -> impl Iterator<Item = &[i64]> {
        self.mids.chunks(self.width.max(1))
    }

    /// Entries of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Midpoints of row `i`.
    pub fn row(&self, i: usize) -> &[i64] {
        &self.mids[i * self.width..(i + 1) * self.width]
    }

    /// About the mean of some rows.
    pub fn mean(&self, rows: &[usize]) -> Vec<i64> {
        let n = i128::try_from(rows.len().max(1)).expect("a length fits");
        let of_column = |c: usize| rows.iter().map(|i| i128::from(self.row(*i)[c])).sum::<i128>() / n;
        (0..self.width).map(|c| i64::try_from(of_column(c)).expect("a mean of such numbers is one")).collect()
    }

    /// Error of every entry.
    pub fn radius(&self) -> i64 {
        self.radius
    }

    /// Largest magnitude of an entry's middle.
    pub fn largest(&self) -> i128 {
        self.largest
    }

    /// Fractional bits of entries.
    pub fn places(&self) -> u32 {
        self.places
    }

    /// A number of units of this table in units of `2^-SUM_PLACES`.
    pub fn in_sum(&self, n: i128) -> i128 {
        n << (SUM_PLACES - self.places)
    }

    /// Largest `|mid|` times the largest `Σ |mid|` of a row of `other`: no product of rows is larger.
    pub fn largest_product(&self, other: &Table) -> i128 {
        self.largest.saturating_mul(other.norm)
    }
}
