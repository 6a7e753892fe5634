//! What a reader of the published messages may rely on, for callbacks nobody has written down yet.
//!
//! `model` draws callbacks, `dress` writes each of them as the vendor or an intermediary might; the others hold
//! the crate to what must come out: the same event, the verdict of a second parser, an error that points into the
//! body. `invariants` says what that is; the fuzz targets use it too.

mod any_bytes;
mod documented_lists;
mod dress;
#[path = "../../../../tests/fuzz/src/invariants/mod.rs"]
mod invariants;
mod json_reader;
mod model;
mod mutate;
mod one_shape;
mod own_schema;
mod xml_reader;

use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError};

/// A failing case is kept as a seed, which cargo test runs again first. What it shows then becomes a row of a test by
/// hand, which outlives a change to how cases are drawn, and the seed goes.
fn config() -> Config {
    // Beside this file: cargo starts a test in its package's folder.
    let kept = FileFailurePersistence::Direct("tests/properties/regressions.txt");
    Config { failure_persistence: Some(Box::new(kept)), ..Config::default() }
}

/// With the body in full, which a failing case would otherwise only describe.
fn shown<T>(body: &[u8], outcome: Result<T, String>) -> Result<T, TestCaseError> {
    outcome.map_err(|broken| TestCaseError::fail(format!("{broken}\nbody: \"{}\"", body.escape_ascii())))
}
