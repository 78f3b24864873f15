//! Architectures: each file turns settings and named tensors of one `model_type` into the layers of [`Model`].
//!
//! To add a family: copy the nearest file, read every setting that changes the function, refuse what is not supported,
//! list the family in [`Family::detect`], and add reference logits to `tests/reference/make.py`.

mod gpt2;
mod hooked;
mod llama;
mod neox;
mod rwkv4;
mod rwkv7;

use std::cell::RefCell;
use std::collections::BTreeSet;

use ndarray::{Array1, Array2};

use super::config::Config;
use super::error::LoadError;
use super::layer::Linear;
use super::tensors::Tensors;
use super::{Body, Head};

/// A supported architecture with the settings that its tensors are read by.
#[derive(Debug)]
pub enum Family {
    /// GPT-2: learned positions, LayerNorm, plain MLP.
    Gpt2(gpt2::Gpt2),
    /// LLaMA, Qwen2 and Qwen3: rotary positions, RMSNorm, gated MLP.
    Llama(llama::Llama),
    /// GPT-NeoX: rotary positions, LayerNorm, attention and plain MLP side by side.
    Neox(neox::Neox),
    /// TransformerLens models, attention only and without norms.
    Hooked(hooked::Hooked),
    /// RWKV-4: recurrent, weighted averages that decay.
    Rwkv4(rwkv4::Rwkv4),
    /// RWKV-7: recurrent, a matrix per head that a delta rule updates.
    Rwkv7(rwkv7::Rwkv7),
}

/// Values of `model_type` that are understood.
pub const KNOWN: &[&str] = &[
    gpt2::NAME,
    neox::NAME,
    llama::NAME,
    llama::QWEN2,
    llama::QWEN3,
    hooked::NAME,
    rwkv4::NAME,
    rwkv7::NAME,
];

impl Family {
    /// Chooses the family by `model_type` and reads its settings.
    ///
    /// # Errors
    /// Unknown families, and settings that are missing, senseless, unsupported or not understood.
    pub fn detect(config: &mut Config) -> Result<Family, LoadError> {
        let found = config.get("model_type").and_then(|v| v.as_str()).unwrap_or("(absent)").to_owned();
        let Some(name) = KNOWN.iter().find(|name| **name == found) else {
            return Err(LoadError::UnknownFamily {
                path: config.path().into(),
                found,
                known: KNOWN.join(", "),
            });
        };
        config.set_family(name);
        let family = match *name {
            gpt2::NAME => Family::Gpt2(gpt2::Gpt2::read(config)?),
            hooked::NAME => Family::Hooked(hooked::Hooked::read(config)?),
            rwkv4::NAME => Family::Rwkv4(rwkv4::Rwkv4::read(config)?),
            rwkv7::NAME => Family::Rwkv7(rwkv7::Rwkv7::read(config)?),
            neox::NAME => Family::Neox(neox::Neox::read(config)?),
            llama::QWEN2 => Family::Llama(llama::Llama::read_qwen2(config)?),
            llama::QWEN3 => Family::Llama(llama::Llama::read_qwen3(config)?),
            _ => Family::Llama(llama::Llama::read(config)?),
        };
        // These two name tokens; they are read by the folder, whatever the family.
        config.harmless(&["bos_token_id", "eos_token_id"]);
        config.finish()?;
        Ok(family)
    }

    /// Longest prefix in tokens.
    #[must_use]
    pub fn context(&self) -> usize {
        match self {
            Family::Gpt2(f) => f.context,
            Family::Llama(f) => f.context,
            Family::Neox(f) => f.context,
            Family::Hooked(f) => f.context,
            Family::Rwkv4(f) => f.context,
            Family::Rwkv7(f) => f.context,
        }
    }

    /// Number of tokens.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        match self {
            Family::Gpt2(f) => f.vocab_size,
            Family::Llama(f) => f.vocab_size,
            Family::Neox(f) => f.vocab_size,
            Family::Hooked(f) => f.vocab_size,
            Family::Rwkv4(f) => f.vocab_size,
            Family::Rwkv7(f) => f.vocab_size,
        }
    }

    /// Reads the final norm and the unembedding, nothing else.
    ///
    /// # Errors
    /// Missing or damaged tensors.
    pub fn head(&self, weights: &Weights) -> Result<Head, LoadError> {
        match self {
            Family::Gpt2(f) => f.head(weights),
            Family::Llama(f) => f.head(weights),
            Family::Neox(f) => f.head(weights),
            Family::Hooked(f) => f.head(weights),
            Family::Rwkv4(f) => f.head(weights),
            Family::Rwkv7(f) => f.head(weights),
        }
    }

    /// Reads everything below the final norm.
    ///
    /// # Errors
    /// Missing or damaged tensors.
    pub fn body(&self, weights: &Weights) -> Result<Body, LoadError> {
        match self {
            Family::Gpt2(f) => f.body(weights),
            Family::Llama(f) => f.body(weights),
            Family::Neox(f) => f.body(weights),
            Family::Hooked(f) => f.body(weights),
            Family::Rwkv4(f) => f.body(weights),
            Family::Rwkv7(f) => f.body(weights),
        }
    }

    /// Ends of the names of stored tensors that hold no weights, such as masks.
    #[must_use]
    pub fn buffers(&self) -> &'static [&'static str] {
        match self {
            Family::Gpt2(_) => gpt2::BUFFERS,
            Family::Llama(_) => llama::BUFFERS,
            Family::Neox(_) => neox::BUFFERS,
            Family::Hooked(_) => hooked::BUFFERS,
            Family::Rwkv4(_) => &[],
            Family::Rwkv7(_) => rwkv7::BUFFERS,
        }
    }
}

/// Named tensors with a common prefix left out and a record of those that were read.
#[derive(Debug)]
pub struct Weights<'a> {
    tensors: &'a Tensors,
    read: RefCell<BTreeSet<String>>,
}

impl<'a> Weights<'a> {
    /// All tensors, none read yet.
    #[must_use]
    pub fn new(tensors: &'a Tensors) -> Weights<'a> {
        Weights { tensors, read: RefCell::default() }
    }

    fn flat(&self, name: &str, shape: &[usize], hint: &'static str) -> Result<Vec<f32>, LoadError> {
        self.read.borrow_mut().insert(name.to_owned());
        self.tensors.read(name, shape, hint)
    }

    /// `prefix` if the tensor `prefix + probe` exists, else nothing: checkpoints of a bare body leave it out.
    fn prefix_of(&self, prefix: &'static str, probe: &str) -> &'static str {
        if self.tensors.contains(&format!("{prefix}{probe}")) || !self.tensors.contains(probe) {
            prefix
        } else {
            ""
        }
    }

    /// A vector `[n]`.
    fn vector(&self, name: &str, n: usize) -> Result<Array1<f32>, LoadError> {
        Ok(Array1::from_vec(self.flat(name, &[n], "")?))
    }

    /// A vector `[n]`, or nothing if the file has none of this name.
    fn vector_if_any(&self, name: &str, n: usize) -> Result<Option<Array1<f32>>, LoadError> {
        if self.tensors.contains(name) { self.vector(name, n).map(Some) } else { Ok(None) }
    }

    /// A vector `[n]` that is stored as `[1, 1, n]`.
    fn wide_vector(&self, name: &str, n: usize) -> Result<Array1<f32>, LoadError> {
        Ok(Array1::from_vec(self.flat(name, &[1, 1, n], "")?))
    }

    /// A matrix as stored, `[rows, cols]`.
    fn matrix(&self, name: &str, rows: usize, cols: usize) -> Result<Array2<f32>, LoadError> {
        Ok(shaped(rows, cols, self.flat(name, &[rows, cols], "")?))
    }

    /// Columns of a stored matrix, for sizes that the config leaves to the weights; 1 for what is no matrix, so that
    /// reading it fails with its name.
    fn columns(&self, name: &str) -> usize {
        match self.tensors.shape(name) {
            Some(&[_, columns]) => columns,
            Some(_) | None => 1,
        }
    }

    /// A matrix stored as `[out, in]` (`torch.nn.Linear`), turned into `[in, out]`, with its bias.
    fn linear(&self, name: &str, n_in: usize, n_out: usize, bias: Bias) -> Result<Linear, LoadError> {
        let stored = self.matrix(&format!("{name}.weight"), n_out, n_in)?;
        let bias_name = format!("{name}.bias");
        let bias = match bias {
            Bias::Required => Some(self.vector(&bias_name, n_out)?),
            Bias::Absent => None,
        };
        Ok(Linear { weight: transposed(&stored), bias })
    }

    /// The unembedding `[vocab, d]`: the head's own matrix, or the embedding where the two are tied. A tied checkpoint
    /// may store the head as well, but then the two must agree.
    fn unembed(
        &self,
        head: &str,
        embed: &str,
        tied: Tied,
        vocab: usize,
        d: usize,
    ) -> Result<Array2<f32>, LoadError> {
        let shape = [vocab, d];
        let values = match tied {
            Tied::Yes => {
                if self.tensors.contains(head) {
                    self.read.borrow_mut().insert(head.to_owned());
                    if self.tensors.contains(embed) && !self.tensors.same(head, embed) {
                        return Err(LoadError::Tie {
                            path: self.tensors.path().into(),
                            tensor: head.into(),
                            other: embed.into(),
                        });
                    }
                }
                self.flat(embed, &shape, "; config.json ties the head to it")?
            }
            Tied::No => self.flat(head, &shape, "; if the head is tied, set tie_word_embeddings to true")?,
        };
        Ok(shaped(vocab, d, values))
    }

    /// Refuses tensors that were not read and that do not end like one of `buffers`.
    ///
    /// # Errors
    /// The first of them with their number.
    pub fn finish(&self, buffers: &[&str]) -> Result<(), LoadError> {
        let read = self.read.borrow();
        let mut unused =
            self.tensors.names().filter(|n| !read.contains(*n) && !buffers.iter().any(|b| n.ends_with(b)));
        match unused.next() {
            Some(first) => Err(LoadError::UnusedTensor {
                path: self.tensors.path().into(),
                tensor: first.into(),
                count: 1 + unused.count(),
            }),
            None => Ok(()),
        }
    }
}

/// Whether a linear map has a stored bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bias {
    Required,
    Absent,
}

impl Bias {
    fn required_if(flag: bool) -> Bias {
        if flag { Bias::Required } else { Bias::Absent }
    }
}

/// Whether the unembedding is the embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tied {
    Yes,
    No,
}

impl Tied {
    fn read(config: &Config, default: bool) -> Result<Tied, LoadError> {
        Ok(if config.flag_or("tie_word_embeddings", default)? { Tied::Yes } else { Tied::No })
    }
}

fn shaped(rows: usize, cols: usize, values: Vec<f32>) -> Array2<f32> {
    Array2::from_shape_vec((rows, cols), values).expect("a tensor's length was tested against its shape")
}

/// The transpose in row-major layout.
fn transposed(stored: &Array2<f32>) -> Array2<f32> {
    stored.t().as_standard_layout().into_owned()
}
