//! What goes to quarantine: bodies that nobody can read, and messages that JetStream refuses.

use bytes::Bytes;

use super::{Origin, Router, push_trace};
use crate::cloudevents::Attributes;
use crate::id::MessageId;
use crate::message::{HeaderName, Headers, Message, MessageKind};
use crate::template::{Field, Values};

/// The reason of what JetStream refuses for good; the others are the ingress's.
pub const REFUSED: &str = "refused";

/// A body that gives no event, and why.
#[derive(Debug, Clone)]
pub struct Quarantined<'a> {
    /// The body as it came, whole: its hash is the message's id.
    pub body: &'a [u8],
    /// What is kept of it: all, or its beginning.
    pub kept: Bytes,
    /// One word: `syntax`, `shape`, …
    pub reason: &'a str,
    /// One sentence, with line and column where there are any.
    pub detail: &'a str,
    /// What the body looks like, by its first bytes.
    pub media_type: &'a str,
}

impl Router {
    /// The message that keeps a body in quarantine.
    #[must_use]
    pub fn quarantine(&self, rejected: &Quarantined<'_>, origin: Origin<'_>) -> Message {
        let id = self.own(MessageId::of_quarantine(rejected.body));
        let kind = MessageKind::Quarantine;
        let attributes = Attributes { id: &id, kind, bucket: None, object: None, time: None };
        let mut headers = attributes.binary(rejected.media_type);
        headers.push(HeaderName::CiReason, rejected.reason);
        headers.push(HeaderName::CiDetail, rejected.detail);
        headers.push(HeaderName::CiEndpoint, origin.endpoint);
        push_trace(&mut headers, origin);
        Message {
            subject: self.quarantine.render(&Rejected { reason: rejected.reason, endpoint: origin.endpoint }),
            stream: self.destinations.quarantine_stream.clone(),
            payload: rejected.kept.clone(),
            id,
            headers,
            kind,
        }
    }

    /// The message that keeps, in quarantine, a message that JetStream refuses for good: whole and with all its
    /// headers, so that it can be published again. The callback was answered 200, and this may be all that is left
    /// of it.
    #[must_use]
    pub fn refused(&self, message: &Message, why: &str) -> Message {
        let mut headers = Headers::with_room();
        for (name, value) in message.headers.iter() {
            // No header may come twice: of a body that quarantine itself refused, the later reason stands.
            if !HeaderName::OF_REFUSED.contains(&name) {
                headers.push(name, value);
            }
        }
        headers.push(HeaderName::CiReason, REFUSED);
        headers.push(HeaderName::CiDetail, why);
        headers.push(HeaderName::CiSubject, message.subject.as_str());
        headers.push(HeaderName::CiStream, &message.stream);
        Message {
            subject: self.quarantine.render(&Rejected { reason: REFUSED, endpoint: "" }),
            id: message.id.in_quarantine(),
            stream: self.destinations.quarantine_stream.clone(),
            headers,
            payload: message.payload.clone(),
            kind: MessageKind::Quarantine,
        }
    }
}

struct Rejected<'a> {
    reason: &'a str,
    endpoint: &'a str,
}

impl Values for Rejected<'_> {
    fn value(&self, field: Field) -> Option<&str> {
        match field {
            Field::Reason => Some(self.reason),
            Field::Endpoint => Some(self.endpoint),
            _ => None,
        }
    }
}
