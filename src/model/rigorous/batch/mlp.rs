//! Feed-forward layers.
//!
//! With `Δg`, `Δu` bounds on the errors of a neuron's arguments and an activation of Lipschitz constant `L`,
//! `|s(g) u − s(ĝ) û| <= L Δg |û| + (|s(ĝ)| + L Δg) Δu`; the arguments err by at most `‖row‖ (radius + eps ‖input‖)`.

use std::array::from_fn;

use super::maps::Map;
use super::{COVER, Centring, Column};
use crate::model::{Activation, Mlp, MlpKind};
use crate::num::precise::Gelu;
use crate::num::wide::{self, EPS, EXP_EPS, LANES, Lanes, TINY, Wave, Wide, nearest};

/// A prepared layer.
#[derive(Debug)]
pub struct Neurons {
    norm: Option<Centring>,
    /// Without a gate the activation applies to `up`.
    gate: Option<Map>,
    up: Map,
    down: Map,
    wave: Wave,
    /// Lipschitz constant of the activation.
    lipschitz: f64,
}

impl Neurons {
    /// Prepares a layer; `None` for an activation that has no kernel.
    pub fn new(layer: &Mlp) -> Option<Neurons> {
        let (wave, lipschitz) = match layer.activation {
            Activation::Relu => (Wave::Step, 1.0),
            // The derivative of x σ(x) is greatest where x = 2.3994, 1.0998.
            Activation::Silu => (Wave::Sigmoid, 1.1),
            // 1.1290 at most.
            Activation::GeluTanh => {
                let (a, b) = Gelu::<4>::default().cubic();
                let ((a, da), (b, db)) = (nearest(a), nearest(b));
                if !(da <= EPS / 4.0 && db <= EPS / 64.0) {
                    return None;
                }
                (Wave::Cubic(a, b), 1.2)
            }
            Activation::SquaredRelu | Activation::GeluErf => return None,
        };
        let norm = layer.norm.as_ref();
        let (gate, up, down) = match &layer.kind {
            MlpKind::Plain { up, down } => (None, up, down),
            MlpKind::Gated { gate, up, down } => (Some(Map::folded(gate, norm, 1)), up, down),
        };
        let (up, down) = (Map::folded(up, norm, 1), Map::folded(down, None, 1));
        Some(Neurons { norm: norm.map(Centring::new), gate, up, down, wave, lipschitz })
    }

    /// What the layer adds.
    pub fn apply(&self, x: &Column) -> Column {
        let z = x.normed(self.norm);
        let mut ups = self.up.middles(&z);
        let reach = z.reach();
        let off: Lanes = from_fn(|l| {
            COVER
                * (z.radius[l] + self.up.eps.max(self.gate.as_ref().map_or(0.0, |gate| gate.eps)) * reach[l])
        });
        // Squares of first-order errors per `off`, of second-order ones per `off²`, and of roundings per `EPS`.
        let (mut first, mut second, mut rounded) = ([0.0; LANES], 0.0, [0.0; LANES]);
        let big = self.lipschitz;
        match &self.gate {
            None => {
                for (up, row) in ups.iter().zip(&self.up.rows) {
                    first = from_fn(|l| first[l] + (big * row).powi(2));
                    rounded = from_fn(|l| rounded[l] + up.hi[l] * up.hi[l]);
                }
                wide::activate(self.wave, &mut ups);
            }
            Some(gate) => {
                let mut gates = gate.middles(&z);
                let arguments: Vec<Wide> = gates.clone();
                wide::activate(self.wave, &mut gates);
                for k in 0..ups.len() {
                    let (g, s, u) = (&arguments[k].hi, &gates[k].hi, &ups[k].hi);
                    let (of_gate, of_up) = (gate.rows[k], self.up.rows[k]);
                    first = from_fn(|l| first[l] + (big * of_gate * u[l].abs() + s[l].abs() * of_up).powi(2));
                    second += (big * of_gate * of_up).powi(2);
                    rounded = from_fn(|l| rounded[l] + (g[l] * u[l]).powi(2));
                }
                wide::multiply(&mut gates, &ups);
                ups = gates;
            }
        }
        let radius = from_fn(|l| {
            let passed = off[l] * first[l].sqrt() + off[l] * off[l] * second.sqrt();
            COVER * (passed + (5.0 * EXP_EPS) * rounded[l].sqrt()) + TINY
        });
        self.down.apply(&Column { x: ups, radius })
    }
}
