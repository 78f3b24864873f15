//! The dual of the head theorem, evaluated rigorously from weights that a solver proposes.
//!
//! For every `λ` in the simplex over the tokens other than the target `t` (Gibbs' inequality, then Cauchy-Schwarz):
//! `min over the ball of LSE_{j≠t}(l_j − l_t) >= H(λ) + (Σλ_j c_j − c_t − √d ‖Π Σλ_j (a_j − a_t)‖) / T`. Here `λ_j =
//! x_j / Σx` for any floats `x_j >= 0` whatsoever, so nothing has to be known about how they were found. Sums over
//! blocks of the vocabulary are kept as enclosures; the one sum of vectors, `Σ x_j U_j`, comes from a plain matrix
//! product whose error is bounded a priori: componentwise by `γ_n Σ x_j |U_jk|`, hence in norm by `γ_n Σ x_j ‖a_j‖`
//! once `γ` is applied.

use multiversion::multiversion;
use ndarray::{Array1, ArrayView1};

use super::problem::Problem;
use crate::num::gamma::{ROUNDOFF_F64, gamma, nonnegative, norm_upper, signed};
use crate::num::{Interval, ln_upper, sigmoid};

/// What the dual needs of the weights `x_j`, each an enclosure.
#[derive(Debug, Clone)]
pub struct Sums {
    /// `Σ x_j`.
    pub total: Interval,
    /// Contains a number at or above `Σ x_j ln x_j`.
    pub log: Interval,
    /// `Σ x_j c_j`.
    pub constant: Interval,
    /// Contains a number at or above `Σ x_j ‖a_j‖`.
    pub norm: Interval,
}

impl Sums {
    /// The sums over no tokens.
    pub const EMPTY: Sums =
        Sums { total: Interval::ZERO, log: Interval::ZERO, constant: Interval::ZERO, norm: Interval::ZERO };

    /// The sums over the tokens from `first` on, with weights that are not negative; that of the target is zero.
    pub fn of_block(problem: &Problem, first: usize, weights: &[f64]) -> Sums {
        let n = weights.len();
        let constants = problem.constants.as_ref().map_or(&[][..], |c| &c.lower[first..first + n]);
        let [total, log, log_magnitude, norm, constant, constant_magnitude] =
            add_up(weights, &problem.norms[first..first + n], constants);
        let total = nonnegative(total, n);
        let constant = signed(constant, constant_magnitude, n + 1);
        let width = problem.constants.as_ref().map_or(0.0, |c| c.width);
        Sums {
            total,
            log: signed(log, log_magnitude, n + 1),
            constant: constant + total * Interval::new(0.0, width),
            norm: nonnegative(norm, n + 1),
        }
    }

    /// The sums over two disjoint sets of tokens.
    pub fn and(self, other: &Sums) -> Sums {
        Sums {
            total: self.total + other.total,
            log: self.log + other.log,
            constant: self.constant + other.constant,
            norm: self.norm + other.norm,
        }
    }
}

/// Floats that are added up side by side.
const LANES: usize = 8;

/// `Σ x`, `Σ x ln x`, `Σ |x ln x|`, `Σ x r`, `Σ x c` and `Σ |x c|` as floats with at most one rounding a term besides
/// those of a sum of as many terms; `ln` from above. No constants read as zeros.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn add_up(weights: &[f64], norms: &[f64], constants: &[f64]) -> [f64; 6] {
    let mut sums = [[0.0f64; LANES]; 6];
    let weights = weights.chunks(LANES);
    for (i, (x, r)) in weights.zip(norms.chunks(LANES)).enumerate() {
        if x.iter().sum::<f64>() == 0.0 {
            continue;
        }
        let mut terms = [[0.0f64; LANES]; 6];
        let [total, log, log_magnitude, norm, constant, constant_magnitude] = &mut terms;
        total[..x.len()].copy_from_slice(x);
        norm[..r.len()].copy_from_slice(r);
        if let Some(c) = constants.get(i * LANES..).map(|c| &c[..c.len().min(LANES)]) {
            constant[..c.len()].copy_from_slice(c);
        }
        for k in 0..LANES {
            let x = total[k];
            log[k] = if x > 0.0 { x * ln_upper(x) } else { 0.0 };
            log_magnitude[k] = log[k].abs();
            norm[k] *= x;
            constant[k] *= x;
            constant_magnitude[k] = constant[k].abs();
        }
        for (sum, term) in sums.iter_mut().zip(&terms) {
            for k in 0..LANES {
                sum[k] += term[k];
            }
        }
    }
    sums.map(|lanes| lanes.iter().sum())
}

/// How the float sums `Σ x_j U_j` were computed.
#[derive(Debug, Clone, Copy)]
pub struct SumError {
    /// Bound on the relative error of the products and sums in the narrow type, `γ_n` of the longest run of them.
    pub relative: f64,
    /// Number of roundings in `f64` on top.
    pub wide: usize,
    /// Bound on the absolute error of a component by underflow.
    pub absolute: f64,
}

/// The dual value of one target at some `λ`.
#[derive(Debug, Clone, Copy)]
pub struct Dual {
    /// Lower bound on `min over the ball of LSE_{j≠t}(l_j − l_t)`, in nats; `−∞` where nothing is known.
    pub log_odds: f64,
    /// Lower bound on `Σλ_j c_j − c_t − √d ‖·‖`: a positive number means that at every point of the ball some token
    /// beats the target, at every temperature.
    pub margin: f64,
    /// What the rounding errors of the sum of vectors cost, in nats; a float, no bound.
    pub rounding: f64,
}

impl Dual {
    /// The dual of which nothing is known.
    pub const NOTHING: Dual = Dual { log_odds: f64::NEG_INFINITY, margin: f64::NEG_INFINITY, rounding: 0.0 };

    /// Evaluates the dual for `target` from the sums and from `vector`, the float value of `Σ x_j U_j` with `error`.
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
        // v_k = γ_k (w_k / total − U_tk). The float total lies in the enclosure, so replacing it costs a factor
        // within hi/lo; division, subtraction and the product with γ cost one roundoff each.
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
        let rounding = off.hi() * problem.radius / problem.near_temperature();
        Dual { log_odds: bound.lo(), margin: margin.lo(), rounding }
    }

    /// Upper bound on the probability of the target over the whole ball.
    pub fn probability(&self) -> f64 {
        sigmoid(Interval::point(-self.log_odds)).hi()
    }
}
