//! What NATS and a subscriber may rely on, whatever a sender writes into a callback.

mod callback;
mod covering;
mod headers;
mod subjects;

use proptest::test_runner::{Config, FileFailurePersistence};

/// A failing case is kept as a seed, which cargo test runs again first. What it shows then becomes a row of a test by
/// hand, which outlives a change to how cases are drawn, and the seed goes.
fn config() -> Config {
    // Beside this file: cargo starts a test in its package's folder.
    let kept = FileFailurePersistence::Direct("tests/properties/regressions.txt");
    Config { failure_persistence: Some(Box::new(kept)), ..Config::default() }
}
