//! The report of `inspect`: what a folder holds and which provers apply.

use serde::Serialize;

use super::style::{self, line, paint};
use crate::domain;
use crate::model::{
    Activation, Attention, Layer, LoadError, Mlp, MlpKind, Model, ModelFolder, Norm, Positions, TokenId,
    Vocab,
};
use crate::prove::attention::{self, Tables};
use crate::prove::block::network::Network;
use crate::prove::block::{Block, NotApplicable};
use crate::prove::exhaustive::Exhaustive;
use crate::verdict::Prover;

/// What can be said about a model folder.
#[derive(Debug, Serialize)]
pub struct Inspection {
    model: String,
    family: &'static str,
    digest: String,
    weights: usize,
    stored_as: Vec<String>,
    vocabulary: usize,
    width: usize,
    context: usize,
    positions: &'static str,
    layers: Vec<String>,
    final_norm: &'static str,
    provers: Vec<Applicable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<Vec<Token>>,
}

#[derive(Debug, Serialize)]
struct Applicable {
    prover: &'static str,
    applies: bool,
    why: String,
}

#[derive(Debug, Serialize)]
struct Token {
    id: TokenId,
    text: String,
}

impl Inspection {
    /// Reads the whole folder, so that every defect shows.
    ///
    /// # Errors
    /// Whatever keeps the model from being loaded.
    pub fn of(folder: &ModelFolder) -> Result<Inspection, LoadError> {
        let model = folder.load()?;
        let provers = vec![
            head_theorem(&model),
            exhaustive(&model),
            block_prover(&model),
            attention_prover(&model),
            deep_prover(&model),
            branch_prover(&model),
            search(),
        ];
        let Model { body, head, context } = model;
        Ok(Inspection {
            model: folder.dir().display().to_string(),
            family: folder.family(),
            digest: folder.digest().into(),
            weights: folder.n_weights(),
            stored_as: folder.dtypes(),
            vocabulary: head.vocab_size(),
            width: head.width(),
            context,
            positions: match body.positions {
                Positions::Learned(_) => "learned",
                Positions::Rotary { .. } => "rotary",
                Positions::None => "none",
            },
            layers: body.layers.iter().map(describe).collect(),
            final_norm: norm(head.norm.as_ref()),
            provers,
            tokens: None,
        })
    }

    /// Adds the list of all tokens.
    #[must_use]
    pub fn with_tokens(mut self, vocab: &Vocab) -> Inspection {
        let ids = 0..TokenId::try_from(self.vocabulary).unwrap_or(TokenId::MAX);
        self.tokens = Some(ids.map(|id| Token { id, text: vocab.text(id) }).collect());
        self
    }

    /// The model in a few labelled words and numbers.
    #[must_use]
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let period = period(&self.layers);
        let times = self.layers.len() / period.max(1);
        let layers = self.layers[..period].join("; ");
        vec![
            ("family", self.family.to_owned()),
            ("weights", format!("{} numbers stored as {}", self.weights, self.stored_as.join(", "))),
            ("context", format!("{} tokens, positions {}", self.context, self.positions)),
            ("layers", if times > 1 { format!("{times} times: {layers}") } else { layers }),
            ("final norm", self.final_norm.to_owned()),
        ]
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = paint(style::STRONG, &self.model) + "\n\n";
        text += &line("family", self.family);
        text +=
            &line("weights", &format!("{} numbers stored as {}", self.weights, self.stored_as.join(", ")));
        text += &line("vocabulary", &format!("{} tokens", self.vocabulary));
        text += &line("context", &format!("{} tokens, positions {}", self.context, self.positions));
        text += &line("width", &self.width.to_string());
        let period = period(&self.layers);
        for (k, layer) in self.layers[..period].iter().enumerate() {
            text += &line(if k == 0 { "layers" } else { "" }, layer);
        }
        if period < self.layers.len() {
            text += &line("", &format!("these {} times", self.layers.len() / period));
        }
        text += &line("final norm", self.final_norm);
        text += &line("digest", &self.digest);
        for (k, prover) in self.provers.iter().enumerate() {
            let applies = if prover.applies { "applies" } else { "does not apply" };
            let about = format!("{:<12}{applies}: {}", prover.prover, prover.why);
            text += &line(if k == 0 { "provers" } else { "" }, &about);
        }
        for token in self.tokens.iter().flatten() {
            text += &format!("{:>7}  \"{}\"\n", token.id, token.text);
        }
        text
    }
}

fn head_theorem(model: &Model) -> Applicable {
    let applies = model.head.norm.is_some();
    let why = match applies {
        true => "the final norm bounds what the head reads",
        false => "there is no final norm, so nothing bounds what the head reads",
    };
    Applicable { prover: Prover::Head.name(), applies, why: why.into() }
}

fn block_prover(model: &Model) -> Applicable {
    let two = Block::covers(model) && model.body.layers.len() > 2;
    let refused = if two { Block::refuses_several(model) } else { Network::new(model).err() };
    let applies = refused.is_none();
    let words = match two {
        true => "the network is two blocks, for languages that are not too large",
        false => "the network is one block",
    };
    let why = refused.map_or_else(|| words.into(), |NotApplicable(why)| why);
    Applicable { prover: Prover::Block.name(), applies, why }
}

fn attention_prover(model: &Model) -> Applicable {
    let refused = Tables::new(model).err();
    let applies = refused.is_none();
    let why = refused.map_or_else(
        || "margins are linear in what the one attention layer reads".into(),
        |attention::NotApplicable(why)| why,
    );
    Applicable { prover: Prover::Attention.name(), applies, why }
}

fn deep_prover(model: &Model) -> Applicable {
    let applies = Block::is_only_for_deep(model);
    let why = match Block::refuses_several(model) {
        None if applies => {
            "what the blocks below the last one leave can be enclosed, where a language is not too large"
                .into()
        }
        None => "the block prover covers these blocks, with certificates".into(),
        Some(NotApplicable(why)) => why,
    };
    Applicable { prover: Prover::Deep.name(), applies, why }
}

fn branch_prover(model: &Model) -> Applicable {
    let refused = domain::network::Network::new(model).err();
    let applies = refused.is_none();
    let why = refused.map_or_else(
        || "sets of tokens can be followed through all layers, where a language is not too large".into(),
        |domain::network::NotApplicable(why)| why,
    );
    Applicable { prover: Prover::Branch.name(), applies, why }
}

fn exhaustive(model: &Model) -> Applicable {
    let seconds = Exhaustive::seconds_per_beginning(model);
    let why = format!(
        "a language with few prefixes is evaluated whole, at about {:.0} beginnings a second and core",
        1.0 / seconds
    );
    Applicable { prover: Prover::Exhaustive.name(), applies: true, why }
}

fn search() -> Applicable {
    Applicable { prover: Prover::Search.name(), applies: true, why: "any prefix can be evaluated".into() }
}

/// Smallest number of layers whose repetition gives all of them.
fn period(layers: &[String]) -> usize {
    let n = layers.len();
    (1..n).find(|&p| n.is_multiple_of(p) && (p..n).all(|k| layers[k] == layers[k - p])).unwrap_or(n)
}

fn norm(norm: Option<&Norm>) -> &'static str {
    match norm {
        Some(Norm::Layer { .. }) => "LayerNorm",
        Some(Norm::Rms { .. }) => "RMSNorm",
        None => "no norm",
    }
}

fn describe(layer: &Layer) -> String {
    match layer {
        Layer::Attention(attention) => describe_attention(attention),
        Layer::Mlp(mlp) => describe_mlp(mlp),
        Layer::Parallel(both) => {
            format!("{}, side by side with {}", describe_attention(&both.attention), describe_mlp(&both.mlp))
        }
        Layer::Norm(layer) => format!("{} of the embeddings", norm(Some(layer))),
        Layer::Wkv4(layer) => {
            format!("recurrence: {} decaying averages, {}", layer.decay.len(), norm(Some(&layer.norm)))
        }
        Layer::Wkv7(layer) => {
            let size = layer.key_scale.len() / layer.n_heads;
            format!(
                "recurrence: {} heads with a {size} x {size} matrix, {}",
                layer.n_heads,
                norm(Some(&layer.norm))
            )
        }
        Layer::ChannelMix(layer) => {
            let gated = if layer.receptance.is_some() { "gated " } else { "" };
            let (neurons, norm) = (layer.key.map.weight.ncols(), norm(Some(&layer.norm)));
            format!("channel mixing: {neurons} {gated}squared relu neurons, {norm}")
        }
    }
}

fn describe_attention(a: &Attention) -> String {
    let groups =
        if a.n_kv_heads == a.n_heads { String::new() } else { format!(", {} key/value heads", a.n_kv_heads) };
    let (heads, width, norm) = (a.n_heads, a.head_dim, norm(a.norm.as_ref()));
    let head_norms = if a.head_norms.is_some() { ", normed heads" } else { "" };
    format!("attention: {heads} heads of width {width}{groups}{head_norms}, {norm}")
}

fn describe_mlp(mlp: &Mlp) -> String {
    let (neurons, gated) = match &mlp.kind {
        MlpKind::Plain { up, .. } => (up.weight.ncols(), ""),
        MlpKind::Gated { up, .. } => (up.weight.ncols(), "gated "),
    };
    let activation = match mlp.activation {
        Activation::Relu => "relu",
        Activation::SquaredRelu => "squared relu",
        Activation::GeluTanh => "gelu (tanh)",
        Activation::GeluErf => "gelu (erf)",
        Activation::Silu => "silu",
    };
    format!("mlp: {neurons} {gated}{activation} neurons, {}", norm(mlp.norm.as_ref()))
}
