//! A stream of the configuration.

use std::time::Duration;

/// A stream as it is configured here: how it is created, and what is expected of one that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSpec {
    /// Its name.
    pub name: String,
    /// The subjects it takes.
    pub subjects: Vec<String>,
    /// What to do when it is missing.
    pub missing: Missing,
    /// In memory instead of in files.
    pub in_memory: bool,
    /// Copies in a cluster.
    pub replicas: usize,
    /// How long message ids are remembered.
    pub duplicate_window: Duration,
    /// How long messages are kept; zero is for ever.
    pub max_age: Duration,
    /// How many bytes are kept; `None` is without limit.
    pub max_bytes: Option<u64>,
    /// When full: refuse new messages (`true`), or drop the oldest (`false`).
    pub discard_new: bool,
    /// What it is for.
    pub holds: Holds,
    /// Where JetStream's API is: `$JS.API`, `$JS.<domain>.API`, or as an account imports it.
    pub api_prefix: String,
}

/// What a stream is for: what its settings must be follows from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Holds {
    /// Messages of events, or of quarantine.
    #[default]
    Messages,
    /// The chunks of an object store, whose metadata replaces what was there before (`Nats-Rollup`).
    Objects,
    /// The last value of each key: a key-value bucket, with the settings that every client gives it.
    Keys,
}

/// What to do about a stream that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Create it.
    Create,
    /// Not be ready until somebody has.
    Wait,
    /// Take it as it would be created, and change nothing: a look ahead.
    Assume,
}
