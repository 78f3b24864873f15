//! Affine maps with exact weights, applied to intervals.
//!
//! Weights and midpoints are split into digits of 56 bits, so that a dot product of integers of any size becomes a few
//! dot products of machine integers, exactly: `|digit · digit| < 2^112`, and a chunk of 2^14 of them stays below 2^127.

use dashu_base::{BitTest, Sign};
use dashu_int::IBig;

use crate::interval::{FRACTION_BITS, Interval};
use crate::tensor::{DIGIT_BITS as DIGIT, Tensor};

/// Terms of a dot product that an i128 surely holds.
const CHUNK: usize = 1 << 14;

/// `y = W x + b`.
#[derive(Debug)]
pub(crate) struct Linear {
    columns: usize,
    /// Weights are multiples of `2^unit`.
    unit: i16,
    /// `digits[k]`, row-major `[rows, columns]`: in units of `2^unit` a weight is `Σ_k digits[k] 2^(56 k)`.
    digits: Vec<Vec<i64>>,
    /// `Σ |w|` of each row, in units of `2^unit`.
    norms: Vec<IBig>,
    bias: Option<Vec<Interval>>,
}

/// A vector of intervals as midpoints in digits and one radius for all, in units of 2^-256.
#[derive(Debug)]
pub(crate) struct Vector {
    /// `digits[k][i]`: midpoint `i` is `Σ_k digits[k][i] 2^(56 (first + k))`.
    digits: Vec<Vec<i64>>,
    first: usize,
    radius: IBig,
}

/// Bits of a midpoint that are kept below the highest bit of the radius: the others say nothing.
const BELOW_RADIUS: usize = 16;

impl Vector {
    pub fn new(x: &[Interval]) -> Vector {
        let mut radius = IBig::ZERO;
        let mut middles = Vec::with_capacity(x.len());
        for x in x {
            let middle: IBig = (x.lo() + x.hi()) >> 1;
            radius = radius.max(x.hi() - &middle).max(&middle - x.lo());
            let (sign, magnitude) = middle.into_parts();
            middles.push((sign, magnitude.to_le_bytes()));
        }
        // A digit is seven bytes.
        let n_digits = middles.iter().map(|(_, bytes)| bytes.len().div_ceil(7)).max().unwrap_or(0);
        let first = (radius.bit_len().saturating_sub(BELOW_RADIUS) / DIGIT).min(n_digits);
        if first > 0 {
            radius += IBig::ONE << (DIGIT * first);
        }
        let mut digits = vec![vec![0; x.len()]; n_digits - first];
        for (i, (sign, bytes)) in middles.iter().enumerate() {
            for (digits, bytes) in digits.iter_mut().zip(bytes.chunks(7).skip(first)) {
                let digit = bytes.iter().rev().fold(0_i64, |digit, byte| digit << 8 | i64::from(*byte));
                digits[i] = if *sign == Sign::Negative { -digit } else { digit };
            }
        }
        Vector { digits, first, radius }
    }
}

impl Linear {
    /// The map whose weight from input `c` to output `r` is element `at(r, c)` of the tensor.
    pub fn new(
        weight: &Tensor,
        [rows, columns]: [usize; 2],
        at: impl Fn(usize, usize) -> usize,
        bias: Option<&Tensor>,
    ) -> Linear {
        let unit = weight.unit();
        let mut digits = vec![vec![0; rows * columns]; weight.n_digits()];
        for r in 0..rows {
            for c in 0..columns {
                let (k, low, high) = weight.values[at(r, c)].digits(unit);
                digits[k][r * columns + c] = low;
                digits[k + 1][r * columns + c] = high;
            }
        }
        // The highest digits are often zero throughout.
        while digits.last().is_some_and(|digits| digits.iter().all(|d| *d == 0)) {
            digits.pop();
        }
        // The digits of a weight share its sign, so their magnitudes are the digits of its magnitude.
        let magnitude = |row: &[i64]| IBig::from(row.iter().map(|d| i128::from(d.abs())).sum::<i128>());
        let norm = |r: usize| {
            let of_digit =
                |(k, digits): (usize, &Vec<i64>)| magnitude(&digits[r * columns..][..columns]) << (DIGIT * k);
            digits.iter().enumerate().map(of_digit).sum()
        };
        let norms = (0..rows).map(norm).collect();
        Linear { columns, unit, digits, norms, bias: bias.map(Tensor::intervals) }
    }

    /// The weights of output `r`, exactly.
    pub fn row(&self, r: usize) -> Vec<Interval> {
        let weight = |c: usize| {
            let digit =
                |(k, digits): (usize, &Vec<i64>)| IBig::from(digits[r * self.columns + c]) << (DIGIT * k);
            Interval::scaled(&self.digits.iter().enumerate().map(digit).sum(), i32::from(self.unit))
        };
        (0..self.columns).map(weight).collect()
    }

    /// `b_r`.
    pub fn bias(&self, r: usize) -> Interval {
        self.bias.as_ref().map_or_else(|| Interval::from_int(0), |bias| bias[r].clone())
    }

    /// Number of outputs.
    pub fn rows(&self) -> usize {
        self.norms.len()
    }

    /// Encloses `W x + b`.
    ///
    /// # Panics
    /// If `x` has another length than the rows of W.
    pub fn apply(&self, x: &Vector) -> Vec<Interval> {
        assert!(x.digits.iter().all(|digits| digits.len() == self.columns), "lengths of a product agree");
        let exponent = i32::from(self.unit) - i32::try_from(FRACTION_BITS).expect("256 fits");
        let output = |(r, norm): (usize, &IBig)| {
            let mut middle = IBig::ZERO;
            for (k, weights) in self.digits.iter().enumerate() {
                let row = &weights[r * self.columns..][..self.columns];
                for (l, digits) in x.digits.iter().enumerate() {
                    middle += exact_dot(row, digits) << (DIGIT * (k + l + x.first));
                }
            }
            let radius = norm * &x.radius;
            let y = Interval::between(&(&middle - &radius), &(middle + radius), exponent);
            match &self.bias {
                Some(bias) => &y + &bias[r],
                None => y,
            }
        };
        self.norms.iter().enumerate().map(output).collect()
    }
}

/// `Σ x_i y_i` of digits, exactly.
fn exact_dot(x: &[i64], y: &[i64]) -> IBig {
    x.chunks(CHUNK).zip(y.chunks(CHUNK)).map(|(x, y)| IBig::from(dot(x, y))).sum()
}

/// `Σ x_i y_i`; the caller knows that it fits.
pub(crate) fn dot(x: &[i64], y: &[i64]) -> i128 {
    let product = |x: i64, y: i64| i128::from(x) * i128::from(y);
    // Two sums side by side, as each waits for its last term.
    let ((x, last_x), (y, last_y)) = (x.as_chunks::<2>(), y.as_chunks::<2>());
    let (mut even, mut odd) = (0, 0);
    for ([a, b], [c, d]) in x.iter().zip(y) {
        even += product(*a, *c);
        odd += product(*b, *d);
    }
    even + odd + last_x.iter().zip(last_y).map(|(x, y)| product(*x, *y)).sum::<i128>()
}

#[cfg(test)]
mod tests;
