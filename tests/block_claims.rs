//! The block prover on claims other than ceilings, and on questions where `A_λ` is negative: against all members of small languages,
//! with the checker on what it proves.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use common::shared_models;
use llmprove::certify::{block_proof, settled};
use llmprove::limits::Limits;
use llmprove::model::{Model, ModelFolder, TokenId, rigorous};
use llmprove::num::Interval;
use llmprove::prove::block::ascent::Steps;
use llmprove::prove::block::functional::{Claim, Query};
use llmprove::prove::block::{Block, Scope, tree};
use llmprove::spec::language::Automaton;
use llmprove::spec::{Decimal, Language, Predicate, Statement, Threshold};
use llmprove_proofs::check;

const STEPS: Steps = Steps { most: 100, enough: -5e-5 };
/// Longest prefix of the languages below.
const LONGEST: usize = 12;

/// A model, a language, and the logits after each of its members.
struct Case {
    folder: ModelFolder,
    language: Language,
    block: Block,
    logits: Vec<Vec<Interval>>,
}

impl Case {
    fn new(folder: ModelFolder, text: &str, most: usize) -> Case {
        let model: Model = folder.load().unwrap();
        let language = Language::parse(text, folder.vocab().unwrap()).unwrap();
        let automaton = Automaton::new(&language, model.head.vocab_size()).unwrap();
        let block = Block::within(&model, &automaton, LONGEST, &Limits::default()).unwrap();
        let lengths = automaton.lengths(LONGEST);
        let members: Vec<Vec<TokenId>> =
            lengths.iter().flat_map(|&n| automaton.slice(n).unwrap().members().collect::<Vec<_>>()).collect();
        assert!(members.len() <= most, "{text} has {} members", members.len());
        let logits = members.iter().map(|prefix| rigorous::logits(&model, prefix).unwrap()).collect();
        Case { folder, language, block, logits }
    }

    fn vocab(&self) -> usize {
        self.logits[0].len()
    }

    /// The greatest excess of a predicate after any member.
    fn greatest(&self, predicate: &Predicate) -> f64 {
        self.logits
            .iter()
            .map(|l| predicate.excess(std::slice::from_ref(l)).lo())
            .fold(f64::NEG_INFINITY, f64::max)
    }

    fn prove(&self, query: Query, nodes: usize) -> Option<tree::Proof> {
        let scope = Scope { shortest: 1, longest: LONGEST };
        tree::prove(&self.block, &|_| query, &scope, STEPS, &Limits::default(), nodes).proof
    }

    /// Whether the checker accepts a proof of the predicate.
    fn accepts(&self, predicate: &Predicate, root: tree::Proof) -> bool {
        let (language, predicate) = (self.language.clone(), predicate.clone());
        let statement = Statement { language, max_len: Some(LONGEST), predicate };
        let proof = block_proof(&self.block.proof(root));
        let files = settled(self.folder.digest(), &statement, proof).unwrap();
        check(self.folder.dir(), &files.statement, &files.certificate).is_ok()
    }
}

fn shipped(name: &str) -> ModelFolder {
    ModelFolder::open(format!("{}/models/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn ceiling(target: usize, p: f64, temperature: f64) -> Query {
    let tau = (1.0 / p - 1.0).ln() + 1e-12;
    Query { target, claim: Claim::Ceiling { tau, temperature: Interval::point(temperature) } }
}

/// No claim that a member breaks is proved, most that hold by half a nat are, and the checker agrees.
#[test]
fn orders_of_logits_are_proved_where_they_hold() {
    let Some(models) = shared_models("orders_of_logits_are_proved_where_they_hold") else { return };
    let leangpt = ModelFolder::open(models.join("leangpt-d16-l1")).unwrap();
    for (folder, text) in [
        (leangpt, "any{0,1} · \" th\""),
        (shipped("moby-l1"), "[letter]{0,1} · \"the\""),
        (shipped("moby-llama"), "\"a\" · \"b\" | \"c\""),
    ] {
        let case = Case::new(folder, text, 300);
        let (mut holds, mut proved) = (0, 0);
        for target in (1..case.vocab()).step_by(case.vocab() / 12) {
            let predicate = Predicate::NeverArgmax { token: target as TokenId };
            let query = Query { target, claim: Claim::NeverArgmax { margin: 0.0 } };
            let (excess, proof) = (case.greatest(&predicate), case.prove(query, 60));
            assert!(excess < 0.0 || proof.is_none(), "{text}: token {target} leads by {excess}");
            holds += usize::from(excess < -0.5);
            if let Some(root) = proof {
                proved += 1;
                assert!(case.accepts(&predicate, root), "{text}: token {target}");
            }
        }
        eprintln!("{text}: {proved} proved, {holds} hold by half a nat");
        assert!(2 * proved > holds && holds > 3, "{text}: {proved} proved, {holds} hold by half a nat");
    }
}

/// A difference of logits is never proved beyond what the members have, and mostly up to half of it; margins above zero make `A_λ`
/// negative.
#[test]
fn leads_are_proved_up_to_the_least_one() {
    let Some(models) = shared_models("leads_are_proved_up_to_the_least_one") else { return };
    let leangpt = ModelFolder::open(models.join("leangpt-d16-l1")).unwrap();
    for (folder, text) in [(leangpt, "any{0,1} · \" th\""), (shipped("moby-llama"), "\"a\" · \"b\" | \"c\"")]
    {
        let case = Case::new(folder, text, 300);
        let top =
            (0..case.vocab()).max_by(|&a, &b| case.logits[0][a].lo().total_cmp(&case.logits[0][b].lo()));
        let over = top.unwrap();
        let (mut asked, mut proved, mut negative) = (0, 0, 0);
        for under in (0..case.vocab()).step_by(case.vocab() / 12).filter(|&under| under != over) {
            let dominance = |margin: f64| Predicate::Dominance {
                over: over as TokenId,
                under: under as TokenId,
                margin: Decimal::parse(&format!("{margin:.9}")).unwrap(),
            };
            let least = -case.greatest(&dominance(0.0));
            let query = |margin: f64| Query {
                target: under,
                claim: Claim::Lead { over, margin: Interval::point(margin) },
            };
            assert!(case.prove(query(least + 1e-6), 30).is_none(), "{text}: {over} over {under} by {least}");
            asked += 1;
            let easy = least - 0.5 * least.abs() - 1.0;
            if let Some(root) = case.prove(query(easy), 300) {
                proved += 1;
                negative += usize::from(easy > 0.0);
                assert!(case.accepts(&dominance(easy), root.clone()), "{text}: {over} over {under}");
                assert!(!case.accepts(&dominance(least + 0.1), root), "{text}: {over} over {under}");
            }
        }
        eprintln!("{text}: {proved} of {asked} leads proved, {negative} above zero");
        assert!(2 * proved > asked && negative > 0, "{text}: {proved} of {asked}, {negative}");
    }
}

/// Of one token, and where one prefix is left, bounds agree with enumeration to a millionth, however small the probability, at any
/// temperature.
#[test]
fn short_prefixes_have_their_own_probability() {
    for (name, text) in [("moby-l1", "\"the \""), ("moby-llama", "\"the \""), ("moby-l1", "any{1}")] {
        let case = Case::new(shipped(name), text, 81);
        for temperature in [1.0, 0.7, 2.0] {
            let decimal = Decimal::parse(&temperature.to_string()).unwrap();
            for target in (0..case.vocab()).step_by(9) {
                let predicate = |p: f64| Predicate::Ceiling {
                    token: target as TokenId,
                    threshold: Threshold::parse(&format!("{p:.15}")).unwrap(),
                    temperature: Some(decimal.clone()),
                };
                let best = case.greatest(&predicate(0.5)).exp();
                let best = best / (1.0 + best);
                let below = ceiling(target, best * (1.0 - 1e-6), temperature);
                assert!(case.prove(below, 20).is_none(), "{name}, {text}: {target} at {best}");
                let above = best + 1e-6;
                let proof = case.prove(ceiling(target, above, temperature), 300);
                let root =
                    proof.unwrap_or_else(|| panic!("{name}, {text}: {target} at {above}, T {temperature}"));
                assert!(case.accepts(&predicate(above + 1e-12), root), "{name}, {text}: {target}");
            }
        }
    }
}
