//! The network's exact real function, enclosed: token ids in, logits at the last position out.

use std::sync::LazyLock;

use dashu_int::IBig;
use dashu_ratio::RBig;

use crate::elementary::{erf, exp_nonpositive, ln, pi, sigmoid_by, sin_cos};
use crate::family::{Centring, Head, Norm};
use crate::folder::Folder;
use crate::head::index;
use crate::interval::Interval;
use crate::linear::{Linear, Vector};
use crate::network::{Activation, Attention, Layer, Mlp};
use crate::recurrence::{channel_mix, wkv4, wkv7};
use crate::reject::{CheckError, Reject};
use crate::softmax::{Digits, exponentials};
use crate::tensor::Tensor;

/// `√(8/π)` and `0.044715`: `(1 + tanh u)/2 = sigmoid(2u)` turns the tanh of GELU into a sigmoid.
static GELU: LazyLock<(Interval, Interval)> = LazyLock::new(|| {
    let ratio = Interval::from_int(8).divide(&pi(), "8/π").expect("π is not zero");
    (ratio.sqrt(), Interval::rational(&RBig::from_parts(IBig::from(44_715), 1_000_000_u32.into())))
});
static SQRT_2: LazyLock<Interval> = LazyLock::new(|| Interval::from_int(2).sqrt());

/// A beginning of prefixes: its last token, and what comes before.
#[derive(Debug)]
pub(crate) struct Node {
    /// The beginning without that token; `None` for a single token. Comes earlier in the list.
    pub parent: Option<usize>,
    /// Of the token.
    pub position: usize,
    /// In the vocabulary.
    pub token: u32,
}

/// Encloses the logits `[vocabulary]` after `prefix`, whose tokens are in the vocabulary and fit the context.
pub(crate) fn logits(folder: &Folder, head: &Head, prefix: &[u32]) -> Result<Vec<Interval>, CheckError> {
    let node =
        |(position, token): (usize, &u32)| Node { parent: position.checked_sub(1), position, token: *token };
    let nodes: Vec<Node> = prefix.iter().enumerate().map(node).collect();
    Ok(logits_of_tree(folder, head, &nodes, &[prefix.len() - 1], Digits::All)?.remove(0))
}

/// The same after the beginnings in `ends`. Where layers are recurrent, the nodes are those of one prefix.
pub(crate) fn logits_of_tree(
    folder: &Folder,
    head: &Head,
    nodes: &[Node],
    ends: &[usize],
    digits: Digits,
) -> Result<Vec<Vec<Interval>>, CheckError> {
    let (tokens, positions) = folder.embeddings()?;
    let mut x: Vec<Vec<Interval>> = Vec::new(); // [node, d]
    for node in nodes {
        let embedding = row(tokens, index(node.token));
        x.push(match positions {
            Some(positions) => sum(&embedding, &row(positions, node.position)),
            None => embedding,
        });
    }
    if let Some(norm) = folder.embedding_norm()? {
        for x in &mut x {
            *x = normalised(Some(&norm), x)?;
        }
    }
    let mut first_values = Vec::new();
    let n_blocks = folder.n_blocks()?;
    let every: Vec<usize> = (0..nodes.len()).collect();
    for block in 0..n_blocks {
        // Only the ends are read after the last block.
        let read = if block + 1 == n_blocks { ends } else { &every };
        for layer in folder.block(block)? {
            match layer {
                Layer::Attention(attention) => attend(&attention, &mut x, nodes, read, digits)?,
                Layer::Mlp(mlp) => {
                    for &k in read {
                        x[k] = sum(&x[k], &feed_forward(&mlp, &x[k], digits)?);
                    }
                }
                Layer::Parallel(both) => {
                    let (attention, mlp) = &*both;
                    let before: Vec<_> = read.iter().map(|&k| x[k].clone()).collect();
                    attend(attention, &mut x, nodes, read, digits)?;
                    for (&k, before) in read.iter().zip(&before) {
                        x[k] = sum(&x[k], &feed_forward(mlp, before, digits)?);
                    }
                }
                Layer::Wkv4(layer) => wkv4(&layer, &mut x)?,
                Layer::Wkv7(layer) => wkv7(&layer, &mut x, &mut first_values)?,
                Layer::ChannelMix(layer) => channel_mix(&layer, &mut x)?,
            }
        }
    }
    folder.refuse_unused()?;
    let [vocabulary, width] = [head.vocabulary(), head.unembed.shape[1]];
    let unembed = Linear::new(&head.unembed, [vocabulary, width], |r, c| r * width + c, head.bias);
    let after = |k: &usize| Ok(unembed.apply(&Vector::new(&normalised(head.norm.as_ref(), &x[*k])?)));
    ends.iter().map(after).collect()
}

fn attend(
    attention: &Attention,
    x: &mut [Vec<Interval>],
    nodes: &[Node],
    read: &[usize],
    digits: Digits,
) -> Result<(), Reject> {
    let Attention { n_heads, n_kv_heads, head_dim, .. } = *attention;
    let longest = nodes.iter().map(|node| node.position + 1).max().unwrap_or(0);
    let rotations = match &attention.rotary {
        Some((theta, rotated)) => {
            (0..longest).map(|p| turns(theta, *rotated, p)).collect::<Result<Vec<_>, _>>()?
        }
        None => Vec::new(),
    };
    // Rows of queries, keys and values, `[node, (n_heads + 2 n_kv_heads) head_dim]`.
    let mut rows = Vec::with_capacity(x.len());
    for (node, x) in nodes.iter().zip(x.iter()) {
        let input = Vector::new(&normalised(attention.norm.as_ref(), x)?);
        let mut row: Vec<Interval> = attention.projections.iter().flat_map(|p| p.apply(&input)).collect();
        if let Some([of_query, of_key]) = &attention.head_norms {
            for (i, head) in row.chunks_exact_mut(head_dim).take(n_heads + n_kv_heads).enumerate() {
                let norm = if i < n_heads { of_query } else { of_key };
                head.clone_from_slice(&normalised(Some(norm), head)?);
            }
        }
        if let Some(turns) = rotations.get(node.position) {
            row.chunks_exact_mut(head_dim).take(n_heads + n_kv_heads).for_each(|head| rotate(head, turns));
        }
        rows.push(row);
    }
    let head_of = |node: usize, head: usize| &rows[node][head * head_dim..][..head_dim];
    for &node in read {
        // From the node itself back to the first token.
        let past: Vec<usize> = std::iter::successors(Some(node), |k| nodes[*k].parent).collect();
        let mut mixed = Vec::with_capacity(n_heads * head_dim);
        for head in 0..n_heads {
            let kv_head = head / (n_heads / n_kv_heads);
            let query = head_of(node, head);
            let score = |j: &usize| {
                dot(query, head_of(*j, n_heads + kv_head)).divide(&attention.divisor, "an attention score")
            };
            let weights = exponentials(&past.iter().map(score).collect::<Result<Vec<_>, _>>()?, digits);
            let total = weights.iter().cloned().sum();
            for i in 0..head_dim {
                let value = |j: &usize| &head_of(*j, n_heads + n_kv_heads + kv_head)[i];
                let sum: Interval = weights.iter().zip(&past).map(|(weight, j)| weight * value(j)).sum();
                mixed.push(sum.divide(&total, "attention weights")?);
            }
        }
        x[node] = sum(&x[node], &attention.output.apply(&Vector::new(&mixed)));
    }
    Ok(())
}

/// `(sin, cos)` of `position · θ^(−2i/rotated)` for each pair `i` of the elements that are rotated.
pub(crate) fn turns(
    theta: &Interval,
    rotated: usize,
    position: usize,
) -> Result<Vec<(Interval, Interval)>, Reject> {
    let (ln_theta, position) = (ln(theta)?, Interval::from_int(position));
    let turn = |i: usize| {
        let fraction = Interval::from_int(2 * i).divide(&Interval::from_int(rotated), "a rotation")?;
        sin_cos(&(&exp_nonpositive(&-(&fraction * &ln_theta)) * &position))
    };
    (0..rotated / 2).map(turn).collect()
}

/// Rotates elements `i` and `i + half` by angle `i`.
pub(crate) fn rotate(head: &mut [Interval], turns: &[(Interval, Interval)]) {
    let half = turns.len();
    for (i, (sin, cos)) in turns.iter().enumerate() {
        let (a, b) = (head[i].clone(), head[i + half].clone());
        head[i] = &(&a * cos) - &(&b * sin);
        head[i + half] = &(&b * cos) + &(&a * sin);
    }
}

fn feed_forward(mlp: &Mlp, x: &[Interval], digits: Digits) -> Result<Vec<Interval>, Reject> {
    let input = Vector::new(&normalised(mlp.norm.as_ref(), x)?);
    let up = mlp.up.apply(&input);
    let hidden: Vec<Interval> = match &mlp.gate {
        None => up.iter().map(|x| activate(mlp.activation, x, digits)).collect(),
        Some(gate) => gate
            .apply(&input)
            .iter()
            .zip(&up)
            .map(|(g, u)| &activate(mlp.activation, g, digits) * u)
            .collect(),
    };
    Ok(mlp.down.apply(&Vector::new(&hidden)))
}

pub(crate) fn activate(activation: Activation, x: &Interval, digits: Digits) -> Interval {
    let sigmoid = |x: &Interval| sigmoid_by(x, |x| digits.exp(x));
    match activation {
        Activation::Relu => x.positive_part(),
        Activation::SquaredRelu => x.positive_part().square(),
        Activation::GeluTanh => {
            let (scale, cubic) = &*GELU;
            let inner = x + &(&(cubic * x) * &x.square());
            x * &sigmoid(&(scale * &inner))
        }
        Activation::GeluErf => {
            let argument = x.divide(&SQRT_2, "√2").expect("√2 is not zero");
            let double = x * &(&Interval::from_int(1) + &erf(&argument));
            double.divide(&Interval::from_int(2), "2").expect("2 is not zero")
        }
        Activation::Silu => x * &sigmoid(x),
    }
}

pub(crate) fn normalised(norm: Option<&Norm>, x: &[Interval]) -> Result<Vec<Interval>, Reject> {
    let Some(norm) = norm else { return Ok(x.to_vec()) };
    let what = "a norm";
    let d = Interval::from_int(x.len());
    let mean = match norm.centring {
        Centring::Mean => x.iter().cloned().sum::<Interval>().divide(&d, what)?,
        Centring::None => Interval::from_int(0),
    };
    let centred: Vec<Interval> = x.iter().map(|x| x - &mean).collect();
    let mean_square = centred.iter().map(Interval::square).sum::<Interval>().divide(&d, what)?;
    // One division for all: they take long.
    let inverse = Interval::from_int(1).divide(&(&mean_square + &norm.epsilon).sqrt(), what)?;
    let mut y = Vec::with_capacity(x.len());
    for (x, gain) in centred.iter().zip(norm.gain.intervals()) {
        y.push(&(x * &inverse) * &gain);
    }
    Ok(match norm.shift {
        Some(shift) => sum(&y, &shift.intervals()),
        None => y,
    })
}

pub(crate) fn row(matrix: &Tensor, i: usize) -> Vec<Interval> {
    let width = matrix.shape[1];
    matrix.values[i * width..][..width].iter().map(|value| value.interval()).collect()
}

pub(crate) fn sum(x: &[Interval], y: &[Interval]) -> Vec<Interval> {
    x.iter().zip(y).map(|(x, y)| x + y).collect()
}

pub(crate) fn dot(x: &[Interval], y: &[Interval]) -> Interval {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}
