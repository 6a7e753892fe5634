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

use proptest::test_runner::Config;

/// A failing case becomes a row of a test by hand; no seed files.
fn config() -> Config {
    Config { failure_persistence: None, ..Config::default() }
}
