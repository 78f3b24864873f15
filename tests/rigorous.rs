//! The rigorous evaluation encloses reference values that were computed with 60 digits.

mod common;

use common::{reference, reference_models, shared_models};
use llmprove::model::{ModelFolder, rigorous};
use llmprove::num::Interval;

#[test]
fn every_logit_and_probability_lies_in_its_enclosure() {
    for (name, model) in reference_models("rigorous evaluation") {
        for case in reference(&name) {
            let logits = rigorous::logits(&model, &case.prefix).unwrap();
            assert_eq!(logits.len(), case.logits.len());
            for (token, (enclosure, &value)) in logits.iter().zip(&case.logits).enumerate() {
                assert!(
                    enclosure.contains(value),
                    "{name} {:?}: logit {token} = {value} not in {enclosure}",
                    case.prefix
                );
            }
            for (token, value) in case.probabilities {
                let p = rigorous::token_probability(&model, &case.prefix, token, Interval::ONE).unwrap();
                assert!(p.contains(value), "{name} {:?}: P({token}) = {value} not in {p}", case.prefix);
                assert!(
                    p.width() < 1e-8,
                    "{name} {:?}: P({token}) is as wide as {:e}",
                    case.prefix,
                    p.width()
                );
            }
        }
    }
}

#[test]
fn temperature_scales_the_logits() {
    let Some(models) = shared_models("temperature") else { return };
    let model = ModelFolder::open(models.join("leangpt-d16-l1")).unwrap().load().unwrap();
    let case = &reference("leangpt-d16-l1")[0];
    for temperature in [0.5f64, 0.7, 2.0] {
        let powers: Vec<f64> = case.logits.iter().map(|l| (l / temperature).exp()).collect();
        let expected = powers[71] / powers.iter().sum::<f64>();
        let p = rigorous::token_probability(&model, &case.prefix, 71, Interval::point(temperature)).unwrap();
        assert!((p.lo() - expected).abs() < 1e-12 && (p.hi() - expected).abs() < 1e-12, "{expected} and {p}");
    }
}

#[test]
fn what_the_model_does_not_accept_is_an_error() {
    let Some(models) = shared_models("bad prefixes") else { return };
    let model = ModelFolder::open(models.join("leangpt-d16-l1")).unwrap().load().unwrap();
    let error = |prefix: &[u32], token| {
        rigorous::token_probability(&model, prefix, token, Interval::ONE).unwrap_err().to_string()
    };
    assert_eq!(error(&[], 1), "a prefix needs at least one token");
    assert_eq!(error(&[0; 17], 1), "the prefix has 17 tokens, the model accepts at most 16");
    assert_eq!(error(&[300], 1), "token id 300 is not in the vocabulary, which ends at 255");
    assert_eq!(error(&[3], 256), "token id 256 is not in the vocabulary, which ends at 255");
}
