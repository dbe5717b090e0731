//! The UI alone, under Trunk.
fn main() {}
