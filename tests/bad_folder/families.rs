//! Settings that one family alone has.

use serde_json::{Map, Value, json};

use super::Copy;

#[test]
fn recurrent_models() {
    let expect = |name: &str, key: &str, value: Value, fragments: &[&str]| {
        let copy = Copy::of(name);
        copy.config(|config| drop(config.insert(key.into(), value)));
        copy.expect(fragments);
    };
    expect("rwkv4-tied", "rescale_every", json!(6), &["rescale_every = 6", "must be 0"]);
    expect("rwkv4-tied", "attention_hidden_size", json!(8), &["attention.key.weight", "[6, 8]", "[8, 8]"]);
    expect("rwkv4-tied", "head_size", json!(4), &["head_size = 4 is not understood for a rwkv model"]);
    expect("rwkv7-norm-f16", "head_size", json!(8), &["head_size = 8", "num_attention_heads"]);
    expect("rwkv7-norm-f16", "num_attention_heads", json!(3), &["must divide hidden_size = 8"]);
    expect("rwkv7-norm-f16", "use_ln0", json!(false), &["uses tensor blocks.0.ln0.bias"]);
    let narrow = Copy::of("rwkv7-norm-f16");
    narrow.weights(|header, _| header["blocks.1.att.w1"]["shape"] = json!([24]));
    narrow.expect(&["blocks.1.att.w1", "[24]"]);
}

#[test]
fn qwen3_and_neox() {
    type Edit = fn(&mut Map<String, Value>);
    let set: &[(&str, &str, Edit, &[&str])] = &[
        ("no head width", "qwen3", |c| drop(c.remove("head_dim")), &["head_dim", "qwen3"]),
        (
            "sliding window of qwen3",
            "qwen3",
            |c| c["use_sliding_window"] = json!(true),
            &["use_sliding_window = true: not supported"],
        ),
        (
            "odd part of a head",
            "neox",
            |c| c["rotary_pct"] = json!(0.3),
            &["rotary_pct = 0.3: must choose an even number of the 8 features"],
        ),
        (
            "scaled rotation of neox",
            "neox",
            |c| drop(c.insert("rope_scaling".into(), json!({"type": "linear", "factor": 2.0}))),
            &["rope_scaling", "not supported"],
        ),
    ];
    for (name, model, edit, fragments) in set {
        println!("{name}");
        let copy = Copy::of(model);
        copy.config(edit);
        copy.expect(fragments);
    }
}
