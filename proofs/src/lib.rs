//! Certificate format of llmprove and the independent checker.
