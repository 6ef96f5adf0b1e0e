//! Build, test and generate: cargo xtask.
fn main() {}
