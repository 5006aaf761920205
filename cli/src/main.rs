//! The binary `simple-dist`.
fn main() {}
