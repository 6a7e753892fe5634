//! A message of the spool, in the words that operators read: of the API, of `ci-bridge spool list` and of what it exports.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::Waiting;
use crate::held_back::timestamp;
use crate::id::MessageId;
use crate::message::{HeaderName, Message};

/// A message that waits, as the API and `ci-bridge spool` tell of it.
#[derive(Debug, Serialize)]
pub struct Entry<'a> {
    place: u64,
    id: &'a str,
    subject: &'a str,
    stream: &'a str,
    kind: &'a str,
    since: Option<String>,
    age_seconds: Option<u64>,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tries: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    refused: bool,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    whole: Option<Whole<'a>>,
}

/// What senders wrote.
#[derive(Debug, Serialize)]
struct Whole<'a> {
    headers: HeadersOf<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    /// For what is no UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// All that go with it over the wire, its id among them.
#[derive(Debug)]
struct HeadersOf<'a>(&'a Message);

impl<'a> Entry<'a> {
    /// A message; with its headers and its body when `whole`.
    #[must_use]
    pub fn of(waiting: &'a Waiting, whole: bool) -> Self {
        let message = &waiting.message;
        Self {
            place: waiting.place,
            id: message.id.as_str(),
            subject: message.subject.as_str(),
            stream: &message.stream,
            kind: message.kind.as_str(),
            since: waiting.since.map(timestamp),
            age_seconds: waiting.since.map(|since| since.elapsed().unwrap_or_default().as_secs()),
            bytes: waiting.bytes,
            tries: waiting.refusal.as_ref().map(|refusal| refusal.tries),
            reason: waiting.refusal.as_ref().map(|refusal| refusal.reason.as_str()),
            refused: waiting.is_refused,
            whole: whole.then(|| Whole::of(message)),
        }
    }
}

impl<'a> Whole<'a> {
    fn of(message: &'a Message) -> Self {
        let body = std::str::from_utf8(&message.payload).ok();
        let body_base64 = body.is_none().then(|| STANDARD.encode(&message.payload));
        Self { headers: HeadersOf(message), body, body_base64 }
    }
}

impl Serialize for HeadersOf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(MessageId::HEADER, self.0.id.as_str())?;
        for (name, value) in self.0.headers.iter() {
            map.serialize_entry(HeaderName::as_str(name), value)?;
        }
        map.end()
    }
}
