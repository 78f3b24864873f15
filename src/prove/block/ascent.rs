//! Raises the dual function of a node above zero with a proximal bundle method.
//!
//! Every evaluation gives two pieces, planes above the concave dual function that are linear in `(w, a, q, v″, w″)`. A model,
//! the minimum of the collected planes less a quadratic, proposes the next point (Lemaréchal 1978; Kiwiel 1990); a gain of a
//! tenth of what it predicted moves the centre there. The quadratic is a fixed metric for `(a, q, v″, w″)`; for ẑ it is the
//! true curvature of `w(ẑ)`, which turns a plane with residual `R` into the move `R`'s part across ẑ over `κ`. The point
//! found is a hint; nothing here has to be right for a proof to be.

use super::bundle::{Bundle, Centre, Plane};
use super::dual::{Dual, Evaluation, Problem, Region, Workspace, dot, evaluate, norm};
use super::functional::{Functional, RESERVE, Sensitivity};
use super::network::Network;
use super::piece::{Choice, Piece, output};
use super::slot;
use crate::relax::STEPS_PER_UNIT;

/// Planes kept; those of least weight in the last model go first. The optimum rests on as many planes as there are variables:
/// with too few the ascent stalls far below it.
const BUNDLE: usize = 100;

/// How far the first model reaches, in length scales of the metric, and that of an ascent that starts from a mixture: there
/// the planes themselves say how far they can be trusted.
const FIRST: f64 = 20.0;
const FAR: f64 = 1000.0;

/// Share of `‖w‖ ‖w2_k‖` in what not knowing a neuron counts by, beside `|c_k|`: where the residual may be zero, w tends to zero and
/// its direction says little.
const BLIND: f64 = 0.1;
/// What stands for the weight of a direction, which has none, as a part of the neurons' mean.
const QUIET: f64 = 0.5;

/// Effort of an ascent.
#[derive(Debug, Clone, Copy)]
pub struct Steps {
    /// Evaluations of the dual function at most.
    pub most: usize,
    /// Stop as soon as the value exceeds this.
    pub enough: f64,
}

/// Where an ascent ended.
#[derive(Debug, Clone)]
pub struct Ascent {
    /// Best value, `−∞` if none was met.
    pub value: f64,
    /// Its dual variables.
    pub dual: Dual,
    /// Evaluations spent.
    pub evaluations: usize,
    /// Average of each argument in the model's optimum: where to branch.
    pub arguments: Vec<f64>,
    /// What not knowing each argument gives away there.
    pub gaps: Vec<f64>,
    /// What it may give away, as `w` says little about directions in which it is short: beside the gaps for the choice of a neuron.
    pub blind: Vec<f64>,
    /// What the freedom of ρ gives away there.
    pub rho_gap: f64,
    /// By how much the planes differ in what they read at each position, counted from the last one.
    pub slots: Vec<f64>,
    /// The choices that the model's optimum mixes, and their weights: a start for other ascents at the same pair.
    pub mixture: Vec<(Choice, f64)>,
}

/// Ascends from `start`. `mixture` holds choices that are known for the pair, brought into the node's ranges here.
pub fn ascend(problem: &Problem<'_>, start: &Dual, mixture: &[(Choice, f64)], steps: Steps) -> Ascent {
    let (network, query) = (problem.network, problem.query);
    let d = network.width;
    let mut dual = start.clone();
    let mut best = Ascent {
        value: f64::NEG_INFINITY,
        dual: start.clone(),
        evaluations: 0,
        arguments: vec![0.0; network.arguments()],
        gaps: vec![0.0; network.arguments()],
        blind: vec![0.0; network.arguments()],
        rho_gap: 0.0,
        slots: Vec::new(),
        mixture: Vec::new(),
    };
    // The best point so far, seen from it the planes, and `c_k` and `v` there.
    let mut at_best: Option<(Centre, Bundle, Evaluation)> = None;
    let mut space = Workspace::default();
    let (mut reach, mut stiffness): (f64, f64) = (if mixture.is_empty() { FIRST } else { FAR }, 1.0);
    let (mut moves, mut predicted): (Vec<f64>, f64) = (Vec::new(), 0.0);
    for step in 1..=steps.most {
        let mut at = evaluate(problem, &dual, &mut space);
        best.evaluations = step;
        if !at.value.is_finite() {
            break;
        }
        let gain = at.value - best.value;
        let pieces =
            std::mem::take(&mut at.choices).map(|(choice, _)| Piece::new(network, problem.region, choice));
        let serious = gain > 0.1 * predicted || at_best.is_none();
        if serious {
            if gain.is_finite() && gain > 0.5 * predicted {
                reach *= 2.0;
                stiffness = (0.7 * stiffness).max(1.0);
            }
            best.value = at.value;
            best.dual.clone_from(&dual);
            // The reserve is of no use to a negative excess, and the sound evaluation does without.
            let unused = RESERVE.min(-at.excess).max(0.0) * problem.scale;
            if at.value + unused > steps.enough {
                return best;
            }
            let f = Functional::at(network, query, &dual.point);
            let sizes = (pieces[1].residual.as_slice(), problem.scale);
            let sensitivity = Sensitivity::at(network, query, &f, &dual.point, sizes);
            let fixed = if f.excess < 0.0 { f.excess * problem.scale } else { 0.0 };
            let centre = Centre { sensitivity, w: f.w, rest: dual.rest(), value: at.value - fixed };
            let bundle = match at_best.take() {
                Some((_, mut bundle, _)) => {
                    bundle.look_from(&centre);
                    bundle
                }
                None => {
                    let mut bundle = Bundle::new(metric(network, problem.region, at.scale, &at.weights));
                    for (choice, weight) in mixture {
                        let moved = choice.within(network, problem.region);
                        bundle.add(Piece::new(network, problem.region, moved), *weight, &centre);
                    }
                    bundle
                }
            };
            at_best = Some((centre, bundle, at));
        }
        let Some((centre, bundle, _)) = &mut at_best else { break };
        pieces.into_iter().for_each(|piece| bundle.add(piece, f64::INFINITY, centre));
        if !serious {
            // The new planes pass through the true value, unless w(ẑ) curves: then take shorter steps of ẑ.
            let fresh = bundle.planes.iter().rev().take(2);
            if fresh.map(|p| p.at(&moves)).fold(f64::INFINITY, f64::min) > gain + 0.5 * (predicted - gain) {
                stiffness *= 2.0;
            }
        }
        bundle.shrink(BUNDLE);
        (moves, predicted) = bundle.propose(reach, stiffness);
        if !(predicted > 1e-12) {
            break;
        }
        let point = best.dual.point.iter().zip(&moves).map(|(z, m)| z + m).collect();
        let rest: Vec<f64> = centre.rest.iter().zip(&moves[d..]).map(|(x, m)| x + m).collect();
        dual = Dual::new(point, &rest);
    }
    if let Some((_, bundle, at)) = &at_best {
        losses(problem, &bundle.planes, at, &mut best);
        let used = bundle.planes.iter().filter(|p| p.weight > 0.0 && p.weight.is_finite());
        best.mixture = used.map(|p| (p.piece.choice.clone(), p.weight)).collect();
    }
    best
}

/// Squared length scales of `(a, q, v″, w″)`: slopes move with their neuron's weight; the ball parts, whose norms bend at
/// zero, in steps short against `w`.
fn metric(network: &Network, region: &Region, scale: f64, weights: &[f64]) -> Vec<f64> {
    let d = network.width;
    let own = network.neurons - network.directions.len();
    let typical = weights.iter().map(|c| c.abs()).sum::<f64>() / own.max(1) as f64;
    let least = |k: usize| if k < own { 0.1 } else { QUIET };
    let weights: Vec<f64> = weights.iter().enumerate().map(|(k, c)| c.abs() + least(k) * typical).collect();
    // Of a gated neuron, `c φ(s) u`, how far each factor reaches is the weight of the other one.
    let reach = |i: usize| {
        f64::from(region.range[i].0.abs().max(region.range[i].1.abs())) / f64::from(STEPS_PER_UNIT)
    };
    let mut scales = Vec::with_capacity(2 * (network.arguments() + d));
    for factor in [0.5, 0.15] {
        match network.gated {
            false => scales.extend(weights.iter().map(|c| factor * c)),
            true => {
                let second = |k: usize| network.neurons + k;
                scales.extend(weights.iter().enumerate().map(|(k, c)| factor * c * reach(second(k))));
                let first = |k: usize| if factor == 0.5 { 0.5 * reach(k) } else { 0.5 };
                scales.extend(weights.iter().enumerate().map(|(k, c)| c * first(k)));
            }
        }
    }
    scales.extend(vec![0.1 * scale / (d as f64).sqrt(); 2 * d]);
    scales.iter_mut().for_each(|s| *s *= *s);
    scales
}

/// Where the relaxation gives way at the model's optimum: `c_k (g_k(s̄) − mean g_k(s))` for each neuron, and
/// `mean (ρ − ρ̄) v·(r − r̄)` for the norm, means taken with the planes' weights.
fn losses(problem: &Problem<'_>, planes: &[Plane], at: &Evaluation, best: &mut Ascent) {
    let network = problem.network;
    let share = |p: &Plane| if p.weight.is_finite() { p.weight } else { 0.0 };
    let total: f64 = planes.iter().map(share).sum();
    if !(total > 0.0) {
        return;
    }
    let mean = |f: &dyn Fn(&Plane) -> f64| planes.iter().map(|p| share(p) * f(p)).sum::<f64>() / total;
    for i in 0..network.arguments() {
        best.arguments[i] = mean(&|p| p.piece.choice.arguments[i]);
    }
    for (k, c) in at.weights.iter().enumerate() {
        let output = mean(&|p| output(network, &p.piece.choice.arguments, k));
        let off = self::output(network, &best.arguments, k) - output;
        let gap = (c * off).max(0.0);
        best.gaps[k] = gap;
        best.blind[k] = BLIND * at.scale * norm(network.down.row(k)) * off.abs();
        if let Some(u) = best.arguments.get(network.neurons + k).copied() {
            // What comes of the factors moving together ends with either of them known.
            let activation = mean(&|p| network.graph.sample(p.piece.choice.arguments[k]));
            let together = (c * (activation * u - output)).max(0.0);
            best.gaps[network.neurons + k] = together.min(gap);
        }
    }
    let rho = mean(&|p| p.piece.rho);
    let along = mean(&|p| dot(&at.v, &p.piece.choice.r));
    let weighed: Vec<(f64, &Piece)> = planes.iter().map(|p| (share(p) / total, &p.piece)).collect();
    best.slots = slot::spreads(network, problem.hull, &weighed, at);
    best.rho_gap = mean(&|p| (p.piece.rho - rho) * (dot(&at.v, &p.piece.choice.r) - along)).abs();
}
