//! An entry of quarantine, in the words that operators read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ci_bridge_publisher::nats::StoredMessage;
use ci_bridge_publisher::{HeaderName, MessageId, REFUSED, timestamp};
use serde_json::{Map, Value, json};

/// What was kept.
pub(super) struct Entry(pub(super) StoredMessage);

impl Entry {
    pub(super) fn number(&self) -> u64 {
        self.0.sequence
    }

    /// The id that the answer and the log name.
    pub(super) fn id(&self) -> &str {
        self.text(MessageId::HEADER).unwrap_or("-")
    }

    /// RFC 3339.
    pub(super) fn time(&self) -> String {
        timestamp(self.0.time)
    }

    pub(super) fn body(&self) -> Bytes {
        self.0.body.clone()
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.body.len()
    }

    /// A message that was routed, and that JetStream refused.
    pub(super) fn is_refused(&self) -> bool {
        self.header(HeaderName::CiReason) == Some(REFUSED)
    }

    pub(super) fn header(&self, name: HeaderName) -> Option<&str> {
        self.text(name.as_str())
    }

    fn text(&self, name: &'static str) -> Option<&str> {
        self.0.header(name)
    }

    /// Without headers and body.
    pub(super) fn described(&self) -> Map<String, Value> {
        let mut members = Map::new();
        let mut add = |name: &str, value: Value| {
            if !value.is_null() {
                members.insert(name.to_owned(), value);
            }
        };
        add("number", json!(self.number()));
        add("id", json!(self.text(MessageId::HEADER)));
        add("time", json!(self.time()));
        add("reason", json!(self.header(HeaderName::CiReason)));
        add("endpoint", json!(self.header(HeaderName::CiEndpoint)));
        add("detail", json!(self.header(HeaderName::CiDetail)));
        add("content_type", json!(self.header(HeaderName::ContentType)));
        add("bytes", json!(self.bytes()));
        if self.is_refused() {
            add("subject", json!(self.header(HeaderName::CiSubject)));
            add("stream", json!(self.header(HeaderName::CiStream)));
        }
        members
    }

    /// With headers and body.
    pub(super) fn whole(&self, body: &[u8]) -> Map<String, Value> {
        let mut members = self.described();
        let mut headers = Map::new();
        for (name, value) in &self.0.headers {
            headers.entry(name.as_str()).or_insert_with(|| value.as_str().into());
        }
        members.insert("headers".to_owned(), Value::Object(headers));
        match std::str::from_utf8(body) {
            Ok(text) => members.insert("body".to_owned(), text.into()),
            Err(_) => members.insert("body_base64".to_owned(), STANDARD.encode(body).into()),
        };
        members
    }
}
