//! Any bytes as statement and certificate, parted at the first zero byte: the checker accepts or rejects.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let middle = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    let (statement, certificate) = bytes.split_at(middle);
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/moby-l1");
    let _ = llmprove_proofs::Statement::from_json_bytes(statement);
    let _ = llmprove_proofs::Certificate::from_json_bytes(certificate);
    let _ = llmprove_proofs::check(&model, statement, certificate);
});
