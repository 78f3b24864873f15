//! Against the evaluation in balls.

use super::*;
use crate::model::{ModelFolder, rigorous};

/// Models of the repository with their shape.
fn models() -> Vec<Model> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["models", "tests/models"] {
        let Ok(entries) = std::fs::read_dir(root.join(folder)) else { continue };
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        found.extend(paths.iter().filter_map(|path| ModelFolder::open(path).ok()?.load().ok()));
    }
    found
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
        for position in 0..longest as u32 {
            let tokens = from_fn(|l| token(position, l as u32));
            let logits = network.extend(&mut packet, tokens, true).unwrap();
            for l in [0, 5] {
                let prefix: Vec<u32> = (0..=position).map(|p| token(p, l as u32)).collect();
                let reference = rigorous::logits(&model, &prefix).unwrap();
                assert!(logits.radius[l] < 1e-6, "{} after {prefix:?}", logits.radius[l]);
                for (middle, reference) in logits.middles.iter().zip(&reference) {
                    let apart = (middle[l] - reference.lo()).abs().max((middle[l] - reference.hi()).abs());
                    assert!(
                        apart <= logits.radius[l] + reference.width() + 1e-13,
                        "{apart} {}",
                        logits.radius[l]
                    );
                }
            }
        }
        // A prefix with its lanes exchanged has the same logits.
        let tokens = [3 % vocab; LANES];
        if longest < model.context {
            let network = Network::new(&model, longest + 1).unwrap();
            let plain = network.extend(&mut packet.clone(), tokens, true).unwrap();
            let turned = network.extend(&mut packet.select([7, 6, 5, 4, 3, 2, 1, 0]), tokens, true).unwrap();
            for (a, b) in plain.middles.iter().zip(&turned.middles) {
                assert_eq!(a[0], b[7]);
            }
        }
    }
    assert!(covered >= 2, "{covered} models are covered");
}

#[test]
fn what_overflows_is_not_known() {
    let mut column = Column { x: vec![Wide::splat(1e200); 4], radius: [0.0; LANES] };
    let known = |column: &Column<Wide>| column.radius.iter().all(|r| r.is_finite());
    assert!(!known(&column.normed(Some(Centring { centred: false, eps: 1e-5 }))));
    column.x[0] = Wide::splat(f64::NAN);
    column.add(&Column { x: vec![Wide::ZERO; 4], radius: [0.0; LANES] });
    assert!(!known(&column));
}

#[test]
fn radii_probe() {
    let model = ModelFolder::open("/work/shared/models/stories260K").unwrap().load().unwrap();
    let network = Network::new(&model, 8).unwrap();
    let (mut wide, mut near) = (Packet::<Wide>::default(), Packet::<Lanes>::default());
    for position in 0..6u32 {
        let tokens = from_fn(|l| (position * 31 + l as u32 * 77 + 5) % 512);
        let mut leaf = wide.rounded();
        let a = network.extend(&mut leaf, tokens, true).unwrap();
        let b = network.extend(&mut wide, tokens, true).unwrap();
        let c = network.extend(&mut near, tokens, true).unwrap();
        println!("{position} wide {:.1e} leaf {:.1e} near {:.1e}", b.radius[3], a.radius[3], c.radius[3]);
        println!("   {:?}", a.radius);
        let off = (0..512).map(|t| (a.middles[t][3] - b.middles[t][3]).abs()).fold(0.0, f64::max);
        println!("   actual {off:.1e}");
        let t = std::time::Instant::now();
        for _ in 0..100 { let mut leaf = near.clone(); network.extend(&mut leaf, tokens, true).unwrap(); }
        println!("   {:?} a block", t.elapsed() / 100);
    }
}
