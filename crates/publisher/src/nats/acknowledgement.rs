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
    /// There is no connection, or nothing is heard over it: not tried.
    #[error("not connected to NATS, or not answered by it")]
    Away,
    /// There is no connection, or it ended before the acknowledgement.
    #[error("not connected to NATS")]
    Disconnected,
    /// No acknowledgement in time. The message may be stored, or be stored later.
    #[error("no acknowledgement in time")]
    Unanswered,
    /// The NATS user may not publish to the subject.
    #[error("NATS forbids it: {0}")]
    Forbidden(String),
    /// Nobody listens on the subject: a stream that is missing, or one that is electing its leader.
    #[error("no stream takes the subject at the moment")]
    NoStream,
    /// Another stream, or a stream of the same name in another JetStream domain, has the subject.
    #[error("another stream has the subject: {0}")]
    OtherStream(String),
    /// A copy under the same id is being stored, and may yet fail.
    #[error("a copy with the same id is in flight")]
    InFlight,
    /// A value stands under the key already, and this one is not to replace it.
    #[error("the key has a value, of sequence {0}")]
    Standing(u64),
    /// The stream does not take it now: full, sealed, overloaded, without a leader.
    #[error("JetStream cannot take it now: {0}")]
    Busy(String),
    /// No stream will ever take this message: its subject or its headers are not NATS's.
    #[error("NATS refuses it: {0}")]
    Refused(String),
    /// The encoded message is larger than the server, the account or the stream takes.
    #[error("the message is too large: {0}")]
    TooLarge(String),
}

/// What a failure says something of: whatever else is published is not to blame, and need not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Every message.
    Connection,
    /// The messages of the stream.
    Stream,
    /// The messages of the subject.
    Subject,
    /// This message.
    Message,
}

impl Failure {
    /// Whether another attempt is pointless.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::TooLarge(_))
    }

    /// The same in a word, for a program.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Disconnected => "disconnected",
            Self::Unanswered => "unanswered",
            Self::Forbidden(_) => "forbidden",
            Self::NoStream => "no_stream",
            Self::OtherStream(_) => "other_stream",
            Self::InFlight => "in_flight",
            Self::Standing(_) => "standing",
            Self::Busy(_) => "busy",
            Self::Refused(_) => "refused",
            Self::TooLarge(_) => "too_large",
        }
    }

    /// What is to blame. An answer that does not come blames nobody by itself: who else was answered tells.
    pub(crate) fn scope(&self) -> Option<Scope> {
        match self {
            Self::Unanswered => None,
            Self::Away | Self::Disconnected => Some(Scope::Connection),
            Self::Busy(_) => Some(Scope::Stream),
            Self::Forbidden(_) | Self::NoStream | Self::OtherStream(_) => Some(Scope::Subject),
            Self::InFlight | Self::Standing(_) | Self::Refused(_) | Self::TooLarge(_) => Some(Scope::Message),
        }
    }
}

/// Whose acknowledgement counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) stream: Arc<str>,
    /// The JetStream domain, where one is configured.
    pub(super) domain: Option<Arc<str>>,
}

/// What came on a publish's reply subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// The answer: wait no longer.
    Answer(Result<Stored, Failure>),
    /// The word of another stream, or of one that may be another. The expected one may answer yet: a leaf node and its
    /// hub can both have the subject.
    Other(Failure),
    /// Neither an acknowledgement nor an error of JetStream. Whoever sent it, it is no answer.
    Junk,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(default, borrow)]
    stream: Cow<'a, str>,
    #[serde(default, borrow)]
    domain: Cow<'a, str>,
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
pub(super) fn read(answer: &async_nats::Message, expected: &Expected) -> Reply {
    if answer.status == Some(StatusCode::NO_RESPONDERS) {
        return Reply::Answer(Err(Failure::NoStream));
    }
    let Ok(answer) = serde_json::from_slice::<Answer<'_>>(&answer.payload) else {
        return Reply::Junk;
    };
    if let Some(error) = answer.error {
        let failure = classify(&error);
        // An error names no domain: where one is expected, the other's may come first.
        return if expected.domain.is_some() { Reply::Other(failure) } else { Reply::Answer(Err(failure)) };
    }
    if answer.stream.is_empty() {
        return Reply::Junk;
    }
    let is_other_domain = expected.domain.as_deref().is_some_and(|domain| *domain != *answer.domain);
    if *answer.stream != *expected.stream || is_other_domain {
        return Reply::Other(Failure::OtherStream(format!(
            "{} stored it, {} was expected",
            in_domain(&answer.stream, Some(&answer.domain)),
            in_domain(&expected.stream, expected.domain.as_deref())
        )));
    }
    // Up to 2.10 a replicated stream says so when the first copy is still in flight; sequence 0 is no message.
    if answer.seq == 0 {
        return Reply::Answer(Err(Failure::InFlight));
    }
    let stream = Arc::clone(&expected.stream);
    Reply::Answer(Ok(Stored { stream, sequence: answer.seq, duplicate: answer.duplicate }))
}

fn in_domain(stream: &str, domain: Option<&str>) -> String {
    match domain.filter(|domain| !domain.is_empty()) {
        Some(domain) => format!("stream {stream} of domain {domain}"),
        None => format!("stream {stream}"),
    }
}

/// The codes are nats-server's own, from its `errors.json`. All others are the stream's or the account's: full,
/// sealed (10109), overloaded, without a leader.
fn classify(error: &ApiError) -> Failure {
    const DUPLICATE_IN_FLIGHT: u64 = 10158;
    const WRONG_LAST_SEQUENCE: u64 = 10071;
    const EXPECTED_STREAM_MISMATCH: u64 = 10060;
    const MESSAGE_EXCEEDS_MAXIMUM: u64 = 10054;
    const HEADER_EXCEEDS_MAXIMUM: u64 = 10097;
    let text = format!("{} ({})", error.description, error.err_code);
    match error.err_code {
        DUPLICATE_IN_FLIGHT => Failure::InFlight,
        // Names of objects, leases and jobs in the bucket are written on that condition: the description ends in it.
        WRONG_LAST_SEQUENCE => {
            let last = error.description.rsplit(' ').next().and_then(|last| last.parse().ok());
            Failure::Standing(last.unwrap_or_default())
        }
        MESSAGE_EXCEEDS_MAXIMUM | HEADER_EXCEEDS_MAXIMUM => Failure::TooLarge(text),
        EXPECTED_STREAM_MISMATCH => Failure::OtherStream(text),
        _ => Failure::Busy(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nats::reply_with;

    fn expected(domain: Option<&str>) -> Expected {
        Expected { stream: "CI".into(), domain: domain.map(Into::into) }
    }

    fn reply(payload: &'static str, domain: Option<&str>) -> Reply {
        read(&reply_with(payload), &expected(domain))
    }

    #[test]
    fn only_the_expected_streams_word_is_an_answer() {
        let stored =
            |sequence, duplicate| Reply::Answer(Ok(Stored { stream: "CI".into(), sequence, duplicate }));
        let other = |text: &str| Reply::Other(Failure::OtherStream(text.to_owned()));
        let full = r#"{"error":{"code":503,"err_code":10077,"description":"full"},"stream":"CI","seq":0}"#;
        let busy = || Failure::Busy("full (10077)".to_owned());
        let rows = [
            (full, None, Reply::Answer(Err(busy()))),
            // It may be the leaf's, and the hub's acknowledgement be on its way.
            (full, Some("hub"), Reply::Other(busy())),
            (r#"{"stream":"CI","seq":3}"#, None, stored(3, false)),
            // Older servers put a blank behind the comma.
            (r#"{"stream":"CI", "seq":3}"#, None, stored(3, false)),
            (r#"{"stream":"CI","seq":3,"duplicate":true}"#, None, stored(3, true)),
            (r#"{"stream":"CI","domain":"hub","seq":3}"#, Some("hub"), stored(3, false)),
            (r#"{"domain":"hub","stream":"CI","seq":3,"duplicate":true}"#, Some("hub"), stored(3, true)),
            // Without a configured domain, whichever has the stream.
            (r#"{"stream":"CI","domain":"hub","seq":3}"#, None, stored(3, false)),
            (r#"{"stream":"CI","seq":0,"duplicate":true}"#, None, Reply::Answer(Err(Failure::InFlight))),
            (
                r#"{"stream":"CI","domain":"leaf","seq":3}"#,
                Some("hub"),
                other("stream CI of domain leaf stored it, stream CI of domain hub was expected"),
            ),
            (r#"{"stream":"OTHER","seq":3}"#, None, other("stream OTHER stored it, stream CI was expected")),
            ("+OK", None, Reply::Junk),
            ("", None, Reply::Junk),
            (r#"{"seq":3}"#, None, Reply::Junk),
            ("[]", None, Reply::Junk),
        ];
        for (payload, domain, wanted) in rows {
            assert_eq!(reply(payload, domain), wanted, "{payload} {domain:?}");
        }
    }

    #[test]
    fn only_what_is_wrong_with_the_message_itself_is_the_messages_fault() {
        let rows = [
            (10054, Some(Scope::Message)),
            (10097, Some(Scope::Message)),
            (10158, Some(Scope::Message)),
            (10071, Some(Scope::Message)),
            (10060, Some(Scope::Subject)),
            (10109, Some(Scope::Stream)),
            (10077, Some(Scope::Stream)),
            (10047, Some(Scope::Stream)),
            (10008, Some(Scope::Stream)),
            (10167, Some(Scope::Stream)),
        ];
        for (err_code, scope) in rows {
            let failure = classify(&ApiError { err_code, description: String::new() });
            assert_eq!(failure.scope(), scope, "{err_code}");
            assert_eq!(failure.is_permanent(), [10054, 10097].contains(&err_code), "{err_code}");
        }
    }
}
