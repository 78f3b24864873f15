//! Fresh weights, drawn from a seed.

use anyhow::Result;
use candle_core::{Device, Var};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::shape::{Family, Head, Shape};
use crate::transformer::{Block, Linear, Mlp, Norm, Positions, Transformer};

impl Transformer {
    /// Fresh weights: entries of a `[n, m]` matrix are uniform with standard deviation `1/√n`, gains are one, biases zero.
    pub fn new(shape: &Shape, vocabulary: usize, seed: u64) -> Result<Self> {
        shape.check()?;
        let Shape { family, width, neurons, layers, context, .. } = *shape;
        let mut make = Maker {
            shape: *shape,
            rng: ChaCha8Rng::seed_from_u64(seed),
            matrices: Vec::new(),
            vectors: Vec::new(),
        };
        let spread = 1.0 / (width as f64).sqrt();
        let embedding = make.matrix(vocabulary, width, spread)?;
        let positions = match family {
            Family::Llama => Positions::Rotary,
            Family::Gpt2 | Family::AttentionOnly | Family::BareAttention => {
                Positions::Learned(make.matrix(context, width, spread)?)
            }
        };
        let blocks = (0..layers)
            .map(|_| {
                Ok(Block {
                    attention_norm: make.norm()?,
                    query: make.linear(width, width, 1.0)?,
                    key: make.linear(width, width, 1.0)?,
                    value: make.linear(width, width, 1.0)?,
                    output: make.output(width)?,
                    mlp: if family.has_mlp() {
                        Some(Mlp {
                            norm: make.norm()?,
                            gate: match family {
                                Family::Llama => Some(make.linear(width, neurons, 1.0)?),
                                Family::Gpt2 | Family::AttentionOnly | Family::BareAttention => None,
                            },
                            up: make.linear(width, neurons, 1.0)?,
                            down: make.output(neurons)?,
                        })
                    } else {
                        None
                    },
                })
            })
            .collect::<Result<_>>()?;
        let final_norm = make.norm()?;
        let head = match shape.head {
            Head::Tied => None,
            Head::Untied => Some(make.matrix(width, vocabulary, spread)?),
        };
        let Maker { matrices, vectors, .. } = make;
        Ok(Self { shape: *shape, embedding, positions, blocks, final_norm, head, matrices, vectors })
    }
}

/// Makes weights from one stream of random numbers and remembers them.
struct Maker {
    shape: Shape,
    rng: ChaCha8Rng,
    matrices: Vec<Var>,
    vectors: Vec<Var>,
}

impl Maker {
    /// Uniform entries of standard deviation `spread`.
    fn matrix(&mut self, rows: usize, columns: usize, spread: f64) -> Result<Var> {
        let bound = (3f64.sqrt() * spread) as f32;
        let entries = (0..rows * columns).map(|_| self.rng.random_range(-bound..=bound)).collect::<Vec<_>>();
        let var = Var::from_vec(entries, (rows, columns), &Device::Cpu)?;
        self.matrices.push(var.clone());
        Ok(var)
    }

    fn vector(&mut self, len: usize, value: f32) -> Result<Var> {
        let var = Var::from_vec(vec![value; len], len, &Device::Cpu)?;
        self.vectors.push(var.clone());
        Ok(var)
    }

    fn linear(&mut self, inputs: usize, outputs: usize, damping: f64) -> Result<Linear> {
        let weight = self.matrix(inputs, outputs, damping / (inputs as f64).sqrt())?;
        let bias = if self.shape.family.has_biases() { Some(self.vector(outputs, 0.0)?) } else { None };
        Ok(Linear { weight, bias })
    }

    /// A map into the residual stream. It starts smaller, so that the stream does not grow with depth (Radford et al.
    /// 2019).
    fn output(&mut self, inputs: usize) -> Result<Linear> {
        self.linear(inputs, self.shape.width, 1.0 / (2.0 * self.shape.layers as f64).sqrt())
    }

    fn norm(&mut self) -> Result<Norm> {
        let width = self.shape.width;
        Ok(match self.shape.family {
            Family::Gpt2 | Family::AttentionOnly => {
                Norm::Layer { gain: self.vector(width, 1.0)?, bias: self.vector(width, 0.0)? }
            }
            Family::Llama => Norm::Rms { gain: self.vector(width, 1.0)? },
            Family::BareAttention => Norm::None,
        })
    }
}
