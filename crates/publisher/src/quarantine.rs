//! Quarantine, as a running bridge and the command `quarantine` look after it: read, deleted, and what JetStream refused
//! published again.

use std::io;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::id::MessageId;
use crate::message::{HeaderName, Headers, Message, MessageKind};
use crate::nats::{Link, LinkEvent, LinkSettings, LookupError, Range, StoredMessage, StreamSpec, Which};
use crate::publisher::{Config, Publisher};
use crate::receipt::Receipt;
use crate::route::REFUSED;
use crate::subject::Subject;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The stream of quarantine over a connection of its own, for a command: no bridge need run.
pub struct Quarantine {
    link: Link,
    spec: StreamSpec,
    ack_timeout: Duration,
    /// Takes what NATS answers; it ends with this.
    _answers: JoinSet<()>,
}

impl Quarantine {
    /// Connects to NATS. Nothing is made, and nothing is asked yet.
    ///
    /// # Errors
    ///
    /// There is no connection within five seconds; the reason is a sentence.
    pub async fn connect(config: Config) -> io::Result<Self> {
        let name = config.quarantine.quarantine_stream();
        let spec = config.streams.iter().find(|spec| spec.name == **name).cloned();
        let spec = spec.ok_or_else(|| io::Error::other("no stream is configured for quarantine"))?;
        let settings = LinkSettings {
            domain: config.domain.as_deref().map(Into::into),
            expect_stream: config.expect_stream,
        };
        let (told, mut connected) = mpsc::unbounded_channel();
        let (link, take_answers) = Link::open(&config.connection, settings, move |event| {
            if matches!(event, LinkEvent::Connected) {
                // Nobody listens once there was a connection.
                let _ = told.send(());
            }
        })
        .await?;
        let mut answers = JoinSet::new();
        answers.spawn(take_answers);
        if !matches!(timeout(CONNECT_TIMEOUT, connected.recv()).await, Ok(Some(()))) {
            let why = link.servers().last_error().unwrap_or_else(|| "NATS does not answer".to_owned());
            return Err(io::Error::new(io::ErrorKind::TimedOut, why));
        }
        // What the server is and takes, which nobody else asks for here.
        link.refresh();
        Ok(Self { link, spec, ack_timeout: config.ack_timeout, _answers: answers })
    }

    /// Which messages there can be; `None` without the stream.
    ///
    /// # Errors
    ///
    /// [`LookupError`] says in a sentence why that is not known.
    pub async fn range(&self) -> Result<Option<Range>, LookupError> {
        found(self.spec.range(&self.link).await)
    }

    /// A message; `None` when it is not there, or no longer.
    ///
    /// # Errors
    ///
    /// [`LookupError`] says in a sentence why that is not known.
    pub async fn get(&self, sequence: u64) -> Result<Option<StoredMessage>, LookupError> {
        found(self.spec.get(&self.link, Which::Sequence(sequence)).await)
    }

    /// Deletes a message for good.
    ///
    /// # Errors
    ///
    /// [`LookupError`] says in a sentence why it is still there.
    pub async fn delete(&self, sequence: u64) -> Result<(), LookupError> {
        self.spec.delete_message(&self.link, sequence).await
    }

    /// Deletes every message up to this one for good, and gives how many there were.
    ///
    /// # Errors
    ///
    /// [`LookupError`] says in a sentence why they are still there.
    pub async fn delete_through(&self, sequence: u64) -> Result<u64, LookupError> {
        self.spec.delete_through(&self.link, sequence).await
    }

    /// As [`Publisher::publish_refused`].
    ///
    /// # Errors
    ///
    /// A sentence that says why it was not taken.
    pub async fn publish_refused(&self, kept: &StoredMessage) -> Result<(Message, Receipt), String> {
        publish_refused(&self.link, kept, self.ack_timeout).await
    }
}

fn found<T>(looked_up: Result<T, LookupError>) -> Result<Option<T>, LookupError> {
    match looked_up {
        Err(LookupError::Gone(_)) => Ok(None),
        other => other.map(Some),
    }
}

impl Publisher {
    /// The stream of quarantine.
    #[must_use]
    pub fn quarantine_stream(&self) -> &str {
        &self.shared.quarantine_stream
    }

    /// Which messages quarantine can have.
    ///
    /// # Errors
    ///
    /// [`LookupError`] says in a sentence why that is not known.
    pub async fn quarantine_range(&self) -> Result<Range, LookupError> {
        self.spec(self.quarantine_stream())?.range(&self.shared.link).await
    }

    /// Takes a message out of quarantine.
    ///
    /// # Errors
    ///
    /// [`LookupError`] says in a sentence why it is still there.
    pub async fn remove_from_quarantine(&self, sequence: u64) -> Result<(), LookupError> {
        self.spec(self.quarantine_stream())?.delete_message(&self.shared.link, sequence).await
    }

    /// Publishes a message that JetStream refused, and quarantine kept, as it was before. Past the spool: what is refused
    /// again stays where it is.
    ///
    /// # Errors
    ///
    /// A sentence that says why it was not taken.
    pub async fn publish_refused(&self, kept: &StoredMessage) -> Result<(Message, Receipt), String> {
        publish_refused(&self.shared.link, kept, self.shared.ack_timeout).await
    }
}

async fn publish_refused(
    link: &Link,
    kept: &StoredMessage,
    within: Duration,
) -> Result<(Message, Receipt), String> {
    let message = original(kept).ok_or("its headers do not say where it belongs: publish it by hand")?;
    let stored = link.publish(&message, within).await;
    let stored = stored.map_err(|failure| format!("not taken by {}: {failure}", message.stream))?;
    let receipt =
        Receipt::Stored { stream: stored.stream, sequence: stored.sequence, duplicate: stored.duplicate };
    Ok((message, receipt))
}

/// A refused message as it was before; `None` when its headers do not say.
fn original(kept: &StoredMessage) -> Option<Message> {
    if kept.header(HeaderName::CiReason.as_str()) != Some(REFUSED) {
        return None;
    }
    let id = MessageId::before_quarantine(kept.header(MessageId::HEADER)?)?;
    let mut headers = Headers::default();
    for (name, value) in &kept.headers {
        let known = HeaderName::ALL.into_iter().find(|known| known.as_str() == name);
        if let Some(known) = known.filter(|known| !HeaderName::OF_REFUSED.contains(known)) {
            headers.push(known, value.clone());
        }
    }
    let kind = kept.header(HeaderName::CeType.as_str()).and_then(kind_of).unwrap_or(MessageKind::Task);
    Some(Message {
        subject: Subject::from_spool(kept.header(HeaderName::CiSubject.as_str())?.to_owned())?,
        id: MessageId::from_spool(id.to_owned())?,
        stream: kept.header(HeaderName::CiStream.as_str())?.into(),
        headers,
        payload: kept.body.clone(),
        kind,
    })
}

/// `com.tencent.ci.task.v1` is of a task.
fn kind_of(ce_type: &str) -> Option<MessageKind> {
    MessageKind::ALL.into_iter().find(|kind| ce_type.split('.').any(|part| part == kind.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn a_refused_message_becomes_what_it_was() {
        let text = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let kept = StoredMessage {
            sequence: 3,
            subject: "ci-quarantine.refused".to_owned(),
            time: SystemTime::UNIX_EPOCH,
            headers: text(&[
                ("ce-type", "com.tencent.ci.moderation.v1"),
                ("ce-subject", "a%20b"),
                ("Ci-Reason", "refused"),
                ("Ci-Detail", "no"),
                ("Ci-Subject", "ci.moderation.x.normal"),
                ("Ci-Stream", "CI"),
                ("Nats-Msg-Id", "quarantine:moderation:j1:Success:1"),
                ("Nats-Expected-Stream", "CI_QUARANTINE"),
            ]),
            body: "{}".into(),
        };
        let message = original(&kept).unwrap();
        assert_eq!((message.subject.as_str(), &*message.stream), ("ci.moderation.x.normal", "CI"));
        assert_eq!((message.id.as_str(), message.kind), ("moderation:j1:Success:1", MessageKind::Moderation));
        let names: Vec<_> = message.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["ce-type", "ce-subject"]);
        for needed in ["Ci-Reason", "Ci-Subject", "Ci-Stream", "Nats-Msg-Id"] {
            let mut without = kept.clone();
            without.headers.retain(|(name, _)| name != needed);
            assert_eq!(original(&without), None, "{needed}");
        }
    }
}
