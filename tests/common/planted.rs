//! A model with a single prefix that drives one token.

use llmprove::model::{
    Activation, Attention, Body, Head, Layer, Linear, Mlp, MlpKind, Model, Positions, Scale, TokenId,
};
use ndarray::{Array1, Array2};

/// Number of tokens.
pub const VOCAB: usize = 12;
/// Longest prefix.
pub const CONTEXT: usize = 8;
/// The prefix.
pub const PLANTED: [TokenId; 5] = [3, 11, 0, 3, 6];

/// A model with one head of uniform attention in which `P(7 | prefix)` is 0.83 after `PLANTED`, less after any other prefix,
/// and grows with every token that is right.
///
/// Dimensions: one per token, one per position, "this token is right here", and the mean of that over the prefix.
pub fn planted() -> Model {
    let (right, mean, d) = (VOCAB + CONTEXT, VOCAB + CONTEXT + 1, VOCAB + CONTEXT + 2);
    let matrix = |rows: usize, columns: usize, entries: &[(usize, usize, f32)]| {
        let mut weight = Array2::zeros((rows, columns));
        entries.iter().for_each(|&(i, j, x)| weight[[i, j]] = x);
        weight
    };
    let linear = |weight: Array2<f32>, bias: Option<Array1<f32>>| Linear { weight, bias };
    // Neuron i is max(token + position − 1, 0): one exactly where the i-th planted token stands in its place.
    let and: Vec<_> =
        (0..PLANTED.len()).flat_map(|i| [(PLANTED[i] as usize, i, 1.0), (VOCAB + i, i, 1.0)]).collect();
    let or: Vec<_> = (0..PLANTED.len()).map(|i| (i, right, 1.0)).collect();
    let mlp = Mlp {
        norm: None,
        kind: MlpKind::Plain {
            up: linear(matrix(d, PLANTED.len(), &and), Some(Array1::from_elem(PLANTED.len(), -1.0))),
            down: linear(matrix(PLANTED.len(), d, &or), None),
        },
        activation: Activation::Relu,
    };
    let attention = Attention {
        norm: None,
        query: linear(Array2::zeros((d, 1)), None),
        key: linear(Array2::zeros((d, 1)), None),
        value: linear(matrix(d, 1, &[(right, 0, 1.0)]), None),
        output: linear(matrix(1, d, &[(0, mean, 1.0)]), None),
        head_norms: None,
        n_heads: 1,
        n_kv_heads: 1,
        head_dim: 1,
        scale: Scale::One,
    };
    let mut bias = Array1::zeros(VOCAB);
    bias[7] = -20.0;
    // A prefix of n right tokens has the logit n − 1, so that there is a way up; one beyond the planted length has less.
    let mut read: Vec<_> = (0..PLANTED.len()).map(|i| (7, VOCAB + i, i as f32)).collect();
    read.push((7, mean, 20.0));
    let embed: Vec<_> = (0..VOCAB).map(|token| (token, token, 1.0)).collect();
    let positions: Vec<_> = (0..CONTEXT).map(|i| (i, VOCAB + i, 1.0)).collect();
    Model {
        body: Body {
            embed: matrix(VOCAB, d, &embed),
            positions: Positions::Learned(matrix(CONTEXT, d, &positions)),
            layers: vec![Layer::Mlp(mlp), Layer::Attention(attention)],
        },
        head: Head { norm: None, unembed: matrix(VOCAB, d, &read), bias: Some(bias) },
        context: CONTEXT,
    }
}
