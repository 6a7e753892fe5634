//! Chunks that nobody reads: of attempts that were broken off, and of objects that were replaced.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::de::IgnoredAny;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::{ObjectStore, Sent, Upload};
use crate::nats::link::Link;

/// So many of each kind are remembered, some 100 bytes each; what is older goes with `max_age`.
const MOST: usize = 256;
/// Times that a purge is asked for: a server that is frozen or elects a leader answers again within seconds.
const TRIES: u32 = 8;
/// Before the next of them.
const PAUSE: Duration = Duration::from_secs(2);

/// What is to be purged, and what may have to be.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    queues: Mutex<Queues>,
    added: Notify,
}

#[derive(Debug, Default)]
struct Queues {
    /// Chunks that no name leads to.
    chunks: VecDeque<String>,
    unsure: VecDeque<Unsure>,
}

/// An attempt whose name was sent and not acknowledged: it may stand, or be written yet.
#[derive(Debug)]
struct Unsure {
    name: String,
    nuid: String,
    /// The last sequence under the name, or it is not written.
    after: u64,
}

impl Leftovers {
    /// Nothing leads to these chunks, and nothing ever will.
    pub(super) fn add(&self, nuid: String) {
        self.queues().push(nuid);
        self.added.notify_one();
    }

    /// An attempt has failed.
    pub(super) fn broken_off(&self, Upload { info, sent }: Upload) {
        match sent {
            Sent::Chunks => self.add(info.nuid),
            Sent::After(after) => {
                let mut queues = self.queues();
                if queues.unsure.len() >= MOST {
                    queues.unsure.pop_front();
                }
                queues.unsure.push_back(Unsure { name: info.name, nuid: info.nuid, after });
            }
            // It may be written at any time, and nothing that is seen under its name says that it will not: its chunks
            // stay until `max_age`, as any chunks do without the right to look.
            Sent::Anyhow => {}
        }
    }

    /// What stands under a name has been seen, and its sequence. An attempt that was to replace an earlier one can be
    /// written no more. One that was to replace what still stands there may be on its way.
    pub(super) fn settled(&self, name: &str, standing: &str, sequence: u64) {
        let mut queues = self.queues();
        // However it came to be there: what stands is not purged.
        queues.chunks.retain(|nuid| nuid != standing);
        let unsure = std::mem::take(&mut queues.unsure);
        for attempt in unsure {
            match attempt.name == name && attempt.after < sequence {
                true if attempt.nuid == standing => {}
                true => queues.push(attempt.nuid),
                false => queues.unsure.push_back(attempt),
            }
        }
        drop(queues);
        self.added.notify_one();
    }

    fn take(&self) -> Option<String> {
        self.queues().chunks.pop_front()
    }

    fn queues(&self) -> std::sync::MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queues {
    fn push(&mut self, nuid: String) {
        if self.chunks.len() >= MOST {
            self.chunks.pop_front();
        }
        self.chunks.push_back(nuid);
    }
}

impl ObjectStore {
    /// Purges what is left over, for ever: no publish waits for it. Without the right to do so, or when the bridge ends
    /// before, it goes with `max_age`.
    pub(crate) async fn tidy(&self, link: &Link) {
        loop {
            match self.leftovers.take() {
                Some(nuid) => self.purge(link, &nuid).await,
                None => self.leftovers.added.notified().await,
            }
        }
    }

    async fn purge(&self, link: &Link, nuid: &str) {
        let request = serde_json::json!({ "filter": self.chunk_subject(nuid) }).to_string();
        let purge = format!("STREAM.PURGE.{}", self.stream);
        let mut tries = 0;
        while tries < TRIES {
            match self.spec.ask_api::<IgnoredAny>(link, &purge, request.clone()).await {
                Ok(Ok(_)) => return,
                Ok(Err(error)) => {
                    let why = error.description;
                    tracing::debug!(stream = %self.stream, why, "chunks that nobody reads stay until max_age");
                    return;
                }
                // While there is no connection, nothing was asked.
                Err(why) => {
                    tries += u32::from(link.is_connected());
                    tracing::debug!(stream = %self.stream, why, "chunks that nobody reads are not purged yet");
                }
            }
            sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nats::object_store::standing::ObjectInfo;

    fn purged(leftovers: &Leftovers) -> Vec<String> {
        std::iter::from_fn(|| leftovers.take()).collect()
    }

    fn broken_off(leftovers: &Leftovers, name: &str, nuid: &str, sent: Sent) {
        let info = ObjectInfo {
            name: name.to_owned(),
            bucket: String::new(),
            nuid: nuid.to_owned(),
            size: 0,
            chunks: 0,
            mtime: String::new(),
            digest: String::new(),
            deleted: false,
            options: None,
        };
        leftovers.broken_off(Upload { info, sent });
    }

    #[test]
    fn an_attempt_that_may_stand_is_purged_when_another_is_seen_to() {
        let leftovers = Leftovers::default();
        broken_off(&leftovers, "a", "broken off", Sent::Chunks);
        broken_off(&leftovers, "a", "a1", Sent::After(0));
        broken_off(&leftovers, "b", "b1", Sent::After(0));
        broken_off(&leftovers, "a", "a2", Sent::After(0));
        assert_eq!(purged(&leftovers), ["broken off"]);
        leftovers.settled("a", "a2", 5);
        assert_eq!(purged(&leftovers), ["a1"]);
        leftovers.settled("b", "b2", 6);
        assert_eq!(purged(&leftovers), ["b1"]);
        leftovers.settled("a", "a3", 7);
        assert_eq!(purged(&leftovers), [""; 0], "a2 stood, and whoever replaced it has purged it");
    }

    #[test]
    fn an_attempt_that_may_yet_be_written_keeps_its_chunks() {
        let leftovers = Leftovers::default();
        broken_off(&leftovers, "a", "late", Sent::After(4));
        leftovers.settled("a", "old", 4);
        assert_eq!(purged(&leftovers), [""; 0], "what it was to replace still stands: it may be on its way");
        leftovers.settled("a", "new", 5);
        assert_eq!(purged(&leftovers), ["late"], "now it would be refused");
    }

    #[test]
    fn an_attempt_without_a_condition_is_never_settled() {
        let leftovers = Leftovers::default();
        broken_off(&leftovers, "a", "anyhow", Sent::Anyhow);
        leftovers.settled("a", "new", 9);
        assert_eq!(purged(&leftovers), [""; 0], "it may be written over what stands, at any time");
    }

    #[test]
    fn what_stands_is_not_purged() {
        let leftovers = Leftovers::default();
        leftovers.add("stands after all".to_owned());
        leftovers.add("replaced".to_owned());
        leftovers.settled("a", "stands after all", 5);
        assert_eq!(purged(&leftovers), ["replaced"]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let leftovers = Leftovers::default();
        for at in 0..=MOST {
            leftovers.add(at.to_string());
            broken_off(&leftovers, "a", &at.to_string(), Sent::After(0));
        }
        assert_eq!(purged(&leftovers).len(), MOST);
        leftovers.settled("a", "", 1);
        assert_eq!(purged(&leftovers).len(), MOST);
    }
}
