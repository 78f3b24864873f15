//! Minimises `g(ẑ) = LSE_{j≠t}(l_j − l_t)` over the ball for one target, one evaluation at a time.
//!
//! `g` is convex and smooth. Inside the ball a step is quasi-Newton and cut at the sphere; on the sphere, where the
//! gradient points outward from the minimum, it is a Riemannian quasi-Newton step for the Lagrangian with `μ =
//! −g′·ẑ/d` (Absil, Mahony, Sepulchre, *Optimization Algorithms on Matrix Manifolds*, 2008, ch. 8), pulled back to
//! the sphere by scaling. At the minimum `ẑ = −√d g′/‖g′‖`, or `g′ = 0`, and there the dual at the softmax of the
//! logits equals `g`: the gap is second order in the distance on the sphere. The caller evaluates [`Descent::trial`]
//! in a batch with other targets and hands the value back.

use ndarray::Array1;

use super::centre::Start;
use super::dual::Dual;
use super::evaluate::Value;
use super::goal::Goal;
use super::memory::Memory;

/// Evaluations after which a target is given up; its best bound stands.
const MAX_EVALUATIONS: usize = 200;
/// Rejected trials in a row after which floats can do no better.
const MAX_REJECTIONS: usize = 24;

/// Applies the inverse of a positive definite matrix.
pub type Metric<'a> = dyn Fn(Array1<f64>) -> Array1<f64> + Sync + 'a;

/// The best of what has been evaluated for a target.
#[derive(Debug, Clone)]
pub struct Best {
    /// The largest dual value, rigorous.
    pub dual: Dual,
    /// The point whose softmax gave it.
    pub point: Array1<f64>,
    /// The least `g` seen; a float.
    pub log_odds: f64,
    /// Evaluations spent.
    pub evaluations: usize,
}

/// The state of one target.
#[derive(Debug)]
pub struct Descent {
    /// The target.
    pub target: usize,
    /// The point to evaluate next.
    pub trial: Array1<f64>,
    /// `√d`.
    radius: f64,
    /// Whether steps are taken in the metric of the centre.
    inside: bool,
    /// Last accepted point, `g` and `g′` there; `None` before the first evaluation.
    at: Option<Accepted>,
    /// Curvature of the model.
    memory: Memory,
    /// Rejected trials since the last accepted one.
    rejections: usize,
    /// The result so far.
    pub best: Best,
}

/// An accepted point and the search direction from it.
#[derive(Debug)]
struct Accepted {
    point: Array1<f64>,
    log_odds: f64,
    gradient: Array1<f64>,
    direction: Array1<f64>,
    /// Directional derivative of `g` along the direction, negative.
    slope: f64,
    /// Whether the step stays on the sphere.
    on_sphere: bool,
    /// Step length of the trial.
    step: f64,
}

/// A search direction.
struct Direction {
    direction: Array1<f64>,
    /// See [`Accepted::slope`].
    slope: f64,
    /// See [`Accepted::on_sphere`].
    on_sphere: bool,
}

impl Accepted {
    /// First-order change of `g` on the way to a trial point.
    fn expected(&self, trial: &Array1<f64>) -> f64 {
        if self.on_sphere {
            self.step * self.slope
        } else {
            self.gradient.dot(&(trial - &self.point)).min(0.0)
        }
    }
}

impl Descent {
    /// Nothing evaluated yet.
    pub fn new(target: usize, radius: f64, start: Start) -> Descent {
        let Start { point, inside } = start;
        let best =
            Best { dual: Dual::NOTHING, point: point.clone(), log_odds: f64::INFINITY, evaluations: 0 };
        Descent {
            target,
            trial: point,
            radius,
            inside,
            at: None,
            memory: Memory::default(),
            rejections: 0,
            best,
        }
    }

    /// Takes the value at [`Descent::trial`] and sets the next trial. `metric` applies the inverse of a positive
    /// definite matrix near the Hessian at the centre. Returns whether the target is finished.
    pub fn advance(&mut self, value: Value, goal: &Goal, metric: &Metric) -> bool {
        self.best.evaluations += 1;
        if value.dual.log_odds > self.best.dual.log_odds {
            self.best.dual = value.dual;
            self.best.point.assign(&self.trial);
        }
        let usable = value.log_odds.is_finite() && value.gradient.iter().all(|g| g.is_finite());
        if usable {
            self.best.log_odds = self.best.log_odds.min(value.log_odds);
        }
        if goal.reached(&self.best.dual, self.best.log_odds)
            || !usable
            || self.best.evaluations >= MAX_EVALUATIONS
        {
            return true;
        }
        if let Some(mut at) = self.at.take() {
            self.memory.push(&self.trial - &at.point, &value.gradient - &at.gradient);
            let noise = value.noise * (1.0 + at.log_odds.abs());
            if value.log_odds > at.log_odds + 1e-4 * at.expected(&self.trial) + noise {
                self.rejections += 1;
                if self.rejections == MAX_REJECTIONS / 2 {
                    // A quasi-Newton path that the sphere bends need not go down at all; the gradient's does.
                    self.memory.clear();
                    self.inside = false;
                    self.trial = at.point;
                    return self.set_out(at.log_odds, at.gradient, metric);
                }
                // Secant on the derivative along the path.
                let slope = value.gradient.dot(&at.direction);
                let ratio = if slope > at.slope { at.slope / (at.slope - slope) } else { 0.5 };
                at.step *= ratio.clamp(0.1, 0.5);
                self.trial = along(&at.point, &at.direction, at.step, self.radius);
                self.at = Some(at);
                return self.rejections > MAX_REJECTIONS;
            }
        }
        self.rejections = 0;
        self.set_out(value.log_odds, value.gradient, metric)
    }

    /// Accepts the trial point and sets out from it in a new direction. Returns whether there is none.
    fn set_out(&mut self, log_odds: f64, gradient: Array1<f64>, metric: &Metric) -> bool {
        let Some(Direction { direction, slope, on_sphere }) = self.direction(&gradient, metric) else {
            return true;
        };
        // Far from the minimum the metric of the centre knows too little of the curvature: damped Newton step.
        let step =
            if self.inside && self.best.evaluations == 1 { 1.0 / (1.0 + (-slope).sqrt()) } else { 1.0 };
        let point = std::mem::take(&mut self.trial);
        self.trial = along(&point, &direction, step, self.radius);
        self.at = Some(Accepted { point, log_odds, gradient, direction, slope, on_sphere, step });
        false
    }

    /// A descent direction from the trial point; `None` at a stationary point.
    fn direction(&mut self, gradient: &Array1<f64>, metric: &Metric) -> Option<Direction> {
        let (z, d) = (&self.trial, self.radius * self.radius);
        let mu = -gradient.dot(z) / d;
        let on_sphere = mu > 0.0 && z.dot(z) > d * (1.0 - 1e-9);
        // Without memory, a step inside the ball has the length of the radius and one on the sphere takes g as
        // linear.
        let size = gradient.dot(gradient).sqrt();
        for attempt in 0..2 {
            if attempt == 1 {
                self.memory.clear();
            }
            let (direction, slope) = if on_sphere {
                let curvature = self.memory.last_curvature().unwrap_or(0.0);
                let solve = |r: &Array1<f64>| self.memory.solve(mu, r, |q| q / (mu + curvature));
                let residual = gradient + &(z * mu);
                let (solved, normal) = (solve(&residual), solve(z));
                let direction = &normal * (z.dot(&solved) / z.dot(&normal)) - &solved;
                let slope = residual.dot(&direction);
                (direction, slope)
            } else {
                let curvature = self.memory.last_curvature().unwrap_or(size / self.radius);
                let initial = |q| if self.inside { metric(q) } else { q / curvature };
                let direction = -self.memory.solve(0.0, gradient, initial);
                let slope = gradient.dot(&direction);
                (direction, slope)
            };
            if slope < 0.0 && slope.is_finite() {
                return Some(Direction { direction, slope, on_sphere });
            }
        }
        None
    }
}

/// The point at `step` along a direction, brought back to the ball by scaling. A start on the sphere with a tangent
/// direction stays on it.
fn along(point: &Array1<f64>, direction: &Array1<f64>, step: f64, radius: f64) -> Array1<f64> {
    let mut z = point + &(direction * step);
    let norm = z.dot(&z).sqrt();
    if norm > radius {
        z *= radius / norm;
    }
    z
}
