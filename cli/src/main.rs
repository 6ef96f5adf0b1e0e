//! The rivmesh command: demo, standalone, analyze, explain.
fn main() {}
