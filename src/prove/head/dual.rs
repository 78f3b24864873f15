//! The dual of the head theorem, evaluated rigorously from weights that a solver proposes.
//!
//! For every `λ` in the simplex over the tokens other than the target `t` (Gibbs' inequality, then Cauchy-Schwarz):
//! `min over the ball of LSE_{j≠t}(l_j − l_t) >= H(λ) + (Σλ_j c_j − c_t − √d ‖Π Σλ_j (a_j − a_t)‖) / T`.
//! Here `λ_j = x_j / Σx` for any floats `x_j >= 0` whatsoever, so nothing has to be known about how they were found. Sums over
//! blocks of the vocabulary are kept as enclosures; the one sum of vectors, `Σ x_j U_j`, comes from a plain matrix product
//! whose error is bounded a priori: componentwise by `γ_n Σ x_j |U_jk|`, hence in norm by `γ_n Σ x_j ‖a_j‖` once `γ` is applied.

use ndarray::{Array1, ArrayView1};

use super::problem::Problem;
use crate::num::gamma::{ROUNDOFF_F64, gamma, nonnegative, norm_upper, signed};
use crate::num::{Interval, LnUpper, sigmoid};

/// What the dual needs of the weights `x_j = 2^exponent · y_j`, each an enclosure; all in units of `2^exponent`.
#[derive(Debug, Clone)]
pub struct Sums {
    /// Binary exponent of the unit.
    pub exponent: i32,
    /// `Σ y_j`.
    pub total: Interval,
    /// `Σ y_j ln y_j`, only its upper end being tight.
    pub log: Interval,
    /// `Σ y_j c_j`.
    pub constant: Interval,
    /// `Σ y_j ‖a_j‖`.
    pub norm: Interval,
}

/// Terms further below the largest block than `2^−DROP` get weight zero.
const DROP: i64 = 200;

impl Sums {
    /// The sums of one block: the weights of the tokens from `first` on, none negative. The target has weight zero.
    pub fn of_block(
        problem: &Problem,
        first: usize,
        weights: impl ExactSizeIterator<Item = f64>,
        exponent: i32,
    ) -> Sums {
        let (n, ln) = (weights.len(), LnUpper::new());
        let norms = &problem.norms[first..];
        let [mut total, mut log, mut log_magnitude, mut norm] = [0.0; 4];
        let [mut constant, mut constant_magnitude, mut constant_width] = [0.0; 3];
        let constants = problem.constants.as_ref().map(|c| &c[first..]);
        for (j, y) in weights.enumerate() {
            if y == 0.0 {
                continue;
            }
            let term = y * ln.of(y);
            total += y;
            log += term;
            log_magnitude += term.abs();
            norm += y * norms[j];
            if let Some(c) = constants {
                let lo = y * c[j].lo();
                constant += lo;
                constant_magnitude += lo.abs();
                constant_width += y * c[j].width();
            }
        }
        let constant = signed(constant, constant_magnitude, n + 1);
        let constant_hi = constant + nonnegative(constant_width, n + 1);
        Sums {
            exponent,
            total: nonnegative(total, n),
            log: signed(log, log_magnitude, n + 1),
            constant: Interval::new(constant.lo(), constant_hi.hi()),
            norm: nonnegative(norm, n + 1),
        }
    }

    /// The sums over several blocks.
    pub fn merge(blocks: &[Sums]) -> Sums {
        let zero = Interval::ZERO;
        let exponent = Sums::largest_exponent(blocks);
        let mut sums = Sums { exponent, total: zero, log: zero, constant: zero, norm: zero };
        let ln_2 = crate::num::ln(Interval::point(2.0));
        for block in blocks {
            let Some(factor) = block.factor(exponent) else { continue };
            // Σ fy ln(fy) = f (Σ y ln y + ln f Σ y), and ln f is a multiple of ln 2.
            let ln_factor = ln_2 * f64::from(block.exponent - exponent);
            sums.total = sums.total + block.total * factor;
            sums.log = sums.log + (block.log + block.total * ln_factor) * factor;
            sums.constant = sums.constant + block.constant * factor;
            sums.norm = sums.norm + block.norm * factor;
        }
        sums
    }

    /// The unit in which several blocks are added.
    pub fn largest_exponent(blocks: &[Sums]) -> i32 {
        blocks.iter().map(|block| block.exponent).max().unwrap_or(0)
    }

    /// The power of two by which a block enters sums of the unit `2^exponent`, not below its own. `None` where it is so
    /// small that its weights are set to zero, which is sound as long as they are left out of every sum.
    pub fn factor(&self, exponent: i32) -> Option<f64> {
        let shift = i64::from(self.exponent) - i64::from(exponent);
        (shift >= -DROP).then(|| f64::from_bits(((1023 + shift) as u64) << 52))
    }
}

/// How the float sums `Σ x_j U_j` were computed.
#[derive(Debug, Clone, Copy)]
pub struct SumError {
    /// Bound on the relative error of the products and sums in the narrow type, `γ_n` of the longest run of them.
    pub relative: f64,
    /// Number of roundings in `f64` on top.
    pub wide: usize,
    /// Bound on the absolute error of a component by underflow, in units of the largest block.
    pub absolute: f64,
}

/// The dual value of one target at some `λ`.
#[derive(Debug, Clone, Copy)]
pub struct Dual {
    /// Lower bound on `min over the ball of LSE_{j≠t}(l_j − l_t)`, in nats; `−∞` where nothing is known.
    pub log_odds: f64,
    /// Lower bound on `Σλ_j c_j − c_t − √d ‖·‖`: a positive number means that at every point of the ball some token beats the
    /// target, at every temperature.
    pub margin: f64,
    /// What the rounding errors of the sum of vectors cost, in nats; a float, no bound.
    pub rounding: f64,
}

impl Dual {
    /// The dual of which nothing is known.
    pub const NOTHING: Dual = Dual { log_odds: f64::NEG_INFINITY, margin: f64::NEG_INFINITY, rounding: 0.0 };

    /// Evaluates the dual for `target` from the sums and from `vector`, the float value of `Σ y_j U_j` with `error`.
    pub fn evaluate(
        problem: &Problem,
        target: usize,
        sums: &Sums,
        vector: ArrayView1<f64>,
        error: SumError,
    ) -> Dual {
        if sums.total.lo() <= 0.0 {
            return Dual::NOTHING;
        }
        let one = Interval::ONE;
        // v_k = γ_k (w_k / total − U_tk). The float total lies in the enclosure, so replacing it costs a factor within
        // hi/lo; division, subtraction and the product with γ cost one roundoff each.
        let total = sums.total.hi();
        let u_t = problem.unembed.row(target);
        let v: Array1<f64> = vector
            .iter()
            .zip(u_t)
            .zip(&problem.gain)
            .map(|((&w, &u), &g)| g * (w / total - f64::from(u)))
            .collect();
        let rounding = one + Interval::point(gamma(error.wide + 4, ROUNDOFF_F64));
        let spread = Interval::point(sums.total.hi()) / Interval::point(sums.total.lo());
        let relative = (one + Interval::point(error.relative)) * rounding * spread - one;
        let own = Interval::point(gamma(4, ROUNDOFF_F64)) * problem.norms[target];
        let lost = Interval::point(error.absolute) * problem.gain_norm / sums.total;
        let off = relative * (sums.norm / sums.total) + own + lost * 2.0;
        // For any m, Σ(v_k − m)² >= ‖Πv‖², so the mean need not be known exactly.
        let mean = if problem.centred { v.sum() / v.len() as f64 } else { 0.0 };
        let distance = Interval::point(norm_upper(v.iter().map(|v| v - mean)))
            * (one + Interval::point(gamma(2, ROUNDOFF_F64)));
        let reach = (distance + off) * problem.radius;

        let constant = sums.constant / sums.total - problem.constant(target);
        let margin = Interval::point(constant.lo()) - Interval::point(reach.hi());
        let entropy = crate::num::ln(sums.total) - sums.log / sums.total;
        let bound = entropy + Interval::point(margin.lo()) / problem.temperature;
        let finite = entropy.is_finite() && reach.is_finite() && constant.is_finite() && bound.is_finite();
        if !finite {
            return Dual::NOTHING;
        }
        let rounding = off.hi() * problem.radius / problem.temperature.mid_rad().0;
        Dual { log_odds: bound.lo(), margin: margin.lo(), rounding }
    }

    /// Upper bound on the probability of the target over the whole ball.
    pub fn probability(&self) -> f64 {
        sigmoid(Interval::point(-self.log_odds)).hi()
    }
}
