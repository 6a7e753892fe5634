//! A message that JetStream refused, published again as it was.

use async_nats::HeaderMap;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use ci_bridge_publisher::{HeaderName, MessageId};
use tokio::time::timeout;

use super::entry::{MESSAGE_ID, header};
use super::store::{PATIENCE, Store};

/// A message that JetStream refused, as it was before it came to quarantine.
#[derive(Debug, PartialEq)]
pub(super) struct Refused {
    subject: String,
    pub(super) stream: String,
    id: String,
    headers: HeaderMap,
}

impl Refused {
    /// `None` when the headers are not all there.
    pub(super) fn read(kept: &HeaderMap) -> Option<Self> {
        let text = |name: HeaderName| header(kept, name.as_str()).map(str::to_owned);
        let mut headers = HeaderMap::new();
        for (name, values) in kept.iter() {
            let text: &str = name.as_ref();
            let is_added = HeaderName::OF_REFUSED.iter().any(|added| added.as_str() == text);
            // As they are: what could not stand in a header was encoded when the message was first made.
            if !is_added && !text.starts_with("Nats-") {
                values.iter().for_each(|value| headers.append(name.clone(), value.clone()));
            }
        }
        Some(Self {
            subject: text(HeaderName::CiSubject)?,
            stream: text(HeaderName::CiStream)?,
            id: MessageId::before_quarantine(header(kept, MESSAGE_ID)?)?.to_owned(),
            headers,
        })
    }

    /// Whether it is a job's last message, which never replaces what came under its key meanwhile: a state that ends a job
    /// is its last. Moderation may look again, with another result.
    fn leaves_what_stands(&self) -> bool {
        self.subject.starts_with("$KV.") && !self.id.starts_with("moderation:")
    }

    /// Publishes a message as it was first published, and waits until its stream has it.
    pub(super) async fn publish(&self, store: &Store, payload: Bytes) -> Result<String, String> {
        let Self { subject, stream, id, headers } = self;
        let message = PublishMessage::build().payload(payload).headers(headers.clone());
        // Without the stream's name, as `serve` publishes to servers whose mirrors would refuse it: the acknowledgement is
        // compared instead.
        let mut message = message.message_id(id);
        if self.leaves_what_stands() {
            message = message.expected_last_subject_sequence(0);
        }
        let published = async { store.context.send_publish(subject.clone(), message).await?.await };
        let unanswered =
            |_| format!("no acknowledgement within {PATIENCE:?}: may the user publish to {subject}?");
        let stored = match timeout(PATIENCE, published).await.map_err(unanswered)? {
            Ok(stored) => stored,
            Err(error)
                if error.kind() == PublishErrorKind::WrongLastSequence && self.leaves_what_stands() =>
            {
                return Ok(format!("{id}: the key {subject} has a value already, which stays"));
            }
            Err(error) => return Err(error.to_string()),
        };
        if stored.stream != *stream || (!store.domain.is_empty() && stored.domain != store.domain) {
            return Err(format!("stream {} of domain {:?} stored it instead", stored.stream, stored.domain));
        }
        // Up to 2.10 a replicated stream says so when the first copy is still in flight; sequence 0 is no message.
        if stored.sequence == 0 {
            return Err("a copy with the same id is in flight: try again".to_owned());
        }
        let before = if stored.duplicate { ", where it was already" } else { "" };
        Ok(format!("{id} on {subject}, {stream} #{}{before}", stored.sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(rows: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        rows.iter().for_each(|(name, value)| headers.insert(*name, *value));
        headers
    }

    #[test]
    fn a_refused_message_becomes_what_it_was() {
        let own = [("ce-subject", "a%20%22b%22"), ("Content-Type", "application/json"), ("Ci-Endpoint", "b")];
        let added = [
            ("Ci-Reason", "refused"),
            ("Ci-Detail", "the message is too large"),
            ("Ci-Subject", "ci.task.%2A.success"),
            ("Ci-Stream", "CI"),
            ("Nats-Msg-Id", "quarantine:task:j1:Success@ci.x"),
            ("Nats-Expected-Stream", "CI_QUARANTINE"),
        ];
        let kept = [&own[..], &added].concat();
        let expected = Refused {
            subject: "ci.task.%2A.success".to_owned(),
            stream: "CI".to_owned(),
            id: "task:j1:Success@ci.x".to_owned(),
            headers: headers(&own),
        };
        assert_eq!(Refused::read(&headers(&kept)), Some(expected));
        for needed in ["Ci-Subject", "Ci-Stream", "Nats-Msg-Id"] {
            let without: Vec<_> = kept.iter().copied().filter(|(name, _)| *name != needed).collect();
            assert_eq!(Refused::read(&headers(&without)), None, "{needed}");
        }
    }
}
