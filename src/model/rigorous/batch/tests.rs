//! Against the evaluation in balls.

use ndarray::{Array1, Array2};
use proptest::prelude::*;

use super::*;
use crate::model::{Activation, Attention, HeadNorms, Linear, Mlp, MlpKind, ModelFolder, Scale, rigorous};

/// Models of the repository: the shipped ones, and tiny ones for the corners of the families.
fn models() -> Vec<Model> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let paths = ["models", "tests/fixtures/models"].map(|folder| {
        let entries = std::fs::read_dir(root.join(folder)).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    });
    paths.concat().iter().filter_map(|path| ModelFolder::open(path).ok()?.load().ok()).collect()
}

#[test]
fn logits_lie_within_their_radius() {
    let mut covered = 0;
    for model in models() {
        let longest = model.context.min(4);
        let Some(network) = Network::new(&model, longest) else { continue };
        covered += 1;
        let vocab = model.head.vocab_size() as u32;
        let token = |position: u32, l: u32| (position * 31 + l * 17 + 5) % vocab;
        let mut packet = Packet::<Wide>::default();
        let mut floats = Packet::<Lanes>::default();
        for position in 0..longest as u32 {
            let tokens = from_fn(|l| token(position, l as u32));
            // All digits, floats for the last step, and floats all along.
            let last = network.extend(&mut packet.rounded(), tokens, true).unwrap();
            let logits = network.extend(&mut packet, tokens, true).unwrap();
            let all_along = network.extend(&mut floats, tokens, true).unwrap();
            for l in [0, 5] {
                let prefix: Vec<u32> = (0..=position).map(|p| token(p, l as u32)).collect();
                let reference = rigorous::logits(&model, &prefix).unwrap();
                assert!(logits.radius[l] < 1e-9, "{} after {prefix:?}", logits.radius[l]);
                assert!(last.radius[l] < 1e-2, "{} after {prefix:?}", last.radius[l]);
                for logits in [&logits, &last, &all_along] {
                    for (middle, reference) in logits.middles.iter().zip(&reference) {
                        let apart =
                            (middle[l] - reference.lo()).abs().max((middle[l] - reference.hi()).abs());
                        let radius = logits.radius[l];
                        assert!(apart <= radius + reference.width() + 1e-13, "{apart} {radius}");
                    }
                }
            }
        }
        // A prefix with its lanes exchanged has the same logits.
        let tokens = [3 % vocab; LANES];
        if longest < model.context {
            let network = Network::new(&model, longest + 1).unwrap();
            let plain = network.extend(&mut packet.clone(), tokens, true).unwrap();
            let turned =
                network.extend(&mut packet.select(from_fn(|l| LANES - 1 - l)), tokens, true).unwrap();
            for (a, b) in plain.middles.iter().zip(&turned.middles) {
                assert_eq!(a[0], b[LANES - 1]);
            }
        }
    }
    assert!(covered >= 8, "{covered} models are covered");
}

#[test]
fn what_overflows_is_not_known() {
    let mut column = Column { x: vec![Wide::splat(1e200); 4], radius: Lanes::ZERO };
    let known = |column: &Column<Wide>| column.radius.iter().all(|r| r.is_finite());
    assert!(!known(&column.normed(Some(Centring { centred: false, eps: 1e-5 })).0));
    column.x[0] = Wide::splat(f64::NAN);
    column.add(&Column { x: vec![Wide::ZERO; 4], radius: Lanes::ZERO });
    assert!(!known(&column));
}

/// A number between −1 and 1 that depends on `i` and nothing else.
fn pseudo(i: usize) -> f64 {
    let x =
        (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (x >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

fn linear(n_in: usize, n_out: usize, seed: usize, size: f64, bias: bool) -> Linear {
    let entry = |i: usize| (pseudo(seed * 7919 + i) * size) as f32;
    Linear {
        weight: Array2::from_shape_fn((n_in, n_out), |(r, c)| entry(r * n_out + c)),
        bias: bias.then(|| Array1::from_shape_fn(n_out, |c| entry(900_000 + c))),
    }
}

fn norm(d: usize, seed: usize, layer: bool) -> Norm {
    let vector = |seed: usize| Array1::from_shape_fn(d, |i| 1.0 + 0.5 * pseudo(seed * 31 + i) as f32);
    let (gain, eps) = (vector(seed), 1e-5);
    if layer { Norm::Layer { gain, bias: Some(vector(seed + 1)), eps } } else { Norm::Rms { gain, eps } }
}

fn head_norms(dim: usize, seed: usize) -> Box<HeadNorms> {
    Box::new(HeadNorms { query: norm(dim, seed + 40, false), key: norm(dim, seed + 50, false) })
}

/// A column of floats and one within `radius` of it.
fn apart(d: usize, seed: usize, size: f64, radius: f64) -> (Column<Lanes>, Column<Wide>) {
    let entry = |i: usize, l: usize| size * pseudo(seed * 1013 + i * LANES + l);
    let floats = Column { x: (0..d).map(|i| each(|l| entry(i, l))).collect(), radius: Lanes::splat(radius) };
    let shift =
        |i: usize, l: usize| 0.999 * radius * pseudo(seed * 2027 + 77 + i * LANES + l) / (d as f64).sqrt();
    let moved = (0..d).map(|i| {
        let (x, shift): (Lanes, Lanes) = (floats.x[i], each(|l| shift(i, l)));
        Wide::floats(x).plus(Wide::floats(shift))
    });
    (floats.clone(), Column { x: moved.collect(), radius: Lanes::ZERO })
}

/// Asserts that the exact column, known almost exactly, lies within the radius of the float one.
fn covered(floats: &Column<Lanes>, exact: &Column<Wide>, what: &str) {
    for l in 0..LANES {
        let square = |(x, y): (&Lanes, &Wide)| (y.hi[l] - x[l] + y.lo[l]).powi(2);
        let apart = floats.x.iter().zip(&exact.x).map(square).sum::<f64>().sqrt();
        // A radius that is no number says that nothing is known.
        let radius = floats.radius[l] + exact.radius[l];
        assert!(radius.is_nan() || apart <= radius, "{what}: {apart:e} {radius:e}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn radii_cover_moved_inputs(
        seed in 0usize..1000,
        size in prop_oneof![0.01f64..3.0, 1.0f64..300.0],
        radius in prop_oneof![Just(0.0), 1e-13f64..1e-9, 1e-6f64..0.5],
        weights in 0.05f64..2.0,
        layer in any::<bool>(),
        of_heads in any::<bool>(),
        turned in prop_oneof![Just(2usize), Just(4)],
    ) {
        let (d, neurons) = (12, 20);
        let (x, moved) = apart(d, seed, size, radius);
        let of_norm = Some(Centring::new(&norm(d, seed, layer)));
        covered(&x.normed(of_norm).0, &moved.normed(of_norm).0, "norm");
        let map = |n_in, n_out, k| linear(n_in, n_out, seed + k, weights, layer);
        for activation in [Activation::Relu, Activation::Silu, Activation::GeluTanh, Activation::GeluErf] {
            for gated in [false, true] {
                let (up, down) = (map(d, neurons, 1), map(neurons, d, 2));
                let kind = if gated {
                    MlpKind::Gated { gate: map(d, neurons, 3), up, down }
                } else {
                    MlpKind::Plain { up, down }
                };
                let mlp = Mlp { norm: Some(norm(d, seed, layer)), kind, activation };
                let mlp = Neurons::new(&mlp).unwrap();
                covered(&mlp.apply(&x), &mlp.apply(&moved), "neurons");
            }
        }
        let heads = Attention {
            norm: Some(norm(d, seed, layer)),
            query: map(d, 8, 4),
            key: map(d, 4, 5),
            value: map(d, 4, 6),
            output: map(8, d, 7),
            head_norms: of_heads.then(|| head_norms(4, seed)),
            n_heads: 2,
            n_kv_heads: 1,
            head_dim: 4,
            scale: Scale::InvSqrt(4),
        };
        let heads = Heads::new(&heads).unwrap();
        let (angles, _) = turns(10_000.0, turned, 3);
        let (mut near, mut exact): (Vec<Cell<Lanes>>, Vec<Cell<Wide>>) = (Vec::new(), Vec::new());
        for position in 0..3 {
            let (x, moved) = apart(d, seed + 10 * position, size, radius);
            let angles = if layer { &angles[..0] } else { &angles[..=position] };
            let a = heads.apply(&x, angles, &near.iter().collect::<Vec<_>>());
            let b = heads.apply(&moved, angles, &exact.iter().collect::<Vec<_>>());
            covered(&a.1, &b.1, "attention");
            // Going on from all digits, rounded.
            let rounded: Vec<Cell<Lanes>> = exact.iter().map(Cell::rounded).collect();
            let c = heads.apply(&x, angles, &rounded.iter().collect::<Vec<_>>());
            covered(&c.1, &b.1, "attention to what was rounded");
            near.push(a.0);
            exact.push(b.0);
        }
    }
}
