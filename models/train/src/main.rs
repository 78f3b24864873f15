//! Trains the models shipped under `models/`.
fn main() {}
