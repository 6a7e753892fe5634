//! A message as it goes to NATS, and nothing that only NATS's client knows.

use std::sync::Arc;

use bytes::Bytes;

use crate::excerpt::excerpt;
use crate::id::MessageId;
use crate::percent::SafeBytes;
use crate::subject::Subject;
use crate::trace::TraceContext;

/// What is published: one message of one event, or one body in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where to.
    pub subject: Subject,
    /// `Nats-Msg-Id`.
    pub id: MessageId,
    /// The stream that must acknowledge it (`Nats-Expected-Stream`); not sent in core delivery.
    pub stream: Arc<str>,
    /// The headers beside the two above.
    pub headers: Headers,
    /// The body.
    pub payload: Bytes,
    /// What it is of.
    pub kind: MessageKind,
}

/// What a message is of; a label of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// A finished job.
    Task,
    /// A finished workflow instance.
    Workflow,
    /// A moderation result.
    Moderation,
    /// A body that gives no event.
    Quarantine,
}

/// Header names and values, in the order in which they were added. No name is a sender's, and values are printable
/// ASCII, so that no CR or LF can end a header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// All values, one behind the other: a message has some eight, and one buffer costs less than eight.
    values: String,
    /// Each name, and where its value ends.
    names: Vec<(HeaderName, usize)>,
}

/// The names of headers that a message can carry; `Nats-Msg-Id` and `Nats-Expected-Stream` are added on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named by HeaderName::as_str")]
pub enum HeaderName {
    CeSpecversion,
    CeId,
    CeSource,
    CeType,
    CeTime,
    CeSubject,
    ContentType,
    Traceparent,
    CiReason,
    CiDetail,
    CiEndpoint,
    CiSubject,
    CiStream,
    CiObject,
    CiObjectBytes,
    CeDatacontenttype,
    CiOrigin,
    CiVerified,
    Tracestate,
}

impl Message {
    /// A small message in the place of this one, which is in an object store.
    pub(crate) fn refer_to(&self, location: &str, limit: usize) -> Self {
        let mut reference = self.clone();
        reference.headers.push(HeaderName::CiObject, location);
        reference.headers.push(HeaderName::CiObjectBytes, self.payload.len().to_string());
        reference.payload = Bytes::new();
        let room = limit.saturating_sub(reference.encoded_bytes());
        reference.payload = excerpt(&self.payload, room).into();
        reference
    }

    /// A value of the bucket with each job's last message.
    #[must_use]
    pub fn is_key(&self) -> bool {
        self.subject.is_key()
    }

    /// Whether what stands under its key already stays: a state that ends a job is its last, and what comes late is
    /// older. Moderation may look again, under the same id and with another result.
    pub(crate) fn leaves_what_stands(&self) -> bool {
        self.is_key() && self.kind != MessageKind::Moderation
    }

    /// The id that its object is named after, where it is too large: the key of a job leads to the object of its event.
    pub(crate) fn object_id(&self) -> &str {
        let id = self.id.as_str();
        match self.is_key() {
            true => {
                let own = id.strip_suffix(self.subject.as_str()).and_then(|id| id.strip_suffix('@'));
                own.unwrap_or(id)
            }
            false => id,
        }
    }

    /// Of an event, and not of a body that gives none.
    pub(crate) fn is_event(&self) -> bool {
        self.kind != MessageKind::Quarantine
    }

    /// Its size on the wire, headers included, as NATS's limits count it: `name: value` and a line's end each, and a
    /// first and a last line.
    #[must_use]
    pub fn encoded_bytes(&self) -> usize {
        let headers: usize =
            self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum();
        let own = "NATS/1.0\r\n\r\n".len()
            + "Nats-Msg-Id: \r\n".len()
            + self.id.as_str().len()
            + "Nats-Expected-Stream: \r\n".len()
            + self.stream.len();
        self.payload.len() + headers + own
    }
}

impl HeaderName {
    /// Every name. Spooled messages hold a name's place in this list: new ones go to its end.
    pub const ALL: [Self; 19] = [
        Self::CeSpecversion,
        Self::CeId,
        Self::CeSource,
        Self::CeType,
        Self::CeTime,
        Self::CeSubject,
        Self::ContentType,
        Self::Traceparent,
        Self::CiReason,
        Self::CiDetail,
        Self::CiEndpoint,
        Self::CiSubject,
        Self::CiStream,
        Self::CiObject,
        Self::CiObjectBytes,
        Self::CeDatacontenttype,
        Self::CiOrigin,
        Self::CiVerified,
        Self::Tracestate,
    ];

    /// What quarantine adds to a message that JetStream refused; all its other headers are those that it had.
    pub const OF_REFUSED: [Self; 4] = [Self::CiReason, Self::CiDetail, Self::CiSubject, Self::CiStream];

    /// The name as NATS carries it, where case counts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CeSpecversion => "ce-specversion",
            Self::CeId => "ce-id",
            Self::CeSource => "ce-source",
            Self::CeType => "ce-type",
            Self::CeTime => "ce-time",
            Self::CeSubject => "ce-subject",
            Self::ContentType => "Content-Type",
            Self::Traceparent => "traceparent",
            Self::CiReason => "Ci-Reason",
            Self::CiDetail => "Ci-Detail",
            Self::CiEndpoint => "Ci-Endpoint",
            Self::CiSubject => "Ci-Subject",
            Self::CiStream => "Ci-Stream",
            Self::CiObject => "Ci-Object",
            Self::CiObjectBytes => "Ci-Object-Bytes",
            Self::CeDatacontenttype => "ce-datacontenttype",
            Self::CiOrigin => "Ci-Origin",
            Self::CiVerified => "Ci-Verified",
            Self::Tracestate => "tracestate",
        }
    }
}

impl Headers {
    /// None yet, with room for as many as a usual message has.
    pub(crate) fn with_room() -> Self {
        const TYPICAL_BYTES: usize = 256;
        const TYPICAL_HEADERS: usize = 9;
        Self { values: String::with_capacity(TYPICAL_BYTES), names: Vec::with_capacity(TYPICAL_HEADERS) }
    }

    /// Adds a header. Bytes of the value outside U+0020..U+007E are percent-encoded.
    pub fn push(&mut self, name: HeaderName, value: impl AsRef<str>) {
        SafeBytes::HEADER.push(value.as_ref(), &mut self.values);
        self.names.push((name, self.values.len()));
    }

    /// Adds an attribute of CloudEvents, whose value may have several parts. It is encoded as their bindings ask.
    pub(crate) fn push_attribute(&mut self, name: HeaderName, parts: &[&str]) {
        for part in parts {
            SafeBytes::CLOUDEVENTS.push(part, &mut self.values);
        }
        self.names.push((name, self.values.len()));
    }

    /// Adds the place in a trace.
    pub(crate) fn push_trace(&mut self, context: &TraceContext) {
        self.push(HeaderName::Traceparent, context.traceparent());
        if let Some(tracestate) = context.tracestate() {
            self.push(HeaderName::Tracestate, tracestate);
        }
    }

    /// The same, in the place of the one that is there.
    pub(crate) fn replace_trace(&mut self, context: &TraceContext) {
        let before = std::mem::replace(self, Self::with_room());
        let is_trace = |name| matches!(name, HeaderName::Traceparent | HeaderName::Tracestate);
        for (name, value) in before.iter().filter(|(name, _)| !is_trace(*name)) {
            self.push(name, value);
        }
        self.push_trace(context);
    }

    /// The headers in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (HeaderName, &str)> {
        let mut start = 0;
        self.names
            .iter()
            .map(move |(name, end)| (*name, &self.values[std::mem::replace(&mut start, *end)..*end]))
    }
}

impl MessageKind {
    /// Every kind. Spooled messages hold a kind's place in this list: new ones go to its end.
    pub const ALL: [Self; 4] = [Self::Task, Self::Workflow, Self::Moderation, Self::Quarantine];

    /// `task`, `workflow`, `moderation` or `quarantine`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Workflow => "workflow",
            Self::Moderation => "moderation",
            Self::Quarantine => "quarantine",
        }
    }
}
