//! What the bus has already: in its streams, and in the spool.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use ci_bridge_publisher::nats::{ReadBack, StreamSpec};
use ci_bridge_publisher::{Message, MessageId, Publisher};

use super::candidate::Candidate;

/// The ids of what was published, by stream.
pub(super) struct KnownIds<'a> {
    publisher: &'a Publisher,
    specs: &'a [StreamSpec],
    since: SystemTime,
    streams: Vec<(Arc<str>, ReadBack)>,
    spooled: HashSet<MessageId>,
    /// What waits in a spool of another process, which has ended or does not publish.
    elsewhere: &'a HashSet<MessageId>,
}

impl<'a> KnownIds<'a> {
    /// Of what was published since then. Nothing is read yet but the spool.
    pub(super) async fn since(
        since: SystemTime,
        publisher: &'a Publisher,
        specs: &'a [StreamSpec],
        elsewhere: &'a HashSet<MessageId>,
    ) -> Self {
        let spooled = publisher.spooled_ids().await;
        Self { publisher, specs, since, streams: Vec::new(), spooled, elsewhere }
    }

    /// Reads the streams that these go to, unless that was done.
    pub(super) async fn read(&mut self, candidates: &[Candidate]) -> Result<(), String> {
        for message in candidates.iter().flat_map(|candidate| candidate.routes.iter().flatten()) {
            // What the bucket of jobs has follows from what the stream has.
            if message.is_key() {
                continue;
            }
            self.read_stream(&message.stream).await?;
        }
        Ok(())
    }

    /// Reads a stream, unless that was done.
    pub(super) async fn read_stream(&mut self, name: &Arc<str>) -> Result<(), String> {
        if self.streams.iter().any(|(have, _)| have == name) {
            return Ok(());
        }
        let spec = self.specs.iter().find(|spec| *spec.name == **name);
        let spec = spec.ok_or_else(|| format!("stream {name} is not configured"))?;
        let read = self.publisher.read_back(spec, self.since).await.map_err(|e| e.to_string())?;
        self.streams.push((Arc::clone(name), read));
        Ok(())
    }

    /// Reads what has come meanwhile: a callback may have been late, and the spool may have been published. The spool
    /// first: what it held and holds no more is in a stream.
    pub(super) async fn catch_up(&mut self) -> Result<(), String> {
        self.spooled = self.publisher.spooled_ids().await;
        for (_, stream) in &mut self.streams {
            self.publisher.catch_up(stream).await.map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// Since when the bus has the whole of it, in seconds since 1970, by one endpoint or another.
    pub(super) fn stored_at(&self, candidate: &Candidate) -> Option<i64> {
        let whole = |messages: &Vec<Message>| {
            messages
                .iter()
                .filter(|message| !message.is_key())
                .map(|message| self.message_stored_at(message))
                .try_fold(0, |last, at| Some(at?.max(last)))
        };
        candidate.routes.iter().find_map(whole)
    }

    /// What is missing of it, by the endpoint that publishes it.
    pub(super) fn missing(&self, candidate: &Candidate) -> Vec<Message> {
        let messages = candidate.routes.first().into_iter().flatten();
        let missing =
            messages.filter(|message| !message.is_key() && self.message_stored_at(message).is_none());
        let mut missing: Vec<_> = missing.cloned().collect();
        if !missing.is_empty() {
            let keys = candidate.routes.first().into_iter().flatten().filter(|message| message.is_key());
            missing.extend(keys.cloned());
        }
        missing
    }

    fn message_stored_at(&self, message: &Message) -> Option<i64> {
        if self.spooled.contains(&message.id) || self.elsewhere.contains(&message.id) {
            return Some(i64::MAX);
        }
        let (_, stream) = self.streams.iter().find(|(name, _)| *name == message.stream)?;
        stream.stored_at(&message.id)
    }
}
