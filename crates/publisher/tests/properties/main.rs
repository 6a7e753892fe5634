//! What NATS and a subscriber may rely on, whatever a sender writes into a callback.

mod callback;
mod covering;
mod headers;
mod subjects;

use proptest::test_runner::Config;

/// A failing case becomes a row of a test by hand; no seed files.
fn config() -> Config {
    Config { failure_persistence: None, ..Config::default() }
}
