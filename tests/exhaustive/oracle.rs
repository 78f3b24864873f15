//! A verifier that is too simple to be wrong: it tries every sequence of tokens, asks the language whether the sequence is a
//! member, and evaluates it alone with the rigorous evaluation. Other provers are compared with it.

use llmprove::model::{Model, TokenId, rigorous};
use llmprove::num::Interval;
use llmprove::spec::language::Automaton;
use llmprove::spec::{Language, Predicate};
use llmprove::verdict::Answer;

/// All prefixes of a language of at most `longest` tokens.
pub fn prefixes(language: &Language, vocab_size: usize, longest: usize) -> Vec<Vec<TokenId>> {
    let automaton = Automaton::new(language, vocab_size).unwrap();
    let mut all: Vec<Vec<TokenId>> = vec![vec![]];
    let mut members = Vec::new();
    for _ in 0..longest {
        let tokens = |beginning: &Vec<TokenId>| {
            let beginning = beginning.clone();
            (0..vocab_size as TokenId).map(move |token| [beginning.as_slice(), &[token]].concat())
        };
        // Sequences that no member begins with are left out, or there would be too many.
        let alive = |sequence: &Vec<TokenId>| {
            sequence.iter().try_fold(0, |state, &token| automaton.step(state, token)).is_some()
        };
        all = all.iter().flat_map(tokens).filter(alive).collect();
        members.extend(all.iter().filter(|sequence| automaton.accepts(sequence)).cloned());
    }
    members
}

/// Encloses the largest probability of a token.
pub fn maximum(model: &Model, language: &Language, longest: usize, token: TokenId) -> (f64, f64) {
    let mut most = (0.0f64, 0.0f64);
    for prefix in prefixes(language, model.head.vocab_size(), longest) {
        let p = rigorous::token_probability(model, &prefix, token, Interval::ONE).unwrap();
        most = (most.0.max(p.lo()), most.1.max(p.hi()));
    }
    most
}

/// Whether a predicate holds after every prefix; panics where that is too close to tell.
pub fn holds(model: &Model, language: &Language, longest: usize, predicate: &Predicate) -> bool {
    prefixes(language, model.head.vocab_size(), longest).iter().all(|prefix| {
        let excess = predicate.excess(&[rigorous::logits(model, prefix).unwrap()]);
        match predicate.answer(excess.lo(), excess.hi()) {
            Answer::Proved => true,
            Answer::Refuted => false,
            Answer::Unknown => panic!("too close to tell after {prefix:?}"),
        }
    })
}
