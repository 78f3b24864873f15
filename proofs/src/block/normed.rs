//! Ranges of functionals of a normalised vector, given ranges of functionals of the vector.
//!
//! Let `ê` be about the direction of the middle of all vectors r, `t = ê·r`, `r⊥ = r − t ê`, `n = ‖ê‖²`. Then with `z = r/σ`
//!
//! ```text
//! ‖r‖² = ‖r⊥‖² + (2 − n) t²,     σ² = ‖r‖²/d + ε,     ê·z = 1/√((‖r⊥‖²/t² + 2 − n)/d + ε/t²)  where t > 0,
//! F·z = f ê·z + (F − f ê)·r/σ    for any f, best about F·ê/n,     |F·z| <= √d ‖F‖.
//! ```

use dashu_int::IBig;

use crate::interval::Interval;
use crate::reject::Reject;

use super::fixed::{MOST_PLACES, SUM_PLACES, Table, too_large};

/// Fractional bits of `ê` and of f.
pub(super) const AXIS_PLACES: u32 = 40;

/// Functionals `F·z + c`.
pub(super) struct Functionals {
    pub rows: Table,
    constants: Vec<Interval>,
    /// `√d ‖F‖`, at least.
    most: Vec<Interval>,
}

/// What is known of all normalised vectors.
#[derive(Debug)]
pub(super) struct Normed {
    /// `[1, d]`, exact.
    pub axis: Table,
    /// `ê·z`.
    pub along: Interval,
    /// `1/σ`.
    pub rho: Interval,
}

/// Ranges in units of `2^-SUM_PLACES` as intervals.
fn interval([lo, hi]: [i128; 2]) -> Interval {
    let end = |n: i128| Interval::scaled(&IBig::from(n), -i32::try_from(SUM_PLACES).expect("64 fits"));
    Interval::from_ends(end(lo).lo().clone(), end(hi).hi().clone())
}

impl Functionals {
    pub fn new(rows: &[Vec<Interval>], constants: Vec<Interval>) -> Result<Functionals, Reject> {
        let most = |row: &Vec<Interval>| {
            let square = row.iter().map(Interval::square).sum::<Interval>() * Interval::from_int(row.len());
            square.sqrt()
        };
        Ok(Functionals { rows: Table::new(rows)?, constants, most: rows.iter().map(most).collect() })
    }
}

impl Normed {
    /// Of vectors of width d with these ranges of functionals.
    pub fn new(
        d: usize,
        epsilon: &Interval,
        ranges: impl Fn(&Table) -> Result<Vec<[i128; 2]>, Reject>,
    ) -> Result<Normed, Reject> {
        let identity = Table::identity(d)?;
        let middle: Vec<i128> = ranges(&identity)?.iter().map(|[lo, hi]| (lo + hi) >> 25).collect();
        let fits = middle.iter().all(|x| x.unsigned_abs() < 1 << 55);
        let square: u128 = if fits { middle.iter().map(|x| x.unsigned_abs().pow(2)).sum() } else { 0 };
        let length = i128::try_from(square.isqrt()).map_err(|_| too_large())?.max(1);
        let axis: Vec<i128> =
            middle.iter().map(|x| if fits { (x << AXIS_PLACES) / length } else { 0 }).collect();
        let axis = Table::settle(d, &axis, 0, AXIS_PLACES, MOST_PLACES)?;
        // The axis itself, then `e_i − ê_i ê`.
        let along = axis.multiples(axis.row(0), AXIS_PLACES)?;
        let across = ranges(&identity.plus(&along.negated())?)?;
        let t = ranges(&axis)?.into_iter().next().map(interval).ok_or_else(too_large)?;
        let across = across.into_iter().map(|range| interval(range).square()).sum::<Interval>();
        let size = axis.row(0).iter().map(|x| IBig::from(*x) * *x).sum::<IBig>();
        let size = Interval::scaled(&size, -2 * i32::try_from(AXIS_PLACES).expect("40 fits"));
        let (width, lean) = (Interval::from_int(d), &Interval::from_int(2) - &size);
        let one = Interval::from_int(1);
        let mean = (&across + &(&lean * &t.square())).divide(&width, "d")?;
        let rho = one.divide(&(&mean + epsilon).sqrt(), "a norm")?;
        let along = if *t.lo() > IBig::ZERO {
            let square = t.square();
            let rest = (&across.divide(&square, "a square")? + &lean).divide(&width, "d")?;
            one.divide(&(&rest + &epsilon.divide(&square, "a square")?).sqrt(), "a norm")?
        } else {
            &t * &rho
        };
        Ok(Normed { axis, along, rho })
    }

    /// f for each row, and `F − f ê`.
    pub fn split(&self, rows: &Table) -> Result<(Vec<Interval>, Table), Reject> {
        let parts = rows.parts(&self.axis, AXIS_PLACES)?;
        let rest = rows.plus(&self.axis.multiples(&parts, AXIS_PLACES)?.negated())?;
        let unit = -i32::try_from(AXIS_PLACES).expect("40 fits");
        Ok((parts.iter().map(|f| Interval::scaled(&IBig::from(*f), unit)).collect(), rest))
    }

    /// Encloses functionals, given ranges of those of the vectors.
    pub fn enclose(
        &self,
        functionals: &Functionals,
        ranges: impl Fn(&Table) -> Result<Vec<[i128; 2]>, Reject>,
    ) -> Result<Vec<Interval>, Reject> {
        let (parts, rest) = self.split(&functionals.rows)?;
        let rest = ranges(&rest)?;
        let all = parts.iter().zip(rest).zip(functionals.constants.iter().zip(&functionals.most));
        let one = |((part, range), (constant, most)): ((&Interval, [i128; 2]), (&Interval, &Interval))| {
            let value = &(&self.along * part) + &(&interval(range) * &self.rho);
            let (lo, hi) = (value.lo().max(&-most.hi()).clone(), value.hi().min(most.hi()).clone());
            &Interval::from_ends(lo, hi) + constant
        };
        Ok(all.map(one).collect())
    }
}
