//! What streams keep, for whoever looks after a bridge: single messages, and how full each stream is.

use crate::id::MessageId;
use crate::key_value;
use crate::message::{HeaderName, Headers, Message, MessageKind};
use crate::nats::{Holds, KeptMessage, Range, StreamSpec, StreamState, Unseen, Which};
use crate::publisher::{Publisher, Receipt};
use crate::route::REFUSED;
use crate::subject::Subject;
use crate::units;

/// A stream of the configuration, as it was last seen.
#[derive(Debug, Clone, serde::Serialize)]
pub struct StreamLook {
    /// Its name.
    pub name: String,
    /// `messages`, `quarantine`, `objects` or `jobs`.
    pub holds: &'static str,
    /// Messages in it; `None` while it has not been seen.
    pub messages: Option<u64>,
    /// Bytes of them.
    pub bytes: Option<u64>,
    /// What it keeps, and for how long, in words.
    pub limits: String,
    /// What of its settings voids or weakens the promise of 200, in sentences.
    pub findings: Vec<String>,
}

impl Publisher {
    /// The streams of the configuration.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamLook> {
        let look = |spec: &StreamSpec| {
            let state = self.shared.health.stream_state(&spec.name);
            StreamLook {
                name: spec.name.clone(),
                holds: self.holds(spec),
                messages: state.as_ref().map(|state| state.messages),
                bytes: state.as_ref().map(|state| state.bytes),
                limits: state.as_ref().map(limits).unwrap_or_default(),
                findings: state
                    .iter()
                    .flat_map(|state| &state.findings)
                    .map(|f| f.sentence(&spec.name))
                    .collect(),
            }
        };
        self.shared.streams.iter().map(look).collect()
    }

    fn holds(&self, spec: &StreamSpec) -> &'static str {
        match spec.holds {
            Holds::Objects => "objects",
            Holds::Keys => "jobs",
            Holds::Messages if spec.name == self.quarantine_stream() => "quarantine",
            Holds::Messages => "messages",
        }
    }

    /// The stream of quarantine.
    #[must_use]
    pub fn quarantine_stream(&self) -> &str {
        &self.shared.quarantine_stream
    }

    /// A message of a stream of the configuration; of others nothing is shown, whatever the NATS user may read.
    ///
    /// # Errors
    ///
    /// [`Unseen`] says in a sentence why there is none.
    pub async fn kept(&self, stream: &str, sequence: u64) -> Result<KeptMessage, Unseen> {
        let spec = self.spec(stream)?;
        spec.get(&self.shared.link, Which::Sequence(sequence)).await
    }

    /// Which messages quarantine can have.
    ///
    /// # Errors
    ///
    /// [`Unseen`] says in a sentence why that is not known.
    pub async fn quarantine_range(&self) -> Result<Range, Unseen> {
        self.spec(self.quarantine_stream())?.range(&self.shared.link).await
    }

    /// Takes a message out of quarantine.
    ///
    /// # Errors
    ///
    /// [`Unseen`] says in a sentence why it is still there.
    pub async fn remove_from_quarantine(&self, sequence: u64) -> Result<(), Unseen> {
        self.spec(self.quarantine_stream())?.delete_kept(&self.shared.link, sequence).await
    }

    /// Whether jobs can be looked up.
    #[must_use]
    pub fn has_jobs(&self) -> bool {
        self.shared.streams.iter().any(|spec| spec.holds == Holds::Keys)
    }

    /// The last message of a job or run that has ended; `None` for an id that no bucket can have.
    ///
    /// # Errors
    ///
    /// [`Unseen`] says in a sentence why there is none.
    pub async fn job(&self, id: &str) -> Result<Option<KeptMessage>, Unseen> {
        let no_bucket = || Unseen::Gone("there is no bucket of jobs: set [jobs] bucket".to_owned());
        let spec = self.shared.streams.iter().find(|spec| spec.holds == Holds::Keys).ok_or_else(no_bucket)?;
        let bucket = key_value::bucket(&spec.name);
        let Some(subject) = Subject::of_key(bucket, id) else { return Ok(None) };
        let found = spec.get(&self.shared.link, Which::LastOf(subject.as_str())).await?;
        // A key that somebody has deleted has a marker of that.
        Ok(found.header("KV-Operation").is_none().then_some(found))
    }

    /// Publishes a message that JetStream refused, and quarantine kept, as it was before. Past the spool: what is refused
    /// again stays where it is.
    ///
    /// # Errors
    ///
    /// A sentence that says why it was not taken.
    pub async fn publish_refused(&self, kept: &KeptMessage) -> Result<(Message, Receipt), String> {
        let message =
            refused(kept).ok_or("its headers do not say where it belongs: publish it by hand".to_owned())?;
        let stored = self.shared.link.publish(&message, self.shared.ack_timeout).await;
        let stored = stored.map_err(|failure| format!("not taken by {}: {failure}", message.stream))?;
        let receipt =
            Receipt::Stored { stream: stored.stream, sequence: stored.sequence, duplicate: stored.duplicate };
        Ok((message, receipt))
    }

    fn spec(&self, stream: &str) -> Result<&StreamSpec, Unseen> {
        // Chunks of objects are no messages for people.
        let found =
            self.shared.streams.iter().find(|spec| spec.name == stream && spec.holds != Holds::Objects);
        found.ok_or_else(|| Unseen::Gone(format!("{stream:?} is no stream of this bridge's messages")))
    }
}

/// A message as it was before it was refused.
fn refused(kept: &KeptMessage) -> Option<Message> {
    if kept.header(HeaderName::CiReason.as_str()) != Some(REFUSED) {
        return None;
    }
    let id = MessageId::before_quarantine(kept.header("Nats-Msg-Id")?)?;
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

/// `file, 1 replica, 7d, 256 MiB, discard old, ids for 2h`
fn limits(state: &StreamState) -> String {
    let config = &state.config;
    let mut parts = vec![config.storage.clone(), format!("replicas {}", config.num_replicas)];
    if !config.max_age.is_zero() {
        parts.push(format!("max_age {}", units::duration(config.max_age)));
    }
    for (name, limit) in
        [("max_msgs", config.max_msgs), ("max_msgs_per_subject", config.max_msgs_per_subject)]
    {
        parts.extend(
            u64::try_from(limit).ok().filter(|limit| *limit > 0).map(|limit| format!("{name} {limit}")),
        );
    }
    let bytes = u64::try_from(config.max_bytes).ok().filter(|bytes| *bytes > 0);
    parts.extend(bytes.map(|bytes| format!("max_bytes {}", units::bytes(bytes))));
    parts.push(format!("discard {}", config.discard));
    parts.push(format!("duplicate_window {}", units::duration(config.duplicate_window)));
    parts.join(", ")
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
        let kept = KeptMessage {
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
        let message = refused(&kept).unwrap();
        assert_eq!((message.subject.as_str(), &*message.stream), ("ci.moderation.x.normal", "CI"));
        assert_eq!((message.id.as_str(), message.kind), ("moderation:j1:Success:1", MessageKind::Moderation));
        let names: Vec<_> = message.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["ce-type", "ce-subject"]);
        for needed in ["Ci-Reason", "Ci-Subject", "Ci-Stream", "Nats-Msg-Id"] {
            let mut without = kept.clone();
            without.headers.retain(|(name, _)| name != needed);
            assert_eq!(refused(&without), None, "{needed}");
        }
    }
}
