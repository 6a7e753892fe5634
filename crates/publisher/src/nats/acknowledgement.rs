//! What JetStream answers to a publish, and what each answer means for the message.

use std::borrow::Cow;
use std::sync::Arc;

use async_nats::StatusCode;
use serde::Deserialize;

/// A message that the stream has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) stream: Arc<str>,
    pub(crate) sequence: u64,
    /// The stream had it before.
    pub(crate) duplicate: bool,
}

/// Why a message is not known to be stored. All but [`Failure::Refused`] and [`Failure::TooLarge`] are worth
/// another attempt under the same message id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// NATS is known to be away: not tried.
    #[error("NATS is away")]
    Away,
    /// There is no connection, or it ended before the acknowledgement.
    #[error("not connected to NATS")]
    Disconnected,
    /// No acknowledgement in time. The message may be stored, or be stored later.
    #[error("no acknowledgement in time")]
    Unanswered,
    /// Nobody listens on the subject: a stream that is missing, or one that is electing its leader.
    #[error("no stream takes the subject at the moment")]
    NoStream,
    /// A copy under the same id is being stored, and may yet fail.
    #[error("a copy with the same id is in flight")]
    InFlight,
    /// JetStream cannot take it now: full, overloaded, without a leader.
    #[error("JetStream cannot take it now: {0}")]
    Busy(String),
    /// JetStream will never take it as things are configured.
    #[error("JetStream refuses it: {0}")]
    Refused(String),
    /// The encoded message is larger than the server or the stream takes.
    #[error("the message is too large: {0}")]
    TooLarge(String),
}

impl Failure {
    /// Whether another attempt is pointless.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::TooLarge(_))
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(default, borrow)]
    stream: Cow<'a, str>,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
    error: Option<ApiError>,
}

/// An error as JetStream's API gives it.
#[derive(Debug, Deserialize)]
pub(super) struct ApiError {
    #[serde(default)]
    pub(super) err_code: u64,
    #[serde(default)]
    pub(super) description: String,
}

/// Reads what came on a publish's reply subject.
pub(super) fn read(answer: &async_nats::Message, expected_stream: &Arc<str>) -> Result<Stored, Failure> {
    if answer.status == Some(StatusCode::NO_RESPONDERS) {
        return Err(Failure::NoStream);
    }
    let answer: Answer<'_> = serde_json::from_slice(&answer.payload)
        .map_err(|_| Failure::Busy("an answer that is no acknowledgement".to_owned()))?;
    if let Some(error) = answer.error {
        return Err(classify(&error));
    }
    if *answer.stream != **expected_stream {
        return Err(Failure::Refused(format!(
            "stream {} stored it, stream {expected_stream} was expected",
            answer.stream
        )));
    }
    // Up to 2.10 a replicated stream says so when the first copy is still in flight; sequence 0 is no message.
    if answer.seq == 0 {
        return Err(Failure::InFlight);
    }
    Ok(Stored { stream: Arc::clone(expected_stream), sequence: answer.seq, duplicate: answer.duplicate })
}

/// The codes are nats-server's own, from its `errors.json`.
fn classify(error: &ApiError) -> Failure {
    const DUPLICATE_IN_FLIGHT: u64 = 10158;
    const EXPECTED_STREAM_MISMATCH: u64 = 10060;
    const MESSAGE_EXCEEDS_MAXIMUM: u64 = 10054;
    const HEADER_EXCEEDS_MAXIMUM: u64 = 10097;
    const STREAM_SEALED: u64 = 10109;
    let text = format!("{} ({})", error.description, error.err_code);
    match error.err_code {
        DUPLICATE_IN_FLIGHT => Failure::InFlight,
        MESSAGE_EXCEEDS_MAXIMUM | HEADER_EXCEEDS_MAXIMUM => Failure::TooLarge(text),
        EXPECTED_STREAM_MISMATCH | STREAM_SEALED => Failure::Refused(text),
        _ => Failure::Busy(text),
    }
}
