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
    if let Some(sequence) = usual(&answer.payload, expected_stream) {
        return Ok(Stored { stream: Arc::clone(expected_stream), sequence, duplicate: false });
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

/// The sequence in the answer that nats-server gives to almost every publish, taken by its letters, which is a fifth of
/// the work of reading JSON. Whatever looks different in the least is read as JSON.
fn usual(answer: &[u8], expected_stream: &str) -> Option<u64> {
    let rest = answer.strip_prefix(b"{\"stream\":\"")?.strip_prefix(expected_stream.as_bytes())?;
    // Older servers put a blank behind the comma.
    let rest = rest.strip_prefix(b"\",")?;
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let digits = rest.strip_prefix(b"\"seq\":")?.strip_suffix(b"}")?;
    // More digits could be too large a number, and a zero in front is no JSON.
    let is_number =
        matches!(digits.len(), 1..=19) && digits[0] != b'0' && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
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

#[cfg(test)]
mod tests {
    #[test]
    fn a_usual_answer_is_read_as_its_json_is() {
        let usual = |answer: &str| super::usual(answer.as_bytes(), "CI");
        assert_eq!(usual(r#"{"stream":"CI", "seq":1}"#), Some(1));
        assert_eq!(usual(r#"{"stream":"CI","seq":20}"#), Some(20));
        assert_eq!(usual(r#"{"stream":"CI","seq":9223372036854775807}"#), Some(i64::MAX as u64));
        for unusual in [
            "{\"stream\":\"CI\",\x0c\"seq\":1}",
            r#"{"stream":"CI",  "seq":1}"#,
            r#"{"stream":"CI", "seq":0}"#,
            r#"{"stream":"CI", "seq":01}"#,
            r#"{"stream":"CI", "seq":}"#,
            r#"{"stream":"CI", "seq":18446744073709551616}"#,
            r#"{"stream":"CI", "seq":1,"duplicate": true}"#,
            r#"{"stream":"CI2", "seq":1}"#,
            r#"{"stream":"C", "seq":1}"#,
            r#"{"error":{"code":503},"stream":"CI", "seq":1}"#,
        ] {
            assert_eq!(usual(unusual), None, "{unusual}");
        }
    }
}
