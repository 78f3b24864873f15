//! Questions about small regions of two models, and what auto_LiRPA 0.7.1 answers to them.
//!
//! A: a ball around the embedding at position n − 2. D: around those at all positions. B: position n − 2 holds one of some
//! tokens. C: every position but the last holds any token. Asked for are margins `l_t − l_j` at the last position.
#![allow(dead_code, reason = "every binary that includes this file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test helper; a failure here is a failed test")]

use std::collections::BTreeMap;
use std::path::Path;

use llmprove::domain::network::Network;
use llmprove::domain::region::{EmbeddingBall, Norm};
use llmprove::model::{Model, ModelFolder, TokenId};
use llmprove::num::Interval;
use serde::{Deserialize, Deserializer};

/// A number, or a text such as "nan".
fn number<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
    let value = serde_json::Value::deserialize(d)?;
    Ok(value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(f64::NAN))
}

#[derive(Deserialize)]
pub struct File {
    pub inputs: Inputs,
    #[serde(rename = "A")]
    pub a: Vec<Ball>,
    #[serde(rename = "D")]
    pub d: Vec<Ball>,
    #[serde(rename = "G")]
    pub g: Vec<Ball>,
    #[serde(rename = "B")]
    pub b: Vec<Set>,
    #[serde(rename = "C")]
    pub c: Vec<Free>,
}

#[derive(Deserialize)]
pub struct Inputs {
    pub prefixes: Vec<Prefix>,
    #[serde(rename = "targets_B")]
    pub targets: BTreeMap<String, TokenId>,
}

#[derive(Deserialize)]
pub struct Prefix {
    pub ids: Vec<TokenId>,
}

/// A question of kind A or D and one method's answer.
#[derive(Deserialize)]
pub struct Ball {
    pub wall: f64,
    #[serde(rename = "L")]
    pub layers: usize,
    pub n: usize,
    pub prefix: usize,
    pub eps: f64,
    pub t: TokenId,
    pub j: TokenId,
    #[serde(deserialize_with = "number")]
    pub margin: f64,
    #[serde(deserialize_with = "number")]
    pub width: f64,
    pub proved: bool,
}

/// A question of kind B.
#[derive(Deserialize)]
pub struct Set {
    pub wall: f64,
    #[serde(rename = "L")]
    pub layers: usize,
    pub n: usize,
    pub prefix: usize,
    pub j: TokenId,
    pub target: String,
    pub set: Vec<TokenId>,
    pub exact_max: f64,
}

/// A question of kind C.
#[derive(Deserialize)]
pub struct Free {
    pub wall: f64,
    #[serde(rename = "L")]
    pub layers: usize,
    pub n: usize,
    pub prefix: usize,
    pub j: TokenId,
    pub target: String,
    /// What the norm's ball alone says.
    pub triv: [f64; 2],
}

/// The models by their numbers of layers.
pub type Models = BTreeMap<usize, Model>;

/// The same, prepared for the domains.
pub type Networks<'m> = BTreeMap<usize, Network<'m>>;

/// Prepares all models.
pub fn networks(models: &Models) -> Networks<'_> {
    models.iter().map(|(&layers, model)| (layers, Network::new(model).unwrap())).collect()
}

/// The file and the two models it speaks of; `None`, said aloud, where they are absent.
pub fn load(test: &str, shared: &Path) -> Option<(File, Models)> {
    let Ok(bytes) = std::fs::read(shared.join("peers/auto_lirpa.json")) else {
        eprintln!("SKIPPED: {test}: no answers of peers in {}; set LLMPROVE_SHARED", shared.display());
        return None;
    };
    let models = [1, 2].map(|layers| {
        let folder = shared.join(format!("models/kjv-char-l{layers}"));
        (layers, ModelFolder::open(folder).unwrap().load().unwrap())
    });
    Some((serde_json::from_slice(&bytes).unwrap(), BTreeMap::from(models)))
}

impl File {
    /// The prefix of a question: the last tokens where it is short.
    pub fn ids(&self, prefix: usize, n: usize) -> &[TokenId] {
        let ids = &self.inputs.prefixes[prefix].ids;
        &ids[ids.len() - n..]
    }
}

impl Ball {
    /// Encloses `l_t − l_j` of the question, asked about some positions; and whether `t` stays ahead of every token.
    pub fn answer(&self, network: &Network<'_>, ids: &[TokenId], positions: &[usize]) -> (Interval, bool) {
        let ball = EmbeddingBall { prefix: ids, positions, norm: Norm::Linf, radius: self.eps };
        let outlook = network.over_ball(&ball).unwrap().outlook(self.t);
        let stays = outlook.margins.iter().enumerate().all(|(j, m)| j == self.t as usize || m.hi() < 0.0);
        (-outlook.margins[self.j as usize], stays)
    }
}

impl Set {
    /// Encloses the greatest `l_target − l_j`.
    pub fn answer(&self, network: &Network<'_>, file: &File) -> Interval {
        let ids = file.ids(self.prefix, self.n);
        let known = network.known(&ids[..self.n - 2]).unwrap();
        let of = |&token: &TokenId| {
            let sets = [vec![vec![token]], vec![vec![ids[self.n - 1]]]];
            let logits = network.over_sets(&known, &sets).unwrap();
            -logits[0].outlook(file.inputs.targets[&self.target]).margins[self.j as usize]
        };
        self.set.iter().map(of).reduce(Interval::max).unwrap()
    }
}

impl Free {
    /// Encloses `l_target − l_j`.
    pub fn answer(&self, network: &Network<'_>, file: &File) -> Interval {
        let ids = file.ids(self.prefix, self.n);
        let all: Vec<Vec<TokenId>> = (0..network.vocab_size() as TokenId).map(|v| vec![v]).collect();
        let mut sets = vec![all; self.n - 1];
        sets.push(vec![vec![ids[self.n - 1]]]);
        let logits = network.over_sets(&network.known(&[]).unwrap(), &sets).unwrap();
        -logits[0].outlook(file.inputs.targets[&self.target]).margins[self.j as usize]
    }
}
