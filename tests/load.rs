//! Real model folders load; vocabularies answer as a user expects.

mod common;

use common::shared_models;
use llmprove::model::{Lookup, ModelFolder, Positions};

#[test]
fn every_supported_model_loads_and_its_head_is_the_same_read_alone() {
    let Some(models) = shared_models("loading") else { return };
    let table = [
        ("gbmi-induction-2L", "hooked_transformer", 26, 8, 2),
        ("gpt-by-hand", "gpt2", 32, 8, 4),
        ("kjv-char-l1", "gpt2", 73, 16, 2),
        ("kjv-char-l2", "gpt2", 73, 16, 4),
        ("leangpt-d16-l1", "gpt2", 256, 16, 2),
        ("leangpt-d32-l2-ctx16", "gpt2", 256, 16, 4),
        ("nanogpt-sort-abc", "gpt2", 3, 11, 6),
        ("rwkv7-reverse-38K", "rwkv7", 12, 128, 4),
        ("stories260K", "llama", 512, 512, 10),
        ("tiny-rwkv-4-660K", "rwkv", 256, 1024, 9),
    ];
    for (name, family, vocab, context, n_layers) in table {
        let folder = ModelFolder::open(models.join(name)).unwrap();
        let model = folder.load().unwrap();
        let head = folder.load_head().unwrap();
        assert_eq!(
            (folder.family(), folder.vocab_size(), folder.context()),
            (family, vocab, context),
            "{name}"
        );
        assert_eq!(
            (model.head.vocab_size(), model.context, model.body.layers.len()),
            (vocab, context, n_layers),
            "{name}"
        );
        assert_eq!(head.unembed, model.head.unembed, "{name}");
        assert_eq!(head.norm.is_some(), family != "hooked_transformer", "{name}");
        if let Positions::Learned(table) = &model.body.positions {
            assert_eq!(table.nrows(), context, "{name}");
        }
        assert_eq!(folder.vocab().unwrap().len(), vocab, "{name}");
    }
}

#[test]
fn the_digest_is_the_one_sha256sum_gives() {
    // (cd stories260K && sha256sum config.json model.safetensors | sha256sum)
    let Some(models) = shared_models("digest") else { return };
    let folder = ModelFolder::open(models.join("stories260K")).unwrap();
    assert_eq!(folder.digest(), "b5a937f1dcef2df97e339b62b5cf27ea7a567222d326d05bbadb6c7423dad48d");
    assert_eq!((folder.bos(), folder.eos()), (Some(1), vec![2]));
}

#[test]
fn a_text_finds_its_token() {
    let Some(models) = shared_models("lookup") else { return };
    let one = |model: &str, text: &str| {
        let folder = ModelFolder::open(models.join(model)).unwrap();
        let vocab = folder.vocab().unwrap();
        match vocab.find_exact(text) {
            Lookup::Token { id, also } => {
                (vocab.text(id), also.iter().map(|&t| vocab.text(t)).collect::<Vec<_>>())
            }
            other => panic!("{model}: {text:?} gives {other:?}"),
        }
    };
    let spelled =
        |text: &str, also: &[&str]| (text.to_owned(), also.iter().map(|t| (*t).to_owned()).collect());
    // SentencePiece puts a space before a text: the word is the token with the space, typed with or without it.
    assert_eq!(one("stories260K", "the"), spelled(" the", &[]));
    assert_eq!(one("stories260K", " the"), spelled(" the", &[]));
    assert_eq!(one("stories260K", "he"), spelled(" he", &["he"]));
    assert_eq!(one("stories260K", "."), spelled(".", &["<0x2E>"]));
    assert_eq!(one("stories260K", "<0x41>"), spelled("<0x41>", &[]));
    assert_eq!(one("stories260K", "<s>"), spelled("<s>", &[]));
    assert_eq!(one("leangpt-d16-l1", "G"), spelled("G", &[]));
    assert_eq!(one("leangpt-d16-l1", "\n"), spelled("\\n", &[]));
    assert_eq!(one("kjv-char-l1", "e"), spelled("e", &[]));
    assert_eq!(one("gpt-by-hand", "learning"), spelled("learning", &[]));
    assert_eq!(one("gpt-by-hand", " "), spelled(" ", &[]));
}

#[test]
fn a_text_of_several_tokens_says_which_and_unknown_text_suggests() {
    let Some(models) = shared_models("lookup failures") else { return };
    let open = |model: &str| ModelFolder::open(models.join(model)).unwrap();
    let folder = open("gpt-by-hand");
    let vocab = folder.vocab().unwrap();
    let Lookup::Several(tokens) = vocab.find_exact("i love") else { panic!() };
    assert_eq!(tokens.iter().map(|&t| vocab.text(t)).collect::<Vec<_>>(), ["i", " ", "love"]);
    assert_eq!(vocab.find_exact("xylophone"), Lookup::Unknown);
    let near: Vec<String> = vocab.suggest("modles").into_iter().map(|t| vocab.text(t)).collect();
    assert_eq!(near[0], "models");
    let folder = open("stories260K");
    let vocab = folder.vocab().unwrap();
    assert!(matches!(vocab.find_exact("Once upon"), Lookup::Several(t) if t.len() == 2));
}

#[test]
fn texts_survive_encoding_and_decoding() {
    let Some(models) = shared_models("round trip") else { return };
    let table = [
        ("stories260K", "Once upon a time, Zoë said: \u{1F600}"),
        ("leangpt-d16-l1", "theorem foo : α → β"),
        ("kjv-char-l1", "In the beginning"),
        ("gpt-by-hand", "i love machine learning"),
        ("nanogpt-sort-abc", "CABBAC"),
    ];
    for (model, text) in table {
        let folder = ModelFolder::open(models.join(model)).unwrap();
        let vocab = folder.vocab().unwrap();
        let tokens = vocab.encode(text).unwrap();
        assert_eq!(vocab.decode(&tokens), text, "{model}: {tokens:?}");
    }
}

#[test]
fn what_llama2c_encodes_is_what_the_vocabulary_encodes() {
    let Some(models) = shared_models("encoding") else { return };
    let folder = ModelFolder::open(models.join("stories260K")).unwrap();
    let vocab = folder.vocab().unwrap();
    assert_eq!(vocab.encode("Once upon a time").unwrap(), [403, 407, 261, 378]);
    assert_eq!(vocab.bytes(403).as_deref(), Some(&b" Once"[..]));
    assert_eq!(vocab.by_bytes(b"A").len(), 2, "the letter and the byte token");
}
