//! Affine forms: vectors that depend linearly on shared unknowns, up to a proved error.
//!
//! ```text
//! x = mid + Σ_k ε_k coef_k + e,     |e_i| <= err_i,
//! ```
//!
//! where the symbols ε come in groups, each known to lie in a box (`|ε_k| <= 1`), in a ball (`‖ε‖₂ <= 1`), or to choose
//! one row (`ε` a unit vector: discrete alternatives such as the tokens of a set). Forms that share symbols keep their
//! correlations, so `x − x` is zero up to rounding. (Affine arithmetic: Comba, Stolfi 1993; zonotopes for transformers:
//! Bonaert, Dimitrov, Baader, Vechev 2021, *Fast and Precise Certification of Transformers*.)
//!
//! Law of every operation: for all reals ε in their groups and errors within their radii, the exact real result of the
//! exact operation is a member of the form that comes out. The rounding of floats is bounded beforehand and added to `err`:
//! a sum of `n` products has an error of at most `γ_n` times the sum of their magnitudes, and the magnitudes of all
//! coefficients of an entry together are its [`Form::magnitude`].

mod activation;
mod attention;
mod bilinear;
mod choice;
mod interpolate;
mod linear;
mod norm;
mod polynomial;
mod product;
mod rows;
mod size;
mod sum;
#[cfg(test)]
mod tests;

use ndarray::{Array2, ArrayView2, s};

use crate::num::{Interval, nonnegative_sum};
use rows::{add_sizes, add_squares};

pub use activation::Curve;
pub use attention::Source;
pub use linear::Map;
pub use norm::{Mapped, Normalised, Sphere};
pub use sum::Sum;

/// Errors up to this stay in the error radii: not worth symbols.
const NEGLIGIBLE: f64 = 1e-11;

/// What is known of the symbols of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `|ε_k| <= 1` for each.
    Box,
    /// `‖ε‖₂ <= 1`.
    Ball,
    /// Exactly one is 1, the others are 0.
    Choice,
}

/// Symbols that come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Identity: forms with the same number share the symbols.
    id: u64,
    shape: Shape,
    size: usize,
    /// Products of up to so many of its symbols have symbols of their own, the groups that come next ([`polynomial`]).
    degree: u8,
}

/// Hands out fresh groups.
#[derive(Debug, Clone, Default)]
pub struct Symbols {
    next: u64,
}

impl Symbols {
    /// The `n`-th of disjoint supplies: later supplies hand out groups that come after those of earlier ones.
    #[must_use]
    pub fn supply(n: u64) -> Symbols {
        Symbols { next: n << 24 }
    }

    /// A group that no form has yet.
    pub fn fresh(&mut self, shape: Shape, size: usize) -> Group {
        self.next += 1;
        Group { id: self.next, shape, size, degree: 1 }
    }

    /// The same, where products of up to `degree` of its symbols, two or three, are kept track of: of a box or a ball.
    pub fn fresh_with_products(&mut self, shape: Shape, size: usize, degree: u8) -> Group {
        assert!(shape != Shape::Choice, "alternatives have no products");
        assert!((2..=3).contains(&degree), "products of two or three symbols");
        let group = Group { degree, ..self.fresh(shape, size) };
        // The numbers of the groups of products.
        self.next += u64::from(degree) - 1;
        group
    }
}

/// An affine form of some width.
#[derive(Debug, Clone)]
pub struct Form {
    /// Centre, `[width]`.
    mid: Vec<f64>,
    /// Groups in order of their ids; their symbols are the rows of `coef`.
    groups: Vec<Group>,
    /// `[symbols, width]`.
    coef: Array2<f64>,
    /// Radius of what no symbol describes, `[width]`, not negative; NaN or ∞ where nothing is known.
    err: Vec<f64>,
}

impl Form {
    /// A vector known exactly.
    #[must_use]
    pub fn point(mid: Vec<f64>) -> Form {
        let width = mid.len();
        Form::enclosed(mid, vec![0.0; width])
    }

    /// A vector known entry by entry to within radii.
    #[must_use]
    pub fn enclosed(mid: Vec<f64>, err: Vec<f64>) -> Form {
        let width = mid.len();
        Form { mid, groups: Vec::new(), coef: Array2::zeros((0, width)), err }
    }

    /// A vector known entry by entry to lie in intervals.
    #[must_use]
    pub fn of_intervals(xs: &[Interval]) -> Form {
        let (mid, err) = xs.iter().map(|x| x.mid_rad()).unzip();
        Form::enclosed(mid, err)
    }

    /// Adds `Σ_k ε_k rows_k` for the symbols of a fresh group.
    #[must_use]
    pub fn with_group(mut self, group: Group, rows: Array2<f64>) -> Form {
        debug_assert!(rows.nrows() == group.size && rows.ncols() == self.width(), "one row a symbol");
        assert!(self.groups.last().is_none_or(|last| last.id < group.id), "fresh groups come last");
        if self.coef.nrows() == 0 {
            self.coef = rows;
        } else {
            self.coef.append(ndarray::Axis(0), rows.view()).expect("rows are as wide as the form");
        }
        self.groups.push(group);
        self
    }

    /// Number of entries.
    #[must_use]
    pub fn width(&self) -> usize {
        self.mid.len()
    }

    /// Number of symbols.
    #[must_use]
    pub fn n_symbols(&self) -> usize {
        self.coef.nrows()
    }

    /// Centre.
    #[must_use]
    pub fn mid(&self) -> &[f64] {
        &self.mid
    }

    /// Makes what only `err` describes a group of its own, one symbol an entry, so that later steps keep track of it.
    #[must_use]
    pub fn absorb(mut self, symbols: &mut Symbols) -> Form {
        let width = self.width();
        if self.err.iter().all(|e| *e <= NEGLIGIBLE) {
            return self;
        }
        let err = std::mem::replace(&mut self.err, vec![0.0; width]);
        let rows = Array2::from_diag(&ndarray::Array1::from_vec(err));
        self.with_group(symbols.fresh(Shape::Box, width), rows)
    }

    /// The same enclosure, entry by entry, without any symbols.
    #[must_use]
    pub fn forget(&self) -> Form {
        Form::of_intervals(&self.ranges())
    }

    /// Entries `first..last`.
    #[must_use]
    pub fn slice(&self, first: usize, last: usize) -> Form {
        Form {
            mid: self.mid[first..last].to_vec(),
            groups: self.groups.clone(),
            coef: self.coef.slice(s![.., first..last]).to_owned(),
            err: self.err[first..last].to_vec(),
        }
    }

    /// The entries of one form after those of the other.
    #[must_use]
    pub fn join(parts: &[Form]) -> Form {
        let groups = union(parts);
        let width = parts.iter().map(Form::width).sum();
        let mut coef = Array2::zeros((n_symbols(&groups), width));
        let (mut mid, mut err) = (Vec::with_capacity(width), Vec::with_capacity(width));
        for part in parts {
            let at = mid.len();
            part.scatter(&groups, |rows, source| {
                coef.slice_mut(s![rows, at..at + part.width()]).assign(&source);
            });
            mid.extend_from_slice(&part.mid);
            err.extend_from_slice(&part.err);
        }
        Form { mid, groups, coef, err }
    }

    /// Calls `place` with every group's rows: where they lie among the symbols of `groups`, and the coefficients.
    fn scatter(&self, groups: &[Group], mut place: impl FnMut(std::ops::Range<usize>, ArrayView2<f64>)) {
        let (mut to, mut from) = (0, 0);
        let mut own = self.groups.iter().peekable();
        for group in groups {
            if own.next_if(|g| g.id == group.id).is_some() {
                place(to..to + group.size, self.coef.slice(s![from..from + group.size, ..]));
                from += group.size;
            }
            to += group.size;
        }
    }

    /// `f(group, rows)` for every group.
    fn each_group(&self, mut f: impl FnMut(Group, ArrayView2<f64>)) {
        let mut from = 0;
        for &group in &self.groups {
            f(group, self.coef.slice(s![from..from + group.size, ..]));
            from += group.size;
        }
    }

    /// Upper bounds on how far each entry lies below and above the centre.
    fn deviations(&self) -> (Vec<f64>, Vec<f64>) {
        let width = self.width();
        let mut both = self.err.clone();
        // Alternatives: least and greatest, which have a sign, and their sizes.
        let (mut below, mut above, mut size) =
            (vec![0.0f64; width], vec![0.0f64; width], vec![0.0f64; width]);
        let mut sum = vec![0.0f64; width];
        self.each_group(|group, rows| match group.shape {
            Shape::Box => add_sizes(&mut both, rows),
            Shape::Ball => {
                sum.fill(0.0);
                add_squares(&mut sum, rows);
                // A square that underflows loses less than the smallest normal number.
                let lost = group.size as f64 * f64::MIN_POSITIVE;
                both.iter_mut().zip(&sum).for_each(|(to, x)| *to += nonnegative_sum(x + lost).sqrt());
            }
            Shape::Choice => {
                for (i, column) in rows.columns().into_iter().enumerate() {
                    let (lo, hi) = (least(column.iter().copied()), -least(column.iter().map(|x| -x)));
                    (below[i], above[i], size[i]) =
                        (below[i] - lo, above[i] + hi, size[i] + lo.abs() + hi.abs());
                }
            }
        });
        let roundings = (2.0 * self.groups.len() as f64 + 4.0) * f64::EPSILON;
        for (i, both) in both.into_iter().enumerate() {
            // Square roots of Ball groups round once more each, which the factor on the sum covers.
            let rest = nonnegative_sum(nonnegative_sum(both) + roundings * size[i]);
            (below[i], above[i]) = (up(below[i] + rest), up(above[i] + rest));
        }
        (below, above)
    }

    /// Upper bound on `|x_i − mid_i|` of every entry.
    #[must_use]
    pub fn radius(&self) -> Vec<f64> {
        self.radius_and_ranges().0
    }

    /// Enclosures of all entries.
    #[must_use]
    pub fn ranges(&self) -> Vec<Interval> {
        self.radius_and_ranges().1
    }

    /// Both at once.
    fn radius_and_ranges(&self) -> (Vec<f64>, Vec<Interval>) {
        let (below, above) = self.deviations();
        let bounds = self.mid.iter().zip(below.into_iter().zip(above));
        let of = |(&mid, (below, above)): (&f64, (f64, f64))| {
            // An overflow of the centre, or a lost deviation, says nothing.
            let range = match mid.is_finite() && (below + above).is_finite() {
                true => Interval::point(mid) + Interval::new(-below, above),
                false => Interval::ENTIRE,
            };
            (worse(worse(below, above), 0.0), range)
        };
        bounds.map(of).unzip()
    }

    /// Upper bound on `|mid_i| + Σ_k |coef_ki| + err_i`, the size of everything in an entry.
    #[must_use]
    pub fn magnitude(&self) -> Vec<f64> {
        let mut sum: Vec<f64> = self.mid.iter().zip(&self.err).map(|(m, e)| m.abs() + e).collect();
        add_sizes(&mut sum, self.coef.view());
        sum.into_iter().map(nonnegative_sum).collect()
    }
}

/// The least of some numbers; NaN if there is one among them.
fn least(xs: impl Iterator<Item = f64>) -> f64 {
    -xs.fold(f64::NEG_INFINITY, |a, x| worse(a, -x))
}

/// Maximum in which NaN wins, so that a lost bound stays lost.
pub(super) fn worse(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// The float above, whatever rounding did.
fn up(x: f64) -> f64 {
    x.next_up()
}

/// All groups of some forms, in order.
fn union(forms: &[Form]) -> Vec<Group> {
    union_of(forms.iter().map(|form| form.groups.as_slice()))
}

fn union_of<'a>(lists: impl Iterator<Item = &'a [Group]>) -> Vec<Group> {
    let mut all: Vec<Group> = lists.flatten().copied().collect();
    all.sort_by_key(|group| group.id);
    all.dedup_by_key(|group| group.id);
    all
}

fn n_symbols(groups: &[Group]) -> usize {
    groups.iter().map(|group| group.size).sum()
}
