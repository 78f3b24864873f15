//! The `llmprove` command.
fn main() {}
