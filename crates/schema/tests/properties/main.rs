//! What a reader of the published messages may rely on, for callbacks nobody has written down yet.
//!
//! `model` draws callbacks, `dress` writes each of them as the vendor or an intermediary might; the others hold
//! the crate to what must come out: the same event, the verdict of a second parser, an error that points into the
//! body.

mod any_bytes;
mod dress;
mod json_reader;
mod model;
mod mutate;
mod one_shape;
mod xml_reader;

use proptest::test_runner::{Config, FileFailurePersistence};

/// A failing case is kept as a seed, which cargo test runs again first. What it shows then becomes a row of a test by
/// hand, which outlives a change to how cases are drawn, and the seed goes.
fn config() -> Config {
    // Beside this file: cargo starts a test in its package's folder.
    let kept = FileFailurePersistence::Direct("tests/properties/regressions.txt");
    Config { failure_persistence: Some(Box::new(kept)), ..Config::default() }
}
