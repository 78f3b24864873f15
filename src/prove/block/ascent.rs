//! Maximises the dual function of a node by adaptive supergradient steps (Adam, Kingma and Ba 2015), as α-CROWN does.
//! The best point found is a hint; nothing here has to be right for a proof to be.

use super::dual::{Dual, Evaluation, Query, Region, Workspace, evaluate, norm};
use super::hull::{Columns, Hull};
use super::network::Network;

/// Step sizes and their number.
#[derive(Debug, Clone, Copy)]
pub struct Steps {
    /// Evaluations of the dual function at most.
    pub most: usize,
    /// First step length; it falls linearly to a twentieth.
    pub rate: f64,
    /// Stop as soon as the value exceeds this.
    pub enough: f64,
}

/// Where an ascent ended.
#[derive(Debug, Clone)]
pub struct Ascent {
    /// Best value with `A_λ >= 0`, `−∞` if none was met.
    pub value: f64,
    /// Its dual variables.
    pub dual: Dual,
    /// Evaluations spent.
    pub evaluations: usize,
    /// Averages over the last evaluations, for branching: arguments, gaps, and the gap of ρ.
    pub arguments: Vec<f64>,
    /// See `arguments`.
    pub gaps: Vec<f64>,
    /// See `arguments`.
    pub rho_gap: f64,
}

/// First and second moments of one block of variables.
struct Moments {
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Moments {
    const FIRST_DECAY: f64 = 0.8;
    const SECOND_DECAY: f64 = 0.95;

    fn new(len: usize) -> Moments {
        Moments { first: vec![0.0; len], second: vec![0.0; len] }
    }

    fn step(&mut self, x: &mut [f64], gradient: &[f64], rate: f64, step: i32) {
        let (b1, b2) = (Self::FIRST_DECAY, Self::SECOND_DECAY);
        let (c1, c2) = (1.0 - b1.powi(step), 1.0 - b2.powi(step));
        for i in 0..x.len() {
            self.first[i] += (1.0 - b1) * (gradient[i] - self.first[i]);
            self.second[i] += (1.0 - b2) * (gradient[i] * gradient[i] - self.second[i]);
            x[i] += rate * (self.first[i] / c1) / ((self.second[i] / c2).sqrt() + 1e-12);
        }
    }
}

/// Ascends from `start` for the pair (hull, last token).
#[allow(
    clippy::too_many_arguments,
    reason = "the node, the pair and the start; none of them has another home"
)]
pub fn ascend(
    network: &Network,
    columns: &Columns,
    query: Query,
    region: &Region,
    hull: &Hull,
    token: usize,
    start: &Dual,
    steps: Steps,
) -> Ascent {
    let d = network.width;
    let root = (d as f64).sqrt();
    let mut dual = start.clone();
    let mut moments = [Moments::new(d), Moments::new(network.neurons), Moments::new(d), Moments::new(d)];
    let mut space = Workspace::default();
    let mut best = Ascent {
        value: f64::NEG_INFINITY,
        dual: start.clone(),
        evaluations: 0,
        arguments: Vec::new(),
        gaps: Vec::new(),
        rho_gap: 0.0,
    };
    for step in 1..=steps.most {
        let at = evaluate(network, columns, query, region, hull, token, &dual, &mut space);
        best.evaluations = step;
        average(&mut best, &at);
        if !at.value.is_finite() {
            break;
        }
        if at.excess >= 0.0 && at.value > best.value {
            best.value = at.value;
            best.dual = dual.clone();
            if at.value > steps.enough {
                break;
            }
        }
        let rate = steps.rate * (1.0 - step as f64 / (steps.most as f64 + 1.0)).max(0.05);
        let step = step as i32;
        let weight = 0.3 * at.scale / root;
        let [point, slopes, normed, raw] = &at.gradient;
        if at.excess < 0.0 {
            // Outside the domain: λ is too concentrated for this threshold. Move towards the centre of the ball.
            for z in &mut dual.point {
                *z *= 0.8;
            }
        } else {
            moments[0].step(&mut dual.point, point, rate * root * 0.5, step);
        }
        moments[1].step(&mut dual.slopes, slopes, rate, step);
        moments[2].step(&mut dual.normed, normed, rate * weight, step);
        moments[3].step(&mut dual.raw, raw, rate * weight, step);
        let length = norm(&dual.point);
        if length > root {
            for z in &mut dual.point {
                *z *= root / length;
            }
        }
    }
    best
}

/// Running averages, so that branching does not follow the last zigzag.
fn average(best: &mut Ascent, at: &Evaluation) {
    if best.arguments.is_empty() {
        best.arguments.clone_from(&at.arguments);
        best.gaps.clone_from(&at.gaps);
        best.rho_gap = at.rho_gap;
        return;
    }
    const SHARE: f64 = 0.1;
    for (a, b) in best.arguments.iter_mut().zip(&at.arguments) {
        *a += SHARE * (b - *a);
    }
    for (a, b) in best.gaps.iter_mut().zip(&at.gaps) {
        *a += SHARE * (b - *a);
    }
    best.rho_gap += SHARE * (at.rho_gap - best.rho_gap);
}
