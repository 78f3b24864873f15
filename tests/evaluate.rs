//! Concrete evaluation equals an independent implementation, token for token, however prefixes are batched.

mod common;

use common::{reference, reference_models, shared_models};
use llmprove::model::{Evaluator, ModelFolder};
use ndarray::Array2;

/// Largest difference between two tables of logits, relative to the spread of the second one's rows.
fn difference(a: &Array2<f32>, b: &Array2<f32>) -> f32 {
    assert_eq!(a.dim(), b.dim());
    let spread = b.iter().fold(1.0f32, |m, x| m.max(x.abs()));
    a.iter().zip(b).fold(0.0f32, |m, (x, y)| m.max((x - y).abs())) / spread
}

#[test]
fn logits_equal_the_reference_on_every_model() {
    for (name, model) in reference_models("reference logits") {
        let cases = reference(&name);
        // All lengths in one call, so that the batch is ragged.
        let prefixes: Vec<Vec<u32>> = cases.iter().map(|case| case.prefix.clone()).collect();
        let logits = Evaluator::new(&model).next_logits(&prefixes).unwrap();
        let expected = Array2::from_shape_fn(logits.dim(), |(i, j)| cases[i].logits[j] as f32);
        let error = difference(&logits, &expected);
        println!("{name}: {error:e}");
        assert!(error < 3e-6, "{name}: {error}");
    }
}

#[test]
fn shared_prefixes_change_nothing() {
    for (name, model) in reference_models("shared prefixes") {
        let evaluator = Evaluator::new(&model);
        let vocab = model.head.vocab_size() as u32;
        let prefix =
            reference(&name).into_iter().rfind(|case| case.prefix.len() < model.context).unwrap().prefix;
        let tokens: Vec<u32> = (0..vocab).collect();

        let whole: Vec<Vec<u32>> = tokens.iter().map(|&t| [prefix.as_slice(), &[t]].concat()).collect();
        let plain = evaluator.next_logits(&whole).unwrap();
        let cached = evaluator.extend_all(&evaluator.cache(&prefix).unwrap(), &tokens).unwrap();
        assert!(difference(&cached, &plain) < 3e-6, "{name}: one more token");

        for position in [0, prefix.len() / 2, prefix.len() - 1] {
            let mut changed = vec![prefix.clone(); tokens.len()];
            changed.iter_mut().zip(&tokens).for_each(|(p, &t)| p[position] = t);
            let plain = evaluator.next_logits(&changed).unwrap();
            let substituted = evaluator.substitute(&prefix, position, &tokens).unwrap();
            assert!(difference(&substituted, &plain) < 3e-6, "{name}: position {position}");
            let whole = evaluator.cache(&prefix).unwrap();
            assert_eq!(evaluator.substitute_cached(&whole, &prefix, position, &tokens).unwrap(), substituted);
        }
    }
}

/// Logits that the authors of rwkv.cpp recorded with their own implementation, after `"in`.
#[test]
fn rwkv_4_gives_the_logits_of_its_authors() {
    #[derive(serde::Deserialize)]
    struct Recorded {
        prompt_bytes: Vec<u32>,
        logits_after_prompt: Vec<f32>,
    }
    let Some(models) = shared_models("rwkv.cpp's logits") else { return };
    let dir = models.join("tiny-rwkv-4-660K");
    let recorded = std::fs::read(dir.join("expected_logits.json")).unwrap();
    let Recorded { prompt_bytes, logits_after_prompt } = serde_json::from_slice(&recorded).unwrap();
    let model = ModelFolder::open(dir).unwrap().load().unwrap();
    let logits = Evaluator::new(&model).next_logits(&[prompt_bytes]).unwrap();
    let expected = Array2::from_shape_vec((1, 256), logits_after_prompt).unwrap();
    assert!(difference(&logits, &expected) < 3e-6);
}

/// The task that this model was trained for: digits, a comma, the digits in reverse order.
#[test]
fn rwkv_7_reverses_digits() {
    let Some(models) = shared_models("reversing digits") else { return };
    let folder = ModelFolder::open(models.join("rwkv7-reverse-38K")).unwrap();
    let (model, vocab) = (folder.load().unwrap(), folder.vocab().unwrap());
    let evaluator = Evaluator::new(&model);
    for digits in ["7", "4829301", "31415926535897932384626433832795"] {
        let mut text = format!("{digits},");
        for _ in 0..digits.len() {
            let logits = evaluator.next_logits(&[vocab.encode(&text).unwrap()]).unwrap();
            let best = (0..12).max_by(|&i, &j| logits[[0, i]].total_cmp(&logits[[0, j]])).unwrap();
            text += &vocab.text(best as u32);
        }
        let reversed: String = digits.chars().rev().collect();
        assert_eq!(text, format!("{digits},{reversed}"));
    }
}

#[test]
fn probabilities_sum_to_one() {
    let Some(models) = shared_models("probabilities") else { return };
    let model = ModelFolder::open(models.join("stories260K")).unwrap().load().unwrap();
    let log_probs = Evaluator::new(&model).log_probs(&[vec![1, 403, 407], vec![5]]).unwrap();
    for row in log_probs.rows() {
        let sum: f64 = row.iter().map(|&l| f64::from(l).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let Some(models) = shared_models("threads") else { return };
    let model = ModelFolder::open(models.join("stories260K")).unwrap().load().unwrap();
    let prefixes: Vec<Vec<u32>> =
        (0..700u32).map(|i| (0..=i % 9).map(|j| (i * 37 + j * 101) % 512).collect()).collect();
    let run = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| Evaluator::new(&model).next_logits(&prefixes).unwrap())
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn what_the_model_does_not_accept_is_an_error() {
    let Some(models) = shared_models("bad prefixes") else { return };
    let model = ModelFolder::open(models.join("leangpt-d16-l1")).unwrap().load().unwrap();
    let evaluator = Evaluator::new(&model);
    let error = |prefix: Vec<u32>| evaluator.next_logits(&[vec![1], prefix]).unwrap_err().to_string();
    assert_eq!(error(vec![]), "a prefix needs at least one token");
    assert_eq!(error(vec![0; 17]), "the prefix has 17 tokens, the model accepts at most 16");
    assert_eq!(error(vec![0, 256]), "token id 256 is not in the vocabulary, which ends at 255");
    let full = evaluator.cache(&[7; 16]).unwrap();
    assert!(evaluator.extend_all(&full, &[1]).unwrap_err().to_string().contains("17 tokens"));
    assert!(evaluator.substitute(&[1, 2], 2, &[3]).unwrap_err().to_string().contains("position 2 is not in"));
    assert!(evaluator.substitute(&[1, 2], 1, &[300]).is_err());
    assert!(evaluator.next_logits(&[]).unwrap().is_empty());
}
