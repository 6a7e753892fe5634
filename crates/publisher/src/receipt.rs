//! What an answer of 200 promises, and what became of each message.

use std::sync::Arc;

use crate::nats::Failure;

/// What an answer of 200 promises.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// JetStream has stored the message.
    #[default]
    Jetstream,
    /// The server has received the message, and passed it on to whoever subscribed: at most once.
    Core,
}

/// What became of a message that is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    /// In a stream.
    Stored {
        /// The stream.
        stream: Arc<str>,
        /// Its sequence there.
        sequence: u64,
        /// The stream had it before, from an earlier delivery of the same callback.
        duplicate: bool,
    },
    /// On disk, fsynced; it is published under the same id as soon as NATS takes it.
    Spooled,
    /// Handed to the server, which keeps nothing (core delivery).
    Sent,
}

/// Why a callback's messages are not all durable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Nothing durable takes them now: ask the sender to come again.
    #[error("{0}")]
    Later(String),
    /// One is larger than NATS takes, and always will be.
    #[error("{0}")]
    TooLarge(Failure),
}
