//! Seeds: every shortest prefix, and texts that the model itself makes up.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::model::eval::log_softmax;
use crate::model::{Attention, Layer, Linear, Mlp, MlpKind, Model, PrefixError, TokenId};
use crate::search::probe::Probe;

use super::{Hunt, Order, ROUND};

/// Temperatures of the samples: from what the model would write to what it would never write.
pub(super) const TEMPERATURES: [f32; 4] = [0.7, 1.0, 1.5, 2.5];
/// Most samples per temperature.
pub(super) const SAMPLES: usize = 64;
/// Work that each kind of seed may cost, in multiplications.
const WORK: usize = 1 << 37;
/// Bounds on the same in columns, (position, prefix) pairs: models may be tiny or huge.
const COLUMNS: (usize, usize) = (1 << 12, 1 << 18);
/// Members of a probe.
pub(super) const MEMBERS: usize = 512;

/// Evaluates the seeds, cheap ones first, until the order is over.
pub fn sow(hunt: &mut Hunt, order: Order) -> Result<(), PrefixError> {
    let vocab_size = hunt.evaluator.model().head.vocab_size();
    let columns = affordable(hunt.evaluator.model());
    // All tokens alone are always worth it, but in a large model they come last.
    let late = vocab_size > columns;
    if !late {
        for len in 1..=hunt.longest {
            let depth = depth(vocab_size, len);
            let cost = vocab_size.saturating_pow(len as u32).saturating_mul(depth);
            if len > 1 && cost > columns {
                break;
            }
            exhaust(hunt, len, depth, order)?;
        }
    }
    sample(hunt, columns, order)?;
    if late { exhaust(hunt, 1, 1, order) } else { Ok(()) }
}

/// Columns, (position, prefix) pairs, that each kind of seed may cost.
pub(super) fn affordable(model: &Model) -> usize {
    (WORK / weights_per_token(model).max(1)).clamp(COLUMNS.0, COLUMNS.1)
}

/// Number of last tokens that vary within a probe: enough to fill it.
fn depth(vocab_size: usize, len: usize) -> usize {
    let (mut depth, mut members) = (1, vocab_size);
    while depth < len && members.saturating_mul(vocab_size) <= MEMBERS {
        depth += 1;
        members *= vocab_size;
    }
    depth
}

/// Evaluates all prefixes of `len` tokens.
fn exhaust(hunt: &mut Hunt, len: usize, depth: usize, order: Order) -> Result<(), PrefixError> {
    let n = hunt.evaluator.model().head.vocab_size();
    let suffixes = words(n, depth);
    let mut lefts = (0..n.pow((len - depth) as u32)).map(|i| word(n, len - depth, i)).peekable();
    while lefts.peek().is_some() && !hunt.is_over(order) {
        // At least one left part per round, so that the first length runs its members in several probes.
        let probes: Vec<Probe> = lefts
            .by_ref()
            .take(ROUND)
            .flat_map(|left| {
                suffixes.chunks(MEMBERS).map(move |part| Probe::new(left.clone(), part.to_vec()))
            })
            .collect();
        hunt.round(&probes, order)?;
    }
    Ok(())
}

fn words(n: usize, len: usize) -> Vec<Vec<TokenId>> {
    (0..n.pow(len as u32)).map(|i| word(n, len, i)).collect()
}

/// The word number `i` of length `len` over `n` tokens, in lexicographic order.
fn word(n: usize, len: usize, mut i: usize) -> Vec<TokenId> {
    let mut word = vec![0; len];
    for token in word.iter_mut().rev() {
        *token = (i % n) as TokenId;
        i /= n;
    }
    word
}

/// Evaluates texts drawn from the model, and all their beginnings.
fn sample(hunt: &mut Hunt, columns: usize, order: Order) -> Result<(), PrefixError> {
    let vocab_size = hunt.evaluator.model().head.vocab_size() as TokenId;
    let mut rng = ChaCha8Rng::seed_from_u64(hunt.seed);
    let n_samples = columns / (TEMPERATURES.len() * (hunt.longest * hunt.longest).div_ceil(2));
    for temperature in TEMPERATURES {
        let mut texts: Vec<Vec<TokenId>> = (0..n_samples.clamp(2, SAMPLES))
            .map(|_| vec![hunt.bos.unwrap_or_else(|| rng.random_range(0..vocab_size))])
            .collect();
        for len in 1..=hunt.longest {
            if hunt.is_over(order) {
                return Ok(());
            }
            let mut log_p = hunt.evaluator.next_logits(&texts)?;
            log_softmax(&mut log_p);
            let probe = Probe::new(Vec::new(), texts);
            hunt.pour(&probe, &log_p, order)?;
            texts = probe.suffixes;
            if len < hunt.longest {
                for (text, log_p) in texts.iter_mut().zip(log_p.rows()) {
                    text.push(draw((0..).zip(log_p.iter().copied()), temperature, &mut rng));
                }
            }
        }
    }
    Ok(())
}

/// A token drawn with probability proportional to `exp(log_p / temperature)`: the maximum of Gumbel-perturbed scores.
pub(super) fn draw(
    log_p: impl Iterator<Item = (TokenId, f32)>,
    temperature: f32,
    rng: &mut ChaCha8Rng,
) -> TokenId {
    let mut best = (f32::NEG_INFINITY, 0);
    for (token, log_p) in log_p {
        let uniform: f32 = rng.random();
        let score = log_p / temperature - (-uniform.ln()).ln();
        if score > best.0 {
            best = (score, token);
        }
    }
    best.1
}

/// Multiplications per token of a prefix, attention itself left out.
fn weights_per_token(model: &Model) -> usize {
    let size = |linear: &Linear| linear.weight.len();
    let of_attention = |a: &Attention| size(&a.query) + size(&a.key) + size(&a.value) + size(&a.output);
    let of_mlp = |mlp: &Mlp| match &mlp.kind {
        MlpKind::Plain { up, down } => size(up) + size(down),
        MlpKind::Gated { gate, up, down } => size(gate) + size(up) + size(down),
    };
    let of_layer = |layer: &Layer| match layer {
        Layer::Attention(attention) => of_attention(attention),
        Layer::Mlp(mlp) => of_mlp(mlp),
        Layer::Parallel(both) => of_attention(&both.attention) + of_mlp(&both.mlp),
        Layer::Norm(_) => 0,
        Layer::Wkv4(w) => size(&w.key.map) + size(&w.value.map) + size(&w.receptance.map) + size(&w.output),
        Layer::Wkv7(w) => {
            let narrow = [Some(&w.decay), Some(&w.rate), Some(&w.gate), w.first_value.as_ref()];
            let narrow: usize = narrow.iter().flatten().map(|w| size(&w.down) + size(&w.up)).sum();
            let wide = size(&w.receptance.map) + size(&w.key.map) + size(&w.value.map) + size(&w.output);
            // The matrices of the heads are read and updated at each position.
            narrow + wide + 4 * w.key_scale.len() * w.key_scale.len() / w.n_heads
        }
        Layer::ChannelMix(c) => {
            size(&c.key.map) + size(&c.value) + c.receptance.as_ref().map_or(0, |r| size(&r.map))
        }
    };
    model.head.unembed.len() + model.body.layers.iter().map(of_layer).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_all_words() {
        assert_eq!(words(2, 2), [[0, 0], [0, 1], [1, 0], [1, 1]]);
        assert_eq!(words(3, 0), [Vec::<TokenId>::new()]);
    }

    #[test]
    fn probes_are_filled_but_not_beyond_the_word() {
        for (vocab_size, len, expected) in
            [(512, 2, 1), (3, 2, 2), (3, 9, 5), (32, 3, 1), (16, 3, 2), (50_000, 1, 1)]
        {
            assert_eq!(depth(vocab_size, len), expected, "{vocab_size} tokens, length {len}");
        }
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let log_p = [0.5f32, 0.25, 0.25].map(f32::ln);
        let hits = (0..10_000).filter(|_| draw((0..).zip(log_p), 1.0, &mut rng) == 0).count();
        assert!((4_700..5_300).contains(&hits), "{hits} of 10000 draws at probability 1/2");
        let cold = (0..1000).filter(|_| draw((0..).zip(log_p), 0.05, &mut rng) == 0).count();
        assert!(cold >= 995, "{cold}");
    }
}
