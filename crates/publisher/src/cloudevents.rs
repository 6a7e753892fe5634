//! CloudEvents 1.0 over NATS: attributes as `ce-…` headers (binary mode), or the whole event in the body
//! (structured mode).
//!
//! NATS header names are case-sensitive, unlike what the binding's text says: they are written in lower case. Who reads a
//! `ce-…` header decodes its value once, as the binding asks, and has exactly what structured mode holds.

use std::borrow::Cow;

use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::id::MessageId;
use crate::message::{HeaderName, Headers, MessageKind};
use crate::percent::SafeBytes;

/// Where the attributes of an event stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Attributes as headers, the vendor's element as the body.
    #[default]
    CloudeventsBinary,
    /// One JSON object with attributes and `data` as the body, `Content-Type: application/cloudevents+json`.
    CloudeventsStructured,
}

/// The context attributes of an event.
#[derive(Debug)]
pub(crate) struct Attributes<'e> {
    pub(crate) id: &'e MessageId,
    pub(crate) kind: MessageKind,
    pub(crate) bucket: Option<&'e str>,
    pub(crate) object: Option<&'e str>,
    pub(crate) time: Option<&'e str>,
}

impl Attributes<'_> {
    /// Headers of binary mode; `content_type` is the body's.
    pub(crate) fn binary(&self, content_type: &str) -> Headers {
        let mut headers = Headers::with_room();
        headers.push(HeaderName::CeSpecversion, SPEC_VERSION);
        headers.push_attribute(HeaderName::CeId, &[self.id.as_str()]);
        headers.push_attribute(HeaderName::CeSource, &[SOURCE, &self.bucket()]);
        headers.push(HeaderName::CeType, type_of(self.kind));
        if let Some(time) = self.time {
            headers.push(HeaderName::CeTime, time);
        }
        if let Some(object) = self.object {
            headers.push_attribute(HeaderName::CeSubject, &[&subject(object)]);
        }
        // The attribute, and what tools that know nothing of CloudEvents look at.
        headers.push(HeaderName::ContentType, content_type);
        headers.push(HeaderName::CeDatacontenttype, content_type);
        headers
    }

    /// Headers and body of structured mode. `data` is JSON.
    pub(crate) fn structured(&self, data: &[u8]) -> Result<(Headers, Bytes), serde_json::Error> {
        let (source, subject) = (format!("{SOURCE}{}", self.bucket()), self.object.map(subject));
        let envelope = Envelope {
            specversion: SPEC_VERSION,
            id: self.id.as_str(),
            source: &source,
            r#type: type_of(self.kind),
            subject: subject.as_deref(),
            time: self.time,
            datacontenttype: "application/json",
            data: serde_json::from_slice(data)?,
        };
        let mut headers = Headers::default();
        headers.push(HeaderName::ContentType, "application/cloudevents+json");
        Ok((headers, serde_json::to_vec(&envelope)?.into()))
    }

    /// The bucket as a segment of a URI.
    fn bucket(&self) -> Cow<'_, str> {
        let bucket = self.bucket.unwrap_or("_");
        if SafeBytes::SEGMENT.holds(bucket) {
            return bucket.into();
        }
        let mut segment = String::new();
        SafeBytes::SEGMENT.push(bucket, &mut segment);
        segment.into()
    }
}

/// What the bucket follows in a `source`, a URI reference.
const SOURCE: &str = "/ci/";
const SPEC_VERSION: &str = "1.0";

#[derive(Serialize)]
struct Envelope<'e> {
    specversion: &'e str,
    id: &'e str,
    source: &'e str,
    r#type: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<&'e str>,
    datacontenttype: &'e str,
    data: &'e RawValue,
}

fn type_of(kind: MessageKind) -> &'static str {
    match kind {
        MessageKind::Task => "com.tencent.ci.task.v1",
        MessageKind::Workflow => "com.tencent.ci.workflow.v1",
        MessageKind::Moderation => "com.tencent.ci.moderation.v1",
        MessageKind::Quarantine => "com.tencent.ci.quarantine.v1",
    }
}

/// The object's key without what no attribute may hold, control characters and those that Unicode assigns to nothing: they
/// are percent-encoded, in either mode.
fn subject(object: &str) -> Cow<'_, str> {
    if SafeBytes::HEADER.holds(object) || !object.contains(is_no_attributes) {
        return object.into();
    }
    let mut subject = String::with_capacity(object.len() + 16);
    for character in object.chars() {
        match is_no_attributes(character) {
            true => subject.extend(utf8_percent_encode(character.encode_utf8(&mut [0; 4]), NON_ALPHANUMERIC)),
            false => subject.push(character),
        }
    }
    subject.into()
}

fn is_no_attributes(character: char) -> bool {
    let is_noncharacter =
        matches!(character, '\u{FDD0}'..='\u{FDEF}') || u32::from(character) & 0xFFFE == 0xFFFE;
    character.is_control() || is_noncharacter
}
