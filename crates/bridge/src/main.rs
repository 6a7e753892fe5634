//! The ci-bridge command.
fn main() {}
